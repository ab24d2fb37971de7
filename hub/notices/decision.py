"""What a decision about a notice rests on, and what it says. No I/O; `ladder` decides."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from channels.port import Address
from hub.notices.model import Attempt, AttemptState, Notice, Person, State
from hub.notices.notice_class import NoticeClass


class Way(msgspec.Struct, frozen=True):
    """A provider of a channel that is there and has a template. `repeats`, `receipt_s`: see `Channel`."""

    provider: str
    repeats: bool
    receipt_s: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision rests on. `ways`: by channel, in the order in which they are tried."""

    notice: Notice
    class_: NoticeClass
    person: Person
    attempts: Sequence[Attempt]
    ways: Mapping[str, Sequence[Way]]
    texts_per_day: int = 1000
    """How many text messages a person gets in a day, but for what is urgent."""

    @property
    def is_received(self) -> bool:
        """Some device has it: the socket's acknowledgement, or a provider's word."""
        upto = self.notice.upto_seq
        held = upto is not None and self.person.delivered_seq >= upto
        return held or any(each.state is AttemptState.DELIVERED for each in self.attempts)


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A call to make."""

    step: int
    channel: str
    provider: str
    address: Address
    number: int
    unless: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A step that makes no call, and why."""

    step: int
    channel: str
    state: AttemptState
    code: str


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier attempt turns out to be."""

    attempt: str
    state: AttemptState
    code: str
    next_at: datetime | None = None
    receipt_until: datetime | None = None


class Decision(msgspec.Struct, kw_only=True):
    """What follows. Without `end`, the notice is looked at again at `next_at`."""

    end: State | None = None
    reason: str = ""
    next_at: datetime | None = None
    sends: list[Send] = []
    notes: list[Note] = []
    marks: list[Mark] = []
    settles: list[Attempt] = []
    withdraws: list[Attempt] = []

    def wait(self, until: datetime) -> None:
        self.next_at = until if self.next_at is None else min(self.next_at, until)
