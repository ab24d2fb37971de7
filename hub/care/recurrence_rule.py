"""The recurrence rules of RFC 5545 that plans may have: read from their text, and refused where nobody could mean them.

What can be written is bounded here: frequency, interval, count, and how often a day. Expanding is in `recurrence`.
"""

import re
from datetime import UTC, date, datetime
from enum import IntEnum
from functools import lru_cache

import msgspec

from hub.platform.error import ErrorCode, Refusal

SCHEDULE_CHARS = 300
PER_DAY = 24
MAX_COUNT = 1000


class Freq(IntEnum):
    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4


# The longest pauses that somebody may mean: a colonoscopy every ten years, a check-up every second year.
MAX_INTERVAL = {Freq.YEARLY: 10, Freq.MONTHLY: 24, Freq.WEEKLY: 53, Freq.DAILY: 366, Freq.HOURLY: 72}
WEEKDAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}

_PARTS = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY"}
    | {"BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS"}
)
_NAME = re.compile(r"[A-Z]{4,10}")
_NATURAL = re.compile(r"[0-9]{1,6}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,3}")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"([0-9]{8})(T[0-9]{6}Z?)?")

End = date | datetime  # as written: a day, a local time without zone, or a time in UTC


class Rule(msgspec.Struct, frozen=True):
    """A rule as written. An empty set means that the part was not given."""

    freq: Freq
    interval: int
    count: int | None
    until: End | None
    months: frozenset[int]
    month_days: frozenset[int]
    weekdays: frozenset[tuple[int, int]]
    """(weekday, n): the n-th of its month or year, from the end if negative; n = 0: each."""
    hours: frozenset[int]
    minutes: frozenset[int]
    positions: frozenset[int]
    week_start: int


@lru_cache(maxsize=1024)
def parse(schedule: str) -> Rule:
    """The rule, or a refusal naming `schedule`. Whether it ever fires is another question."""
    parts = _parts(schedule)
    _integers(parts, "BYSECOND", 0, 0)  # some programs write it; plans keep to the second of their start
    rule = Rule(
        freq=_freq(parts),
        interval=_natural(parts, "INTERVAL") or 1,
        count=_natural(parts, "COUNT"),
        until=_until(parts),
        months=_integers(parts, "BYMONTH", 1, 12),
        month_days=_integers(parts, "BYMONTHDAY", 1, 31, signed=True),
        weekdays=_weekdays(parts),
        hours=_integers(parts, "BYHOUR", 0, 23),
        minutes=_integers(parts, "BYMINUTE", 0, 59),
        positions=_integers(parts, "BYSETPOS", 1, 366, signed=True),
        week_start=_week_start(parts),
    )
    if reason := _objection(rule):
        raise _refusal(reason)
    return rule


def without_until(schedule: str) -> str:
    """The rule's text in capitals and without its end, which a plan keeps beside the rule."""
    return ";".join(f"{name}={value}" for name, value in _parts(schedule).items() if name != "UNTIL")


def per_day(rule: Rule) -> int:
    """How often it can fire in one day at most."""
    hours = len(rule.hours) or 1
    if rule.freq is Freq.HOURLY:
        steps = -(-24 // rule.interval)
        hours = min(len(rule.hours) or steps, steps)
    return hours * (len(rule.minutes) or 1)


def _objection(rule: Rule) -> str | None:
    if rule.interval > MAX_INTERVAL[rule.freq]:
        return "schedule_interval"
    if (rule.count or 0) > MAX_COUNT:
        return "schedule_count"
    if rule.count is not None and rule.until is not None:
        return "schedule_count_until"
    if per_day(rule) > PER_DAY:
        return "schedule_too_often"
    # RFC 5545, section 3.3.10: a weekday has a number only within months and years, and a week has no days of a month.
    numbered = any(n for _, n in rule.weekdays)
    if (numbered and rule.freq > Freq.MONTHLY) or (rule.month_days and rule.freq is Freq.WEEKLY):
        return "schedule_combination"
    # Within a day or a week a position says nothing that hours and weekdays do not say better.
    if rule.positions and (rule.freq > Freq.MONTHLY or not (rule.weekdays or rule.month_days)):
        return "schedule_combination"
    return None


def _refusal(reason: str) -> Refusal:
    return Refusal(ErrorCode.INVALID, fields={"schedule": reason})


def _parts(schedule: str) -> dict[str, str]:
    if len(schedule) > SCHEDULE_CHARS:
        raise _refusal("schedule_invalid")
    parts: dict[str, str] = {}
    for part in schedule.upper().split(";"):
        name, _, value = part.partition("=")
        if not value or not _NAME.fullmatch(name) or name in parts:
            raise _refusal("schedule_invalid")
        if name not in _PARTS:
            raise _refusal("schedule_part_unsupported")
        parts[name] = value
    return parts


def _freq(parts: dict[str, str]) -> Freq:
    written = parts.get("FREQ", "")
    if written in ("SECONDLY", "MINUTELY"):
        raise _refusal("schedule_too_often")
    if written not in Freq.__members__:
        raise _refusal("schedule_invalid")
    return Freq[written]


def _natural(parts: dict[str, str], name: str) -> int | None:
    written = parts.get(name)
    if written is None:
        return None
    if not _NATURAL.fullmatch(written) or int(written) == 0:
        raise _refusal("schedule_invalid")
    return int(written)


def _integers(parts: dict[str, str], name: str, low: int, high: int, *, signed: bool = False) -> frozenset[int]:
    """The numbers of a part; where they are signed, the bounds are those of their amount."""
    written = parts[name].split(",") if name in parts else []
    if not all(_INTEGER.fullmatch(each) for each in written):
        raise _refusal("schedule_invalid")
    numbers = frozenset(int(each) for each in written)
    if not all(low <= (abs(n) if signed else n) <= high for n in numbers):
        raise _refusal("schedule_invalid")
    return numbers


def _weekdays(parts: dict[str, str]) -> frozenset[tuple[int, int]]:
    found = set()
    for each in parts["BYDAY"].split(",") if "BYDAY" in parts else []:
        match = _WEEKDAY.fullmatch(each)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            raise _refusal("schedule_invalid")
        found.add((WEEKDAYS[match[2]], int(match[1] or 0)))
    return frozenset(found)


def _week_start(parts: dict[str, str]) -> int:
    written = parts.get("WKST", "MO")
    if written not in WEEKDAYS:
        raise _refusal("schedule_invalid")
    return WEEKDAYS[written]


def _until(parts: dict[str, str]) -> End | None:
    written = parts.get("UNTIL")
    if written is None:
        return None
    match = _UNTIL.fullmatch(written)
    try:
        if match is None:
            raise ValueError(written)
        day = datetime.strptime(match[1], "%Y%m%d")  # noqa: DTZ007 - local time, as RFC 5545 has it
        if match[2] is None:
            return day.date()
        at = datetime.combine(day, datetime.strptime(match[2].rstrip("Z"), "T%H%M%S").time())  # noqa: DTZ007
        return at.replace(tzinfo=UTC) if match[2].endswith("Z") else at
    except ValueError as error:
        raise _refusal("schedule_invalid") from error
