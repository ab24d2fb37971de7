"""Statistics, direction and points of a series: robust, bounded, and plain where little is known."""

import random
from datetime import UTC, date, datetime, timedelta
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.trend import (
    POINTS,
    SHANGHAI,
    STRETCHES,
    Period,
    Sample,
    Span,
    direction,
    span_of,
    statistics,
    theil_sen,
    thin,
)
from hub.platform.error import Refusal
from hub.platform.text import TEXTS

START = datetime(2026, 1, 5, tzinfo=UTC)
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
TODAY = date(2026, 11, 24)


def daily(*values: float) -> list[Sample]:
    return [Sample(START + timedelta(days=day), value) for day, value in enumerate(values)]


numbers = st.floats(-1000, 1000, allow_nan=False).map(lambda x: round(x, 2))
series = st.lists(numbers, min_size=5, max_size=60).map(lambda found: daily(*found))


def test_statistics_are_those_of_all_values() -> None:
    """Average, extremes and count; nothing of nothing."""
    found = statistics([128, 132, 121])

    assert (found.average, found.max, found.min, found.count) == (127.0, 132, 121, 3)
    empty = statistics([])
    assert (empty.average, empty.max, empty.min, empty.count) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((120, 122, 124, 126, 128, 130), "up"),
        ((130, 128, 126, 124, 122, 120), "down"),
        ((120, 121, 120, 122, 120, 121), "stable"),
        ((120, 121, 122, 123, 124), "stable"),  # four in all: less than measuring again would differ by
        ((120, 126, 132, 138), "stable"),  # four readings say nothing yet
        ((120, 140, 118, 138, 122, 141, 119), "stable"),  # large swings without a direction
        ((120, 135, 122, 134, 130), "stable"),  # the line rises by 10, as five values by chance do
        ((120, 122, 300, 126, 128, 130, 132), "up"),
        ((120, 120, 300, 120, 120, 120, 120), "stable"),
        ((120, 120, 120, 120, 120), "stable"),
        ((), "stable"),
    ],
)
def test_a_direction_needs_points_size_and_sureness(values: tuple[float, ...], expected: str) -> None:
    """Up and down are said only of what is more than chance and more than the error of measuring."""
    assert direction(daily(*values), 5) == expected


def test_a_direction_needs_days() -> None:
    """Ten readings of one afternoon are no trend, nor is the same moment a slope."""
    afternoon = [Sample(START + timedelta(minutes=10 * n), 120 + 3 * n) for n in range(10)]

    assert direction(afternoon, 5) == "stable"
    assert direction([Sample(START, 120 + n) for n in range(10)], 5) == "stable"
    assert theil_sen([Sample(START, 120 + n) for n in range(10)]) == (0.0, 0.0)


@given(st.floats(-2, 2).filter(lambda slope: abs(slope) > 0.1), st.integers(10, 60), st.data())
def test_one_wrong_value_does_not_turn_the_line(slope: float, size: int, data: st.DataObject) -> None:
    """A slip of the finger moves the slope less than a tenth of it, whatever it says and wherever it stands."""
    values = [100 + slope * day for day in range(size)]
    values[data.draw(st.integers(0, size - 1))] = data.draw(st.floats(-1e6, 1e6))

    assert theil_sen(daily(*values))[0] == pytest.approx(slope, rel=0.1)


@given(series, numbers, st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_the_line_does_not_depend_on_where_zero_is(samples: list[Sample], up: float, later: timedelta) -> None:
    """Neither of values nor of time."""
    moved = [Sample(sample.at + later, sample.value + up) for sample in samples]

    assert theil_sen(moved)[0] == pytest.approx(theil_sen(samples)[0], abs=1e-6)


@given(series, st.floats(0.5, 20))
def test_what_rises_falls_when_read_backwards(samples: list[Sample], notable: float) -> None:
    """The opposite series has the opposite direction."""
    opposite = {"up": "down", "down": "up", "stable": "stable"}
    turned = daily(*(sample.value for sample in reversed(samples)))

    assert direction(turned, notable) == opposite[direction(samples, notable)]


def test_many_values_are_taken_as_medians_of_stretches() -> None:
    """A year of readings four times a day keeps its direction, and costs what a hundred cost."""
    noise = random.Random(7)
    samples = [Sample(START + timedelta(hours=6 * n), 120 + n / 100 + noise.gauss(0, 8)) for n in range(1460)]
    began = process_time()
    found = direction(samples, 5)
    spent_s = process_time() - began

    assert found == "up"
    assert theil_sen(samples)[0] == pytest.approx(0.04, abs=0.005)
    assert spent_s < 0.1  # 0.007 s on the machine it was written on; all pairs would be a million


@given(st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=900), st.integers(10, 200))
def test_points_are_few_and_keep_ends_and_extremes(rows: list[list[float]], most: int) -> None:
    """What is shown has the highest, the lowest, the first and the last of each series, in order and each once."""
    columns = [[row[0] for row in rows], [row[1] for row in rows]]
    places = thin(columns, most)

    assert len(places) <= max(most, 0)
    assert places == sorted(set(places))
    assert {places[0], places[-1]} == {0, len(rows) - 1}
    for values in columns:
        kept = [values[place] for place in places]
        assert (max(kept), min(kept)) == (max(values), min(values))


def test_of_many_points_the_extremes_are_shown() -> None:
    """The highest and the lowest of both series, wherever they are."""
    noise = random.Random(3)
    columns = [[noise.random() for _ in range(3000)] for _ in range(2)]
    places = thin(columns)

    assert 250 < len(places) <= POINTS
    for values in columns:
        kept = [values[place] for place in places]
        assert (max(kept), min(kept)) == (max(values), min(values))


def test_few_points_are_all_shown() -> None:
    """Nothing is left out without need."""
    assert thin([[1.0] * POINTS]) == list(range(POINTS))
    assert len(thin([[float(n % 7) for n in range(POINTS + 1)]])) < POINTS + 1


@pytest.mark.parametrize(
    ("period", "start", "end", "first", "last"),
    [
        (None, None, None, date(2026, 10, 26), TODAY),
        ("7d", None, None, date(2026, 11, 18), TODAY),
        ("1y", None, None, date(2025, 11, 25), TODAY),
        (None, date(2026, 11, 1), None, date(2026, 11, 1), TODAY),
        ("7d", date(2026, 11, 1), None, date(2026, 11, 1), date(2026, 11, 7)),
        ("7d", None, date(2026, 11, 7), date(2026, 11, 1), date(2026, 11, 7)),
        (None, None, date(2026, 11, 7), date(2026, 10, 9), date(2026, 11, 7)),
        ("7d", date(2026, 1, 1), date(2026, 1, 31), date(2026, 1, 1), date(2026, 1, 31)),
        (None, date(2024, 1, 1), date(2025, 12, 31), date(2024, 1, 1), date(2025, 12, 31)),
        (None, TODAY, TODAY, TODAY, TODAY),
    ],
)
def test_which_days_are_meant(
    period: Period | None, start: date | None, end: date | None, first: date, last: date
) -> None:
    """Both ends count; given ends win over the period."""
    assert span_of(period, start, end, NOON) == Span(first, last)


@pytest.mark.parametrize(
    ("start", "end", "field", "reason"),
    [
        (date(2026, 2, 1), date(2026, 1, 31), "start", "range_reversed"),
        (date(2026, 11, 25), None, "start", "range_reversed"),
        (date(2024, 1, 1), date(2026, 1, 1), "start", "range_too_long"),
        (date(1, 1, 1), date(1, 1, 2), "start", "date_out_of_range"),
        (None, date(9999, 12, 31), "end", "date_out_of_range"),
        (date(1969, 12, 31), date(1970, 1, 1), "start", "date_out_of_range"),
    ],
)
def test_days_that_cannot_be_meant_are_refused(start: date | None, end: date | None, field: str, reason: str) -> None:
    """Naming the field, in words that exist."""
    with pytest.raises(Refusal) as caught:
        span_of(None, start, end, NOON)

    assert caught.value.fields == {field: reason}
    assert reason in TEXTS


def test_days_are_those_of_shanghai() -> None:
    """Half an hour past midnight there is the new day, while it is still the old one in UTC."""
    span = span_of("7d", None, None, datetime(2026, 11, 23, 16, 30, tzinfo=UTC))

    assert span.last == TODAY
    assert span.start == datetime(2026, 11, 18, tzinfo=SHANGHAI)
    assert span.end == datetime(2026, 11, 24, 16, tzinfo=UTC)
    assert span.before() == Span(date(2026, 11, 11), date(2026, 11, 17))


def test_a_long_flat_series_stays_flat() -> None:
    """Taking medians of stretches makes no direction."""
    flat = [Sample(START + timedelta(hours=n), 100.0) for n in range(5 * STRETCHES)]

    assert theil_sen(flat) == (0.0, 0.0)
