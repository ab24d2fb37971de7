"""Writing down what came of notices, collected: whatever gathered while the last statement was out goes in the next."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter

from hub.messaging.retry import TRANSIENT
from hub.notices.decision import Mark, Note
from hub.notices.model import AttemptState, State
from hub.platform.identifier import new_id

BATCH = 500
PAUSE_S = 0.2
GIVE_UP = 100  # pauses: longer than any lease, so that what is not written then has been taken over

ENDED = Counter(
    "hub_notices_ended_total", "Notices that reached their end, by class and state", ["notice_class", "state"]
)
ATTEMPTS = Counter(
    "hub_notice_attempts_total", "Calls of providers, by channel and outcome", ["channel", "provider", "state"]
)

log = structlog.get_logger("hub.notices")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one call."""

    attempt: str
    channel: str
    provider: str
    state: AttemptState
    code: str = ""
    detail: str = ""
    provider_id: str = ""
    next_at: datetime | None = None
    receipt_until: datetime | None = None
    gone_address: str | None = None
    refund: tuple[str, str] | None = None
    """WeChat's quota that was not used after all: openid and template."""
    exhausted: tuple[str, str] | None = None
    """WeChat says that there is none left."""
    withdrawn: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker made of a notice that it holds. Without `end`, it is looked at again at `next_at`, None: at once."""

    notice: str
    class_: str
    lease: str
    claimed_at: datetime
    end: State | None = None
    reason: str = ""
    next_at: datetime | None = None
    upto_seq: int = 0
    """As it was claimed: what was decided is about the entries up to here."""
    begun: bool = False
    """A call was made, or a step passed over."""
    told: Sequence[Told] = ()
    notes: Sequence[Note] = ()
    marks: Sequence[Mark] = ()


# A receipt may have come before the answer of the call: what it said stays.
_TAKEN = (
    """(a.state IN ('leased', 'unknown', 'retry') OR (a.state = 'accepted' AND t.state IN ('delivered', 'dead')))"""
)
_ATTEMPTS = f"""
UPDATE notice_attempts a SET
  state = CASE WHEN {_TAKEN} THEN t.state ELSE a.state END,
  code = CASE WHEN t.code <> '' AND {_TAKEN} THEN t.code ELSE a.code END,
  detail = CASE WHEN t.detail <> '' AND {_TAKEN} THEN t.detail ELSE a.detail END,
  provider_id = CASE WHEN t.provider_id <> '' THEN t.provider_id ELSE a.provider_id END,
  settled_at = CASE WHEN t.withdrawn THEN a.settled_at ELSE clock_timestamp() END, next_at = t.next_at,
  receipt_until = coalesce(t.receipt_until, a.receipt_until),
  withdrawn_at = CASE WHEN t.withdrawn THEN clock_timestamp() ELSE a.withdrawn_at END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::boolean[])
  AS t(id, state, code, detail, provider_id, next_at, receipt_until, withdrawn)
WHERE a.id = t.id
"""  # noqa: S608 - constants only
_NOTES = """
INSERT INTO notice_attempts (id, notice, step, channel, state, code, settled_at)
SELECT id, notice, step, channel, state, code, clock_timestamp()
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[]) AS t(id, notice, step, channel, state, code)
ON CONFLICT DO NOTHING
"""
# A receipt that came while a worker was at it makes its decision stale: it is looked at again instead of ending or waiting.
# The claim's picture is a little older than its time, hence the margin.
_HEARD = "coalesce(n.heard_at > t.claimed_at - interval '50 ms', false)"
_END = f"CASE WHEN NOT {_HEARD} THEN t.state END"
# A notice that ended while a worker was at it, by being read, is looked at once more: something may be showing.
# Entries that joined while a worker was at it are not what it decided about: they get a notice of their own.
_NOTICES = f"""
WITH told AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::uuid[], $8::int[],
    $9::timestamptz[], $10::boolean[]) AS t(id, lease, state, reason, next_at, upto, successor, digest_s, claimed_at, begun)
), locked AS (
  SELECT n.id, n.upto_seq FROM notices n JOIN told t ON t.id = n.id AND n.lease = t.lease ORDER BY n.id FOR NO KEY UPDATE OF n
), moved AS (
  UPDATE notices n SET
    state = CASE WHEN n.state = 'open' THEN coalesce({_END}, n.state) ELSE n.state END,
    reason = CASE WHEN n.state = 'open' THEN CASE WHEN {_HEARD} THEN '' ELSE t.reason END ELSE n.reason END,
    begun = n.begun OR t.begun, lease = NULL,
    upto_seq = CASE WHEN n.derived AND (t.begun OR t.state IS NOT NULL) THEN least(n.upto_seq, t.upto) ELSE n.upto_seq END,
    next_at = CASE WHEN n.state <> 'open' AND t.state IS DISTINCT FROM n.state THEN clock_timestamp()
                   WHEN n.state = 'open' AND {_HEARD} THEN clock_timestamp()
                   WHEN t.state IS NULL THEN coalesce(t.next_at, clock_timestamp()) END,
    ended_at = CASE WHEN n.state = 'open' AND {_END} IS NOT NULL THEN clock_timestamp() ELSE n.ended_at END,
    seen_at = CASE WHEN n.state = 'open' AND {_END} = 'seen' THEN clock_timestamp() ELSE n.seen_at END,
    delivered_at = CASE WHEN n.state = 'open' AND {_END} = 'delivered' THEN coalesce(n.delivered_at, clock_timestamp())
                        ELSE n.delivered_at END
  FROM told t JOIN locked l ON l.id = t.id WHERE n.id = t.id AND n.lease = t.lease
  RETURNING n.*, t.successor, t.digest_s, l.upto_seq AS joined_seq
)
INSERT INTO notices (id, user_id, class, lane, shard, template, values, subject, conversation, first_seq, upto_seq, derived,
  dedupe_key, next_at, begins_at, expires_at)
SELECT successor, user_id, class, lane, shard, template, values, subject, conversation, upto_seq + 1, joined_seq, true,
  class || ':' || conversation || ':' || user_id || ':' || upto_seq + 1, at, at, at + (expires_at - begins_at)
FROM (
  SELECT m.*, greatest(CASE WHEN begun THEN created_at + make_interval(secs => digest_s) END, clock_timestamp()) AS at FROM moved m
  WHERE derived AND joined_seq > upto_seq) s
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants only
_GONE = "UPDATE notice_addresses SET gone_at = clock_timestamp(), gone_why = 'provider' WHERE id = ANY ($1::uuid[]) AND gone_at IS NULL"
_QUOTAS = """
UPDATE wechat_quotas q SET remaining = CASE WHEN t.give_back THEN q.remaining + 1 ELSE 0 END, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS t(openid, template, give_back)
WHERE q.openid = t.openid AND q.template = t.template
"""


class Recorder:
    """One per worker process; `run` it under the supervisor. Results wait without a bound of their own: those who submit have one."""

    def __init__(self, pool: asyncpg.Pool, digest_s: dict[str, int]) -> None:
        self._pool = pool
        self._digest_s = digest_s
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    def know(self, digest_s: dict[str, int]) -> None:
        """How often a conversation of each class may bother."""
        self._digest_s = digest_s

    async def submit(self, result: Result) -> None:
        """Returns when it is committed, or can be no more: then the lease ends, and another worker goes on from the database."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, future))
        self._wake.set()
        await asyncio.shield(future)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                try:
                    await self._write([result for result, _ in batch])
                finally:
                    for _, future in batch:
                        if not future.done():
                            future.set_result(None)

    async def _write(self, results: Sequence[Result]) -> None:
        for _ in range(GIVE_UP):
            try:
                await self._commit(results)
                _count(results)
                return
            except TRANSIENT:
                await asyncio.sleep(PAUSE_S)
            except Exception as error:
                await self._failed(results, error)
                return
        log.error("notices not written: PostgreSQL stayed away", notices=len(results))

    async def _failed(self, results: Sequence[Result], error: Exception) -> None:
        """One that cannot be written costs no other: each is tried alone. The error's text may quote a value: only its type is told."""
        if len(results) == 1:
            log.error("notice not written", notice=results[0].notice, error=type(error).__name__)
            return
        log.error("notices not written together", notices=len(results), error=type(error).__name__)
        for result in results:
            await self._write([result])

    async def _commit(self, results: Sequence[Result]) -> None:
        """Repeating it changes nothing: attempts end in the same states, and the lease is gone after the first time."""
        told = [told for result in results for told in result.told]
        async with self._pool.acquire() as connection, connection.transaction():
            if attempts := [*map(_attempt, told), *(_mark(mark) for result in results for mark in result.marks)]:
                # In one order everywhere, so that no two writers wait for each other.
                await connection.execute(_ATTEMPTS, *_columns(sorted(attempts)))
            if notes := [_note(result.notice, note) for result in results for note in result.notes]:
                await connection.execute(_NOTES, *_columns(notes))
            if quotas := sorted(_quotas(told)):
                await connection.execute(_QUOTAS, *_columns(quotas))
            if gone := sorted(each.gone_address for each in told if each.gone_address):
                await connection.execute(_GONE, gone)
            await connection.execute(_NOTICES, *_columns(sorted(self._notice(result) for result in results)))

    def _notice(self, result: Result) -> tuple[object, ...]:
        digest_s = self._digest_s.get(result.class_, 0)
        state = result.end.value if result.end else None
        told = (result.notice, result.lease, state, result.reason, result.next_at, result.upto_seq)
        return (*told, new_id(), digest_s, result.claimed_at, result.begun)


def _attempt(told: Told) -> tuple[object, ...]:
    return (
        told.attempt,
        told.state.value,
        told.code,
        told.detail,
        told.provider_id,
        told.next_at,
        told.receipt_until,
        told.withdrawn,
    )


def _mark(mark: Mark) -> tuple[object, ...]:
    return (mark.attempt, mark.state.value, mark.code, "", "", mark.next_at, mark.receipt_until, False)


def _note(notice: str, note: Note) -> tuple[object, ...]:
    return (new_id(), notice, note.step, note.channel, note.state.value, note.code)


def _quotas(told: Sequence[Told]) -> list[tuple[str, str, bool]]:
    given_back = [(*each.refund, True) for each in told if each.refund]
    return given_back + [(*each.exhausted, False) for each in told if each.exhausted]


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _count(results: Sequence[Result]) -> None:
    for result in results:
        if result.end is not None:
            ENDED.labels(result.class_, result.end.value).inc()
        for told in result.told:
            ATTEMPTS.labels(told.channel, told.provider, told.state.value).inc()
