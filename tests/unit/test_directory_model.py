"""The windows of a day: within rules and extras, outside of every off, in order and disjoint, with slots where they were."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.directory.model import Rule, ScheduleException, Window, day_of, minutes_of, shanghai_day, windows_of

MONDAY = date(2026, 11, 23)
TUESDAY = MONDAY + timedelta(days=1)


def rule(starts: time, ends: time, slot: int = 30, capacity: int = 1, weekday: int = 1, **valid: date) -> Rule:
    return Rule(weekday, starts, ends, slot, capacity, **valid)


def off(starts: time, ends: time, day: date = MONDAY) -> ScheduleException:
    return ScheduleException("off", day, "off", starts, ends, None, None, "会诊")


def extra(starts: time, ends: time, slot: int = 30, capacity: int = 1) -> ScheduleException:
    return ScheduleException("extra", MONDAY, "extra", starts, ends, slot, capacity, "加号")


def spans(windows: list[Window]) -> list[tuple[str, str]]:
    return [(f"{each.starts_at:%H:%M}", f"{each.ends_at:%H:%M}") for each in windows]


def test_rule_gives_a_window_on_its_weekday_only() -> None:
    """Aware times of Shanghai, whatever the zone of the machine."""
    windows = windows_of([rule(time(9), time(12), capacity=3)], [], MONDAY)

    assert [(each.slot_minutes, each.capacity) for each in windows] == [(30, 3)]
    assert windows[0].starts_at == datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    assert windows[0].ends_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    assert windows_of([rule(time(9), time(12))], [], TUESDAY) == []


@pytest.mark.parametrize(
    ("first", "last", "holds"),
    [
        (None, None, True),
        (MONDAY, MONDAY, True),
        (TUESDAY, None, False),
        (None, MONDAY - timedelta(days=1), False),
    ],
)
def test_rule_holds_from_its_first_to_its_last_day(first: date | None, last: date | None, holds: bool) -> None:
    """Both days count; without one there is no such limit."""
    assert bool(windows_of([Rule(1, time(9), time(12), 30, 1, first, last)], [], MONDAY)) is holds


def test_off_cuts_and_leaves_the_slots_where_they_were() -> None:
    """10:10 to 10:40 takes the slots of 10:00 and 10:30; the next begins at 11:00, not at 10:40."""
    windows = windows_of([rule(time(9), time(12))], [off(time(10, 10), time(10, 40))], MONDAY)

    assert spans(windows) == [("09:00", "10:10"), ("11:00", "12:00")]


def test_nothing_is_left_where_no_whole_slot_fits() -> None:
    """A rest of twenty minutes is no window for slots of thirty."""
    windows = windows_of([rule(time(9), time(10))], [off(time(9, 20), time(9, 30))], MONDAY)

    assert spans(windows) == [("09:30", "10:00")]


def test_extra_adds_and_wins_over_the_weekly_rule() -> None:
    """Its own slot length and capacity hold; around it the rule goes on."""
    windows = windows_of(
        [rule(time(9), time(12))], [extra(time(10), time(11), 20, 5), extra(time(18), time(19))], MONDAY
    )

    assert spans(windows) == [("09:00", "10:00"), ("10:00", "11:00"), ("11:00", "12:00"), ("18:00", "19:00")]
    assert [each.capacity for each in windows] == [1, 5, 1, 1]


def test_off_wins_over_extra() -> None:
    """Who is away is away."""
    assert windows_of([], [extra(time(9), time(12)), off(time(0), time(23, 59))], MONDAY) == []


def test_exceptions_of_other_days_change_nothing() -> None:
    """A day off on Tuesday leaves Monday alone."""
    assert len(windows_of([rule(time(9), time(12))], [off(time(0), time(23, 59), TUESDAY)], MONDAY)) == 1


def test_day_tells_the_offs_with_their_reason() -> None:
    """So that people read why nothing is offered."""
    day = day_of([rule(time(9), time(12))], [off(time(9), time(10)), off(time(9), time(10), TUESDAY)], MONDAY)

    assert [(each.starts, each.ends, each.reason) for each in day.off] == [(time(9), time(10), "会诊")]
    assert spans(list(day.windows)) == [("10:00", "12:00")]


def test_day_begins_at_midnight_in_shanghai() -> None:
    """16:00 UTC is the next day there."""
    assert shanghai_day(datetime(2026, 11, 22, 15, 59, tzinfo=UTC)) == MONDAY - timedelta(days=1)
    assert shanghai_day(datetime(2026, 11, 22, 16, 0, tzinfo=UTC)) == MONDAY


_minutes = st.lists(st.integers(0, 23 * 60 + 59), min_size=2, max_size=2, unique=True).map(sorted)
_spans = _minutes.map(lambda pair: (time(pair[0] // 60, pair[0] % 60), time(pair[1] // 60, pair[1] % 60)))
_slots = st.integers(5, 240)
_rules = st.lists(
    st.builds(lambda span, slot, n: rule(*span, slot, n), _spans, _slots, st.integers(1, 100)), max_size=5
)
_offs = st.lists(st.builds(lambda span: off(*span), _spans), max_size=4)
_extras = st.lists(st.builds(lambda span, slot: extra(*span, slot), _spans, _slots), max_size=3)


def minute(at: datetime) -> int:
    assert at.utcoffset() == timedelta(hours=8)
    return at.hour * 60 + at.minute


@given(_rules, _offs, _extras)
def test_windows_are_sound_whatever_was_defined(
    rules: list[Rule], offs: list[ScheduleException], extras: list[ScheduleException]
) -> None:
    """Sorted, disjoint, long enough, each within a rule or an extra with its numbers and on its grid, never in an off."""
    windows = windows_of(rules, [*offs, *extras], MONDAY)

    for one, next_one in pairwise(windows):
        assert one.ends_at <= next_one.starts_at
    for each in windows:
        start, end = minute(each.starts_at), minute(each.ends_at)
        assert end - start >= each.slot_minutes
        assert any(
            minutes_of(source.starts) <= start
            and end <= minutes_of(source.ends)
            and (source.slot_minutes, source.capacity) == (each.slot_minutes, each.capacity)
            and (start - minutes_of(source.starts)) % each.slot_minutes == 0
            for source in (*rules, *extras)
        )
        assert not any(start < minutes_of(gone.ends) and minutes_of(gone.starts) < end for gone in offs)


@given(_rules, _offs, _extras)
def test_no_slot_is_lost_that_nothing_touches(
    rules: list[Rule], offs: list[ScheduleException], extras: list[ScheduleException]
) -> None:
    """Each slot of an extra that meets no off and no other extra is offered; the rules do not matter."""
    windows = windows_of(rules, [*offs, *extras], MONDAY)
    offered = {
        start
        for each in windows
        for start in range(minute(each.starts_at), minute(each.ends_at) - each.slot_minutes + 1, each.slot_minutes)
    }

    for source in extras:
        others = [*offs, *(each for each in extras if each is not source)]
        step = source.slot_minutes or 0
        for start in range(minutes_of(source.starts), minutes_of(source.ends) - step + 1, step):
            if not any(start < minutes_of(each.ends) and minutes_of(each.starts) < start + step for each in others):
                assert start in offered
