"""A scheduler that stops leaves nothing held and nothing half done; one that is killed neither."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.timers import store
from hub.timers.actions import Due, Timer, set_timers
from hub.timers.firing import Done, Firing
from tests.hub_process import ROOT
from tests.integration.wire import SECURITY

HELD = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.datname = current_database() AND pid <> pg_backend_pid()
"""


async def test_what_a_dead_scheduler_held_fires_elsewhere(database: Database) -> None:
    """P10: others pass over what it held, and have it as soon as PostgreSQL has ended its transaction."""
    kind, fired = f"test-{new_id()}", []

    async def handle(connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        fired.extend(each.key for each in due)
        return Done()

    firing = Firing(database)
    firing.subscribe(kind, handle)
    async with database.transaction() as connection:
        at = SystemClock().now()
        await set_timers(connection, [Timer(kind=kind, subject=new_id(), key=key, due_at=at) for key in "甲乙丙"])
    async with database.engine.connect() as dying:
        held = await store.claim(dying, kind, None, 2)
        assert await firing.fire(kind) == 1
        assert await firing.fire(kind) == 0
        await dying.rollback()
    assert await firing.fire(kind) == 2

    assert len(held.due) == 2
    assert sorted(fired) == sorted("甲乙丙")


async def start(database_url: str, redis_url: str, folder: Path, said: Path) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "HUB__DATA__DIR": str(folder),
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": redis_url,
        "HUB__REDIS__PREFIX": f"t{new_id()}",
        "HUB__SECURITY__MASTER_KEYS": SECURITY.master_keys,
        "HUB__SECURITY__SIGNING_KEY": SECURITY.signing_key,
        "HUB__LOG__FORMAT": "json",
    }
    with said.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, *("-m", "hub", "schedule"), cwd=ROOT, env=environment, stdout=output, stderr=output
        )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)], ids=["stopped", "killed"])
async def test_a_scheduler_leaves_nothing_held(
    database: Database, database_url: str, redis_url: str, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Asked to stop, it ends with status 0, without an error, and is not listed any more; killed, it holds no lock either way."""
    await database.log.execute("DELETE FROM schedulers")
    process = await start(database_url, redis_url, tmp_path, tmp_path / "said")
    async with asyncio.timeout(60):
        while not await database.log.fetchval("SELECT count(*) FROM schedulers"):
            assert process.returncode is None, (tmp_path / "said").read_text()
            await asyncio.sleep(0.05)
        process.send_signal(number)
        assert await process.wait() == status
        while await database.log.fetchval(HELD):  # noqa: ASYNC110  the effect is the absence of locks
            await asyncio.sleep(0.05)

    listed = await database.log.fetchval("SELECT count(*) FROM schedulers")
    assert listed == (0 if number == signal.SIGTERM else 1)
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    assert '"level": "error"' not in said
