"""Reminders while schedulers die, PostgreSQL restarts and Valkey is flushed: each fires exactly once (P6, P10).

`HUB_CHAOS_REMINDERS` sets how many are due (3,000) within `HUB_CHAOS_S` seconds (30), `HUB_CHAOS_SEED` repeats a run's choices.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from bench.clinic import Clinic
from hub.platform import settings
from hub.platform.database import migrate, open_database
from hub.platform.embedded import Servers, open_servers
from hub.security.keyring import create_key_file, load_keyring
from tests.hub_process import Helper

SCHEDULERS = 3
WITHIN_S = float(os.environ.get("HUB_CHAOS_S", "30"))
FAULTS_S = 0.7 * WITHIN_S  # so that some reminders are due after the last of them
QUIET_S = 300.0
OUTAGE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

_PENDING = "SELECT count(*) FROM timers WHERE state = 'pending'"
_STATES = "SELECT state, count(*) AS count FROM timers GROUP BY 1"
_LATE = "SELECT extract(epoch FROM ended_at - due_at)::float FROM timers WHERE due_at > $1 ORDER BY 1"
_CAUGHT_UP = (
    "SELECT coalesce(extract(epoch FROM max(ended_at) - $1)::float, 0) FROM timers WHERE due_at <= $1 AND ended_at > $1"
)
_EARLY = "SELECT count(*) FROM timers WHERE ended_at < due_at"
# Of each appointment: one entry in the patient's inbox, one in the provider's, one in the care conversation, and two notices.
_ENTRIES = """
SELECT c.kind, count(*) AS count, count(DISTINCT (e.conversation, e.client_msg_id)) AS apart
FROM entries e JOIN conversations c ON c.id = e.conversation GROUP BY 1 ORDER BY 1
"""
_GAPS = """
SELECT count(*) FROM conversations c
WHERE c.head <> (SELECT count(*) FROM entries e WHERE e.conversation = c.id)
"""
_NOTICES = "SELECT count(*) AS count, count(DISTINCT dedupe_key) AS apart, count(DISTINCT (user_id, subject)) AS people FROM notices"


@dataclass
class DueWorld:
    """Three schedulers over one database, and the reminders of a clinic."""

    servers: Servers
    schedulers: Sequence[Helper]
    pool: asyncpg.Pool
    clinic: Clinic


@asynccontextmanager
async def open_due_world(folder: Path, servers: Servers, appointments: int) -> AsyncIterator[DueWorld]:
    create_key_file(folder / "keys.json")
    environment = {
        "HUB__DATA__DIR": str(folder),
        "HUB__DATABASE__URL": servers.database_url,
        "HUB__REDIS__URL": servers.redis_url,
        "HUB__LOG__FORMAT": "json",
    }
    chosen = settings.Settings(data=settings.Data(dir=str(folder)))
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.Database(url=servers.database_url)))
        clinic = Clinic(database, load_keyring(chosen))
        await clinic.fill(appointments)
        schedulers = [Helper("schedule", folder / f"scheduler-{n}.log", environment) for n in range(SCHEDULERS)]
        for each in schedulers:
            stack.push_async_callback(each.end)
            await each.start()
        yield DueWorld(servers, schedulers, database.log, clinic)


@pytest.mark.timeout(1800)
async def test_every_reminder_fires_once_when_everything_breaks(data_folder: Path) -> None:
    """P6, P10: once each, never early, with its entries and notices, whoever is killed between two steps."""
    appointments = int(os.environ.get("HUB_CHAOS_REMINDERS", "3000")) // 3
    seed = int(os.environ.get("HUB_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    folder = data_folder / "due"
    folder.mkdir(mode=0o711)
    async with open_servers(folder / "data") as servers:
        await migrate(settings.Database(url=servers.database_url))
        async with open_due_world(folder, servers, appointments) as world:
            began = datetime.now(UTC)
            due = await world.clinic.remind(began + timedelta(seconds=5), WITHIN_S)
            faults = await break_things(world, random.Random(seed))
            healed = datetime.now(UTC)
            await all_fired(world)
            report = await check(world, appointments, healed)
    assert due == 3 * appointments
    print(f"chaos reminders={due} seed={seed} faults={dict(faults)} {report}")


async def break_things(world: DueWorld, dice: random.Random) -> Counter[str]:
    """A scheduler dies every few seconds; Valkey is flushed and killed, and PostgreSQL restarts twice."""
    faults: Counter[str] = Counter()
    until = asyncio.get_running_loop().time() + FAULTS_S
    turn = 0
    while asyncio.get_running_loop().time() < until:
        turn += 1
        await asyncio.sleep(dice.uniform(1.5, 4))
        if turn in (4, 10):
            await world.servers.postgres.stop()
            await world.servers.postgres.start()
            faults["postgres"] += 1
        elif turn % 5 == 0:
            await flush(world)
            faults["flush"] += 1
        elif turn % 7 == 0:
            await world.servers.valkey.kill()
            await world.servers.valkey.start()
            faults["valkey"] += 1
        else:
            scheduler = dice.choice(world.schedulers)
            scheduler.shoot()
            await scheduler.end()
            await scheduler.start()
            faults["scheduler"] += 1
    return faults


async def flush(world: DueWorld) -> None:
    url = httpx.URL(world.servers.redis_url)
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port)
    writer.write((f"AUTH {url.password}\r\n" if url.password else "").encode() + b"FLUSHALL\r\n")
    await reader.readline()
    writer.close()


async def all_fired(world: DueWorld) -> None:
    """Nothing is left to fire."""
    async with asyncio.timeout(QUIET_S):
        while True:
            try:
                if await world.pool.fetchval(_PENDING) == 0:
                    return
            except OUTAGE:
                pass
            await asyncio.sleep(0.2)


async def check(world: DueWorld, appointments: int, healed: datetime) -> str:
    """What must hold, whatever happened; the answer is the counts."""
    pool = world.pool
    states = {row["state"]: row["count"] for row in await pool.fetch(_STATES)}
    entries = {row["kind"]: (row["count"], row["apart"]) for row in await pool.fetch(_ENTRIES)}
    notices = await pool.fetchrow(_NOTICES)
    late = [row[0] for row in await pool.fetch(_LATE, healed)]

    assert states == {"fired": 3 * appointments}
    assert await pool.fetchval(_EARLY) == 0
    assert entries == {
        "care": (appointments, appointments),
        "inbox": (2 * appointments, 2 * appointments),
    }
    assert await pool.fetchval(_GAPS) == 0
    assert notices is not None
    assert tuple(notices) == (2 * appointments,) * 3
    caught_up_s = await pool.fetchval(_CAUGHT_UP, healed)
    return (
        f"caught up {caught_up_s:.2f} s after the last fault; of {len(late)} due afterwards "
        f"late p50={late[len(late) // 2]:.2f} p99={late[int(len(late) * 0.99)]:.2f} s"
    )
