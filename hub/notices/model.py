"""A notice, its attempts and the person it is for, as the rules see them. No I/O; `ladder` decides."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from channels.port import Address


class State(StrEnum):
    """Where a notice stands. All but `open` are ends; `unconfirmed` and `delivered` may still become `seen`."""

    OPEN = "open"
    SEEN = "seen"
    DELIVERED = "delivered"
    UNCONFIRMED = "unconfirmed"
    """Handed to a provider, and nothing more was ever heard."""
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SUPPRESSED = "suppressed"


class AttemptState(StrEnum):
    """Where one call stands. `leased`: a worker is at it; `retry` and `unknown` may be followed by another attempt."""

    LEASED = "leased"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    RETRY = "retry"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    REFUSED = "refused"
    GONE = "gone"
    DEAD = "dead"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notices`. `first_seq` to `upto_seq` are the entries it speaks of, if it speaks of any."""

    id: str
    user: str
    class_: str
    lane: str
    shard: int
    template: str
    values: dict[str, Any]  # Any: JSON scalars that a template shows
    subject: str
    conversation: str | None
    first_seq: int | None
    upto_seq: int | None
    derived: bool
    state: State
    begins_at: datetime
    expires_at: datetime
    delivered_at: datetime | None
    created_at: datetime
    held: bool = False
    """It belongs to a broadcast that is paused or was cancelled."""

    @property
    def tag(self) -> str:
        """What replaces what: messages outside about one conversation, or one notice."""
        return (self.conversation if self.derived and self.conversation else self.id).replace("-", "")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notice_attempts`: one call of a provider, or why there was none."""

    id: str
    step: int
    channel: str
    provider: str
    address: str
    number: int
    state: AttemptState
    code: str = ""
    provider_id: str = ""
    sent_at: datetime | None = None
    next_at: datetime | None = None
    receipt_until: datetime | None = None
    withdrawn_at: datetime | None = None


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """From one time of day to another, `HH:MM`, in the person's zone; past midnight when `to` is the earlier."""

    on: bool = True
    from_: str = "22:00"
    to: str = "07:00"


class ClassPreference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person wants of one class: nothing, or not on some channels."""

    off: bool = False
    channels_off: list[str] = msgspec.field(default_factory=list, name="channelsOff")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a notice is for, as read with it: how far they have come, and what they want."""

    active: bool
    member: bool
    delivered_seq: int
    read_seq: int
    unread: int
    """How many entries the notice still speaks of: not read, not recalled."""
    language: str
    timezone: str
    quiet: QuietHours | None
    """None: never set."""
    preference: ClassPreference
    consents: frozenset[str]
    addresses: dict[str, list[Address]]
    """By channel. WeChat's `extra` holds `remaining` for the template of this notice."""
    total: int = 1
    """How many the person has not read in the whole conversation: what they are told."""
    muted: bool = False
    texted: bool = False
    """A text message about this conversation was sent to them in the last day."""
    texts_today: int = 0
    """Text messages that were sent to them in the last day."""
