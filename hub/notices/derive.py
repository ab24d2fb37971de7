"""The sweep that finds what nobody received: entries past the grace of their class that some member's cursor does not cover (P9).

Nothing is kept per recipient while messages are sent; who lacks an entry is derived here, from cursors.
"""

from datetime import datetime, timedelta

import asyncpg

from hub.messaging.model import SYSTEM
from hub.notices.draft import shard_of
from hub.notices.notice_class import NoticeClass
from hub.notices.store import TOLD_TYPES
from hub.platform.identifier import new_id

OVERLAP_S = 2.0  # a commit may come after the time of its entry: usually at once
MOST = 5000  # notices of one statement
PIECE = timedelta(minutes=1)  # of the log in one transaction: after an outage there may be days of it
STUCK = timedelta(seconds=30)  # a piece that cannot be finished for so long must not hold up all that came after it
PIECES = 100  # of one sweep

_LOOK = "SELECT at, wide_at, clock_timestamp() AS now FROM notice_marks WHERE class = $1 FOR UPDATE SKIP LOCKED"
_FIRST = """
INSERT INTO notice_marks (class, at, wide_at) VALUES ($1, clock_timestamp() - make_interval(secs => $2), clock_timestamp())
ON CONFLICT DO NOTHING
"""
_MOVE = "UPDATE notice_marks SET at = $2, wide_at = $3 WHERE class = $1"

# `recent` reads the end of each partition through the BRIN index; the rest is by primary key. Until a ladder
# begins, later entries join its notice; soon after one that the person did not react to, the next waits for the digest window.
_LACKING = """
WITH recent AS MATERIALIZED (
  SELECT e.conversation, max(e.seq) AS upto FROM entries e
  WHERE e.created_at > $1 AND e.created_at <= $2 AND e.type = ANY ($3) AND (e.sender = $4::uuid) = $5 AND e.recalled_by IS NULL
  GROUP BY e.conversation
), lacking AS (
  SELECT m.user_id, r.conversation, r.upto, greatest(CASE WHEN $6 THEN m.read_seq ELSE m.delivered_seq END, m.from_seq - 1) AS had
  FROM recent r JOIN conversations c ON c.id = r.conversation AND c.kind IN ('direct', 'care', 'group')
  JOIN members m ON m.conversation = r.conversation AND m.to_seq IS NULL AND NOT m.muted
  WHERE CASE WHEN $6 THEN m.read_seq ELSE m.delivered_seq END < r.upto
)
SELECT l.user_id::text, l.conversation::text, e.first, e.last, e.at,
  CASE WHEN n.state = 'open' AND NOT n.begun THEN n.id::text END AS open,
  CASE WHEN n.begun AND n.state IN ('open', 'unconfirmed', 'failed') THEN n.created_at END AS bothered
FROM lacking l
LEFT JOIN LATERAL (
  SELECT id, state, begun, upto_seq, created_at FROM notices n
  WHERE n.user_id = l.user_id AND n.conversation = l.conversation AND n.class = $7 AND n.derived ORDER BY n.id DESC LIMIT 1) n ON true
JOIN LATERAL (
  SELECT min(e.seq) AS first, max(e.seq) AS last, min(e.created_at) AS at FROM entries e
  WHERE e.conversation = l.conversation AND e.seq > greatest(l.had, coalesce(n.upto_seq, 0)) AND e.seq <= l.upto
    AND e.sender <> l.user_id AND e.type = ANY ($3) AND (e.sender = $4::uuid) = $5 AND e.recalled_by IS NULL) e ON e.first IS NOT NULL
"""
_JOIN = """
WITH joined AS (
  SELECT n.id, t.upto FROM unnest($1::uuid[], $2::bigint[]) AS t(id, upto) JOIN notices n ON n.id = t.id
  ORDER BY n.id FOR NO KEY UPDATE OF n)
UPDATE notices n SET upto_seq = greatest(n.upto_seq, j.upto) FROM joined j
WHERE n.id = j.id AND n.state = 'open' AND NOT n.begun RETURNING n.id
"""
_INSERT = """
INSERT INTO notices (id, user_id, class, lane, shard, template, subject, conversation, first_seq, upto_seq, derived, dedupe_key,
  next_at, begins_at, expires_at)
SELECT t.id, t.user_id, $1, $2, t.shard, $3, 'conversation:' || t.conversation, t.conversation, t.first, t.last, true,
  $1 || ':' || t.conversation || ':' || t.user_id || ':' || t.first, t.at, t.at, t.entered_at + make_interval(secs => $4)
FROM unnest($5::uuid[], $6::uuid[], $7::int[], $8::uuid[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::timestamptz[])
  AS t(id, user_id, shard, conversation, first, last, at, entered_at)
ON CONFLICT DO NOTHING RETURNING shard
"""


async def derive(pool: asyncpg.Pool, chosen: NoticeClass, shards: int, late_s: float) -> set[tuple[str, int]]:
    """Make the notices of this class that are due; the answer is the lanes and shards that now have work.

    One sweeper at a time for a class. An outage is made up for piece by piece, from where the last sweep stopped. What commits
    up to `late_s` after the time of its entry is found.
    """
    woken: set[tuple[str, int]] = set()
    for _ in range(PIECES):
        due, is_done = await _piece(pool, chosen, shards, late_s)
        woken |= {(chosen.lane, shard) for shard in due}
        if is_done:
            break
    return woken


async def _piece(pool: asyncpg.Pool, chosen: NoticeClass, shards: int, late_s: float) -> tuple[set[int], bool]:
    """Entries of at most `PIECE`; the shards with work, and whether nothing older is left."""
    async with pool.acquire() as connection, connection.transaction():
        mark = await connection.fetchrow(_LOOK, chosen.code)
        if mark is None:
            await connection.execute(_FIRST, chosen.code, chosen.grace_s + late_s)
            return set(), True
        now, is_wide = mark["now"], mark["now"] - mark["wide_at"] > timedelta(seconds=late_s / 2)
        latest = now - timedelta(seconds=chosen.grace_s)
        until = min(latest, mark["at"] + PIECE)
        since = min(mark["at"], until) - timedelta(seconds=2 * late_s if is_wide else OVERLAP_S)
        rows = await connection.fetch(_LACKING, since, until, *_which(chosen))
        due, is_whole = await _make(connection, chosen, shards, now, rows)
        is_done = is_whole or latest - mark["at"] > STUCK
        at = max(mark["at"], until) if is_done else mark["at"]
        await connection.execute(_MOVE, chosen.code, at, now if is_wide and is_done else mark["wide_at"])
    return due, until >= latest or not is_done


def _which(chosen: NoticeClass) -> tuple[object, ...]:
    """What of the log concerns this class: what people write, or the hub's own cards; received, or read."""
    is_order = chosen.code == "order"
    until_read = any(step.unless == "read" for step in chosen.ladder)
    return list(TOLD_TYPES), SYSTEM, is_order, until_read, chosen.code


async def _make(
    connection: asyncpg.pool.PoolConnectionProxy,
    chosen: NoticeClass,
    shards: int,
    now: datetime,
    rows: list[asyncpg.Record],
) -> tuple[set[int], bool]:
    """The shards with work; and False where a ladder began just now, so that the entry must be looked at once more."""
    joining = [(row["open"], row["last"]) for row in rows if row["open"]]
    joined = await connection.fetch(_JOIN, *map(list, zip(*joining, strict=True))) if joining else []
    digest = timedelta(seconds=chosen.digest_s)
    fresh = [
        (
            new_id(),
            row["user_id"],
            shard_of(row["user_id"], shards),
            row["conversation"],
            row["first"],
            row["last"],
            now if row["bothered"] is None else max(now, row["bothered"] + digest),
            row["at"],
        )
        for row in rows
        if not row["open"]
    ]
    due: set[int] = set()
    made = 0
    for start in range(0, len(fresh), MOST):
        columns = map(list, zip(*fresh[start : start + MOST], strict=True))
        fixed = (chosen.code, chosen.lane, chosen.template, chosen.grace_s + chosen.expires_s)
        inserted = await connection.fetch(_INSERT, *fixed, *columns)
        due.update(row["shard"] for row in inserted)
        made += len(inserted)
    return due, len(joined) == len(joining) and made == len(fresh)
