"""Occurrences of plans: none is lost or doubled however the window moves, and what may become of each."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.occurrence import (
    GRACE,
    GRACE_CRITICAL,
    LATE,
    LEAD,
    MOST_MADE,
    PLAN_DUE,
    PLAN_MISSED,
    PLAN_WINDOW,
    Occurrence,
    Pick,
    done,
    key_of,
    measured,
    merged,
    place_of,
    planned,
    skipped,
    snoozed,
    stretch,
    timers_again,
    timers_of,
)
from hub.care.plan import Plan, occurrences, state_at
from hub.care.plan_change import Change, Wanted, changed, ended
from hub.care.plan_change import planned as plan_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import TEXTS

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)  # 09:30 in Shanghai
FAR = datetime(2036, 1, 1, tzinfo=UTC)
RULES = (
    "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0",
    "FREQ=HOURLY",
    "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30",
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=DAILY;COUNT=9",
    "FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=1,2",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
)
# Clocks that go forwards and back, by an hour and by half an hour, and one that never does.
ZONES = ("Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
# 01:00 in New York before the clocks go forwards, back, and before a plain day.
STARTS = (
    datetime(2027, 3, 14, 6, tzinfo=UTC),
    datetime(2027, 11, 7, 5, tzinfo=UTC),
    datetime(2027, 4, 3, 14, tzinfo=UTC),
    NOW,
)


def plan(**given: Any) -> Plan:  # Any: fields of several types
    values: dict[str, Any] = {
        "kind": "measurement",
        "schedule": RULES[0],
        "title": "早晚血压",
        "notes": "",
        "starts_at": "2026-11-24",
        "timezone": "Asia/Shanghai",
        "until": None,
        "measurement_type": "blood_pressure",
    }
    return plan_of(Wanted(**values | given), "person", "actor", NOW)


def due(at: datetime = NOW, **given: Any) -> Occurrence:  # Any: fields of several types
    return msgspec.structs.replace(Occurrence(id="o", plan="p", user="u", at=at, revision=1), **given)


@given(st.sampled_from(RULES), st.sampled_from(ZONES), st.sampled_from(STARTS), st.lists(st.integers(0, 20 * 86400)))
def test_a_window_that_moves_loses_and_doubles_nothing(rule: str, zone: str, now: datetime, pauses: list[int]) -> None:
    """P10: whenever the scheduler looks, late or early, what was made is what the rule says, each once, and ahead of time."""
    wanted = plan(schedule=rule, timezone=zone)
    made, after = stretch(wanted, now, now)
    first = now
    for pause in pauses:
        now += timedelta(seconds=pause)
        while after is not None and after - LEAD <= now:  # the timer is due; after an outage several times
            moments, after = stretch(wanted, after, now)
            made += moments
    upto = min(after or FAR, FAR)

    assert made == occurrences(wanted, first, upto, len(made) + 1)
    assert after is None or after > now + LEAD


@given(
    st.lists(
        st.tuples(
            st.integers(0, 6 * 86400),
            st.sampled_from(RULES),
            st.sampled_from(ZONES),
            st.sampled_from(("active", "paused")),
        ),
        max_size=6,
    )
)
def test_a_plan_that_changes_is_due_once_at_each_moment(changes: list[tuple[int, str, str, Any]]) -> None:
    """P10: of each revision exactly what lies between its change and the next, whatever rule, zone or state follows."""
    now, current = NOW, plan()
    rows: dict[datetime, int] = {}
    expected: set[datetime] = set()
    for pause, rule, zone, state in changes:
        upto = now + timedelta(seconds=pause)
        expected |= set(occurrences(current, now, upto, 1000))
        after: datetime | None = now
        while after is not None and after <= upto:  # as it was made, and as the scheduler extended it
            found = stretch(current, after, after)
            rows |= dict.fromkeys(found.moments, current.revision)
            after = found.following
        now = upto
        if state_at(current, now) == "ended":
            break
        before, current = current, changed(current, Change(schedule=rule, timezone=zone, state=state), now)
        if current.revision != before.revision:
            rows = {at: revision for at, revision in rows.items() if at < now}

    assert {at for at in rows if at < now} == expected
    assert not {at for at, revision in rows.items() if at >= now and revision != current.revision}


def test_a_crowded_window_goes_on_where_it_stopped() -> None:
    """After an outage of weeks what is made at once stays small."""
    wanted = plan(schedule="FREQ=HOURLY", starts_at="2026-11-24T00:00")
    found = stretch(wanted, NOW, NOW + timedelta(days=30))

    assert len(found.moments) == MOST_MADE
    assert found.following == found.moments[-1] + timedelta(hours=1)


def test_a_rule_that_is_silent_for_ten_years_is_not_forgotten() -> None:
    """The window looks again, though there is nothing to be found yet."""
    wanted = plan(schedule="FREQ=YEARLY;INTERVAL=10", starts_at="2026-11-25T08:00")
    after: datetime | None = NOW
    made: list[datetime] = []
    while after is not None and after < datetime(2047, 1, 1, tzinfo=UTC):
        found = stretch(wanted, after, after)
        made += found.moments
        after = found.following

    assert [at.year for at in made] == [2026, 2036, 2046]


@pytest.mark.parametrize("over", [{"until": "2026-11-25"}, {"schedule": "FREQ=DAILY;COUNT=2"}], ids=["until", "count"])
def test_a_plan_that_is_over_sets_no_window(over: dict[str, str]) -> None:
    """Its last occurrences are made, and nothing follows."""
    wanted = plan(**over)
    found = stretch(wanted, NOW, NOW)

    assert found.moments != []
    assert found.following is None
    assert PLAN_WINDOW not in {timer.kind for timer in timers_of(wanted, found, found.moments)}


@pytest.mark.parametrize("rest", ["paused", "ended"])
def test_a_plan_that_rests_makes_nothing(rest: str) -> None:
    """Neither occurrences nor a window."""
    wanted = ended(plan(), NOW) if rest == "ended" else changed(plan(), Change(state="paused"), NOW)

    assert stretch(wanted, NOW, NOW) == ([], None)


def test_timers_of_an_occurrence() -> None:
    """One that reminds until it is missed or the next one has come, one that finds it missed, and nothing in their keys."""
    wanted = plan(schedule="FREQ=DAILY;BYHOUR=10,12;BYMINUTE=0", until="2026-11-24")
    found = stretch(wanted, NOW, NOW)
    ten, noon = found.moments
    timers = {(timer.kind, timer.key): timer for timer in timers_of(wanted, found, found.moments)}

    assert set(timers) == {(kind, key_of(at, 0)) for kind in (PLAN_DUE, PLAN_MISSED) for at in (ten, noon)}
    assert (timers[PLAN_DUE, key_of(ten, 0)].due_at, timers[PLAN_DUE, key_of(ten, 0)].expires_at) == (ten, noon)
    assert timers[PLAN_DUE, key_of(noon, 0)].expires_at == noon + GRACE
    assert timers[PLAN_MISSED, key_of(ten, 0)].due_at == ten + GRACE
    assert timers_of(wanted, found, [noon])[0].key == key_of(noon, 0)
    assert {(timer.subject, timer.person, timer.revision) for timer in timers.values()} == {(wanted.id, "person", 1)}


def test_a_critical_measurement_is_missed_sooner() -> None:
    """An hour after its time; that it is critical raises the revision, so that the timers are set anew."""
    wanted = changed(plan(), Change(critical=True), NOW)
    timers = timers_again(wanted, [due(told_at=NOW)])

    assert wanted.revision == 2
    assert [(timer.kind, timer.due_at) for timer in timers] == [(PLAN_MISSED, NOW + GRACE_CRITICAL)]


def test_only_a_measurement_can_be_critical() -> None:
    """Refused naming the field, when it is made and when it changes."""
    walk: dict[str, Any] = {"kind": "exercise", "measurement_type": None}
    with pytest.raises(Refusal) as caught:
        plan(**walk, critical=True)
    assert caught.value.fields == {"critical": "critical_unwanted"}
    with pytest.raises(Refusal) as caught:
        changed(plan(**walk), Change(critical=True), NOW)
    assert caught.value.fields == {"critical": "critical_unwanted"}


@pytest.mark.parametrize("state", ["active", "paused", "ended"])
@pytest.mark.parametrize("told", [None, NOW], ids=["untold", "told"])
def test_what_stands_after_a_change_keeps_its_timers(state: Any, told: datetime | None) -> None:
    """It is missed at its time; nobody is reminded twice, and nobody of a plan that rests."""
    wanted = msgspec.structs.replace(plan(), state=state, revision=3)
    kinds = [timer.kind for timer in timers_again(wanted, [due(told_at=told)])]

    assert kinds == ([PLAN_DUE] if told is None and state == "active" else []) + [PLAN_MISSED]


@given(st.integers(0, 7_000_000_000), st.integers(0, 3))
def test_a_key_names_its_place(seconds: int, snoozes: int) -> None:
    """To the second, which is as fine as a plan is."""
    moment = datetime.fromtimestamp(seconds, UTC)

    assert place_of(key_of(moment, snoozes)) == (moment, snoozes)
    assert key_of(moment.astimezone(ZoneInfo("America/New_York")), snoozes) == key_of(moment, snoozes)


def refused(act: Any, *given: Any) -> str:  # Any: an act and what it takes
    with pytest.raises(Refusal) as caught:
        act(*given)
    assert caught.value.code is ErrorCode.CONFLICT
    assert caught.value.text in TEXTS
    return caught.value.text


def test_doing_and_skipping_are_final_and_repeatable() -> None:
    """The second time is the same; the other one is refused."""
    did, left = done(due(), "who", NOW), skipped(due(), "who", NOW)
    assert (did.state, did.acted_at, did.acted_by, left.state) == ("done", NOW, "who", "skipped")
    later = NOW + timedelta(minutes=1)

    assert done(did, "other", later) is did
    assert skipped(left, "other", later) is left
    assert refused(done, left, "who", later) == "occurrence_is_skipped"
    assert refused(skipped, did, "who", later) == "occurrence_is_done"
    assert refused(snoozed, did, 10, later) == "occurrence_is_done"


def test_a_missed_one_can_be_done_for_a_day() -> None:
    """And shows by its time that it was late."""
    missed = due(state="missed")

    assert done(missed, "who", NOW + LATE).acted_at == NOW + LATE
    assert refused(done, missed, "who", NOW + LATE + timedelta(seconds=1)) == "occurrence_is_missed"
    assert refused(skipped, missed, "who", NOW) == "occurrence_is_missed"
    assert refused(snoozed, missed, 10, NOW) == "occurrence_is_missed"


def test_too_early_is_refused() -> None:
    """What is due in days cannot be done today; what is not due yet cannot be put off."""
    assert refused(done, due(NOW + timedelta(hours=13)), "who", NOW) == "occurrence_early"
    assert done(due(NOW + timedelta(hours=12)), "who", NOW).state == "done"
    assert skipped(due(NOW + timedelta(days=3)), "who", NOW).state == "skipped"
    assert refused(snoozed, due(NOW + timedelta(seconds=1)), 10, NOW) == "occurrence_early"


def test_it_can_be_put_off_three_times() -> None:
    """Each makes the person be reminded again; the same one sent again is the same."""
    found = due(told_at=NOW)
    for number in (1, 2, 3):
        at = NOW + timedelta(minutes=10 * number)
        found = snoozed(found, 10, at)
        assert (found.snoozes, found.since, found.told_at) == (number, at + timedelta(minutes=10), None)
        assert snoozed(found, 10, at + timedelta(seconds=59)) is found

    assert refused(snoozed, found, 10, NOW + timedelta(hours=1)) == "snoozes_many"


def test_one_reading_serves_one_occurrence_of_a_plan() -> None:
    """The earliest; of another plan it serves one as well."""
    at = NOW + timedelta(minutes=5)
    asked = [due(id="b", at=at), due(id="a"), due(id="c", plan="q"), due(id="d")]
    picks = [Pick("a", "r", at), Pick("b", "r", at), Pick("c", "r", at)]
    found = {each.id: each for each in measured(asked, picks)}

    assert set(found) == {"a", "c"}
    assert (found["a"].state, found["a"].reading, found["a"].acted_at, found["a"].acted_by) == ("done", "r", at, None)


def test_what_is_not_made_yet_is_shown_after_what_is() -> None:
    """Each moment once, in order, and not more than asked for."""
    wanted = plan()
    stored = [
        msgspec.structs.replace(planned(wanted, at, "made"), state="done") for at in stretch(wanted, NOW, NOW).moments
    ]
    shown = merged(wanted, stored, NOW, NOW + timedelta(days=10), 8)

    assert [each.at for each in shown] == occurrences(wanted, NOW, FAR, 8)
    assert [each.state for each in shown] == ["done"] * len(stored) + ["due"] * (8 - len(stored))


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2027, 3, 14), 23), (date(2027, 11, 7), 25)], ids=["forwards", "backwards"]
)
def test_every_hour_of_a_day_on_which_the_clocks_change(day: date, hours: int) -> None:
    """A local time that is skipped or comes twice makes one occurrence, not two and not none."""
    wanted = plan(schedule="FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=30", timezone="America/New_York", starts_at="2027-01-01")
    zone = ZoneInfo(wanted.timing.timezone)
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    found = stretch(wanted, start, start).moments

    own = [at for at in found if at < start + timedelta(hours=hours)]
    assert len(own) == len(set(own)) == (2 if hours == 23 else 3)
    assert [at.astimezone(zone).hour for at in own] == ([1, 3] if hours == 23 else [1, 2, 3])
