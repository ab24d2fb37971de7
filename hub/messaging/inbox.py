"""Inboxes of many people at once: where the hub writes to each of them, opened where there is none yet."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.actions import Messaging, Outcome
from hub.messaging.conversation import Role
from hub.messaging.model import Kind
from hub.messaging.port import MemberChange
from hub.platform.identifier import new_id

_KNOWN = text("""
SELECT id::text AS id, subject::text AS user_id FROM conversations WHERE direct_key = ANY (CAST(:keys AS text[]))
""")
# Rows of `open_conversation` for an inbox, for many people. One that somebody else commits meanwhile is theirs to tell of.
_OPEN = text("""
WITH made AS (
  INSERT INTO conversations (id, kind, subject, direct_key, policy)
  SELECT t.id, 'inbox', t.user_id, 'inbox:' || t.user_id, '{}'
  FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS uuid[])) AS t(id, user_id) ORDER BY t.user_id
  ON CONFLICT (direct_key) DO NOTHING RETURNING id, subject
), placed AS (
  INSERT INTO members (conversation, user_id, role, from_seq, delivered_seq, read_seq)
  SELECT id, subject, 'reader', 1, 0, 0 FROM made
)
SELECT id::text AS id, subject::text AS user_id FROM made
""")


async def inboxes_of(
    services: Messaging, connection: AsyncConnection, users: Collection[str]
) -> tuple[Sequence[Outcome], dict[str, str]]:
    """What opened those that are new, to be told after the commit, and the conversation of each person."""
    found = await _known(connection, users)
    missing = sorted(user for user in users if user not in found)
    if not missing:
        return (), found
    made = (await connection.execute(_OPEN, {"ids": [new_id() for _ in missing], "users": missing})).all()
    found |= {row.user_id: row.id for row in made}
    found |= await _known(connection, [user for user in missing if user not in found])
    return [_opened(row.id, row.user_id) for row in made], found


async def _known(connection: AsyncConnection, users: Collection[str]) -> dict[str, str]:
    if not users:
        return {}
    rows = await connection.execute(_KNOWN, {"keys": [f"inbox:{user}" for user in users]})
    return {row.user_id: row.id for row in rows}


def _opened(conversation: str, user: str) -> Outcome:
    change = MemberChange(
        conversation=conversation,
        user=user,
        role=Role.READER,
        kind=Kind.INBOX,
        from_seq=1,
        to_seq=None,
        members_version=1,
    )
    return Outcome(conversation, 1, [], [change], [user])
