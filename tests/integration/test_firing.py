"""P10: a timer fires once, with everything that follows, whatever dies and whoever else looks."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.timers.actions import cancel, remove, set_timers, upcoming
from hub.timers.firing import Done, Firing
from hub.timers.model import Due, Timer

AT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


class Recorder:
    """A handler that keeps what fired, and fails on demand."""

    def __init__(self) -> None:
        self.fired: list[Due] = []
        self.failing: set[str] = set()
        self.void: list[str] = []

    async def handle(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        if any(each.key in self.failing for each in due):
            raise RuntimeError("刻意失败")
        self.fired += due
        return Done(void=[each.id for each in due if each.key in self.void])

    def keys(self) -> list[str]:
        return [each.key for each in self.fired]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def kind() -> str:
    """Timers of one test: the database is the module's."""
    return f"test-{new_id()}"


def firing(database: Database, recorder: Recorder, kind: str, batch: int = 10) -> Firing:
    found = Firing(database)
    found.subscribe(kind, recorder.handle, batch=batch)
    return found


async def put(database: Database, *timers: Timer) -> None:
    async with database.transaction() as connection:
        await set_timers(connection, timers)


async def states(database: Database, kind: str) -> dict[str, str]:
    async with database.transaction() as connection:
        rows = await connection.execute(text("SELECT key, state FROM timers WHERE kind = :kind"), {"kind": kind})
        return {row.key: row.state for row in rows}


async def test_fires_once_and_never_early(database: Database, recorder: Recorder, kind: str) -> None:
    """P10."""
    timer = Timer(kind=kind, subject=new_id(), key="a", due_at=AT)
    await put(database, timer, timer)
    fires = firing(database, recorder, kind)

    assert await fires.fire(kind, AT - timedelta(microseconds=1)) == 0
    assert await fires.fire(kind, AT) == 1
    await put(database, timer)
    assert await fires.fire(kind, AT + timedelta(days=1)) == 0
    assert recorder.keys() == ["a"]


async def test_too_late_is_expired(database: Database, recorder: Recorder, kind: str) -> None:
    """P10: `expired`, not a push at 03:00."""
    await put(database, Timer(kind=kind, subject=new_id(), key="a", due_at=AT, expires_at=AT + timedelta(hours=1)))

    assert await firing(database, recorder, kind).fire(kind, AT + timedelta(hours=1)) == 1
    assert (recorder.fired, await states(database, kind)) == ([], {"a": "expired"})


async def test_cancelled_does_not_fire(database: Database, recorder: Recorder, kind: str) -> None:
    """What had fired stays; of what is removed nothing is left, and later revisions stay."""
    subject = new_id()
    await put(database, Timer(kind=kind, subject=subject, key="first", due_at=AT - timedelta(days=1)))
    await firing(database, recorder, kind).fire(kind, AT - timedelta(days=1))
    await put(database, *(Timer(kind=kind, subject=subject, key=f"r{n}", revision=n, due_at=AT) for n in (1, 2)))
    async with database.transaction() as connection:
        assert await remove(connection, [kind], subject, before=2) == 1
        assert [each.key for each in await cancel(connection, [kind], subject)] == ["r2"]
    await firing(database, recorder, kind).fire(kind, AT)

    assert recorder.keys() == ["first"]
    assert await states(database, kind) == {"first": "fired", "r2": "cancelled"}


class Locked(Exception):
    sqlstate = "55P03"


async def test_a_lock_is_no_failure(database: Database, kind: str) -> None:
    """P11: what met somebody else's lock is tried again within a second, however often it does."""

    async def meet(connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        raise Locked

    fires = Firing(database)
    fires.subscribe(kind, meet)
    await put(database, Timer(kind=kind, subject=new_id(), key="a", due_at=AT))
    for n in range(5):
        assert await fires.fire(kind, AT + timedelta(seconds=n)) == 1

    row = await database.log.fetchrow("SELECT state, attempts, next_at FROM timers WHERE kind = $1", kind)
    assert row is not None
    assert (row["state"], row["attempts"]) == ("pending", 0)
    assert row["next_at"] < AT + timedelta(seconds=5)


async def test_one_that_fails_holds_nobody_up(database: Database, recorder: Recorder, kind: str) -> None:
    """Its neighbours fire at once, it itself later, in growing pauses, and it is never lost."""
    recorder.failing = {"b"}
    await put(database, *(Timer(kind=kind, subject=new_id(), key=key, due_at=AT) for key in "abc"))
    fires = firing(database, recorder, kind)
    await fires.fire(kind, AT)

    assert sorted(recorder.keys()) == ["a", "c"]
    assert (await states(database, kind))["b"] == "pending"
    assert await fires.fire(kind, AT) == 0
    recorder.failing = set()
    assert await fires.fire(kind, AT + timedelta(seconds=2)) == 1
    assert sorted(recorder.keys()) == ["a", "b", "c"]


async def test_many_schedulers_share_the_work(database: Database, recorder: Recorder, kind: str) -> None:
    """P10: any number may run; each timer is one's."""
    await put(database, *(Timer(kind=kind, subject=new_id(), key=str(n), due_at=AT) for n in range(60)))

    async def run() -> None:
        fires = firing(database, recorder, kind, batch=7)
        while await fires.fire(kind, AT):
            pass

    await asyncio.gather(run(), run(), run())

    assert sorted(map(int, recorder.keys())) == list(range(60))


async def test_void_is_not_fired(database: Database, recorder: Recorder, kind: str) -> None:
    """A handler that finds nothing to be done any more says so, and the row shows it."""
    recorder.void = []
    fires = Firing(database)

    async def nothing(connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        return Done(void=[each.id for each in due])

    fires.subscribe(kind, nothing)
    await put(database, Timer(kind=kind, subject=new_id(), key="a", due_at=AT))
    await fires.fire(kind, AT)

    assert await states(database, kind) == {"a": "cancelled"}


async def test_upcoming_is_what_would_fire(database: Database, kind: str) -> None:
    """Of one person, the earliest first; not what will have expired by then."""
    person = new_id()
    soon = Timer(kind=kind, subject=new_id(), key="a", person=person, due_at=AT)
    over = Timer(kind=kind, subject=new_id(), key="b", person=person, due_at=AT, expires_at=AT + timedelta(minutes=5))
    later = Timer(kind=kind, subject=new_id(), key="c", person=person, due_at=AT + timedelta(hours=2))
    await put(database, soon, over, later)
    async with database.transaction() as connection:
        found = await upcoming(connection, AT + timedelta(hours=1), person, 10)

    assert [each.key for each in found] == ["a"]
