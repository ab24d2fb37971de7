"""A broadcast in the log: one entry by the hub itself, sealed once, and readers who come in by the thousand.

They come in without a new version of the membership: to each the conversation itself is new, and a version for every chunk
would have everybody who is online compare notes again. Readers are never shown to each other, so nobody misses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.actions import Opening, Outcome, open_conversation
from hub.messaging.conversation import Role
from hub.messaging.history import History, Span
from hub.messaging.model import SYSTEM, Draft, Entry, EntryType, Kind, TextBody
from hub.messaging.port import MemberChange
from hub.security.sealing import DataKey

_ADD = sa.text("""
INSERT INTO members (conversation, user_id, role, from_seq, delivered_seq, read_seq)
SELECT c.id, r.user_id, 'reader', CAST(:seq AS bigint), CAST(:seq AS bigint) - 1, CAST(:seq AS bigint) - 1
FROM conversations c, unnest(CAST(:users AS uuid[])) AS r(user_id) WHERE c.id = CAST(:conversation AS uuid)
ON CONFLICT DO NOTHING
RETURNING user_id::text, (SELECT members_version FROM conversations WHERE id = CAST(:conversation AS uuid)) AS version
""")


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be said, and who is behind it: a reader like the others, who has read it already."""

    conversation: str
    title: str
    author: str
    text: str


async def say(connection: AsyncConnection, saying: Saying, key: DataKey) -> tuple[Outcome, int]:
    """Open the conversation with this text, in the caller's transaction; also the seq of the text.

    `key` is the conversation's own. What the outcome says is for the author only.
    """
    opening = Opening(
        kind=Kind.BROADCAST,
        members={saying.author: Role.READER},  # who could write would have everybody's ear for ever
        title=saying.title,
        by=saying.author,
        id=saying.conversation,
    )
    opened = await open_conversation(connection, opening, key)
    draft = Draft(
        conversation=saying.conversation,
        sender=SYSTEM,
        client_msg_id="broadcast",
        type=EntryType.TEXT,
        body=msgspec.json.encode(TextBody(text=saying.text)),
    )
    appended = await store.append(connection, draft, key)
    seen = {"delivered_seq": appended.seq, "read_seq": appended.seq}
    await store.set_members(connection, saying.conversation, [saying.author], seen)
    return opened, appended.seq


async def add_readers(
    connection: AsyncConnection, conversation: str, seq: int, users: Sequence[str]
) -> list[MemberChange]:
    """Let these in, in one statement; they see from `seq` on and have received nothing yet. The answer is who is new."""
    values = {"conversation": conversation, "seq": seq, "users": sorted(users)}
    return [
        MemberChange(
            conversation=conversation,
            user=row.user_id,
            role=Role.READER,
            kind=Kind.BROADCAST,
            from_seq=seq,
            to_seq=None,
            members_version=row.version,
        )
        for row in await connection.execute(_ADD, values)
    ]


async def said(history: History, conversation: str, seq: int) -> Entry:
    """The entry as its readers see it now, after a recall for example."""
    found = await history.spans([Span(conversation, seq - 1, seq)])
    return found[conversation][0]
