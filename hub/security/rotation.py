"""Which data keys still have to be wrapped with the current master key, and whether they may be. Wrapping them is the sealer's
business.

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

_TARGETS = "SELECT master_key FROM rotation_targets ORDER BY number"
_LOCK_TARGETS = "LOCK TABLE rotation_targets IN EXCLUSIVE MODE"
_AIM = """
INSERT INTO rotation_targets (master_key) SELECT w.master_key FROM unnest($1::text[]) WITH ORDINALITY AS w(master_key, place)
ORDER BY w.place ON CONFLICT DO NOTHING
"""


class OutdatedMasterKey(Exception):
    """This process seals with a master key that another has followed: it must be restarted with the newer one first."""


async def aim(connection: PoolConnectionProxy, current: str) -> None:
    """Data keys may be wrapped with `current`, in this transaction. Raises `OutdatedMasterKey`.

    A master key that was followed by another never comes back: otherwise two processes would undo each other's work for
    ever, and what the older one did last would be lost with its key. What wraps data keys without having been aimed at is
    older than the one that is seen for the first time.
    """
    targets = [row["master_key"] for row in await connection.fetch(_TARGETS)]
    if current not in targets:
        await connection.execute(_LOCK_TARGETS)
        others = [row["master_key"] for row in await connection.fetch(_OTHERS, current)]
        await connection.execute(_AIM, [*others, current])
        targets = [row["master_key"] for row in await connection.fetch(_TARGETS)]
    if targets[-1] != current:
        raise OutdatedMasterKey(f"master key {current} was followed by {targets[-1]}: put that first, or a new one")


async def take_stale(connection: PoolConnectionProxy, current: str, most: int) -> Sequence[asyncpg.Record]:
    """Some of them, locked until the transaction ends; those that another process is at are passed over."""
    others = await connection.fetch(_OTHERS, current)
    return await connection.fetch(_TAKE, [row["master_key"] for row in others], most) if others else ()


async def count_stale(pool: asyncpg.Pool, current: str, most: int) -> int:
    """How many there are, at most `most`."""
    others = await pool.fetch(_OTHERS, current)
    return await pool.fetchval(_COUNT, [row["master_key"] for row in others], most) if others else 0
