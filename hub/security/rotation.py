"""Which data keys still have to be wrapped with the current master key. Wrapping them is the sealer's business.

Master keys are few: the ones in use are found by leaping along the index, so asking costs nothing when all is done.
"""

from collections.abc import Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

_OTHERS = """
WITH RECURSIVE used AS (
  (SELECT master_key FROM data_keys WHERE wrapped IS NOT NULL ORDER BY master_key LIMIT 1)
  UNION ALL
  SELECT (SELECT k.master_key FROM data_keys k WHERE k.wrapped IS NOT NULL AND k.master_key > u.master_key
    ORDER BY k.master_key LIMIT 1)
  FROM used u WHERE u.master_key IS NOT NULL)
SELECT master_key FROM used WHERE master_key <> $1
"""
_TAKE = """
SELECT id, subject, wrapped, master_key FROM data_keys WHERE wrapped IS NOT NULL AND master_key = ANY ($1::text[])
LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_COUNT = """
SELECT count(*) FROM (SELECT FROM data_keys WHERE wrapped IS NOT NULL AND master_key = ANY ($1::text[]) LIMIT $2) stale
"""


async def take_stale(connection: PoolConnectionProxy, current: str, most: int) -> Sequence[asyncpg.Record]:
    """Some of them, locked until the transaction ends; those that another process is at are passed over."""
    others = await connection.fetch(_OTHERS, current)
    return await connection.fetch(_TAKE, [row["master_key"] for row in others], most) if others else ()


async def count_stale(pool: asyncpg.Pool, current: str, most: int) -> int:
    """How many there are, at most `most`."""
    others = await pool.fetch(_OTHERS, current)
    return await pool.fetchval(_COUNT, [row["master_key"] for row in others], most) if others else 0
