"""Telling people's sockets that a notice of theirs has begun, with the unread count of their inbox.

Collected, and asked for after the commit: counts of one statement each are in one order, so that the newest can be told.
"""

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog

from hub.messaging.retry import TRANSIENT
from hub.notices.inbox import standings_of
from hub.notices.news import News, Tell
from hub.platform.clock import rfc3339

BATCH = 500
MOST = 10_000  # that wait; beyond, what is forgotten here shows in the next count

# `notify` makes the notice's dedupe key of the entry's client id and the person whose inbox it is.
_BEGUN = f"""
WITH begun AS MATERIALIZED (
  SELECT n.id, n.user_id, n.class, n.state, n.conversation, n.upto_seq, n.created_at AS at
  FROM unnest($1::text[], $2::uuid[]) AS t(client_id, conversation) JOIN conversations c ON c.id = t.conversation
  JOIN notices n ON n.dedupe_key = t.client_id || ':' || c.subject
), who AS (SELECT DISTINCT user_id FROM begun), inbox AS ({standings_of("who")})
SELECT b.id::text, b.user_id::text, b.class, b.state, b.conversation::text, b.upto_seq, b.at,
  coalesce(i.unread, 0) AS unread, coalesce(i.version, 0) AS version
FROM begun b LEFT JOIN inbox i ON i.user_id = b.user_id ORDER BY b.id
"""  # noqa: S608 - constants only

log = structlog.get_logger("hub.notices")


class Bell:
    """One per server process."""

    def __init__(self, pool: asyncpg.Pool, tell: Tell) -> None:
        self._pool = pool
        self._tell = tell
        self._begun: dict[tuple[str, str], None] = {}
        self._wake = asyncio.Event()

    def note(self, client_id: str, conversation: str) -> None:
        """The notice of this entry in an inbox begins; committed. Never waits."""
        if len(self._begun) < MOST:
            self._begun[client_id, conversation] = None
            self._wake.set()

    async def run(self) -> None:
        """Tell for ever; run it under the supervisor."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._begun:
                places = list(self._begun)[:BATCH]
                for place in places:
                    del self._begun[place]
                await self._look(places)

    async def _look(self, places: Sequence[tuple[str, str]]) -> None:
        client_ids, conversations = zip(*places, strict=True)
        try:
            rows = await self._pool.fetch(_BEGUN, client_ids, conversations)
        except TRANSIENT:
            return  # the welcome of the next hello has the count
        except Exception:
            log.exception("notices not told", count=len(places))
            return
        self._tell([news_of(row) for row in rows])


def news_of(row: asyncpg.Record) -> News:
    return News(
        notice=row["id"],
        user=row["user_id"],
        class_=row["class"],
        state=row["state"],
        conversation=row["conversation"],
        seq=row["upto_seq"],
        unread=row["unread"],
        version=row["version"],
        at=rfc3339(row["at"]),
    )
