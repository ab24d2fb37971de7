"""The scheduler finds what is due, the worker does it: uploads that no entry used disappear, whoever is interrupted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.security.keyring import create_key_file
from scheduler import ticker
from scheduler.logbook import Logbook
from scheduler.notice_sweep import open_notice_sweeps
from workers import worker
from workers.queue import open_queue


@pytest.fixture
def chosen(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    create_key_file(tmp_path / "keys.json")
    return Settings(
        data=settings.Data(dir=str(tmp_path)),
        database=settings.Database(url=database_url, pool_size=2, log_pool_size=1),
        redis=settings.Redis(url=redis_url, prefix=f"t{uuid4().hex}"),
        scheduler=settings.Scheduler(tick_s=0.1),
    )


@asynccontextmanager
async def running(*runs: asyncio.Future[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for run in runs:
            run.cancel()
        for run in runs:
            with suppress(asyncio.CancelledError):
                await run


async def uploads(database: Database, age: timedelta, count: int) -> list[str]:
    """Attachment rows of that age which no entry uses."""
    user, conversation = new_id(), new_id()
    ids = [new_id() for _ in range(count)]
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO users (id) VALUES (:id)"), {"id": user})
        await connection.execute(
            text("INSERT INTO conversations (id, kind) VALUES (:id, 'group')"), {"id": conversation}
        )
        await connection.execute(
            text(
                "INSERT INTO attachments (id, owner, conversation, kind, media_type, size, key_id, created_at)"
                " VALUES (:id, :owner, :conversation, 'file', 'text/plain', 1, :key, :at)"
            ),
            [
                {"id": i, "owner": user, "conversation": conversation, "key": new_id(), "at": SystemClock().now() - age}
                for i in ids
            ],
        )
    return ids


async def left(database: Database, ids: list[str]) -> int:
    async with database.transaction() as connection:
        found = await connection.execute(
            text("SELECT count(*) FROM attachments WHERE id = ANY (CAST(:ids AS uuid[]))"), {"ids": ids}
        )
        return int(found.scalar_one())


async def test_unused_uploads_disappear_when_they_are_old_enough(chosen: Settings, database: Database) -> None:
    """Two schedulers and two workers at once: each orphan goes, and a young upload stays."""
    old = await uploads(database, timedelta(days=2), 5)
    young = await uploads(database, timedelta(minutes=1), 2)
    runs = [asyncio.ensure_future(part(chosen)) for part in (ticker.run, ticker.run, worker.run, worker.run)]
    async with running(*runs), asyncio.timeout(30):
        while await left(database, old):  # noqa: ASYNC110  the effect is the absence of rows
            await asyncio.sleep(0.05)

    assert await left(database, young) == 2


async def test_sweep_goes_on_when_it_has_failed(chosen: Settings, database: Database) -> None:
    """A sweep that raises is repeated; the others are not touched."""
    beat, seen = asyncio.Event(), asyncio.Event()
    calls = 0

    async def sweep(_services: ticker.Services) -> None:
        nonlocal calls
        calls += 1
        seen.set()
        if calls == 1:
            raise OSError("away")

    beat.set()
    async with open_queue(chosen.redis) as queue, open_notice_sweeps(chosen, database, SystemClock()) as notices:
        services = ticker.Services(chosen, database, queue, SystemClock(), notices)
        logbook = Logbook(SystemClock())
        logbook.add("sweep", 1.0)
        with pytest.raises(OSError, match="away"):
            await ticker.sweeping(services, logbook, "sweep", beat, sweep)
        assert beat.is_set()
        loop = asyncio.ensure_future(ticker.sweeping(services, logbook, "sweep", beat, sweep))
        async with running(loop), asyncio.timeout(10):
            seen.clear()
            await seen.wait()
            assert calls == 2


async def test_unknown_or_failing_job_is_logged_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """What the queue carries is a wake-up; whatever goes wrong, the row and its sweep decide."""

    async def fail(_subject: str) -> None:
        raise OSError("away")

    await worker.perform({"known": fail}, "known", new_id())
    await worker.perform({"known": fail}, "unknown", new_id())
