"""`bench due`: how fast one scheduler turns timers that are due into entries and notices while ten million others wait, and what
a look costs when nothing is due.

The scheduler has the first core; PostgreSQL and Valkey have the second.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from bench.clinic import Clinic
from bench.meter import Cores, Meter
from bench.pace import percentile
from bench.report import number
from bench.target import Storage, child
from hub.platform import settings
from hub.platform.database import Database, open_database
from hub.security.keyring import load_keyring
from hub.timers.firing import Done, Firing

FUTURE = 10_000_000
PART = 500_000
APPOINTMENTS = 20_000  # three timers each
LOOKS = 1000
AIM_PER_S = 5000.0
AIM_LOOK_MS = 2.0
SETTLE_S = 300.0
KIND = "appointment_reminder"

_FUTURE = """
INSERT INTO timers (id, kind, subject, key, person, due_at, next_at)
SELECT gen_random_uuid(), 'appointment_reminder', gen_random_uuid(), '15', gen_random_uuid(), t.at, t.at
FROM generate_series(1, $1::int), LATERAL (SELECT now() + interval '1 day' + random() * interval '90 days' AS at) t
"""
_KEYS = """
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = 'timers'::regclass AND contype IN ('p', 'u')
"""
_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'timers' AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'timers'::regclass)
"""
_LEFT = "SELECT count(*) FROM timers WHERE next_at <= now()"
_SCHEDULERS = "SELECT count(*) FROM schedulers"
_NOTICES = "SELECT count(*) FROM notices"


class DueResult(msgspec.Struct, frozen=True, rename="camel"):
    """`per_s`: timers fired; two of three are a notice and an entry in an inbox, the third an entry in a conversation."""

    future: int
    per_s: float
    notices_per_s: float
    scheduler_share: float
    look_p50_ms: float
    look_p99_ms: float
    met: bool


def run(console: Console, cores: Cores) -> DueResult:
    """Fill, look, fire."""
    with Storage(cores) as storage:
        result = asyncio.run(_measure(console, storage, cores))
    show(console, result)
    return result


async def _measure(console: Console, storage: Storage, cores: Cores) -> DueResult:
    chosen = settings.Settings(data=settings.Data(dir=str(storage.folder)))
    async with open_database(settings.Database(url=storage.database_url, timeout_s=300)) as database:
        clinic = Clinic(database, load_keyring(chosen))
        console.print(f"{FUTURE:,} timers for later and {APPOINTMENTS:,} appointments …")
        await _fill(database.log)
        await clinic.fill(APPOINTMENTS)
        looks = await _looks(database)
        log = (storage.folder / "scheduler.log").open("wb")
        with log, child([sys.executable, "-m", "hub", "schedule"], _environment(storage), log, cores) as scheduler:
            meter = Meter({"scheduler": scheduler.pid})
            await _ready(database.log)
            console.print(f"a look p50 {percentile(looks, 0.5):.2f} ms; firing {3 * APPOINTMENTS:,} …")
            fired = await clinic.remind(datetime.now(UTC), 0)
            meter.start()
            took_s = await _all_fired(database.log)
            usage = meter.stop()
            notices: int = await database.log.fetchval(_NOTICES)
    p99 = percentile(looks, 0.99)
    return DueResult(
        future=FUTURE,
        per_s=fired / took_s,
        notices_per_s=notices / took_s,
        scheduler_share=usage.shares["scheduler"],
        look_p50_ms=percentile(looks, 0.5),
        look_p99_ms=p99,
        met=fired / took_s >= AIM_PER_S and percentile(looks, 0.5) <= AIM_LOOK_MS,
    )


async def _fill(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Timers for later; the indexes afterwards, which is ten times as fast."""
    async with pool.acquire() as connection:
        keys = await connection.fetch(_KEYS)
        indexes = await connection.fetch(_INDEXES)
        await connection.execute("SET maintenance_work_mem = '1GB'")
        for key in keys:
            await connection.execute(f"ALTER TABLE timers DROP CONSTRAINT {key['conname']}")
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for _ in range(0, FUTURE, PART):
            await connection.execute(_FUTURE, PART, timeout=300)
        for key in keys:
            await connection.execute(f"ALTER TABLE timers ADD {key['definition']}", timeout=300)
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=300)
        await connection.execute("VACUUM ANALYZE timers", timeout=300)


async def _looks(database: Database) -> list[float]:
    """Milliseconds of a look for what is due, when nothing is."""
    firing = Firing(database)
    firing.subscribe(KIND, lambda connection, due, now: _nothing())
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        assert await firing.fire(KIND) == 0
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _nothing() -> Done:
    return Done()


async def _ready(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """The scheduler has told of itself, and a second later its first sweeps are over."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            if await pool.fetchval(_SCHEDULERS):
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)


async def _all_fired(pool: "asyncpg.Pool[asyncpg.Record]") -> float:
    """Seconds until nothing is due any more."""
    began = time.monotonic()
    async with asyncio.timeout(SETTLE_S):
        while True:
            if not await pool.fetchval(_LEFT):
                return time.monotonic() - began
            await asyncio.sleep(0.05)


def _environment(storage: Storage) -> dict[str, str]:
    return dict(os.environ) | {
        "HUB__DATA__DIR": str(storage.folder),
        "HUB__DATABASE__URL": storage.database_url,
        "HUB__REDIS__URL": storage.redis_url,
        "HUB__LOG__LEVEL": "warning",
    }


def show(console: Console, result: DueResult) -> None:
    table = Table(
        title=f"due: one scheduler, {result.future:,} timers for later", title_justify="left", title_style="bold"
    )
    table.add_column("", no_wrap=True)
    table.add_column("hub", justify="right")
    table.add_column("aim", justify="right")
    rows = (
        ("timers fired/s, with what follows", number(result.per_s), f"≥ {AIM_PER_S:g}"),
        ("of them notices/s", number(result.notices_per_s), ""),
        ("the scheduler's share of its core meanwhile", f"{result.scheduler_share:.0%}", ""),
        ("a look when nothing is due, p50 ms", f"{result.look_p50_ms:.2f}", f"≤ {AIM_LOOK_MS:g}"),
        ("the same, p99 ms", f"{result.look_p99_ms:.2f}", ""),
    )
    for row in rows:
        table.add_row(*row)
    console.print(table)
