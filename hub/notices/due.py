"""Which lanes and shards have notices that are due; how much waits, for readiness and metrics."""

from datetime import datetime, timedelta

import asyncpg
import msgspec

LANES = ("urgent", "normal", "bulk")
SHARDS = 64  # the most there can be: those made when there were more shards are found too

# A probe of the index for each lane and shard, whatever the backlog. With clock_timestamp(), which changes within a statement,
# the time would be no condition of the index, and every waiting notice would be read.
_OLDEST = """
SELECT l.lane, s.shard, o.next_at FROM unnest($1::text[]) AS l(lane), generate_series(0, $2 - 1) AS s(shard),
LATERAL (SELECT n.next_at FROM notices n WHERE n.lane = l.lane AND n.shard = s.shard AND n.next_at <= statement_timestamp()
  ORDER BY n.next_at LIMIT 1) o
"""

_WAITING = """
SELECT count(*) FROM (SELECT FROM notices
  WHERE next_at <= $1 AND ($2::uuid IS NULL OR user_id = $2) LIMIT $3) waiting
"""


class Backlog(msgspec.Struct, frozen=True):
    """Since when the longest waiting notice of a lane is due; lanes without one are left out."""

    lane: str
    oldest: datetime


async def due(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    """Lanes and shards with work."""
    return [(row["lane"], row["shard"]) for row in await pool.fetch(_OLDEST, list(LANES), SHARDS)]


async def unwoken(pool: asyncpg.Pool, lane: str, seconds: float) -> list[int]:
    """Shards of a lane with something that is due for so long, as if nobody had been woken for it."""
    rows = await pool.fetch(_OLDEST, [lane], SHARDS)
    now = await pool.fetchval("SELECT statement_timestamp()") if rows else None
    return [row["shard"] for row in rows if now - row["next_at"] > timedelta(seconds=seconds)]


async def backlog(pool: asyncpg.Pool) -> list[Backlog]:
    """How far behind each lane is."""
    oldest: dict[str, datetime] = {}
    for row in await pool.fetch(_OLDEST, list(LANES), SHARDS):
        oldest[row["lane"]] = min(oldest.get(row["lane"], row["next_at"]), row["next_at"])
    return [Backlog(lane, at) for lane, at in oldest.items()]


async def waiting(pool: asyncpg.Pool, at: datetime, person: str | None, most: int) -> int:
    """How many will be due at a moment, of one person or of all, counted up to `most`. For a person who asks, not for a sweep."""
    count: int = await pool.fetchval(_WAITING, at, person, most)
    return count
