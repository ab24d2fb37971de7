"""What one member sees of their conversations: the list, and one of them with who is in it. Reads only."""

from collections.abc import Collection, Mapping, Sequence

import asyncpg
import msgspec

from hub.messaging import store
from hub.messaging.conversation import Detail, MemberView, Summary, not_found
from hub.messaging.history import UNREAD_MOST, History
from hub.messaging.model import Entry, EntryType, Kind
from hub.platform.clock import rfc3339
from hub.platform.identifier import is_id
from hub.platform.page import Paging
from hub.security.sealing import Sealer

MEMBERS_MOST = (
    10_000  # a broadcast has as many readers as there are people: counting them would take longer than the list
)

_SORTED_BY = {"updatedAt": "updated_at", "createdAt": "created_at"}
SORTS = tuple(_SORTED_BY)

# Only the page's rows are counted in and looked into; `unread` is counted as `history` does for the welcome.
_NEWEST_FIRST = f"""
SELECT p.*,
  (SELECT count(*) FROM (
     SELECT 1 FROM members o WHERE o.conversation = p.id AND o.to_seq IS NULL LIMIT {MEMBERS_MOST}) i) AS member_count,
  (SELECT count(*) FROM (
     SELECT 1 FROM entries e
     WHERE e.conversation = p.id AND e.seq > greatest(p.read_seq, p.from_seq - 1) AND e.sender <> $1
     LIMIT {UNREAD_MOST}) u) AS unread,
  (SELECT u.name FROM members o JOIN users u ON u.id = o.user_id
   WHERE p.kind = 'direct' AND o.conversation = p.id AND o.user_id <> $1 LIMIT 1) AS other,
  (SELECT e.seq FROM entries e
   WHERE e.conversation = p.id AND e.seq >= p.from_seq AND e.type NOT IN ('edit', 'recall', 'react', 'pin')
   ORDER BY e.seq DESC LIMIT 1) AS last_seq
FROM (
  SELECT c.id, c.kind, c.title, c.state, c.head, c.members_version, c.updated_at, c.created_at,
         m.role, m.from_seq, m.delivered_seq, m.read_seq, m.muted, m.pinned
  FROM members m JOIN conversations c ON c.id = m.conversation
  WHERE m.user_id = $1 AND m.to_seq IS NULL AND ($4::uuid IS NULL OR m.conversation = $4)
    AND ($5::text IS NULL OR c.kind = $5)
  ORDER BY m.pinned DESC, c.updated_at DESC, c.id DESC LIMIT $2 OFFSET $3) p
ORDER BY p.pinned DESC, p.updated_at DESC, p.id DESC
"""  # noqa: S608 - constants only


def _query(column: str, *, descending: bool) -> str:
    query = _NEWEST_FIRST.replace("updated_at DESC", f"{column} DESC")
    return query if descending else query.replace(f"{column} DESC", f"{column} ASC").replace("id DESC", "id ASC")


_PAGES = {
    (name, down): _query(column, descending=down) for name, column in _SORTED_BY.items() for down in (True, False)
}

_TOTAL = """
SELECT count(*) FROM members m JOIN conversations c ON c.id = m.conversation
WHERE m.user_id = $1 AND m.to_seq IS NULL AND ($2::text IS NULL OR c.kind = $2)
"""

_LAST = """
SELECT e.conversation::text, e.seq, e.sender::text, e.on_behalf_of::text, e.type, e.target, e.body, e.key_id::text,
       e.client_msg_id, e.recalled_by, e.created_at
FROM unnest($1::uuid[], $2::bigint[]) AS l(conversation, seq)
CROSS JOIN LATERAL (
  SELECT * FROM entries WHERE conversation = l.conversation AND seq = l.seq
  UNION ALL
  (SELECT * FROM entries WHERE conversation = l.conversation AND target = l.seq AND type = 'edit'
   ORDER BY seq DESC LIMIT 1)) e
"""

_MEMBERS = """
SELECT m.user_id::text AS user, u.name, u.avatar, m.role, m.delivered_seq, m.read_seq, m.from_seq
FROM members m JOIN users u ON u.id = m.user_id
WHERE m.conversation = $1 AND m.to_seq IS NULL ORDER BY m.joined_at, m.user_id
"""
_MYSELF = _MEMBERS.replace("ORDER BY", "AND m.user_id = $2 ORDER BY")


class Listing:
    def __init__(self, pool: asyncpg.Pool, sealer: Sealer, history: History) -> None:
        self._pool = pool
        self._sealer = sealer
        self._history = history

    async def page(self, user: str, paging: Paging, kind: str | None = None) -> tuple[list[Summary], int]:
        """The conversations one is in, of one kind or all, pinned ones first; and how many there are."""
        total = await self._pool.fetchval(_TOTAL, user, kind)
        query = _PAGES[paging.sort, paging.descending]
        rows = await self._pool.fetch(query, user, paging.page_size, paging.offset, None, kind)
        return await self._summaries(rows), total

    async def one(self, user: str, conversation: str) -> Detail:
        """A conversation with its members, who see each other's names; those of a broadcast see only themselves.

        Raises `Refusal` for a stranger.
        """
        if not is_id(conversation):
            raise not_found()
        summaries = await self._summaries(await self._pool.fetch(_NEWEST_FIRST, user, 1, 0, conversation, None))
        if not summaries:
            raise not_found()
        if summaries[0].kind == Kind.BROADCAST:
            rows = await self._pool.fetch(_MYSELF, conversation, user)
        else:
            rows = await self._pool.fetch(_MEMBERS, conversation)
        members = [MemberView(**row) for row in rows]
        return Detail(**msgspec.structs.asdict(summaries[0]), members=members)

    async def _summaries(self, rows: Sequence[asyncpg.Record]) -> list[Summary]:
        last = await self._last_entries(rows)
        titles = await self._titles(rows)
        return [_summary(row, titles, last.get(str(row["id"]))) for row in rows]

    async def _last_entries(self, rows: Collection[asyncpg.Record]) -> dict[str, Entry]:
        known = [row for row in rows if row["last_seq"] is not None]
        if not known:
            return {}
        found = await self._pool.fetch(_LAST, [row["id"] for row in known], [row["last_seq"] for row in known])
        last: dict[str, Entry] = {}
        for entry in sorted(await self._history.open(found), key=lambda entry: entry.seq):
            before = last.get(entry.conversation)
            if before is None:
                last[entry.conversation] = entry
            elif entry.type == EntryType.EDIT and not before.recalled:
                last[entry.conversation] = msgspec.structs.replace(before, body=entry.body, erased=entry.erased)
        return last

    async def _titles(self, rows: Collection[asyncpg.Record]) -> Mapping[str, str]:
        sealed = {str(row["id"]): bytes(row["title"]) for row in rows if row["title"] is not None}
        keys = await self._sealer.by_ids({store.key_of_title(title) for title in sealed.values()})
        return {
            conversation: store.open_title(title, conversation, keys.get(store.key_of_title(title)))
            for conversation, title in sealed.items()
        }


def _summary(row: asyncpg.Record, titles: Mapping[str, str], last: Entry | None) -> Summary:
    conversation = str(row["id"])
    return Summary(
        id=conversation,
        kind=row["kind"],
        title=row["other"] or titles.get(conversation, ""),
        state=row["state"],
        head=row["head"],
        unread=row["unread"],
        read_seq=row["read_seq"],
        delivered_seq=row["delivered_seq"],
        from_seq=row["from_seq"],
        role=row["role"],
        muted=row["muted"],
        pinned=row["pinned"],
        member_count=row["member_count"],
        members_version=row["members_version"],
        updated_at=rfc3339(row["updated_at"]),
        last_entry=last,
    )
