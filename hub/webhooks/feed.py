"""The SQL of the feed: what happened to notices, in an order in which nothing is skipped, however late it commits.

Triggers write the events with a number each (a0011). A number is given before the commit, so numbers below one that was
read may still come; neither they nor transaction ids say what is complete and in order. So whoever holds the head gives
positions to all that is committed and has none, in the order of the numbers. Two changes of one notice keep their order:
the second waited for the commit of the first, so it has the greater number and is never committed alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.webhooks.model import EVENTS, NAMED_ONLY, NoticeEvent

POSITIONS = 5000  # given in one transaction
SCANNED = 2000  # events looked at for one post, of which a webhook may want few
FORGOTTEN = 5000  # deleted in one transaction

_HEAD = text("SELECT upto FROM notice_event_head FOR UPDATE SKIP LOCKED")
# Its own statement, after the lock: its snapshot must hold what the last holder of the head wrote.
_PLACE = text("""
UPDATE notice_events e SET position = CAST(:upto AS bigint) + fresh.place FROM (
  SELECT number, row_number() OVER (ORDER BY number) AS place FROM (
    SELECT number FROM notice_events WHERE position IS NULL ORDER BY number LIMIT :most) oldest) fresh
WHERE e.number = fresh.number
""")
_MOVE_HEAD = text("UPDATE notice_event_head SET upto = upto + :count")
# `upto` is there also where no event is wanted: how far was looked. Those of a notice that is no more are not told.
_READ = text("""
WITH looked AS MATERIALIZED (
  SELECT position, notice, attempt, channel, state, code, at FROM notice_events
  WHERE position > :cursor ORDER BY position LIMIT :scanned)
SELECT far.upto, wanted.* FROM (SELECT max(position) AS upto FROM looked) far LEFT JOIN (
  SELECT looked.*, n.user_id, n.class AS class_, n.broadcast FROM looked JOIN notices n ON n.id = looked.notice
  WHERE coalesce(n.class = ANY (CAST(:classes AS text[])), n.class <> ALL (CAST(:named_only AS text[])))
  ORDER BY looked.position LIMIT :events) wanted ON true ORDER BY wanted.position
""")
_FORGET = text("""
DELETE FROM notice_events WHERE position IN (SELECT position FROM notice_events WHERE position <= (
    SELECT coalesce(min(w.cursor), min(h.upto)) FROM notice_event_head h LEFT JOIN notice_webhooks w ON w.enabled)
  ORDER BY position LIMIT :most)
""")


class Batch(NamedTuple):
    """Events to tell, and the position up to which nothing else is to be told."""

    events: list[NoticeEvent]
    upto: int


async def give_positions(database: Database) -> int:
    """To all that is committed; the answer is to how many. Does nothing while somebody else is at it."""
    given = 0
    while count := await _give_some(database):
        given += count
        if count < POSITIONS:
            break
    return given


async def _give_some(database: Database) -> int:
    async with database.transaction() as connection:
        upto = await connection.scalar(_HEAD)
        if upto is None:
            return 0
        count = (await connection.execute(_PLACE, {"upto": upto, "most": POSITIONS})).rowcount
        if count:
            await connection.execute(_MOVE_HEAD, {"count": count})
        return count


async def read(connection: AsyncConnection, cursor: int, classes: Sequence[str] | None) -> Batch | None:
    """What comes after the cursor; None at the end. `classes` None: all but those that must be named."""
    named_only = list(NAMED_ONLY)
    values = {"cursor": cursor, "classes": classes, "named_only": named_only, "scanned": SCANNED, "events": EVENTS}
    rows = (await connection.execute(_READ, values)).all()
    if rows[0].upto is None:
        return None
    events = [
        NoticeEvent(
            id=row.position,
            notice=str(row.notice),
            user=str(row.user_id),
            class_=row.class_,
            state=row.state,
            at=rfc3339(row.at),
            broadcast=None if row.broadcast is None else str(row.broadcast),
            channel=row.channel or None,
            attempt=None if row.attempt is None else str(row.attempt),
            code=row.code,
        )
        for row in rows
        if row.position is not None
    ]
    return Batch(events, events[-1].id if len(events) == EVENTS else rows[0].upto)


async def forget_told(database: Database) -> int:
    """Delete a batch of what every enabled webhook has been told; the answer is how many."""
    async with database.transaction() as connection:
        return (await connection.execute(_FORGET, {"most": FORGOTTEN})).rowcount
