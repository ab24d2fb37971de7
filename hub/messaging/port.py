"""What messaging tells after a commit; `hub/realtime/fanout.py` carries it to sockets and other nodes."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hub.messaging.model import Entry


class MemberChange(msgspec.Struct, frozen=True, kw_only=True):
    """One person's place in a conversation after a commit. `to_seq` is the last entry they may see, None while a member."""

    conversation: str
    user: str
    role: str
    kind: str
    from_seq: int
    to_seq: int | None
    members_version: int
    read_only: bool = False


class Announcer(Protocol):
    """Carries facts to whoever should see them now. Never waits and never raises: who misses one is healed from PostgreSQL."""

    def appended(
        self, conversation: str, members_version: int, entries: Sequence[Entry], also: Sequence[str] = ()
    ) -> None:
        """Committed entries of one conversation in seq order, and the membership version at that commit.

        `also`: who is no member any more, but may see these: the entry of their own removal.
        """

    def repeated(self, conversation: str, members_version: int, entry: Entry) -> None:
        """A retry found this entry committed lately: whoever committed it may have died before telling anybody."""

    def members_changed(self, changes: Sequence[MemberChange], told: Sequence[str]) -> None:
        """Places that changed, to be told to the users in `told` and to those who changed."""

    def receipt_moved(
        self, conversation: str, members_version: int, user: str, delivered_seq: int, read_seq: int
    ) -> None:
        """How far a member has received and read, after a commit."""
