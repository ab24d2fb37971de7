"""Rows of duties and schedulers. All by the clock of PostgreSQL: those of machines differ."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.schedule.model import Duty, Scheduler


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one scheduler did of a duty since it last told; moments as how many seconds ago they were."""

    name: str
    every_s: float
    began_ago: float
    ended_ago: float | None
    took_ms: float | None
    failed_ago: float | None
    error_kind: str
    runs: int


# In the order of names: two schedulers that write at once wait for each other, and never in a circle.
_NOTE = text("""
INSERT INTO schedule_duties AS d (name, every_s, began_at, ended_at, took_ms, failed_at, error_kind, runs)
SELECT r.name, r.every_s, statement_timestamp() - make_interval(secs => r.began_ago),
  statement_timestamp() - make_interval(secs => r.ended_ago), r.took_ms,
  statement_timestamp() - make_interval(secs => r.failed_ago), r.error_kind, r.runs
FROM unnest(CAST(:name AS text[]), CAST(:every_s AS float8[]), CAST(:began_ago AS float8[]), CAST(:ended_ago AS float8[]),
  CAST(:took_ms AS float8[]), CAST(:failed_ago AS float8[]), CAST(:error_kind AS text[]), CAST(:runs AS bigint[]))
  AS r(name, every_s, began_ago, ended_ago, took_ms, failed_ago, error_kind, runs)
ORDER BY r.name
ON CONFLICT (name) DO UPDATE SET every_s = excluded.every_s, began_at = greatest(d.began_at, excluded.began_at),
  ended_at = greatest(d.ended_at, excluded.ended_at), took_ms = coalesce(excluded.took_ms, d.took_ms),
  failed_at = greatest(d.failed_at, excluded.failed_at),
  error_kind = CASE WHEN excluded.error_kind <> '' THEN excluded.error_kind ELSE d.error_kind END, runs = d.runs + excluded.runs
""")
_SEE = text("""
INSERT INTO schedulers (id, name, started_at, seen_at)
VALUES (CAST(:id AS uuid), :name, statement_timestamp(), statement_timestamp())
ON CONFLICT (id) DO UPDATE SET seen_at = statement_timestamp()
""")
_LEAVE = text("DELETE FROM schedulers WHERE id = CAST(:id AS uuid)")
# Those that were killed, and duties that there are no more.
_FORGET = (
    text("DELETE FROM schedulers WHERE seen_at < statement_timestamp() - interval '1 day'"),
    text("DELETE FROM schedule_duties WHERE began_at < statement_timestamp() - interval '7 days'"),
)
_NOW = text("SELECT statement_timestamp()")
_DUTIES = text(
    "SELECT name, every_s, began_at, ended_at, took_ms, failed_at, error_kind, runs FROM schedule_duties ORDER BY name"
)
_SCHEDULERS = text("""
SELECT id::text, name, started_at, seen_at FROM schedulers
WHERE seen_at > statement_timestamp() - CAST(:alive AS interval) ORDER BY id
""")
_SILENT = text("""
SELECT EXTRACT(EPOCH FROM statement_timestamp() - max(ended_at))::float8 AS silent_s, statement_timestamp() AS now
FROM schedule_duties
""")


async def note(connection: AsyncConnection, scheduler: str, name: str, runs: Sequence[Run]) -> None:
    """One statement for all duties, and one that says the scheduler lives."""
    if runs:
        columns = {field: [getattr(run, field) for run in runs] for field in Run.__struct_fields__}
        await connection.execute(_NOTE, columns)
    await connection.execute(_SEE, {"id": scheduler, "name": name})


async def leave(connection: AsyncConnection, scheduler: str) -> None:
    await connection.execute(_LEAVE, {"id": scheduler})


async def forget(connection: AsyncConnection) -> int:
    return sum([(await connection.execute(statement)).rowcount for statement in _FORGET])


async def now(connection: AsyncConnection) -> datetime:
    found: datetime = (await connection.execute(_NOW)).scalar_one()
    return found


async def duties(connection: AsyncConnection) -> list[Duty]:
    return [Duty(**row._mapping) for row in await connection.execute(_DUTIES)]


async def schedulers(connection: AsyncConnection, alive: object) -> list[Scheduler]:
    """Those that were heard of within `alive`."""
    return [Scheduler(**row._mapping) for row in await connection.execute(_SCHEDULERS, {"alive": alive})]


async def silence(connection: AsyncConnection) -> tuple[float | None, datetime]:
    """For how many seconds no duty has ended well, None if none ever did; and the moment this was looked from."""
    row = (await connection.execute(_SILENT)).one()
    return row.silent_s, row.now
