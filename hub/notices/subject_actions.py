"""Ending the notices of something that somebody has taken over: whoever else was told of it need not be woken any more."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

TAKEN = "taken"

# As in `withdrawal`: while a worker holds a notice, it is the worker that finishes; what shows somewhere is taken back.
_SETTLE = text("""
WITH found AS (
  SELECT id FROM notices WHERE dedupe_key = ANY (CAST(:keys AS text[])) AND seen_at IS NULL
    AND (state = 'open' OR (user_id = CAST(:by AS uuid) AND state <> 'superseded'))
  ORDER BY id FOR NO KEY UPDATE)
UPDATE notices n SET state = CASE WHEN n.user_id = CAST(:by AS uuid) THEN 'seen' ELSE 'superseded' END,
  reason = CASE WHEN n.user_id = CAST(:by AS uuid) THEN 'acknowledged' ELSE :taken END,
  seen_at = CASE WHEN n.user_id = CAST(:by AS uuid) THEN clock_timestamp() END,
  ended_at = coalesce(n.ended_at, clock_timestamp()),
  next_at = CASE WHEN n.lease IS NOT NULL THEN n.next_at
    WHEN EXISTS (SELECT FROM notice_attempts a WHERE a.notice = n.id) THEN clock_timestamp() END
FROM found WHERE n.id = found.id
""")


async def settle(connection: AsyncConnection, told: Collection[tuple[str, str]], by: str | None) -> int:
    """End these, each named by its draft's dedupe key and its person: `by` has seen theirs, the others' are out of date.
    Without `by` they all are.

    In the caller's transaction, after anything that it appends. How many were ended.
    """
    keys = [f"{key}:{user}" for key, user in told]
    values = {"keys": sorted(keys), "by": by, "taken": TAKEN}
    return (await connection.execute(_SETTLE, values)).rowcount
