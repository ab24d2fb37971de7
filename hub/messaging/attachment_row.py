"""The table `attachments`: who may add, who may see, and which uploads nobody used. Hand-written SQL.

`seq` is null until an entry carries the upload, and `CONDEMNED` once it is being removed: an entry takes only null.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.model import Kind

CONDEMNED = 0

_PLACE = text("""
SELECT c.kind, c.subject::text AS subject, c.state, m.role FROM members m JOIN conversations c ON c.id = m.conversation
WHERE m.conversation = :conversation AND m.user_id = :user AND m.to_seq IS NULL""")

# The place is checked once more: between the first check and this lie seconds of receiving and storing.
_INSERT = text("""
INSERT INTO attachments (id, owner, conversation, kind, media_type, name, size, width, height, has_thumbnail, key_id)
SELECT :id, :owner, :conversation, :kind, :media_type, :name, :size, :width, :height, :has_thumbnail, :key_id
FROM members WHERE conversation = :conversation AND user_id = :owner AND to_seq IS NULL RETURNING id""")

# One's own while it is unused; then who may see the entry that carries it, unless that was recalled (P5).
_VISIBLE = text("""
SELECT a.id::text AS id, a.media_type, a.name, a.size, a.has_thumbnail, a.key_id::text AS key_id
FROM attachments a JOIN users u ON u.id = :user AND u.status = 'active'
LEFT JOIN members m ON m.conversation = a.conversation AND m.user_id = u.id
LEFT JOIN entries e ON e.conversation = a.conversation AND e.seq = a.seq
WHERE a.id = :id AND (
  (a.seq IS NULL AND a.owner = u.id)
  OR (e.seq IS NOT NULL AND e.recalled_by IS NULL AND m.from_seq <= e.seq AND e.seq <= coalesce(m.to_seq, e.seq)))""")

_LOCK_CONVERSATION = text("""
SELECT 1 FROM conversations WHERE id = (SELECT conversation FROM attachments WHERE id = :id) FOR NO KEY UPDATE""")
_CONDEMN = text("""
UPDATE attachments SET seq = :condemned
WHERE id = :id AND (seq = :condemned OR (seq IS NULL AND created_at < :before)) RETURNING id""")
_DELETE = text("DELETE FROM attachments WHERE id = :id AND seq = :condemned")

_ORPHANS = text("""
(SELECT id::text AS id FROM attachments WHERE seq = :condemned LIMIT :limit)
UNION ALL
(SELECT id::text AS id FROM attachments WHERE seq IS NULL AND created_at < :before ORDER BY created_at LIMIT :limit)
LIMIT :limit""")


class Place(msgspec.Struct, frozen=True):
    """Where an active member would attach something."""

    kind: str
    subject: str | None
    state: str
    role: str

    def seals_for(self, owner: str) -> str:
        """Whose key seals it: the patient's in care, the uploader's elsewhere."""
        return self.subject if self.kind == Kind.CARE and self.subject is not None else owner


class Stored(msgspec.Struct, frozen=True):
    """A row that the asker may see. `name` is sealed."""

    id: str
    media_type: str
    name: str
    size: int
    has_thumbnail: bool
    key_id: str


async def place(connection: AsyncConnection, conversation: str, user: str) -> Place | None:
    row = await _one(connection, _PLACE, {"conversation": conversation, "user": user})
    return Place(**row._mapping) if row else None


async def insert(connection: AsyncConnection, values: Mapping[str, object]) -> bool:
    """False if the owner is no longer a member."""
    return await _one(connection, _INSERT, values) is not None


async def visible(connection: AsyncConnection, attachment_id: str, user: str) -> Stored | None:
    row = await _one(connection, _VISIBLE, {"id": attachment_id, "user": user})
    return Stored(**row._mapping) if row else None


async def condemn(connection: AsyncConnection, attachment_id: str, before: datetime) -> bool:
    """Take an unused upload away from senders for good; False if it is used, too young or gone."""
    # The lock that `append_entries` takes first: an entry that would carry this is either committed, and the next
    # statement sees it, or waits here and then sees that the upload is taken.
    await connection.execute(_LOCK_CONVERSATION, {"id": attachment_id})
    values = {"id": attachment_id, "before": before, "condemned": CONDEMNED}
    return await _one(connection, _CONDEMN, values) is not None


async def delete(connection: AsyncConnection, attachment_id: str) -> None:
    await connection.execute(_DELETE, {"id": attachment_id, "condemned": CONDEMNED})


async def orphans(connection: AsyncConnection, before: datetime, limit: int) -> list[str]:
    """Half-removed uploads first, then the oldest unused ones."""
    values = {"before": before, "limit": limit, "condemned": CONDEMNED}
    return [row[0] for row in await connection.execute(_ORPHANS, values)]


# Any: a row's columns are as the statement says.
async def _one(connection: AsyncConnection, statement: TextClause, values: Mapping[str, object]) -> Row[Any] | None:
    return (await connection.execute(statement, values)).one_or_none()
