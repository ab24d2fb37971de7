"""Slots without I/O: when a service can begin on a day, and which place of whom is free then.

Somebody with a capacity of n has the places 0 to n-1; a booking takes one place from its beginning to its end.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zlib import crc32

import msgspec

from hub.directory.model import SHANGHAI, Window
from hub.platform.error import ErrorCode, Refusal

Windows = Mapping[str, Sequence[Window]]
"""Provider → when they work on the day in question."""


class Span(msgspec.Struct, frozen=True):
    """From a moment until before another."""

    starts_at: datetime
    ends_at: datetime

    def overlaps(self, other: "Span") -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


class Held(msgspec.Struct, frozen=True):
    """A place that is taken."""

    provider: str
    place: int
    span: Span


class Seat(msgspec.Struct, frozen=True):
    """A place that can be taken."""

    provider: str
    place: int


class Slot(msgspec.Struct, frozen=True):
    starts_at: datetime
    available: bool
    reason: str | None
    """A key of the text catalogue; None while it is available."""


def day_of(at: datetime) -> date:
    return at.astimezone(SHANGHAI).date()


def whole_day(day: date) -> Span:
    midnight = datetime.combine(day, time(), SHANGHAI)
    return Span(midnight, midnight + timedelta(days=1))


def check_day(day: date, now: datetime, days: int, field: str) -> None:
    """From today on, `days` ahead. Raises `Refusal` naming the field."""
    today = day_of(now)
    if day < today:
        raise Refusal(ErrorCode.INVALID, fields={field: "date_past"})
    if day > today + timedelta(days=days):
        raise Refusal(ErrorCode.INVALID, fields={field: "date_far"})


def slots(windows: Windows, held: Collection[Held], duration: timedelta, now: datetime) -> list[Slot]:
    """Every beginning that somebody offers, in order of time."""
    free: dict[datetime, bool] = {}
    for provider, theirs in windows.items():
        taken = [each for each in held if each.provider == provider]
        for window in theirs:
            for start in _starts(window, duration):
                place = free_place(window.capacity, taken, Span(start, start + duration))
                free[start] = free.get(start, False) or place is not None
    return [_slot(start, free[start], now) for start in sorted(free)]


def offering(windows: Windows, span: Span) -> dict[str, int]:
    """Who has a slot that begins and can end then, with their capacity."""
    return {
        provider: window.capacity
        for provider, theirs in windows.items()
        for window in theirs
        if span.starts_at in _starts(window, span.ends_at - span.starts_at)
    }


def working(windows: Windows, span: Span) -> dict[str, int]:
    """Who works all that time, on their slots or not, with their capacity."""
    return {
        provider: window.capacity
        for provider, theirs in windows.items()
        for window in theirs
        if window.starts_at <= span.starts_at and span.ends_at <= window.ends_at
    }


def free_seats(capacities: Mapping[str, int], held: Collection[Held], span: Span) -> list[Seat]:
    """The lowest free place of everybody who has one."""
    seats = []
    for provider, capacity in capacities.items():
        place = free_place(capacity, [each for each in held if each.provider == provider], span)
        if place is not None:
            seats.append(Seat(provider, place))
    return seats


def free_place(capacity: int, taken: Collection[Held], span: Span) -> int | None:
    """The lowest place that nobody has at any time of the span; `taken` are those of one provider."""
    busy = {each.place for each in taken if each.span.overlaps(span)}
    return next((place for place in range(capacity) if place not in busy), None)


def least_busy(seats: Sequence[Seat], held: Collection[Held], person: str) -> Seat:
    """The seat of who has fewest bookings, so that work is spread; of equals another one for another person, so that
    a crowd does not run after the same."""
    load = Counter(each.provider for each in held)
    return min(seats, key=lambda seat: (load[seat.provider], crc32(f"{person} {seat.provider}".encode())))


def _starts(window: Window, duration: timedelta) -> Iterator[datetime]:
    start, step = window.starts_at, timedelta(minutes=window.slot_minutes)
    while start + duration <= window.ends_at:
        yield start
        start += step


def _slot(start: datetime, free: bool, now: datetime) -> Slot:
    if start <= now:
        return Slot(start, False, "slot_past")
    return Slot(start, free, None if free else "slot_full")
