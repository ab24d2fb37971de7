"""Rules as written: what is read, and what is refused and why."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.recurrence_rule import Freq, parse, per_day, without_until
from hub.platform.error import Refusal
from hub.platform.text import TEXTS


def refused(schedule: str) -> str:
    with pytest.raises(Refusal) as caught:
        parse(schedule)
    assert list(caught.value.fields) == ["schedule"]
    return caught.value.fields["schedule"]


def test_a_rule_is_read_in_any_order_and_case() -> None:
    """What RFC 5545 allows to write is the same rule."""
    rule = parse("byday=-1fr,MO;FREQ=monthly;INTERVAL=2;BYHOUR=8,20;BYMINUTE=0;BYSECOND=0;WKST=SU;COUNT=7")

    assert (rule.freq, rule.interval, rule.count, rule.week_start) == (Freq.MONTHLY, 2, 7, 6)
    assert (rule.weekdays, rule.hours, rule.minutes) == ({(4, -1), (0, 0)}, {8, 20}, {0})
    assert (rule.months, rule.month_days, rule.positions, rule.until) == (set(), set(), set(), None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("20261231", date(2026, 12, 31)),
        ("20261231T200000", datetime.fromisoformat("2026-12-31T20:00")),
        ("20261231T200000Z", datetime(2026, 12, 31, 20, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_day_a_local_time_or_a_time_in_utc(written: str, read: object) -> None:
    """Kept as written: what it means needs the zone."""
    assert parse(f"FREQ=DAILY;UNTIL={written}").until == read


def test_the_end_is_taken_out_of_a_rule() -> None:
    """A plan keeps it beside the rule, where a change of it needs no other rule."""
    assert without_until("freq=daily;until=20261231;byhour=8") == "FREQ=DAILY;BYHOUR=8"


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("", "schedule_invalid"),
        (";", "schedule_invalid"),
        ("FREQ", "schedule_invalid"),
        ("FREQ=", "schedule_invalid"),
        ("FREQ=FORTNIGHTLY", "schedule_invalid"),
        ("INTERVAL=2", "schedule_invalid"),
        ("RRULE:FREQ=DAILY", "schedule_invalid"),
        ("FREQ=DAILY;FREQ=WEEKLY", "schedule_invalid"),
        ("FREQ=DAILY;", "schedule_invalid"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY", "schedule_invalid"),
        ("FREQ=DAILY;BYHOUR=8;" + "BYMINUTE=0," * 60, "schedule_invalid"),
        ("FREQ=DAILY;INTERVAL=0", "schedule_invalid"),
        ("FREQ=DAILY;INTERVAL=-1", "schedule_invalid"),
        ("FREQ=DAILY;INTERVAL=1.5", "schedule_invalid"),
        ("FREQ=DAILY;INTERVAL=٣", "schedule_invalid"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "schedule_invalid"),
        ("FREQ=DAILY;COUNT=0", "schedule_invalid"),
        ("FREQ=DAILY;BYHOUR=24", "schedule_invalid"),
        ("FREQ=DAILY;BYHOUR=-1", "schedule_invalid"),
        ("FREQ=DAILY;BYHOUR=8,,20", "schedule_invalid"),
        ("FREQ=DAILY;BYHOUR=八", "schedule_invalid"),
        ("FREQ=DAILY;BYMINUTE=60", "schedule_invalid"),
        ("FREQ=DAILY;BYSECOND=30", "schedule_invalid"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "schedule_invalid"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "schedule_invalid"),
        ("FREQ=YEARLY;BYMONTH=13", "schedule_invalid"),
        ("FREQ=WEEKLY;BYDAY=XX", "schedule_invalid"),
        ("FREQ=MONTHLY;BYDAY=0MO", "schedule_invalid"),
        ("FREQ=YEARLY;BYDAY=54MO", "schedule_invalid"),
        ("FREQ=WEEKLY;WKST=1", "schedule_invalid"),
        ("FREQ=DAILY;UNTIL=20260230", "schedule_invalid"),
        ("FREQ=DAILY;UNTIL=2026-12-31", "schedule_invalid"),
        ("FREQ=DAILY;UNTIL=20261231T250000Z", "schedule_invalid"),
        ("FREQ=YEARLY;BYWEEKNO=1", "schedule_part_unsupported"),
        ("FREQ=YEARLY;BYEASTER=1", "schedule_part_unsupported"),
        ("FREQ=DAILY;DTSTART=20260101", "schedule_part_unsupported"),
        ("FREQ=SECONDLY", "schedule_too_often"),
        ("FREQ=MINUTELY;INTERVAL=60", "schedule_too_often"),
        ("FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,11,12", "schedule_too_often"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "schedule_too_often"),
        ("FREQ=DAILY;INTERVAL=367", "schedule_interval"),
        ("FREQ=YEARLY;INTERVAL=11", "schedule_interval"),
        ("FREQ=HOURLY;INTERVAL=73", "schedule_interval"),
        ("FREQ=DAILY;COUNT=1001", "schedule_count"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "schedule_count_until"),
        ("FREQ=WEEKLY;BYDAY=1MO", "schedule_combination"),
        ("FREQ=DAILY;BYDAY=-1MO", "schedule_combination"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "schedule_combination"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "schedule_combination"),
        ("FREQ=MONTHLY;BYSETPOS=1", "schedule_combination"),
    ],
)
def test_what_nobody_can_mean_is_refused(schedule: str, reason: str) -> None:
    """Naming the schedule, with a reason that people can read."""
    assert refused(schedule) == reason
    assert reason in TEXTS


@pytest.mark.parametrize(
    ("schedule", "most"),
    [
        ("FREQ=DAILY", 1),
        ("FREQ=DAILY;BYHOUR=8,12,20;BYMINUTE=0,30", 6),
        ("FREQ=HOURLY", 24),
        ("FREQ=HOURLY;INTERVAL=5", 5),
        ("FREQ=HOURLY;INTERVAL=36;BYMINUTE=0,30", 2),
        ("FREQ=HOURLY;BYHOUR=8,9,10;BYMINUTE=0,15,30,45", 12),
        ("FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))), 24),
    ],
)
def test_how_often_a_day_is_known_before(schedule: str, most: int) -> None:
    """From the hours and minutes alone."""
    assert per_day(parse(schedule)) == most


@given(st.one_of(st.text(), st.from_regex(r"[A-Z]{3,8}=[A-Z0-9,+-]{0,8}(;[A-Z]{3,8}=[A-Z0-9,+-]{0,8}){0,3}")))
def test_any_text_is_a_rule_or_a_refusal(text: str) -> None:
    """Nothing that somebody writes is an error of ours."""
    named = ["schedule"]
    try:
        parse(text)
    except Refusal as refusal:
        named = list(refusal.fields)

    assert named == ["schedule"]
