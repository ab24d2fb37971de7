"""Hospitals, departments, doctors, and when somebody works: the structs, and how rules and exceptions make a day's windows.

Days and times of day are those of Asia/Shanghai. What is checked when somebody defines them is in `rule`.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

SHANGHAI = ZoneInfo("Asia/Shanghai")

Level = Literal[
    "三级特等", "三级甲等", "三级乙等", "三级丙等", "三级", "二级甲等", "二级乙等", "二级丙等", "二级",
    "一级甲等", "一级乙等", "一级丙等", "一级", "未定级", "",
]  # fmt: skip
ExceptionKind = Literal["off", "extra"]


class Hospital(msgspec.Struct, frozen=True):
    id: str
    code: str | None
    name: str
    city: str
    district: str
    address: str
    level: Level
    phone: str
    introduction: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Department(msgspec.Struct, frozen=True):
    """`is_active` is its own mark; it is offered only while its hospital is, too."""

    id: str
    hospital: str
    hospital_name: str
    name: str
    category: str
    location: str
    introduction: str
    sort_order: int
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Doctor(msgspec.Struct, frozen=True):
    """`user` is the account that signs in, and the provider of schedules; `is_open`: doctor, department and hospital are active."""

    id: str
    user: str
    hospital: str
    hospital_name: str
    city: str
    department: str
    department_name: str
    name: str
    title: str
    specialties: Sequence[str]
    introduction: str
    fee: Decimal
    sort_order: int
    is_active: bool
    is_open: bool
    created_at: datetime
    updated_at: datetime


class Rule(msgspec.Struct, frozen=True):
    """Somebody works every week on this day (ISO 8601: 1 is Monday) from `starts` to `ends`; both validity days count."""

    weekday: int
    starts: time
    ends: time
    slot_minutes: int
    capacity: int
    valid_from: date | None = None
    valid_until: date | None = None

    def holds_on(self, day: date) -> bool:
        begun = self.valid_from is None or self.valid_from <= day
        return self.weekday == day.isoweekday() and begun and (self.valid_until is None or day <= self.valid_until)


class Schedule(msgspec.Struct, frozen=True):
    """All that a provider's windows follow from, `exceptions` from today on; `version` changes with the rules."""

    provider: str
    version: str
    rules: Sequence[Rule]
    exceptions: Sequence["ScheduleException"]


class ScheduleException(msgspec.Struct, frozen=True):
    """On this day only: `off` takes away, `extra` adds with a slot length and capacity of its own."""

    id: str
    day: date
    kind: ExceptionKind
    starts: time
    ends: time
    slot_minutes: int | None
    capacity: int | None
    reason: str


class Off(msgspec.Struct, frozen=True):
    """A stretch in which somebody does not work, although a rule may say so."""

    starts: time
    ends: time
    reason: str


class Window(msgspec.Struct, frozen=True):
    """A stretch in which somebody takes people: slots begin at `starts_at` and every `slot_minutes` after it.

    Both times are aware, in Asia/Shanghai. What is left after the last whole slot belongs to the window all the same.
    """

    starts_at: datetime
    ends_at: datetime
    slot_minutes: int
    capacity: int


Span = tuple[int, int]  # minutes of the day


class Day(msgspec.Struct, frozen=True):
    """What one day of somebody's schedule offers."""

    day: date
    windows: Sequence[Window]
    off: Sequence[Off]


class HospitalFilter(msgspec.Struct, frozen=True):
    """What a list of hospitals is narrowed to; None and empty do not narrow."""

    city: str | None = None
    level: Level | None = None
    q: str = ""
    is_active: bool | None = True


class DepartmentFilter(msgspec.Struct, frozen=True):
    hospital: str | None = None
    q: str = ""
    is_active: bool | None = True


class DoctorFilter(msgspec.Struct, frozen=True):
    """`department` is an id or a name; `is_open` narrows to those who may be offered, `is_active` by their own mark."""

    hospital: str | None = None
    department: str | None = None
    city: str | None = None
    q: str = ""
    is_open: bool = True
    is_active: bool | None = None


class _Source(msgspec.Struct, frozen=True):
    span: Span
    slot_minutes: int
    capacity: int


def windows_of(rules: Iterable[Rule], exceptions: Iterable[ScheduleException], day: date) -> list[Window]:
    """What is offered on this day, in order and without overlap.

    An `off` wins over everything, an `extra` over the weekly rules. A window that is cut keeps its slots where they were,
    so that a slot sold before the cut is still one afterwards.
    """
    special = [each for each in exceptions if each.day == day]
    taken = [_span(each) for each in special if each.kind == "off"]
    extras = (_source(each) for each in special if each.kind == "extra")
    weekly = (_source(rule) for rule in rules if rule.holds_on(day))
    windows = []
    for source in chain(sorted(extras, key=_begin), sorted(weekly, key=_begin)):
        windows += [_window(day, source, free) for free in _aligned(source, _without(source.span, taken))]
        taken.append(source.span)
    return sorted(windows, key=lambda window: window.starts_at)


def day_of(rules: Iterable[Rule], exceptions: Sequence[ScheduleException], day: date) -> Day:
    off = [Off(each.starts, each.ends, each.reason) for each in exceptions if each.day == day and each.kind == "off"]
    return Day(day, windows_of(rules, exceptions, day), off)


def shanghai_day(at: datetime) -> date:
    return at.astimezone(SHANGHAI).date()


def minutes_of(at: time) -> int:
    return at.hour * 60 + at.minute


def _source(given: Rule | ScheduleException) -> _Source:
    # An `extra` has both numbers: the table's constraint says so.
    return _Source(_span(given), given.slot_minutes or 0, given.capacity or 0)


def _span(given: Rule | ScheduleException) -> Span:
    return minutes_of(given.starts), minutes_of(given.ends)


def _begin(source: _Source) -> Span:
    return source.span


def _without(span: Span, taken: Iterable[Span]) -> list[Span]:
    left = [span]
    for gone in taken:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, gone[0])), (max(start, gone[1]), end))
            if part[0] < part[1]
        ]
    return left


def _aligned(source: _Source, parts: Iterable[Span]) -> Iterable[Span]:
    """Each part from the first slot of the source that begins in it, if a whole slot fits."""
    origin, step = source.span[0], source.slot_minutes
    for start, end in parts:
        first = origin + -(-(start - origin) // step) * step
        if first + step <= end:
            yield first, end


def _window(day: date, source: _Source, span: Span) -> Window:
    midnight = datetime.combine(day, time(), SHANGHAI)
    starts_at, ends_at = (midnight + timedelta(minutes=each) for each in span)
    return Window(starts_at, ends_at, source.slot_minutes, source.capacity)
