"""Rows of timers. Statements take a moment to look from, or the database's own: the clocks of machines differ."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.identifier import new_id
from hub.timers.model import Backlog, Due, State, Timer

_NOW = "coalesce(CAST(:now AS timestamptz), statement_timestamp())"

_SET = text("""
INSERT INTO timers (id, kind, subject, key, revision, person, due_at, next_at, expires_at)
SELECT t.id, t.kind, t.subject, t.key, t.revision, t.person, t.due_at, t.due_at, t.expires_at
FROM unnest(CAST(:id AS uuid[]), CAST(:kind AS text[]), CAST(:subject AS uuid[]), CAST(:key AS text[]), CAST(:revision AS int[]),
  CAST(:person AS uuid[]), CAST(:due_at AS timestamptz[]), CAST(:expires_at AS timestamptz[]))
  AS t(id, kind, subject, key, revision, person, due_at, expires_at)
ON CONFLICT DO NOTHING
""")
# Those that are being fired now are waited for: whoever cancels sees afterwards whether they had fired. Locked in one order, so
# that two who end some of the same wait in one direction only.
_CANCEL = text("""
UPDATE timers SET state = 'cancelled', next_at = NULL, ended_at = statement_timestamp()
WHERE id = ANY (ARRAY(
  SELECT id FROM timers
  WHERE subject = ANY (CAST(:subjects AS uuid[])) AND kind = ANY (CAST(:kinds AS text[])) AND state = 'pending'
  ORDER BY id FOR UPDATE)) AND state = 'pending'
RETURNING id, kind, subject, key, revision, person, due_at, expires_at, attempts
""")
# In the same way; what has fired meanwhile stays.
_REMOVE = text("""
DELETE FROM timers WHERE id = ANY (ARRAY(
  SELECT id FROM timers
  WHERE subject = ANY (CAST(:subjects AS uuid[])) AND kind = ANY (CAST(:kinds AS text[])) AND state = 'pending'
    AND (CAST(:before AS int) IS NULL OR revision < CAST(:before AS int))
    AND (CAST(:keys AS text[]) IS NULL OR key = ANY (CAST(:keys AS text[])))
  ORDER BY id FOR UPDATE))
""")
# One that is too late is not handed out; it ends here. An array, not a join: for a join a plan for any :most reads the whole table.
_CLAIM = text(f"""
WITH due AS MATERIALIZED (
  SELECT id FROM timers WHERE kind = :kind AND next_at <= {_NOW} ORDER BY next_at LIMIT :most FOR UPDATE SKIP LOCKED
), ended AS (
  UPDATE timers t SET state = CASE WHEN t.expires_at <= {_NOW} THEN 'expired' ELSE 'fired' END,
    next_at = NULL, ended_at = {_NOW}
  WHERE t.id = ANY (ARRAY(SELECT id FROM due))
  RETURNING t.id, t.kind, t.subject, t.key, t.revision, t.person, t.due_at, t.expires_at, t.attempts, t.state
)
SELECT ended.*, {_NOW} AS now FROM ended ORDER BY due_at, id
""")  # noqa: S608 - a constant
_IS_DUE = "SELECT EXISTS (SELECT FROM timers WHERE kind = $1 AND next_at <= statement_timestamp())"
_VOID = text("UPDATE timers SET state = 'cancelled' WHERE id = ANY (CAST(:ids AS uuid[]))")
_PUT_BACK = text(f"""
UPDATE timers SET attempts = attempts + CAST(:failed AS int), error = :error, next_at = {_NOW} + :delay WHERE id = :id AND state = 'pending'
""")  # noqa: S608 - a constant
# Kinds are found by leaping along the index: a probe for each, however many timers wait. Counting what is due ends at :most.
_BACKLOG = text("""
WITH RECURSIVE kinds AS (
  (SELECT kind FROM timers WHERE next_at IS NOT NULL ORDER BY kind LIMIT 1)
  UNION ALL
  SELECT (SELECT t.kind FROM timers t WHERE t.next_at IS NOT NULL AND t.kind > k.kind ORDER BY t.kind LIMIT 1)
  FROM kinds k WHERE k.kind IS NOT NULL)
SELECT k.kind,
  (SELECT count(*) FROM (SELECT FROM timers t WHERE t.kind = k.kind AND t.next_at <= statement_timestamp() LIMIT :most) due) AS due,
  (SELECT t.next_at FROM timers t WHERE t.kind = k.kind AND t.next_at <= statement_timestamp() ORDER BY t.next_at LIMIT 1) AS oldest,
  (SELECT t.next_at FROM timers t WHERE t.kind = k.kind AND t.next_at > statement_timestamp() ORDER BY t.next_at LIMIT 1) AS next
FROM kinds k WHERE k.kind IS NOT NULL ORDER BY k.kind
""")
_FORGET = text("""
DELETE FROM timers WHERE id = ANY (ARRAY(
  SELECT id FROM timers WHERE ended_at < statement_timestamp() - make_interval(days => :days)
  ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED))
""")
_UPCOMING = text("""
SELECT id, kind, subject, key, revision, person, due_at, expires_at, attempts FROM timers
WHERE next_at IS NOT NULL AND next_at <= :until AND (expires_at IS NULL OR expires_at > :until)
  AND (CAST(:person AS uuid) IS NULL OR person = CAST(:person AS uuid))
ORDER BY due_at, id LIMIT :most
""").bindparams(bindparam("until", type_=TIMESTAMP(timezone=True)))


async def add(connection: AsyncConnection, timers: Sequence[Timer]) -> None:
    if timers:
        columns: Mapping[str, list[Any]] = {  # Any: columns of several types
            name: [getattr(timer, name) for timer in timers] for name in Timer.__struct_fields__
        }
        await connection.execute(_SET, {"id": [new_id() for _ in timers], **columns})


async def cancel(connection: AsyncConnection, kinds: Collection[str], subjects: Collection[str]) -> list[Due]:
    values = {"subjects": sorted(subjects), "kinds": sorted(kinds)}
    return [_due(row) for row in await connection.execute(_CANCEL, values)]


async def remove(
    connection: AsyncConnection,
    kinds: Collection[str],
    subjects: Collection[str],
    before: int | None,
    keys: Collection[str] | None,
) -> int:
    values = {"subjects": sorted(subjects), "kinds": sorted(kinds), "before": before}
    return (await connection.execute(_REMOVE, values | {"keys": None if keys is None else sorted(keys)})).rowcount


class Claimed(msgspec.Struct, frozen=True):
    """What one claim took, and the moment it looked from."""

    due: list[Due]
    expired: list[Due]
    now: datetime | None


async def claim(connection: AsyncConnection, kind: str, now: datetime | None, most: int) -> Claimed:
    """Mark those whose time has come as ended, in the caller's transaction; others pass them over meanwhile."""
    rows = (await connection.execute(_CLAIM, {"kind": kind, "now": now, "most": most})).all()
    due: list[Due] = []
    expired: list[Due] = []
    for row in rows:
        (expired if row.state == State.EXPIRED else due).append(_due(row))
    return Claimed(due, expired, rows[0].now if rows else None)


async def is_due(pool: asyncpg.Pool, kind: str) -> bool:
    """Whether a claim would find something, or somebody else is at it."""
    return bool(await pool.fetchval(_IS_DUE, kind))


async def void(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """They were claimed, but nothing is to happen any more."""
    await connection.execute(_VOID, {"ids": list(ids)})


async def put_back(
    connection: AsyncConnection, timer: str, now: datetime | None, delay: timedelta, error: str, *, failed: bool
) -> None:
    """One that could not be handled, after its claim was rolled back. `failed`: it counts as an attempt."""
    values = {"id": timer, "now": now, "delay": delay, "error": error[:500], "failed": failed}
    await connection.execute(_PUT_BACK, values)


async def backlog(connection: AsyncConnection, most: int) -> list[Backlog]:
    """Each kind with timers that wait; at most so many of each are counted."""
    return [Backlog(**row._mapping) for row in await connection.execute(_BACKLOG, {"most": most})]


async def upcoming(connection: AsyncConnection, until: datetime, person: str | None, most: int) -> list[Due]:
    """What would fire at `until`, the earliest first."""
    return [_due(row) for row in await connection.execute(_UPCOMING, {"until": until, "person": person, "most": most})]


async def forget(connection: AsyncConnection, days: int, most: int) -> int:
    """Delete some that ended so long ago, the oldest first; the answer is how many."""
    return (await connection.execute(_FORGET, {"days": days, "most": most})).rowcount


def _due(row: Any) -> Due:  # Any: a row of one of the statements above
    return Due(
        id=str(row.id),
        kind=row.kind,
        subject=str(row.subject),
        key=row.key,
        revision=row.revision,
        person=None if row.person is None else str(row.person),
        due_at=row.due_at,
        expires_at=row.expires_at,
        attempts=row.attempts,
    )
