"""What this scheduler did, told to PostgreSQL now and then: for the status, not for deciding anything.

Idle sweeps are twice a second, so they are only counted here, and written in one statement for all of them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.schedule import actions as schedule
from hub.schedule.actions import Run

WRITE_S = 10.0  # how often, while nothing changes between well and failing


@dataclass(slots=True)
class _Page:
    """One duty; moments of the monotonic clock. `runs`: that ended since it was last written."""

    every_s: float
    began: float = 0.0
    ended: float | None = None
    took_ms: float | None = None
    failed: float | None = None
    error_kind: str = ""
    runs: int = 0
    is_well: bool | None = None


class Logbook:
    """One per scheduler."""

    def __init__(self, clock: Clock) -> None:
        self.id = new_id()
        self._name = f"scheduler {os.getpid()}"
        self._clock = clock
        self._pages: dict[str, _Page] = {}
        self._turned = asyncio.Event()

    def add(self, name: str, every_s: float) -> None:
        self._pages[name] = _Page(every_s)

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        """One run of a duty: it is well unless it raises."""
        page = self._pages[name]
        page.began = self._clock.monotonic()
        try:
            yield
        except Exception as error:
            page.failed, page.error_kind = self._clock.monotonic(), type(error).__name__
            self._turn(page, is_well=False)
            raise
        page.ended = self._clock.monotonic()
        page.took_ms = (page.ended - page.began) * 1000
        self._turn(page, is_well=True)

    def _turn(self, page: _Page, *, is_well: bool) -> None:
        page.runs += 1  # at its end: one that is still going on when this is written has nothing to tell yet
        if page.is_well is not is_well:
            page.is_well = is_well
            self._turned.set()

    async def keep(self, database: Database) -> None:
        """Write every `WRITE_S`, and at once when a duty begins to fail or is well again."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WRITE_S):
                    await self._turned.wait()
            await self.write(database)

    async def write(self, database: Database) -> None:
        """What is new since the last time, and that this scheduler lives."""
        self._turned.clear()
        now = self._clock.monotonic()
        written = {name: page.runs for name, page in self._pages.items() if page.runs}
        await schedule.note(database, self.id, self._name, [_run(name, self._pages[name], now) for name in written])
        for name, runs in written.items():
            self._pages[name].runs -= runs


@asynccontextmanager
async def open_logbook(database: Database, clock: Clock) -> AsyncIterator[Logbook]:
    """A scheduler that stops in order is no more seen; one that was killed is not seen after a while."""
    logbook = Logbook(clock)
    try:
        yield logbook
    finally:
        with contextlib.suppress(Exception):  # a courtesy: while PostgreSQL is away there is nobody to tell
            await schedule.leave(database, logbook.id)


def _run(name: str, page: _Page, now: float) -> Run:
    """With ages instead of moments: the database has the clock that all schedulers share."""
    return Run(
        name=name,
        every_s=page.every_s,
        began_ago=now - page.began,
        ended_ago=None if page.ended is None else now - page.ended,
        took_ms=page.took_ms,
        failed_ago=None if page.failed is None else now - page.failed,
        error_kind=page.error_kind,
        runs=page.runs,
    )
