"""Duty rosters without I/O: the gaps, and what a shift must be."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.alerts.duty import AHEAD, LONGEST, Gap, Planned, check_window, faults, gaps, moment
from hub.platform.error import ErrorCode, Refusal

NOW = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

hours = st.integers(min_value=-10, max_value=60)
stretches = st.tuples(hours, st.integers(min_value=1, max_value=30)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def at(hour: int) -> datetime:
    return NOW + hour * HOUR


def planned(begin: timedelta = timedelta(0), length: timedelta = 8 * HOUR, role: str = "doctor_on_call") -> Planned:
    starts = NOW + begin
    return Planned(role=role, user="李医生", starts_at=starts, ends_at=starts + length, note="")  # type: ignore[arg-type]


@given(st.lists(stretches, max_size=8), hours, st.integers(min_value=1, max_value=50))
def test_every_hour_is_covered_by_a_shift_or_by_one_gap(taken: list[tuple[int, int]], start: int, length: int) -> None:
    """P11: what is not staffed is found, whatever overlaps, nests or lies outside; gaps are in order and apart."""
    found = gaps("backup", [(at(begin), at(end)) for begin, end in taken], at(start), at(start + length))

    for hour in range(start, start + length):
        covered = any(begin <= hour < end for begin, end in taken)
        assert covered != any(gap.starts_at <= at(hour) < gap.ends_at for gap in found)
    edges = [edge for gap in found for edge in (gap.starts_at, gap.ends_at)]
    assert edges == sorted(set(edges))
    assert all(at(start) <= edge <= at(start + length) for edge in edges)


def test_a_gap_is_named_with_its_role() -> None:
    """From the end of one shift to the beginning of the next."""
    taken = [(at(6), at(9)), (at(0), at(4))]

    assert gaps("coordinator", taken, at(0), at(9)) == [Gap("coordinator", at(4), at(6))]


@pytest.mark.parametrize(
    ("shift", "account", "expected"),
    [
        pytest.param(planned(), "doctor", {}, id="fits"),
        pytest.param(planned(-6 * HOUR), "doctor", {}, id="begun already"),
        pytest.param(planned(length=LONGEST), "doctor", {}, id="a week"),
        pytest.param(planned(AHEAD), "doctor", {}, id="in a year"),
        pytest.param(planned(role="coordinator"), "doctor", {"userId": "duty_user_unfit"}, id="no coordinator"),
        pytest.param(planned(), "staff", {"userId": "duty_user_unfit"}, id="no doctor"),
        pytest.param(planned(), "patient", {"userId": "duty_user_unfit"}, id="a patient"),
        pytest.param(planned(), None, {"userId": "duty_user_unknown"}, id="unknown"),
        pytest.param(planned(length=LONGEST + HOUR), "doctor", {"endsAt": "duty_length"}, id="too long"),
        pytest.param(planned(length=-HOUR), "doctor", {"endsAt": "duty_length"}, id="ends before it begins"),
        pytest.param(planned(AHEAD + HOUR), "doctor", {"startsAt": "duty_far"}, id="too far"),
        pytest.param(planned(-8 * HOUR), "doctor", {"endsAt": "duty_over"}, id="over"),
    ],
)
def test_what_is_wrong_with_a_shift_is_named(shift: Planned, account: str | None, expected: dict[str, str]) -> None:
    """P14: by field."""
    assert faults(shift, account, NOW) == expected


def test_a_moment_needs_its_offset() -> None:
    """P14: a time of the wall is nobody's in particular; the plus may have been lost in a query."""
    assert moment("2026-11-26T09:00:00 08:00", "from") == NOW
    wrong = dict.fromkeys(("2026-11-26T09:00:00", "明天", ""), "time_zone_needed")
    edges = dict.fromkeys(
        ("0001-01-01T00:00:00+14:00", "1899-12-31T00:00:00Z", "9999-12-31T00:00:00Z"), "date_out_of_range"
    )
    for text, reason in (wrong | edges).items():
        with pytest.raises(Refusal) as refused:
            moment(text, "from")
        assert (refused.value.code, refused.value.fields) == (ErrorCode.INVALID, {"from": reason})


def test_a_look_at_the_roster_has_an_end() -> None:
    """A quarter at most."""
    check_window(NOW, NOW + timedelta(days=93))
    for end in (NOW, NOW - HOUR, NOW + timedelta(days=94)):
        with pytest.raises(Refusal):
            check_window(NOW, end)
