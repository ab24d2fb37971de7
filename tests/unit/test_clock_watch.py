"""Beats go on whatever somebody does to the clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hub.platform.clock import SystemClock
from hub.platform.supervisor import Supervisor
from scheduler.metronome import APART_S, Every, Metronome, Reading, drifted

AT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


class MovedClock(SystemClock):
    """The machine's, but somebody sets the wall clock."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def now(self) -> datetime:
        return super().now() + self.moved


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """APScheduler reads it as well."""
    moved = MovedClock()

    class Wall(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moved.now()

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Wall)
    return moved


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s", "moved_s"),
    [
        pytest.param(1.0, 1.0, 0.0, id="as it should be"),
        pytest.param(1.0 + APART_S, 1.0, 0.0, id="slewed by NTP"),
        pytest.param(11.0, 1.0, 10.0, id="set forward"),
        pytest.param(-3599.0, 1.0, -3600.0, id="set back"),
        pytest.param(7201.0, 1.0, 7200.0, id="slept, which the monotonic clock does not count"),
        pytest.param(60.0, 60.0, 0.0, id="a busy machine looked late"),
    ],
)
def test_a_moved_clock_is_told_from_time_that_passed(wall_s: float, monotonic_s: float, moved_s: float) -> None:
    """Only what parts the two clocks counts, not how long nobody looked."""
    after = Reading(AT + timedelta(seconds=wall_s), 100.0 + monotonic_s)

    assert drifted(Reading(AT, 100.0), after) == pytest.approx(moved_s)


def test_the_next_strike_is_counted_from_now() -> None:
    """A day that was slept through is one strike, not a list of 172,800."""
    assert Every(0.5).get_next_fire_time(AT - timedelta(days=1), AT) == AT + timedelta(seconds=0.5)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(days=1)], ids=["an hour back", "a day forward"])
async def test_beats_go_on_when_the_clock_is_moved(clock: MovedClock, step: timedelta) -> None:
    """P10: never an hour of silence because somebody corrected the time."""
    metronome = Metronome(clock, lambda _: asyncio.sleep(0.01))
    beat, slow = metronome.beat(0.02), metronome.beat(60.0)
    slow.clear()

    async def strikes(count: int) -> None:
        for _ in range(count):
            await beat.wait()
            beat.clear()

    async with metronome, Supervisor() as supervisor, asyncio.timeout(30):
        supervisor.run("clock", metronome.watch)
        await strikes(3)
        assert not slow.is_set()
        clock.moved += step
        await strikes(3)  # one might have been on its way
        await slow.wait()
        slow.clear()
        await strikes(3)

        assert not slow.is_set()
