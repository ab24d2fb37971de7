"""Firing timers: claim those that are due, let their kind's handler do what follows, all in one transaction (P10).

Whatever dies between two steps, a timer has fired with everything that follows, or it has not.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.database import Database
from hub.platform.supervisor import describe
from hub.timers import store
from hub.timers.model import Due, delay_after

BATCH = 100  # timers in one transaction, which holds what it writes into until its commit
BUSY = timedelta(milliseconds=300)  # how long one rests that met a lock
# lock_not_available, deadlock_detected, serialization_failure (PostgreSQL, appendix A)
LOCKED = frozenset({"55P03", "40P01", "40001"})

ENDED = Counter("hub_timers_ended_total", "Timers that ended, by kind and how", ["kind", "how"])
FAILED = Counter("hub_timers_failed_total", "Timers put back because their handler failed", ["kind"])
LATENESS = Histogram(
    "hub_timers_lateness_seconds",
    "From when a timer was due to the moment it was claimed",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)

log = structlog.get_logger("hub.timers")

AfterCommit = Callable[[], Awaitable[None]]


class Done(msgspec.Struct, frozen=True):
    """What a handler answers. `void`: ids of timers after which nothing is to happen any more; `tell`: after the commit."""

    void: Collection[str] = ()
    tell: Sequence[AfterCommit] = ()


Handler = Callable[[AsyncConnection, Sequence[Due], datetime], Awaitable[Done]]
"""Does what follows from these timers of one kind, at the moment given. May be called again for the same ones after a failure."""


class Firing:
    """One per scheduler. Any number of them share the work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handlers: dict[str, tuple[Handler, int]] = {}

    @property
    def kinds(self) -> list[str]:
        return sorted(self._handlers)

    def subscribe(self, kind: str, handler: Handler, *, batch: int = BATCH) -> None:
        """Call `handler` for timers of `kind` that are due, at most `batch` at once; those that are too late just end."""
        self._handlers[kind] = (handler, batch)

    async def fire(self, kind: str, now: datetime | None = None) -> int:
        """One batch; how many timers ended or were put back. 0: none is due. `now`: of a test; else the database's."""
        batch = self._handlers[kind][1]
        if now is None and not await store.is_due(self._database.log, kind):
            return 0  # one round trip; a transaction that finds nothing takes five
        try:
            return await self._fire(kind, now, batch)
        except Exception as error:
            log.warning("timers are fired one by one", kind=kind, error=type(error).__name__)
        fired = 0
        for _ in range(batch):  # one that cannot be handled must not hold up its neighbours
            if not await self._fire_alone(kind, now):
                break
            fired += 1
        return fired

    async def _fire_alone(self, kind: str, now: datetime | None) -> bool:
        claimed: list[Due] = []
        try:
            return await self._fire(kind, now, 1, claimed) > 0
        except Exception as error:
            if not claimed:  # the database is away, not the handler at fault
                raise
            timer, is_busy = claimed[0], _is_busy(error)
            delay = BUSY if is_busy else delay_after(timer.attempts)
            if not is_busy:
                log.error("timer failed", kind=kind, timer=timer.id, attempts=timer.attempts, exc_info=error)
                FAILED.labels(kind).inc()
            async with self._database.transaction() as connection:
                await store.put_back(connection, timer.id, now, delay, describe(error), failed=not is_busy)
            return True

    async def _fire(self, kind: str, now: datetime | None, most: int, taken: list[Due] | None = None) -> int:
        handler, _ = self._handlers[kind]
        async with self._database.transaction() as connection:
            claimed = await store.claim(connection, kind, now, most)
            if claimed.now is None:
                return 0
            if taken is not None:
                taken += [*claimed.due, *claimed.expired]
            done = await handler(connection, claimed.due, claimed.now) if claimed.due else Done()
            if done.void:
                await store.void(connection, list(done.void))
        _count(kind, claimed, len(done.void))
        for tell in done.tell:
            await _tell(tell, kind)
        return len(claimed.due) + len(claimed.expired)


def _is_busy(error: BaseException) -> bool:
    """Whether somebody else held a lock: nothing is wrong with the timer, and soon it can be handled."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) in LOCKED


def _count(kind: str, claimed: store.Claimed, void: int) -> None:
    ENDED.labels(kind, "fired").inc(len(claimed.due) - void)
    ENDED.labels(kind, "void").inc(void)
    ENDED.labels(kind, "expired").inc(len(claimed.expired))
    for timer in claimed.due:
        if claimed.now is not None:
            LATENESS.labels(kind).observe(max(0.0, (claimed.now - timer.due_at).total_seconds()))


async def _tell(tell: AfterCommit, kind: str) -> None:
    try:
        await tell()
    except Exception:  # it is committed; who missed the telling finds it in PostgreSQL
        log.exception("telling of a timer failed", kind=kind)
