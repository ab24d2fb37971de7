"""What somebody has read anywhere bothers them nowhere any more: notices end with the receipt, not with the next look at them.

Collected as receipts are. Whatever is lost here, by a kill or while PostgreSQL is away, the next look at the notice finds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import asyncpg
import structlog
from prometheus_client import Counter

from hub.messaging.retry import TRANSIENT
from hub.notices.bell import news_of
from hub.notices.inbox import standings_of
from hub.notices.news import News, Tell, untold

BATCH = 500
MOST = 50_000  # people and conversations that wait; beyond, what is forgotten here is found later
TOLD = 50  # notices of one person that their sockets are told of at once, the newest; each bears the same count

SEEN = Counter("hub_notices_seen_total", "Notices ended by a receipt of reading")

# While a worker holds a notice, it is the worker that finishes: what it sends now must be taken back by somebody who knows.
_SEE = f"""
WITH moved AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS t(user_id, conversation, read_seq)),
found AS (
  SELECT n.id FROM moved t JOIN notices n ON n.user_id = t.user_id AND n.conversation = t.conversation
    AND n.seen_at IS NULL AND n.state <> 'superseded' AND n.upto_seq <= t.read_seq
  ORDER BY n.id FOR NO KEY UPDATE OF n),
seen AS (
UPDATE notices n SET state = 'seen', reason = 'read', seen_at = clock_timestamp(), ended_at = coalesce(n.ended_at, clock_timestamp()),
  next_at = CASE WHEN n.lease IS NOT NULL THEN n.next_at
    WHEN EXISTS (SELECT FROM notice_attempts a WHERE a.notice = n.id) THEN clock_timestamp() END
FROM found WHERE n.id = found.id
RETURNING n.id, n.user_id, n.class, n.state, n.conversation, n.upto_seq, n.seen_at AS at),
who AS (SELECT DISTINCT user_id FROM seen), inbox AS ({standings_of("who")})
SELECT s.id::text, s.user_id::text, s.class, s.state, s.conversation::text, s.upto_seq, s.at,
  coalesce(i.unread, 0) AS unread, coalesce(i.version, 0) AS version
FROM seen s LEFT JOIN inbox i ON i.user_id = s.user_id ORDER BY s.id
"""  # noqa: S608 - constants only

log = structlog.get_logger("hub.notices")


class Withdrawals:
    """One per server process."""

    def __init__(self, pool: asyncpg.Pool, on_seen: Tell = untold) -> None:
        """`on_seen` is told of those that ended, after the commit; it must not wait."""
        self._pool = pool
        self._on_seen = on_seen
        self._read: dict[tuple[str, str], int] = {}
        self._wake = asyncio.Event()

    def note(self, user: str, conversation: str, read_seq: int) -> None:
        """This person has read up to here; committed. Never waits."""
        if len(self._read) < MOST:
            place = (user, conversation)
            self._read[place] = max(self._read.get(place, 0), read_seq)
            self._wake.set()

    async def run(self) -> None:
        """End notices for ever; run it under the supervisor."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._read:
                places = list(self._read)[:BATCH]
                await self._end({place: self._read.pop(place) for place in places})

    async def _end(self, read: dict[tuple[str, str], int]) -> None:
        users, conversations = zip(*read, strict=True)
        try:
            rows = await self._pool.fetch(_SEE, users, conversations, list(read.values()))
        except TRANSIENT:
            return  # the next look at each of them says the same
        except Exception:
            log.exception("notices not ended", count=len(read))
            return
        SEEN.inc(len(rows))
        if rows:
            self._on_seen(newest([news_of(row) for row in rows]))


def newest(news: Sequence[News], most: int = TOLD) -> list[News]:
    """The last `most` of each person, in their order."""
    by_user: dict[str, list[News]] = defaultdict(list)
    for each in news:
        by_user[each.user].append(each)
    return [each for mine in by_user.values() for each in mine[-most:]]
