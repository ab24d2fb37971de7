"""The beat: APScheduler strikes, and a watch sets it right when the wall clock was moved. What is done at a beat is not known here.

APScheduler counts by the wall clock: an hour back would silence it for an hour, and a machine that slept oversleeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from hub.platform.clock import Clock

APART_S = 2.0  # wall and monotonic time may part by this between two looks; NTP slews by less than 0.001
LOOK_S = 1.0

log = structlog.get_logger("hub.scheduler")


class Reading(NamedTuple):
    """Both clocks at one moment."""

    wall: datetime
    monotonic: float


def drifted(before: Reading, after: Reading) -> float:
    """By how many seconds the wall clock was moved between two looks; 0.0 for what needs no attention."""
    moved = (after.wall - before.wall).total_seconds() - (after.monotonic - before.monotonic)
    return moved if abs(moved) > APART_S else 0.0


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Counts from now on. The interval trigger counts from the last strike: after a day of sleep it would list 172,800 of 0.5 s."""

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now + self._interval


class Metronome:
    """One per scheduler. `async with` it after the beats are asked for, and keep `watch` running meanwhile."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._strikes = AsyncIOScheduler(timezone=UTC)

    def beat(self, every_s: float) -> asyncio.Event:
        """Set now, and again every so many seconds; who waits for it clears it."""
        beat = asyncio.Event()
        beat.set()
        self._strikes.add_job(_strike, Every(every_s), [beat], misfire_grace_time=None, coalesce=True, max_instances=1)
        return beat

    async def __aenter__(self) -> Self:
        self._strikes.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._strikes.shutdown(wait=False)

    async def watch(self) -> None:
        """Every beat is now, as soon as the wall clock was moved or the machine has slept. Sleeps by the monotonic clock."""
        before = self._read()
        while True:
            await self._sleep(LOOK_S)
            after = self._read()
            if moved := drifted(before, after):
                log.warning("clock was moved", seconds=round(moved, 1))
                for job in self._strikes.get_jobs():
                    job.modify(next_run_time=after.wall)
            before = after

    def _read(self) -> Reading:
        return Reading(self._clock.now(), self._clock.monotonic())


async def _strike(beat: asyncio.Event) -> None:
    beat.set()
