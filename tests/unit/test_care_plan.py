"""Plans: what is consistent, when each ends, and what a change of one does to when it is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.plan import ZONES, Plan, occurrences, start_of, state_at, until_of, zone_of
from hub.care.plan_change import MOVES_A_DAY, Change, Wanted, changed, ended, planned
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import TEXTS

NOW = datetime(2026, 11, 24, 1, 30, 20, tzinfo=UTC)  # 09:30:20 in Shanghai
FAR = datetime(2199, 1, 1, tzinfo=UTC)
DAILY = "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0"


def made(**given: Any) -> Plan:  # Any: fields of several types
    values: dict[str, Any] = {
        "kind": "medication",
        "schedule": DAILY,
        "title": "氨氯地平 5mg",
        "notes": "饭后",
        "starts_at": "2026-11-24",
        "timezone": "Asia/Shanghai",
        "until": None,
        "measurement_type": None,
    }
    return planned(Wanted(**values | given), "person", "actor", NOW)


def refused(**given: Any) -> dict[str, str]:
    with pytest.raises(Refusal) as caught:
        made(**given)
    assert caught.value.code is ErrorCode.INVALID
    assert set(caught.value.fields.values()) <= set(TEXTS)
    return caught.value.fields


def test_a_plan_is_due_when_its_rule_says() -> None:
    """In its zone, from its start on."""
    plan = made()

    assert occurrences(plan, NOW, FAR, 3) == [
        datetime(2026, 11, 24, 12, tzinfo=UTC),
        datetime(2026, 11, 25, 0, tzinfo=UTC),
        datetime(2026, 11, 25, 12, tzinfo=UTC),
    ]
    assert (plan.state, plan.revision, state_at(plan, FAR)) == ("active", 1, "active")


def test_a_plan_without_a_start_starts_this_minute() -> None:
    """In its zone, so that a rule without hours goes by the time of day at which it was made."""
    plan = made(starts_at=None, schedule="FREQ=DAILY", timezone="Europe/London")

    assert plan.timing.starts_at == datetime.fromisoformat("2026-11-24T01:30")
    assert occurrences(plan, NOW, FAR, 1) == [datetime(2026, 11, 25, 1, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("given", "until"),
    [
        ({"until": "2026-12-31"}, datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)),
        ({"until": "2026-12-31T08:00:00+08:00"}, datetime(2026, 12, 31, tzinfo=UTC)),
        ({"until": "2026-12-31T15:59:59.000Z"}, datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)),
        ({"schedule": f"{DAILY};UNTIL=20261231"}, datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)),
        ({"schedule": f"{DAILY};UNTIL=20261231T080000"}, datetime(2026, 12, 31, tzinfo=UTC)),
        ({"schedule": f"{DAILY};UNTIL=20261231T000000Z"}, datetime(2026, 12, 31, tzinfo=UTC)),
        (
            {"schedule": f"{DAILY};UNTIL=20261231", "until": "2026-12-31"},
            datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC),
        ),
        (
            {"until": "2026-12-31", "timezone": "America/New_York"},
            datetime(2027, 1, 1, 4, 59, 59, tzinfo=UTC),
        ),
        ({"schedule": "FREQ=DAILY;COUNT=3", "starts_at": "2026-11-24T08:00"}, None),
    ],
)
def test_an_end_is_kept_beside_the_rule(given: dict[str, str], until: datetime | None) -> None:
    """However it was said, it is one moment, and it still counts."""
    plan = made(**given)

    assert plan.timing.until == until
    assert "UNTIL" not in plan.timing.schedule
    assert plan.timing.ends_at == (until or datetime(2026, 11, 26, tzinfo=UTC))


def test_the_last_day_is_whole_where_its_last_hour_comes_twice() -> None:
    """On 17 February 2018 the clocks of São Paulo went from 24:00 to 23:00."""
    assert until_of("2018-02-17", zone_of("America/Sao_Paulo")) == datetime(2018, 2, 18, 2, 59, 59, tzinfo=UTC)


def test_a_plan_ends_by_itself_after_its_last_time() -> None:
    """Not before: the last time still counts."""
    plan = made(schedule="FREQ=DAILY;COUNT=3", starts_at="2026-11-24T08:00")
    last = plan.timing.ends_at
    assert last is not None

    assert occurrences(plan, NOW, FAR, 9)[-1] == last
    assert (state_at(plan, last), state_at(plan, last + timedelta(milliseconds=1))) == ("active", "ended")


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"schedule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, {"schedule": "schedule_never"}),
        ({"schedule": "FREQ=HOURLY;INTERVAL=24;BYHOUR=5"}, {"schedule": "schedule_never"}),
        ({"schedule": "FREQ=YEARLY;COUNT=9"}, {"schedule": "schedule_count"}),
        ({"schedule": "FREQ=DAILY;COUNT=9", "until": "2026-12-31"}, {"schedule": "schedule_count_until"}),
        ({"schedule": "daily"}, {"schedule": "schedule_invalid"}),
        ({"schedule": f"{DAILY};UNTIL=20261231", "until": "2026-12-30"}, {"until": "until_twice"}),
        ({"schedule": f"{DAILY};UNTIL=19991231"}, {"until": "until_invalid"}),
        ({"schedule": f"{DAILY};UNTIL=99991231"}, {"until": "until_invalid"}),
        ({"until": "2026-11-23"}, {"until": "until_before_start"}),
        ({"schedule": "FREQ=YEARLY;BYMONTH=3", "until": "2026-12-31"}, {"until": "until_before_first"}),
        ({"until": "2026-12-31T08:00:00"}, {"until": "until_invalid"}),
        ({"until": "2026-02-30"}, {"until": "until_invalid"}),
        ({"until": "9999-12-31T23:59:59-12:00"}, {"until": "until_invalid"}),
        ({"until": "0001-01-01"}, {"until": "until_invalid"}),
        ({"until": "soon"}, {"until": "until_invalid"}),
        ({"timezone": "Mars/Olympus"}, {"timezone": "timezone_unknown"}),
        ({"timezone": "asia/shanghai"}, {"timezone": "timezone_unknown"}),
        ({"timezone": "../etc/passwd"}, {"timezone": "timezone_unknown"}),
        ({"timezone": "localtime"}, {"timezone": "timezone_unknown"}),
        ({"timezone": ""}, {"timezone": "timezone_unknown"}),
        ({"timezone": "UTC\x00"}, {"timezone": "timezone_unknown"}),
        ({"starts_at": "2026-11-24T08:00:00Z"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "2026-11-24T08:00+08:00"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "2026-11-24T25:00"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "20261124"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "2026-W01-1"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "1999-12-31"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "9999-12-31"}, {"startsAt": "starts_at_invalid"}),
        ({"starts_at": "٢٠٢٦-11-24"}, {"startsAt": "starts_at_invalid"}),
        ({"measurement_type": "weight"}, {"measurementType": "measurement_type_unwanted"}),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, str], fields: dict[str, str]) -> None:
    """Naming the field, with a reason that people can read."""
    assert refused(**given) == fields


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_refusal(text: str) -> None:
    """Whatever is written as a start, an end or a zone is no error of ours."""
    zone, refusals = zone_of("America/New_York"), 0
    for read in (lambda: start_of(text, zone, NOW), lambda: until_of(text, zone), lambda: zone_of(text)):
        try:
            read()
        except Refusal:
            refusals += 1

    assert refusals >= 1


@given(
    st.sampled_from(sorted(ZONES)),
    st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2099-12-31")),
)
def test_a_plan_can_be_made_in_every_zone(zone: str, start: datetime) -> None:
    """Whatever their clocks do: due within two days of a daily start, and never before it."""
    plan = made(timezone=zone, starts_at=start.isoformat(timespec="seconds")[:19], schedule="FREQ=DAILY")
    first = occurrences(plan, datetime.min.replace(tzinfo=UTC), FAR, 1)[0]

    assert abs(first - start.replace(tzinfo=UTC, microsecond=0)) < timedelta(hours=27)


def test_changes_of_words_leave_the_revision() -> None:
    """Reminders that are set stay set."""
    plan = made()
    after = changed(plan, Change(title="氨氯地平 10mg", notes=""), NOW + timedelta(hours=1))

    assert (after.title, after.notes, after.revision) == ("氨氯地平 10mg", "", 1)
    assert after.timing == plan.timing
    assert after.updated_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "FREQ=DAILY;BYHOUR=9"},
        {"starts_at": "2026-12-01T08:00"},
        {"timezone": "Europe/London"},
        {"until": "2027-01-31"},
        {"until": None},
        {"state": "paused"},
    ],
)
def test_changes_of_when_it_is_due_raise_the_revision(change: dict[str, Any]) -> None:
    """Once; asking for the same again changes nothing."""
    plan = made(until="2026-12-31")
    after = changed(plan, Change(**change), NOW + timedelta(hours=1))

    assert after.revision == 2
    assert changed(after, Change(**change), NOW + timedelta(hours=2)) is after
    before = {"timing": plan.timing, "state": "active", "revision": 1, "updated_at": NOW, "moved_on": None, "moves": 0}
    assert msgspec.structs.replace(after, **before) == plan


def test_a_day_has_no_more_than_so_many_revisions() -> None:
    """P15: refused until the day is over; words can be changed, and the plan be ended, all the same."""
    plan = made()
    for state in ("paused", "active") * (MOVES_A_DAY // 2):
        plan = changed(plan, Change(state=state), NOW)
    with pytest.raises(Refusal) as caught:
        changed(plan, Change(state="paused"), NOW)

    assert (caught.value.code, caught.value.retry_after_ms) == (
        ErrorCode.RATE_LIMITED,
        (22 * 3600 + 29 * 60 + 40) * 1000,
    )
    assert changed(plan, Change(title="x"), NOW).revision == plan.revision
    assert ended(plan, NOW).revision == plan.revision + 1
    tomorrow = changed(plan, Change(state="paused"), NOW + timedelta(days=1))
    assert (tomorrow.revision, tomorrow.moves) == (plan.revision + 1, 1)


def test_a_paused_plan_is_never_due_until_it_is_resumed() -> None:
    """And what was left out meanwhile stays left out."""
    paused = changed(made(), Change(state="paused"), NOW)
    resumed = changed(paused, Change(state="active"), NOW)

    assert occurrences(paused, NOW, FAR, 5) == []
    assert (state_at(paused, NOW), resumed.revision, len(occurrences(resumed, NOW, FAR, 5))) == ("paused", 3, 5)


def test_a_new_rules_own_end_replaces_the_one_before() -> None:
    """Without one, the end stays; a count needs the end taken away."""
    plan = made(until="2026-12-31")
    own = changed(plan, Change(schedule="FREQ=DAILY;UNTIL=20270131"), NOW)

    assert own.timing.until == datetime(2027, 1, 31, 15, 59, 59, tzinfo=UTC)
    assert changed(plan, Change(schedule="FREQ=DAILY"), NOW).timing.until == plan.timing.until
    with pytest.raises(Refusal):
        changed(plan, Change(schedule="FREQ=DAILY;COUNT=3"), NOW)
    assert changed(plan, Change(schedule="FREQ=DAILY;COUNT=3", until=None), NOW).timing.until is None


def test_an_ended_plan_is_not_changed_any_more() -> None:
    """By whomever or whatever it ended; ending it again is the same plan."""
    plan = ended(made(), NOW)
    over = made(until="2026-12-31")

    assert (plan.state, plan.revision, occurrences(plan, NOW, FAR, 5)) == ("ended", 2, [])
    assert ended(plan, NOW) is plan
    for each, now in ((plan, NOW), (over, FAR)):
        with pytest.raises(Refusal) as caught:
            changed(each, Change(title="x"), now)
        assert (caught.value.code, list(caught.value.fields)) == (ErrorCode.CONFLICT, ["state"])


def test_only_a_plan_to_measure_names_what() -> None:
    """It need not."""
    plan = made(kind="measurement", measurement_type="blood_pressure")

    assert changed(plan, Change(measurement_type=None), NOW).measurement_type is None
    assert changed(plan, Change(measurement_type="weight"), NOW).revision == 1
    with pytest.raises(Refusal) as caught:
        changed(made(), Change(measurement_type="weight"), NOW)
    assert list(caught.value.fields) == ["measurementType"]
