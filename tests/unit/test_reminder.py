"""Who is reminded of an appointment, and when: never early, never after it is of use, each once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.orders.model import REMINDED, AppointmentState, Attendance
from hub.orders.reminder import ROOM, Course, Part, checked, reminders, target, targets, timers
from hub.orders.reminder_wording import time_of
from hub.platform.error import Refusal
from hub.timers.actions import Due, Timer

NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
COURSE = Course(
    id="预约", state=AppointmentState.SCHEDULED, starts_at=NOW + timedelta(days=2), revision=1, attendance=None,
    minutes=[1440, 120, 15], patient="张三丰", provider="陪诊员小李", orderer="张小妹",
)  # fmt: skip

offsets = st.lists(st.integers(5, 14 * 1440), max_size=5, unique=True)


def due(timer: Timer) -> Due:
    return Due(id="t", **{name: getattr(timer, name) for name in Timer.__struct_fields__})


@given(minutes=offsets, ahead=st.integers(-60, 20 * 1440))
def test_each_is_of_use_until_the_next(minutes: list[int], ahead: int) -> None:
    """P10: exactly those to come are set, at their time; at any moment until the beginning at most one is of use."""
    starts_at = NOW + timedelta(minutes=ahead)
    course = replace(COURSE, starts_at=starts_at, minutes=minutes)
    found = [each for each in timers(course, {}, NOW, "a") if each.person == course.patient]

    assert {target(due(each)).minutes for each in found} == {each for each in minutes if each < ahead}
    for each in found:
        assert each.due_at == starts_at - timedelta(minutes=target(due(each)).minutes) > NOW
        assert each.expires_at is not None
        assert each.due_at < each.expires_at <= starts_at
    in_order = sorted(found, key=lambda each: each.due_at)
    assert all(before.expires_at == after.due_at for before, after in pairwise(in_order))
    assert [each.expires_at for each in in_order[-1:]] == [starts_at][: len(in_order)]


@given(minutes=offsets, wish=offsets)
def test_the_persons_wish_goes_before(minutes: list[int], wish: list[int]) -> None:
    """Only for who wishes it; an empty one is a wish, too."""
    found = reminders(replace(COURSE, minutes=minutes), {COURSE.patient: wish})

    for whom, expected in ((COURSE.patient, wish), (COURSE.provider, minutes), (ROOM, minutes)):
        assert [each.minutes for each in found if each.whom == whom] == sorted(expected)


@given(
    before=offsets,
    after=offsets,
    moves=st.integers(0, 1),
    state=st.sampled_from(AppointmentState),
    attendance=st.sampled_from([None, *Attendance]),
)
def test_what_fires_is_what_is_still_wanted(
    before: list[int], after: list[int], moves: int, state: AppointmentState, attendance: Attendance | None
) -> None:
    """P10: whatever became of the appointment or the wish meanwhile, a timer of before holds only if it would be set now."""
    then = replace(COURSE, minutes=before, starts_at=NOW + timedelta(days=20))
    now = replace(then, minutes=after, state=state, attendance=attendance, revision=1 + moves)
    wanted = {(each.key, each.revision) for each in timers(now, {}, NOW, "a")}

    for each in timers(then, {}, NOW, "a"):
        assert (target(due(each)) in targets(now, {})) == ((each.key, each.revision) in wanted)


@pytest.mark.parametrize("state", [each for each in AppointmentState if each not in REMINDED])
def test_nobody_is_reminded_of_what_is_not_to_come(state: AppointmentState) -> None:
    """Not paid, begun, ended."""
    assert reminders(replace(COURSE, state=state), {}) == []


def test_each_person_is_reminded_once() -> None:
    """Whatever they are to the appointment; until staff have decided, a patient who cannot come is left alone."""
    everybody = {"张三丰": Part.PATIENT, "陪诊员小李": Part.PROVIDER, "张小妹": Part.ORDERER}
    declined = replace(COURSE, attendance=Attendance.DECLINED)

    assert COURSE.parts == everybody
    assert replace(COURSE, orderer=COURSE.provider).parts == {"张三丰": Part.PATIENT, "陪诊员小李": Part.PROVIDER}
    assert replace(COURSE, provider=COURSE.patient, orderer=None).parts == {"张三丰": Part.PATIENT}
    assert declined.parts == {"陪诊员小李": Part.PROVIDER}
    assert {each.whom for each in reminders(declined, {})} == {"陪诊员小李"}


def test_what_was_cancelled_is_set_again_under_another_key() -> None:
    """A timer's key holds for ever, so each set has its own."""
    first, second = (timers(COURSE, {}, NOW, stamp) for stamp in ("a", "b"))

    assert len(first) == 12
    assert not {each.key for each in first} & {each.key for each in second}


def test_offsets_are_distinct() -> None:
    """The longest first; one that is given twice is refused by its field."""
    assert checked([15, 1440, 120], "minutes") == [1440, 120, 15]
    with pytest.raises(Refusal) as refused:
        checked([15, 15], "minutes")

    assert refused.value.fields == {"minutes": "reminder_twice"}


def test_times_are_those_of_china() -> None:
    """On whatever day that is there."""
    at = datetime(2026, 11, 30, 16, 30, tzinfo=UTC)

    assert (time_of(at, "zh"), time_of(at, "en")) == ("2026年12月1日 00:30", "2026-12-01 00:30 (Beijing time)")
