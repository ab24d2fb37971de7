"""Reading the log as one member may see it: pages, what a returning client lacks, what a node missed. Hand-written SQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec
from cryptography.exceptions import InvalidTag
from msgspec import Raw

from hub.messaging.collector import context_of
from hub.messaging.model import SYSTEM, Entry, Kind
from hub.platform.clock import rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.sealing import DataKey, Sealer

HEADS = 1000  # conversations in one welcome; the rest through GET /conversations
UNREAD_MOST = 1000  # counting further would read that many rows for a number nobody reads

OPERATIONS_MOST = 1000  # aimed at one page; more than these on a page would be a flood of reactions, and the newest win

_EMPTY = Raw(b"{}")
_COLUMNS = """e.conversation::text, e.seq, e.sender::text, e.on_behalf_of::text, e.type, e.target, e.body, e.key_id::text,
  e.client_msg_id, e.recalled_by, e.created_at"""

_PAGE = """
SELECT p.until, {columns}
FROM (SELECT m.from_seq, coalesce(m.to_seq, c.head) AS until
      FROM members m JOIN conversations c ON c.id = m.conversation WHERE m.conversation = $1 AND m.user_id = $2) p
LEFT JOIN LATERAL (
  SELECT * FROM entries WHERE conversation = $1 AND seq >= greatest(p.from_seq, $3) AND seq <= least(p.until, $4)
  ORDER BY seq {order} LIMIT $5) e ON true
"""
_PAGE_UP = _PAGE.format(columns=_COLUMNS, order="ASC")
_PAGE_DOWN = _PAGE.format(columns=_COLUMNS, order="DESC")

_OPERATIONS = f"""
SELECT {_COLUMNS} FROM entries e
WHERE e.conversation = $1 AND e.target BETWEEN $2 AND $3 AND e.seq > $3 AND e.seq <= $4 ORDER BY e.seq DESC LIMIT {OPERATIONS_MOST}
"""  # noqa: S608 - constants only

_MISSING = f"""
SELECT {_COLUMNS} FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w(conversation, after, until)
JOIN LATERAL (
  SELECT * FROM entries e WHERE e.conversation = w.conversation AND e.seq > w.after AND e.seq <= w.until ORDER BY e.seq) e ON true
"""  # noqa: S608 - constants only

_HEADS = f"""
SELECT p.*,
  CASE WHEN p.until > p.read_seq THEN (
    SELECT count(*) FROM (
      SELECT 1 FROM entries e WHERE e.conversation = p.id AND e.seq > greatest(p.read_seq, p.from_seq - 1) AND e.seq <= p.until
        AND e.sender <> $1 LIMIT {UNREAD_MOST}) u) ELSE 0 END AS unread,
  ARRAY(SELECT o.user_id::text FROM members o
        WHERE p.to_seq IS NULL AND o.conversation = p.id AND o.to_seq IS NULL LIMIT $3) AS users,
  (SELECT jsonb_object_agg(o.user_id, jsonb_build_array(o.delivered_seq, o.read_seq))
   FROM (SELECT * FROM members o
         WHERE p.to_seq IS NULL AND o.conversation = p.id AND o.to_seq IS NULL LIMIT $3) o
   WHERE $2::timestamptz IS NULL OR o.updated_at > $2) AS receipts
FROM (
  SELECT c.id, c.kind, c.state, c.members_version, m.role, m.from_seq, m.to_seq, m.delivered_seq, m.read_seq, m.muted, m.pinned,
         coalesce(m.to_seq, c.head) AS until, c.updated_at
  FROM members m JOIN conversations c ON c.id = m.conversation
  WHERE m.user_id = $1 AND (m.to_seq IS NULL OR m.updated_at > coalesce($2, now() - interval '30 days'))
  ORDER BY c.updated_at DESC LIMIT {HEADS + 1}) p
"""  # noqa: S608 - constants only

# `recent` reads the end of each partition through the BRIN index; the rest is by primary key.
_MISSED = f"""
WITH recent AS (SELECT conversation, min(seq) AS first FROM entries WHERE created_at > $2 GROUP BY conversation)
SELECT c.members_version, {_COLUMNS} FROM recent r JOIN conversations c ON c.id = r.conversation
JOIN LATERAL (
  SELECT * FROM entries e WHERE e.conversation = r.conversation AND e.seq >= greatest(r.first, c.head - $3 + 1) ORDER BY e.seq) e ON true
WHERE EXISTS (SELECT 1 FROM members m WHERE m.conversation = c.id AND m.to_seq IS NULL AND m.user_id = ANY ($1::uuid[]))
"""  # noqa: S608 - constants only

_SINCE = f"""
SELECT {_COLUMNS} FROM members m JOIN conversations c ON c.id = m.conversation AND c.updated_at > $2
JOIN LATERAL (
  SELECT * FROM entries e WHERE e.conversation = c.id AND e.created_at > $2 AND e.seq > c.head - $3
    AND e.seq >= m.from_seq AND e.seq <= coalesce(m.to_seq, c.head) ORDER BY e.seq) e ON true
WHERE m.user_id = $1
"""  # noqa: S608 - constants only

_DIGESTS = """
SELECT m.user_id::text, count(*), sum(c.head), sum(c.members_version), sum(coalesce(r.total, 0))
FROM members m JOIN conversations c ON c.id = m.conversation
LEFT JOIN LATERAL (
  SELECT sum(o.delivered_seq + o.read_seq) AS total
  FROM (SELECT * FROM members o WHERE o.conversation = c.id AND o.to_seq IS NULL AND c.kind <> 'broadcast' LIMIT $2) o
  HAVING count(*) < $2) r ON true
WHERE m.user_id = ANY ($1::uuid[]) AND m.to_seq IS NULL GROUP BY m.user_id
"""


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Entries in seq order; `operations`: later ones aimed at these; `more`: there is more in the asked direction."""

    entries: list[Entry]
    operations: list[Entry]
    more: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one conversation stands for one member; `until` is the newest seq they may see."""

    conversation: str
    kind: str
    read_only: bool
    members_version: int
    role: str
    from_seq: int
    to_seq: int | None
    until: int
    delivered_seq: int
    read_seq: int
    muted: bool
    pinned: bool
    unread: int
    large: bool
    receipts: dict[str, tuple[int, int]]


class Span(msgspec.Struct, frozen=True):
    """Entries of one conversation with `after < seq <= until`."""

    conversation: str
    after: int
    until: int


class History:
    def __init__(self, pool: asyncpg.Pool, sealer: Sealer, large: int) -> None:
        self._pool = pool
        self._sealer = sealer
        self._large = large

    async def page(
        self, user: str, conversation: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> HistoryPage:
        """One page: upwards from `after`, else downwards from `before` or the end. Two statements. Raises `Refusal` for a stranger."""
        if not is_id(conversation):
            raise _stranger()
        upwards = after is not None
        low, high = (after or 0) + 1 if upwards else 1, before - 1 if before is not None and not upwards else 2**62
        query = _PAGE_UP if upwards else _PAGE_DOWN
        rows = await self._pool.fetch(query, conversation, user, low, high, limit + 1)
        if not rows:
            raise _stranger()
        found = [row for row in rows if row["seq"] is not None]
        shown = sorted(found[:limit], key=lambda row: int(row["seq"]))
        operations = []
        if shown and shown[-1]["seq"] < rows[0]["until"]:
            first, last = shown[0]["seq"], shown[-1]["seq"]
            operations = (await self._pool.fetch(_OPERATIONS, conversation, first, last, rows[0]["until"]))[::-1]
        entries = await self.open([*shown, *operations])
        return HistoryPage(entries=entries[: len(shown)], operations=entries[len(shown) :], more=len(found) > limit)

    async def standings(self, user: str, since: datetime | None) -> list[Standing]:
        """All conversations of a user, most recently changed first, at most `HEADS` + 1. One statement."""
        rows = await self._pool.fetch(_HEADS, user, since, self._large + 1)
        return [self._standing(row) for row in rows]

    def _standing(self, row: asyncpg.Record) -> Standing:
        large = len(row["users"]) > self._large or row["kind"] == Kind.BROADCAST
        receipts = {} if large else {user: (pair[0], pair[1]) for user, pair in (row["receipts"] or {}).items()}
        return Standing(
            conversation=str(row["id"]),
            kind=row["kind"],
            read_only=row["state"] != "open",
            members_version=row["members_version"],
            role=row["role"],
            from_seq=row["from_seq"],
            to_seq=row["to_seq"],
            until=row["until"],
            delivered_seq=row["delivered_seq"],
            read_seq=row["read_seq"],
            muted=row["muted"],
            pinned=row["pinned"],
            unread=row["unread"],
            large=large,
            receipts=receipts,
        )

    async def spans(self, spans: Sequence[Span]) -> dict[str, list[Entry]]:
        """The entries of these spans by conversation, in seq order. One statement. The caller has checked what may be seen."""
        rows = await self._pool.fetch(
            _MISSING, [s.conversation for s in spans], [s.after for s in spans], [s.until for s in spans]
        )
        return await self._by_conversation(rows)

    async def missed(self, users: Collection[str], since: datetime, most: int) -> dict[tuple[str, int], list[Entry]]:
        """What was committed after `since` in conversations of these users, newest `most` each, by (conversation, members version)."""
        rows = await self._pool.fetch(_MISSED, list(users), since, most)
        versions = {row["conversation"]: int(row["members_version"]) for row in rows}
        entries = await self._by_conversation(rows)
        return {(conversation, versions[conversation]): found for conversation, found in entries.items()}

    async def since(self, user: str, since: datetime, most: int) -> dict[str, list[Entry]]:
        """What one user may see that was committed after `since`, newest `most` of each conversation. One statement."""
        return await self._by_conversation(await self._pool.fetch(_SINCE, user, since, most))

    async def digests(self, users: Collection[str]) -> Mapping[str, str]:
        """The digest of each user's heads (`docs/messaging.md`). One statement; who is in no conversation has `0.0.0.0`."""
        rows = await self._pool.fetch(_DIGESTS, list(users), self._large + 1)
        found = {row[0]: f"{row[1]}.{row[2]}.{row[3]}.{row[4]}" for row in rows}
        return {user: found.get(user, "0.0.0.0") for user in users}  # noqa: S104 - four sums, not an address

    async def _by_conversation(self, rows: Sequence[asyncpg.Record]) -> dict[str, list[Entry]]:
        grouped: dict[str, list[Entry]] = {}
        for entry in await self.open(rows):
            grouped.setdefault(entry.conversation, []).append(entry)
        return grouped

    async def open(self, rows: Sequence[asyncpg.Record]) -> list[Entry]:
        """Rows as members see them; one statement more when keys are not at hand."""
        keys = await self._sealer.by_ids({row["key_id"] for row in rows if row["recalled_by"] is None})
        return [_entry(row, keys.get(row["key_id"])) for row in rows]


def _entry(row: asyncpg.Record, key: DataKey | None) -> Entry:
    recalled = row["recalled_by"] is not None
    body = None if recalled or key is None else _open(row, key)
    return Entry(
        conversation=row["conversation"],
        seq=row["seq"],
        sender=None if row["sender"] == SYSTEM else row["sender"],
        type=row["type"],
        body=_EMPTY if body is None else Raw(body),
        client_msg_id=row["client_msg_id"],
        at=rfc3339(row["created_at"]),
        target=row["target"],
        on_behalf_of=row["on_behalf_of"],
        recalled=recalled,
        erased=body is None and not recalled,
    )


def _open(row: asyncpg.Record, key: DataKey) -> bytes | None:
    """None for a body that does not open: shown as erased rather than costing the page."""
    try:
        return key.open(row["body"], context_of(row["conversation"], row["sender"], row["client_msg_id"]))
    except InvalidTag:
        return None


def _stranger() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})
