"""Bringing notices that came to nothing to life again: what may be, and the statement that does it.

The ladder begins anew; but a step whose message was taken, or may have been by a channel that cannot tell a repetition, stands
as it is. What is put aside stays in the ledger, and is not read by workers any more, unless a late receipt says that it arrived.
"""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.ledger import Line
from hub.notices.model import State
from hub.platform.error import ErrorCode, Refusal

REVIVABLE = (State.FAILED, State.EXPIRED, State.UNCONFIRMED, State.SUPPRESSED)
REPEATABLE = (
    "webpush",
)  # a second message replaces the first; WeCom tells a repetition for half an hour only, WeChat by its quota
BATCH = 200  # of one transaction

# In the order of ids, so that two retries do not wait for each other crosswise. The lease: a worker is just taking back what shows.
# Of a conversation's derived notices one is open at a time: the newest, and none while another is.
_REVIVE = sa.text("""
WITH held AS (
  SELECT n.id, n.user_id, n.conversation, n.class, n.derived FROM notices n
  WHERE n.id = ANY (CAST(:notices AS uuid[])) AND n.state = ANY (CAST(:states AS text[])) AND n.lease IS NULL
  ORDER BY n.id FOR UPDATE SKIP LOCKED
), chosen AS (
  SELECT h.id, h.class FROM held h WHERE NOT h.derived OR (
    NOT EXISTS (SELECT FROM held l WHERE l.derived AND l.user_id = h.user_id AND l.conversation = h.conversation AND l.class = h.class
      AND l.id > h.id)
    AND NOT EXISTS (SELECT FROM notices o WHERE o.user_id = h.user_id AND o.conversation = h.conversation AND o.class = h.class
      AND o.state = 'open' AND o.derived))
), steps AS (
  SELECT a.notice, a.step, bool_or(a.state IN ('accepted', 'delivered')) AS taken,
    bool_or(a.state IN ('unknown', 'leased') AND a.channel <> ALL (CAST(:repeatable AS text[]))) AS doubtful
  FROM notice_attempts a JOIN chosen c ON c.id = a.notice WHERE a.aside = 0 GROUP BY a.notice, a.step
), put_aside AS (
  UPDATE notice_attempts a SET aside = 1 + (SELECT max(p.aside) FROM notice_attempts p WHERE p.notice = s.notice)
  FROM steps s WHERE a.notice = s.notice AND a.step = s.step AND a.aside = 0 AND NOT s.taken AND NOT (s.doubtful AND NOT :force)
), revived AS (
  UPDATE notices n SET state = 'open', reason = '', ended_at = NULL, next_at = clock_timestamp(), begins_at = clock_timestamp(),
    expires_at = CASE WHEN n.expires_at > clock_timestamp() THEN n.expires_at
      ELSE clock_timestamp() + make_interval(secs => coalesce(k.expires_s, CAST(:expires_s AS int))) END
  FROM chosen c LEFT JOIN unnest(CAST(:codes AS text[]), CAST(:lives_s AS int[])) AS k(code, expires_s) ON k.code = c.class
  WHERE n.id = c.id RETURNING n.id
)
SELECT r.id::text, (SELECT count(*) FROM steps s WHERE s.notice = r.id AND s.doubtful AND NOT s.taken AND NOT :force) AS left_alone
FROM revived r
""")
_FIND = """
SELECT n.id::text FROM notices n WHERE n.state = :state AND n.id >= CAST(:since AS uuid) AND n.id > CAST(:after AS uuid) {more}
ORDER BY n.id LIMIT :most
"""


class Revived(msgspec.Struct, frozen=True):
    """How many live again, and how many steps of theirs stay as they are because nobody knows whether they arrived."""

    notices: int = 0
    left_alone: int = 0

    def __add__(self, other: "Revived") -> "Revived":
        return Revived(self.notices + other.notices, self.left_alone + other.left_alone)


def check_revivable(line: Line) -> None:
    """A conflict for one that is under way, or has reached somebody."""
    if line.state not in REVIVABLE:
        raise Refusal(
            ErrorCode.CONFLICT, f"notice_is_{line.state.value}", fields={"state": f"notice_is_{line.state.value}"}
        )


async def revive(
    connection: AsyncConnection, notices: Sequence[str], lives_s: Mapping[str, int], *, force_unknown: bool
) -> Revived:
    """Those of these that may be; `lives_s`: how long a notice of each class lives. A sweep wakes workers for them. One statement."""
    values = {
        "notices": list(notices),
        "states": [each.value for each in REVIVABLE],
        "repeatable": list(REPEATABLE),
        "force": force_unknown,
        "codes": list(lives_s),
        "lives_s": list(lives_s.values()),
        "expires_s": lives_s["system"],
    }
    rows = (await connection.execute(_REVIVE, values)).all()
    return Revived(len(rows), sum(row.left_alone for row in rows))


async def dead(connection: AsyncConnection, state: State, class_: str | None, since: str, after: str) -> list[str]:
    """The next ids in this state, of `since` or later and behind `after`, in their order; at most `BATCH`."""
    values = {"state": state.value, "since": since, "after": after, "most": BATCH}
    more = "" if class_ is None else "AND n.class = :class_"
    statement = sa.text(_FIND.format(more=more))
    rows = await connection.execute(statement, values if class_ is None else {**values, "class_": class_})
    return [row.id for row in rows]
