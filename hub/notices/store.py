"""The statements of the workers: claim what is due, begin calls, write down what came of them. Hand-written SQL, many notices at once.

A lease is a fence: who lost it changes nothing of the notice any more. Times are the database's.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from channels.port import Address
from hub.messaging.model import SYSTEM
from hub.notices.decision import Send
from hub.notices.model import (
    Attempt,
    ClassPreference,
    Notice,
    Person,
    QuietHours,
    State,
)
from hub.platform.identifier import new_id

TOLD_TYPES = ("text", "image", "voice", "file", "card")
COUNT_MOST = 100  # 99+ is what people read
TEXTS_FROM = timedelta(days=8)  # a notice made earlier has sent its text messages long ago

_CLAIM = f"""
WITH due AS (
  SELECT id FROM notices WHERE lane = $1 AND shard = $2 AND next_at <= statement_timestamp()
  ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE notices n SET lease = $4, next_at = clock_timestamp() + make_interval(secs => $5) FROM due WHERE n.id = due.id
  RETURNING n.*)
SELECT t.id::text, t.user_id::text AS user, t.class AS class_, t.lane, t.shard, t.template, t.values, t.subject,
  t.conversation::text, t.first_seq, t.upto_seq, t.derived, t.state, t.begins_at, t.expires_at, t.delivered_at,
  t.created_at, t.broadcast IS NOT NULL AND coalesce(b.state NOT IN ('running', 'done'), true) AS held, clock_timestamp() AS now,
  u.status = 'active' AS active, u.phone, u.wechat_openid, p.language, p.timezone, p.quiet, p.classes -> t.class AS preference,
  t.conversation IS NULL OR (m.user_id IS NOT NULL AND m.to_seq IS NULL) AS member,
  coalesce(m.delivered_seq, 0) AS delivered_seq, coalesce(m.read_seq, 0) AS read_seq,
  coalesce(m.muted, false) AS muted, c.unread, c.total, s.texts_today, s.texted,
  ARRAY(SELECT c.purpose FROM consents c WHERE c.user_id = t.user_id AND c.withdrawn_at IS NULL) AS consents,
  (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'channel', a.channel, 'value', a.value, 'extra', a.extra))
   FROM notice_addresses a LEFT JOIN sessions s ON s.id = a.session_id
   WHERE a.user_id = t.user_id AND a.gone_at IS NULL AND a.verified
     AND (a.session_id IS NULL OR (s.revoked_at IS NULL AND s.expires_at > clock_timestamp()))) AS addresses,
  (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'step', a.step, 'channel', a.channel, 'provider', a.provider,
     'address', a.address, 'number', a.number, 'state', a.state, 'code', a.code, 'provider_id', a.provider_id,
     'sent_at', a.sent_at, 'next_at', a.next_at, 'receipt_until', a.receipt_until, 'withdrawn_at', a.withdrawn_at)
     ORDER BY a.id) FROM notice_attempts a
   WHERE a.notice = t.id AND (a.aside = 0 OR a.state = 'delivered')) AS attempts,
  (SELECT jsonb_object_agg(q.template, q.remaining) FROM wechat_quotas q WHERE q.openid = u.wechat_openid) AS quotas
FROM taken t JOIN users u ON u.id = t.user_id
LEFT JOIN members m ON m.conversation = t.conversation AND m.user_id = t.user_id
LEFT JOIN notice_preferences p ON p.user_id = t.user_id
LEFT JOIN broadcasts b ON b.id = t.broadcast
CROSS JOIN LATERAL (
  SELECT count(*) AS total, count(*) FILTER (WHERE e.seq >= t.first_seq) AS unread FROM (
    SELECT e.seq FROM entries e WHERE e.conversation = t.conversation AND e.seq <= t.upto_seq AND e.recalled_by IS NULL
      AND e.seq > CASE WHEN t.derived THEN m.read_seq ELSE t.upto_seq - 1 END
      AND (NOT t.derived OR (e.sender <> t.user_id AND e.type = ANY ($6) AND (e.sender = $7::uuid) = (t.class = 'order')))
    ORDER BY e.seq DESC LIMIT {COUNT_MOST}) e) c
CROSS JOIN LATERAL (
  SELECT count(*) AS texts_today, coalesce(bool_or(o.conversation = t.conversation AND o.id <> t.id), false) AS texted
  FROM notices o JOIN notice_attempts a ON a.notice = o.id
  WHERE t.class = ANY ($8) AND o.user_id = t.user_id AND o.id > $9 AND a.channel = 'sms'
    AND a.sent_at > statement_timestamp() - interval '1 day') s
"""  # noqa: S608 - constants only

# The last look before a call: not seen, not received where that is enough, still a member with this address, no broadcast
# that is held, and the lease still ours (P5, P8).
_BEGIN = """
WITH wanted AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[],
    $9::text[], $10::text[]) AS w(id, notice, step, channel, provider, address, number, unless, openid, template)
), allowed AS (
  SELECT w.* FROM wanted w JOIN notices n ON n.id = w.notice AND n.state = 'open' AND n.lease = $11
  JOIN users u ON u.id = n.user_id AND u.status = 'active'
  LEFT JOIN members m ON m.conversation = n.conversation AND m.user_id = n.user_id
  LEFT JOIN broadcasts b ON b.id = n.broadcast
  WHERE (n.broadcast IS NULL OR b.state IN ('running', 'done')) AND (n.conversation IS NULL OR (m.to_seq IS NULL AND m.read_seq < n.upto_seq
      AND (w.unless = 'read' OR m.delivered_seq < n.upto_seq)))
    AND (w.channel IN ('wechat', 'sms') OR EXISTS (
      SELECT FROM notice_addresses a LEFT JOIN sessions s ON s.id = a.session_id
      WHERE a.id::text = w.address AND a.user_id = n.user_id AND a.gone_at IS NULL
        AND (a.session_id IS NULL OR (s.revoked_at IS NULL AND s.expires_at > clock_timestamp()))))
), wanting AS (
  SELECT openid, template, count(*) AS calls FROM allowed WHERE openid <> '' GROUP BY openid, template
), quota AS (
  SELECT q.openid, q.template, w.calls FROM wechat_quotas q JOIN wanting w ON w.openid = q.openid AND w.template = q.template
  ORDER BY q.openid, q.template FOR NO KEY UPDATE OF q
), spent AS (
  UPDATE wechat_quotas q SET remaining = greatest(q.remaining - u.calls, 0), updated_at = clock_timestamp()
  FROM quota u WHERE q.openid = u.openid AND q.template = u.template
)
INSERT INTO notice_attempts (id, notice, step, channel, provider, address, number, state, sent_at)
SELECT id, notice, step, channel, provider, address, number, 'leased', clock_timestamp() FROM allowed
ON CONFLICT DO NOTHING RETURNING id::text, sent_at
"""


log = structlog.get_logger("hub.notices")

P = TypeVar("P", QuietHours, ClassPreference)


class Claimed(msgspec.Struct, frozen=True):
    """A notice that this worker holds, with all that its next step depends on."""

    notice: Notice
    person: Person
    attempts: list[Attempt]
    now: datetime
    lease: str


async def claim(
    pool: asyncpg.Pool, lane: str, shard: int, limit: int, lease_s: float, texting: Sequence[str] = ()
) -> list[Claimed]:
    """Hold up to `limit` notices that are due, the longest due first. Nobody else gets them until the lease ends. One statement.

    `texting`: the classes whose ladder has SMS, for which the person's text messages of a day are counted. A row that cannot
    be read is logged and left out: it is looked at again when its lease ends.
    """
    lease = new_id()
    fixed = (list(TOLD_TYPES), SYSTEM, list(texting), _id_before(TEXTS_FROM))
    rows = await pool.fetch(_CLAIM, lane, shard, limit, lease, lease_s, *fixed)
    claimed = []
    for row in rows:
        try:
            claimed.append(_claimed(row, lease))
        except Exception as error:  # of a newer version, say: it must not cost its neighbours their turn
            log.error("notice not readable", notice=row["id"], error=type(error).__name__)
    return claimed


async def begin(
    pool: asyncpg.Pool, lease: str, calls: Sequence[tuple[str, str, Send, str, str]]
) -> Mapping[str, datetime]:
    """Write down that these calls are about to be made: (attempt, notice, send, openid, template). The answer is those that
    still may be, with the time; WeChat's quota is spent with them. One statement."""
    if not calls:
        return {}
    rows = [
        (
            attempt,
            notice,
            send.step,
            send.channel,
            send.provider,
            send.address.id,
            send.number,
            send.unless,
            openid,
            template,
        )
        for attempt, notice, send, openid, template in calls
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {row["id"]: row["sent_at"] for row in await pool.fetch(_BEGIN, *columns, lease)}


def _id_before(age: timedelta) -> str:
    """What ids of rows made since then are greater than: they begin with the time (RFC 9562, section 5.7)."""
    millis = int((time.time() - age.total_seconds()) * 1000)
    return str(UUID(int=millis << 80))


def _claimed(row: asyncpg.Record, lease: str) -> Claimed:
    fields = {name: row[name] for name in Notice.__struct_fields__}
    notice = Notice(**{**fields, "state": State(row["state"])})
    attempts = [msgspec.convert(each, Attempt) for each in row["attempts"] or ()]
    return Claimed(notice, _person(row), attempts, row["now"], lease)


def _person(row: asyncpg.Record) -> Person:
    return Person(
        active=row["active"],
        member=row["member"],
        muted=row["muted"],
        delivered_seq=row["delivered_seq"],
        read_seq=row["read_seq"],
        # Who speaks of no conversation speaks of one thing.
        unread=row["unread"] if row["conversation"] else 1,
        total=row["total"] if row["conversation"] else 1,
        language=row["language"] or "zh",
        timezone=row["timezone"] or "Asia/Shanghai",
        quiet=_preferred(row["quiet"], QuietHours),
        preference=_preferred(row["preference"], ClassPreference) or ClassPreference(),
        consents=frozenset(row["consents"]),
        addresses=_addresses(row),
        texted=row["texted"],
        texts_today=row["texts_today"],
    )


def _preferred(value: object, shape: type[P]) -> P | None:
    """What somebody prefers; what this process cannot read of it, because a newer one wrote it, is as if never said."""
    try:
        return None if value is None else msgspec.convert(value, shape)
    except msgspec.ValidationError:
        log.error("preference not readable", kind=shape.__name__)
        return None


def _addresses(row: asyncpg.Record) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    for each in row["addresses"] or ():
        address = Address(id=each["id"], value=each["value"], extra=each["extra"])
        found.setdefault(each["channel"], []).append(address)
    if row["phone"]:
        found["sms"] = [Address(id="phone", value=row["phone"])]
    if row["wechat_openid"]:
        quotas: Mapping[str, Any] = row["quotas"] or {}  # Any: JSON numbers
        left = {f"quota:{template}": str(remaining) for template, remaining in quotas.items()}
        found["wechat"] = [Address(id="openid", value=row["wechat_openid"], extra=left)]
    return found
