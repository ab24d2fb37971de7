"""Whom a broadcast is for, how it moves, its pace and what is left of it: pure, on times that are arguments."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.broadcasts.actions import Shown
from hub.broadcasts.command import REASONS, STATES, line_of, lines_of
from hub.broadcasts.model import (
    CATCH_UP,
    CHUNK,
    MOVES,
    PAST,
    Move,
    Progress,
    Segment,
    State,
    check_segment,
    check_start,
    chunk_of,
    due_after,
    moved,
    per_second,
    seconds_left,
)
from hub.broadcasts.store import NOBODY, Row
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.text import TEXTS

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)


def refused(error: pytest.ExceptionInfo[Refusal]) -> tuple[ErrorCode, dict[str, str]]:
    return error.value.code, error.value.fields


@pytest.mark.parametrize("move", get_args(Move))
@pytest.mark.parametrize("state", get_args(State))
def test_only_the_moves_of_the_table_are_possible(state: State, move: Move) -> None:
    """Any other is a conflict that names the state, in words of the catalogue."""
    allowed = {
        ("draft", "start"): "running",
        ("running", "pause"): "paused",
        ("paused", "resume"): "running",
        ("draft", "cancel"): "cancelled",
        ("running", "cancel"): "cancelled",
        ("paused", "cancel"): "cancelled",
        ("done", "cancel"): "cancelled",
    }
    if after := allowed.get((state, move)):
        assert moved(state, move) == after
        return
    with pytest.raises(Refusal) as error:
        moved(state, move)

    assert refused(error) == (ErrorCode.CONFLICT, {"state": f"broadcast_is_{state}"})
    assert f"broadcast_is_{state}" in TEXTS


def test_every_move_and_state_has_its_words() -> None:
    """The audit and the command line know all of them."""
    assert set(PAST) == set(MOVES) == set(get_args(Move))
    assert set(STATES) == set(get_args(State))
    assert set(REASONS) == {"consent", "off", "inactive"}


def test_segment_without_conditions_is_everyone() -> None:
    """Nothing must be said, and what is said is kept as it is."""
    assert msgspec.convert({}, Segment) == Segment()
    said = {"roles": ["patient"], "membershipLevels": ["premium"], "registeredAfter": "2026-01-01T00:00:00Z"}
    assert msgspec.to_builtins(msgspec.convert(said, Segment)) == said


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"cities": ["北京"]}, "cities"),
        ({"role": "patient"}, "role"),
        ({"roles": ["nurse"]}, "roles"),
        ({"roles": []}, "roles"),
        ({"membershipLevels": ["gold"]}, "membershipLevels"),
        ({"users": []}, "users"),
        ({"users": ["u"] * 1001}, "users"),
        ({"registeredAfter": "2026-01-01T00:00:00"}, "registeredAfter"),
    ],
)
def test_segment_is_refused_when_it_is_not_understood(said: dict[str, object], named: str) -> None:
    """A condition that is misspelled must not mean everyone."""
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(said, Segment)


def test_segment_is_refused_when_it_names_nobody() -> None:
    """Ids that cannot be, ids named twice, and a time that ends before it begins; each field by its name."""
    user = new_id()
    for segment, fields in (
        (Segment(users=[user, "x"]), {"segment.users[1]": "members_unknown"}),
        (Segment(users=[user, user]), {"segment.users[1]": "members_twice"}),
        (Segment(registered_after=NOW, registered_before=NOW), {"segment.registeredBefore": "broadcast_nobody"}),
    ):
        with pytest.raises(Refusal) as error:
            check_segment(segment)
        assert refused(error) == (ErrorCode.INVALID, fields)
    check_segment(Segment(users=[user], registered_after=NOW, registered_before=NOW + timedelta(seconds=1)))


def test_start_is_planned_for_the_future() -> None:
    """Not for the past, not for years ahead; without a plan it begins when it is started."""
    for at in (NOW, NOW - timedelta(seconds=1), NOW + timedelta(days=400)):
        with pytest.raises(Refusal) as error:
            check_start(at, NOW)
        assert refused(error) == (ErrorCode.INVALID, {"startsAt": "broadcast_starts_at"})
    check_start(None, NOW)
    check_start(NOW + timedelta(hours=1), NOW)


@given(per_s=st.integers(1, 2000), late_s=st.lists(st.floats(0, 1), min_size=20, max_size=40))
def test_pace_is_kept_however_late_workers_are_woken(per_s: int, late_s: list[float]) -> None:
    """Never more than the pace and what it may catch up; and not less, though each waking is up to a second late."""
    due, now, reached = NOW, NOW, 0
    for late in late_s:
        now = max(now, due) + timedelta(seconds=late if due > now else 0)
        reached += chunk_of(per_s)
        due = due_after(due, now, chunk_of(per_s), per_s)
    passed = (now - NOW).total_seconds()

    assert reached <= per_s * (passed + CATCH_UP.total_seconds()) + chunk_of(per_s)
    assert abs((due - NOW).total_seconds() - reached / per_s) < 0.01


def test_without_a_pace_the_next_chunk_is_due_at_once() -> None:
    """And a chunk has its full size."""
    assert due_after(NOW - timedelta(hours=1), NOW, 500, None) == NOW
    assert (chunk_of(None), chunk_of(7), chunk_of(9000)) == (CHUNK, 7, CHUNK)


def test_time_left_follows_the_measured_rate() -> None:
    """Never an invented number: while nothing was measured, or it is held, the time left is not known."""
    running = Progress("running", estimated=100_000, looked_at=20_000, busy_s=4.0, per_s=None)
    assert per_second(running) == 5000
    assert seconds_left(running) == 16
    paced = msgspec.structs.replace(running, per_s=100)
    assert (per_second(paced), seconds_left(paced)) == (100, 800)
    assert seconds_left(msgspec.structs.replace(running, looked_at=0, busy_s=0.0)) is None
    assert seconds_left(msgspec.structs.replace(running, state="paused")) is None
    assert seconds_left(msgspec.structs.replace(running, state="done")) == 0
    assert seconds_left(msgspec.structs.replace(running, looked_at=100_001)) == 0


def test_command_line_says_all_about_one() -> None:
    """Counts, rate, time left, who was left out and why, notices by state; a title cannot steer the terminal."""
    row = Row(
        id=new_id(),
        class_="marketing",
        title=b"",
        body=None,
        key_id=new_id(),
        segment=Segment(),
        state="running",
        seq=2,
        cursor=NOBODY,
        estimated=1000,
        is_least=True,
        looked_at=500,
        reached=400,
        left_out={"consent": 90, "off": 10},
        busy_s=5.0,
        per_s=None,
        next_at=NOW,
        created_by=new_id(),
        created_at=NOW,
        starts_at=None,
        started_at=NOW,
        finished_at=None,
    )
    shown = Shown(row, "春季\x1b[31m体检", {"open": 380, "seen": 20})

    assert line_of(shown) == f"{row.id}  进行中，100 人/秒，约剩 5 秒  500/至少 1000  送达 400  春季�[31m体检"
    assert lines_of(shown)[1:] == [
        "开始：2026-01-31T02:00:00.000Z",
        "未发送：未授权 90，已关闭此类通知 10",
        "通知：open 380，seen 20",
    ]
