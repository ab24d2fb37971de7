"""What the schedulers are at: duties, who runs them, what is overdue; and reading a moment that a person typed. No I/O."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from hub.timers.actions import Backlog, Due

SHANGHAI = ZoneInfo("Asia/Shanghai")
COUNTED = 10_000  # more than this is "many": counting goes on no further
SILENT = timedelta(seconds=30)  # duties are noted every 10 s: nothing for this long, and nobody ticks
ALIVE = timedelta(seconds=30)  # a scheduler that was not heard of for this long is gone


class Standing(StrEnum):
    """How a duty does."""

    WELL = "well"
    FAILING = "failing"
    LATE = "late"
    """No run ended when one should have."""


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `schedule_duties`: the newest run of any scheduler."""

    name: str
    every_s: float
    began_at: datetime
    ended_at: datetime | None
    took_ms: float | None
    failed_at: datetime | None
    error_kind: str
    runs: int

    def standing(self, now: datetime) -> Standing:
        """Late: three beats and what writing it down takes have passed without a run that was well."""
        if self.failed_at is not None and (self.ended_at is None or self.failed_at > self.ended_at):
            return Standing.FAILING
        patience = SILENT + 3 * timedelta(seconds=self.every_s)
        return Standing.LATE if now - (self.ended_at or self.began_at) > patience else Standing.WELL


class Scheduler(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs the duties."""

    id: str
    name: str
    started_at: datetime
    seen_at: datetime


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the schedulers at `now`. `stale_keys`: data keys that another master key than the first still wraps."""

    now: datetime
    duties: list[Duty]
    schedulers: list[Scheduler]
    timers: list[Backlog]
    stale_keys: int

    @property
    def last_tick(self) -> datetime | None:
        """When a duty last ended well."""
        return max((duty.ended_at for duty in self.duties if duty.ended_at is not None), default=None)

    @property
    def is_ticking(self) -> bool:
        return self.last_tick is not None and self.now - self.last_tick <= SILENT

    @property
    def late_s(self) -> float:
        """How long the timer that waits longest is overdue."""
        return max((late_s(each, self.now) for each in self.timers), default=0.0)

    @property
    def next_due(self) -> datetime | None:
        return min((each.next for each in self.timers if each.next is not None), default=None)


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """The little that readiness and metrics need. `silent_s`: since a duty last ended well; None: none ever did."""

    silent_s: float | None
    timers: list[Backlog]
    late_s: dict[str, float]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen at a moment. `names`: of the people concerned, masked. Counts end at `COUNTED`; those that are None
    are not known of one person."""

    timers: list[Due]
    names: dict[str, str]
    notices: int
    unpaid_orders: int | None
    broadcasts: int | None


def late_s(backlog: Backlog, now: datetime) -> float:
    """How long the oldest of this kind is overdue; 0.0: none is."""
    return 0.0 if backlog.oldest is None else max(0.0, (now - backlog.oldest).total_seconds())


def moment_of(text: str) -> datetime | None:
    """ISO 8601; without an offset it is the time in Shanghai. None for what is no moment."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
