"""What a series of readings amounts to: its statistics, its direction, and a handful of points that show it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import combinations
from math import sqrt
from statistics import fmean, median
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from hub.care.model import RecordType
from hub.platform.error import ErrorCode, Refusal

SHANGHAI = ZoneInfo("Asia/Shanghai")

Period = Literal["7d", "30d", "90d", "1y"]
Direction = Literal["up", "down", "stable"]

DAYS: Mapping[Period, int] = {"7d": 7, "30d": 30, "90d": 90, "1y": 365}
DEFAULT_PERIOD: Period = "30d"
MOST_DAYS = 731  # two years, one of them a leap year
EARLIEST, LATEST = date(1970, 1, 1), date(2199, 12, 31)

POINTS = 500
# Slopes are taken between all pairs: of 120 points 7,140 pairs, which take 2 ms.
STRETCHES = 120
LEAST_POINTS = 5
LEAST_SPAN = timedelta(days=2)
# One-sided 95 %: as many rises against falls as chance gives in one of twenty series without any direction.
SIGNIFICANT_Z = 1.645

# How much the line must rise or fall over the whole stretch to be called a direction. Ours: about what repeating a
# measurement differs by, so that what is told is more than that.
NOTABLE_CHANGE: Mapping[RecordType | Literal["diastolic"], float] = {
    "blood_pressure": 5,
    "diastolic": 3,
    "blood_glucose": 0.5,
    "heart_rate": 5,
    "spo2": 1,
    "temperature": 0.3,
    "weight": 1,
    "steps": 1000,
    "sleep": 0.5,
}


class Sample(NamedTuple):
    at: datetime
    value: float


class Statistics(msgspec.Struct, frozen=True):
    """None where there is nothing to take it from."""

    average: float | None
    max: float | None
    min: float | None
    count: int


class Span(NamedTuple):
    """Days of Asia/Shanghai, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time(), SHANGHAI)

    @property
    def end(self) -> datetime:
        """The moment after the last."""
        return datetime.combine(self.last + timedelta(days=1), time(), SHANGHAI)

    def before(self) -> "Span":
        """The stretch of the same length that ends the day before."""
        return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


def span_of(period: Period | None, start: date | None, end: date | None, now: datetime) -> Span:
    """Which days are meant. With both ends given these, whatever the period says; with one of them the period from there or
    up to there; with none the period up to today. A start without a period reaches up to today.
    """
    days = timedelta(days=DAYS[period or DEFAULT_PERIOD] - 1)
    for name, day in (("start", start), ("end", end)):
        if day is not None and not EARLIEST <= day <= LATEST:
            raise Refusal(ErrorCode.INVALID, fields={name: "date_out_of_range"})
    if start is None:
        last = end or today(now)
        first = last - days
    else:
        first = start
        last = end or (first + days if period else today(now))
    if first > last:
        raise Refusal(ErrorCode.INVALID, fields={"start": "range_reversed"})
    if (last - first).days >= MOST_DAYS:
        raise Refusal(ErrorCode.INVALID, fields={"start": "range_too_long"})
    return Span(first, last)


def today(now: datetime) -> date:
    return now.astimezone(SHANGHAI).date()


def statistics(values: Sequence[float]) -> Statistics:
    """The average has two decimals, as many as the finest readings."""
    if not values:
        return Statistics(None, None, None, 0)
    return Statistics(round(fmean(values), 2), max(values), min(values), len(values))


def direction(samples: Sequence[Sample], notable: float) -> Direction:
    """Where the values go: up or down if the robust line changes by `notable` at least, and not by chance; else stable.

    Too few values or days say nothing. One wrong value of many changes nothing.
    """
    if len(samples) < LEAST_POINTS or samples[-1].at - samples[0].at < LEAST_SPAN:
        return "stable"
    slope, z = theil_sen(samples)
    days = (samples[-1].at - samples[0].at) / timedelta(days=1)
    if abs(slope * days) < notable or abs(z) < SIGNIFICANT_Z or slope * z < 0:
        return "stable"
    return "up" if slope > 0 else "down"


def theil_sen(samples: Sequence[Sample]) -> tuple[float, float]:
    """The median slope a day over all pairs (Theil 1950, Sen 1968), and how surely it is one: z of Mann and Kendall.

    More than `STRETCHES` values are taken as the medians of as many equal stretches of time.
    """
    points = _medians(samples)
    slopes, rises = [], 0
    for (x, y), (later, other) in combinations(points, 2):
        if later > x:
            slopes.append((other - y) / (later - x))
        rises += (other > y) - (other < y)
    if not slopes:
        return 0.0, 0.0
    size = len(points)
    deviation = sqrt(size * (size - 1) * (2 * size + 5) / 18)
    # The continuity correction: one pair less towards zero.
    z = (rises - (rises > 0) + (rises < 0)) / deviation
    return median(slopes), z


def thin(series: Sequence[Sequence[float]], most: int = POINTS) -> list[int]:
    """Which places to show, ascending, at most `most`: the ends, and of each stretch where each series is lowest and highest."""
    count = len(series[0])
    if count <= most:
        return list(range(count))
    stretches = (most - 2) // (2 * len(series))
    kept = {0, count - 1}
    for n in range(stretches):
        places = range(n * count // stretches, (n + 1) * count // stretches)
        for values in series:
            kept |= {min(places, key=values.__getitem__), max(places, key=values.__getitem__)}
    return sorted(kept)


def _medians(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Days since the first sample, and values."""
    first = samples[0].at
    points = [((sample.at - first) / timedelta(days=1), sample.value) for sample in samples]
    if len(points) <= STRETCHES:
        return points
    width = points[-1][0] / STRETCHES or 1.0
    stretches: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        stretches.setdefault(min(int(point[0] / width), STRETCHES - 1), []).append(point)
    return [(median(x for x, _ in each), median(y for _, y in each)) for each in stretches.values()]
