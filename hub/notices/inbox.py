"""Where somebody's inbox stands: how many entries they have not read, with a version by which an older answer is told from a newer one."""

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.history import UNREAD_MOST

# Head and read mark only rise, and a statement sees both at one moment: of two answers the one with the greater sum is the newer,
# and equal sums are the same answer. Counted as the heads of a welcome are. Not to be asked within a transaction that writes an entry:
# it would count its own before anybody else does.
_STANDING = f"""
SELECT w.user_id, c.head + m.read_seq AS version,
  (SELECT count(*) FROM (
     SELECT FROM entries e WHERE e.conversation = c.id AND e.seq > greatest(m.read_seq, m.from_seq - 1) AND e.seq <= c.head
       AND e.sender <> w.user_id LIMIT {UNREAD_MOST}) counted) AS unread
FROM {{who}} w JOIN conversations c ON c.direct_key = 'inbox:' || w.user_id
JOIN members m ON m.conversation = c.id AND m.user_id = w.user_id
"""  # noqa: S608 - constants only


def standings_of(who: str) -> str:
    """The statement for the people in the column `user_id` of `who`."""
    return _STANDING.format(who=who)


_MINE = text(standings_of("(SELECT CAST(:user AS uuid) AS user_id)"))


class Standing(msgspec.Struct, frozen=True):
    """`unread` is exact up to a thousand."""

    unread: int = 0
    version: int = 0


async def standing(connection: AsyncConnection, user: str) -> Standing:
    """One statement. Who was never told anything has no inbox, and nothing unread."""
    row = (await connection.execute(_MINE, {"user": user})).first()
    return Standing() if row is None else Standing(row.unread, row.version)
