"""The SQL of receipts: which attempt one is of, writing down what it says, and what follows for the notice.

Attempts are locked before notices, as by those who write down what came of calls (`record`), so that neither waits for the other.
"""

from collections.abc import Mapping, Sequence

import msgspec
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.model import AttemptState
from hub.notices.receipt import WEIXIN, Word

CALL_S = 60  # a call that was begun longer ago has its answer written down, or its worker is dead

TAKEN = Counter(
    "hub_notice_receipts_total", "Receipts that settled an attempt, by provider and state", ["provider", "state"]
)

# Attempts are made with ids in the order of time (UUIDv7), so that "begun lately" is a range of the primary key.
_SINCE = """CAST(lpad(to_hex(CAST(extract(epoch FROM now() - make_interval(secs => :since_s)) * 1000 AS bigint)), 12, '0')
  || '70008000000000000000' AS uuid)"""
# One snapshot: an attempt whose id was not written down yet is seen as `leased`, or it is found by that id.
_FIND = text(f"""
SELECT t.number, coalesce(
  (SELECT a.id FROM notice_attempts a WHERE a.id = t.attempt AND a.provider = :provider),
  (SELECT a.id FROM notice_attempts a WHERE a.provider = :provider AND a.provider_id = t.provider_id AND a.provider_id <> ''
   ORDER BY a.id DESC LIMIT 1))::text AS attempt,
  EXISTS (SELECT FROM notice_attempts a WHERE a.id > {_SINCE} AND a.provider = :provider AND a.state = 'leased') AS is_early
FROM unnest(CAST(:numbers AS int[]), CAST(:attempts AS uuid[]), CAST(:ids AS text[])) AS t(number, attempt, provider_id)
""")  # noqa: S608 - a constant
# The condition holds also of the row as it is after waiting for its lock, when its id has just been written down.
_FIND_WECHAT = text("""
SELECT a.id::text FROM users u JOIN notices n ON n.user_id = u.id JOIN notice_attempts a ON a.notice = n.id
WHERE u.wechat_openid = :openid AND n.template = ANY (CAST(:templates AS text[]))
  AND n.expires_at > now() - make_interval(secs => :since_s)
  AND a.provider = :provider AND a.sent_at > now() - make_interval(secs => :since_s)
  AND ((:id <> '' AND a.provider_id = :id) OR (a.provider_id = '' AND a.state IN ('leased', 'unknown', 'accepted')))
ORDER BY a.id DESC LIMIT 1 FOR NO KEY UPDATE OF a
""")
# Nothing is taken back: what arrived has arrived, and what a provider refused was not on its way.
_SETTLE = text("""
WITH told AS (
  SELECT * FROM unnest(CAST(:attempts AS uuid[]), CAST(:states AS text[]), CAST(:codes AS text[]), CAST(:details AS text[]),
    CAST(:ids AS text[])) AS t(id, state, code, detail, provider_id)
), held AS (
  SELECT a.id FROM notice_attempts a JOIN told t ON t.id = a.id ORDER BY a.id FOR NO KEY UPDATE OF a)
UPDATE notice_attempts a SET state = t.state, code = t.code, detail = t.detail, settled_at = clock_timestamp(), next_at = NULL,
  provider_id = CASE WHEN a.provider_id = '' THEN t.provider_id ELSE a.provider_id END
FROM told t JOIN held h ON h.id = t.id
WHERE a.id = t.id AND a.sent_at IS NOT NULL AND a.state <> 'delivered'
  AND (t.state = 'delivered' OR a.state IN ('leased', 'accepted', 'unknown'))
RETURNING a.notice::text AS notice, a.provider, a.state
""")
_HOLD = text("SELECT FROM notices WHERE id = ANY (CAST(:notices AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
# While a worker holds the notice, it is the worker that goes on: it sees `heard_at` when it gives the notice back (`record`).
# An end becomes another one only where the ladder itself would have ended so, had it known.
_WAKE = text("""
WITH known AS (
  SELECT n.id, n.state AS was, a.received, a.code, CASE
    WHEN n.state IN ('unconfirmed', 'failed') AND a.received THEN 'delivered'
    WHEN n.state = 'unconfirmed' AND NOT a.hoped THEN 'failed' ELSE n.state END AS state
  FROM notices n, LATERAL (
    SELECT bool_or(a.state = 'delivered') AS received, bool_or(a.state IN ('leased', 'accepted', 'unknown')) AS hoped,
      (array_agg(a.code ORDER BY a.id DESC) FILTER (WHERE a.code <> ''))[1] AS code
    FROM notice_attempts a WHERE a.notice = n.id) a
  WHERE n.id = ANY (CAST(:notices AS uuid[])) AND n.state IN ('open', 'unconfirmed', 'failed'))
UPDATE notices n SET state = k.state,
  reason = CASE WHEN k.state = k.was THEN n.reason WHEN k.state = 'failed' THEN coalesce(k.code, 'refused') ELSE '' END,
  delivered_at = CASE WHEN k.received THEN coalesce(n.delivered_at, clock_timestamp()) ELSE n.delivered_at END,
  heard_at = clock_timestamp(),
  next_at = CASE WHEN k.was = 'open' AND n.lease IS NULL THEN least(n.next_at, clock_timestamp()) ELSE n.next_at END
FROM known k WHERE n.id = k.id
""")


class Found(msgspec.Struct, frozen=True):
    """Attempt → what is said of it. `early`: some are of no attempt, and may be of one whose id is about to be written down."""

    words: Mapping[str, Word]
    early: bool


async def find(connection: AsyncConnection, provider: str, words: Sequence[Word]) -> Found:
    """The attempts of these, all of one provider. Of two words about one attempt, that it arrived is the last."""
    numbers = list(range(len(words)))
    values = {
        "numbers": numbers,
        "attempts": [each.attempt for each in words],
        "ids": [each.provider_id for each in words],
    }
    rows = (await connection.execute(_FIND, {"provider": provider, "since_s": CALL_S, **values})).all()
    found: dict[str, Word] = {}
    for row in sorted(rows, key=lambda row: words[row.number].state is AttemptState.DELIVERED):
        if row.attempt is not None:
            found[row.attempt] = words[row.number]
    # Those that name their attempt are never early: it was written down before the call.
    nameless = any(row.attempt is None and row.is_early and words[row.number].attempt is None for row in rows)
    return Found(found, nameless)


async def find_wechat(
    connection: AsyncConnection, word: Word, openid: str, templates: Sequence[str], since_s: float
) -> str | None:
    """The newest message to this person, of these templates of ours, that this may be about: WeChat's own id of it is not known."""
    values = {"openid": openid, "templates": templates, "since_s": since_s, "provider": WEIXIN, "id": word.provider_id}
    attempt: str | None = (await connection.execute(_FIND_WECHAT, values)).scalar()
    return attempt


async def settle(connection: AsyncConnection, words: Mapping[str, Word]) -> None:
    """Write down what is said of these attempts, and let their notices go on at once. Saying it again changes nothing."""
    if not words:
        return
    told = sorted(words.items())
    columns = {
        "attempts": [attempt for attempt, _ in told],
        "states": [word.state.value for _, word in told],
        "codes": [word.code for _, word in told],
        "details": [word.detail for _, word in told],
        "ids": [word.provider_id for _, word in told],
    }
    rows = (await connection.execute(_SETTLE, columns)).all()
    if rows:
        notices = {"notices": sorted({row.notice for row in rows})}
        await connection.execute(_HOLD, notices)  # apart, so that the next statement sees them as they then are
        await connection.execute(_WAKE, notices)
    for row in rows:
        TAKEN.labels(row.provider, row.state).inc()
