"""Writing talks down as conversations, with the times at which each line was said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.demo.cast import id_of
from hub.demo.talk import Line, News, Step, Talk
from hub.messaging import store
from hub.messaging.actions import Opening, open_conversation
from hub.messaging.conversation import Conversation, Role, State, direct_key
from hub.messaging.model import SYSTEM, CardBody, Draft, EntryType, Kind, SystemBody
from hub.security.sealing import Sealer

_AGE = text("""
UPDATE entries SET created_at = said.at FROM unnest(CAST(:seqs AS bigint[]), CAST(:moments AS timestamptz[])) said (seq, at)
WHERE conversation = :id AND entries.seq = said.seq
""")
_AGE_CONVERSATION = text("UPDATE conversations SET updated_at = :at WHERE id = :id")
# Read by everybody but for the last few by the first of them.
_READ = text("""
UPDATE members m SET joined_at = :at, delivered_seq = c.head,
  read_seq = CASE WHEN m.user_id = :reader THEN c.head - :unread ELSE c.head END
FROM conversations c WHERE c.id = :id AND m.conversation = c.id
""")


@dataclass(frozen=True, slots=True)
class Told:
    """What the hub says. Saying it again under the same name adds nothing."""

    name: str
    body: CardBody | SystemBody


@dataclass(frozen=True, slots=True)
class Scene:
    """What a talk needs to become a conversation. `source`: the order that it follows, with the `news` of its steps."""

    connection: AsyncConnection
    sealer: Sealer
    people: Mapping[str, str]
    now: datetime
    source: str | None = None
    news: Mapping[Step, Told] = field(default_factory=dict)


async def open_talk(scene: Scene, talk: Talk) -> None:
    """Two who talk directly already keep their conversation: nothing is put between their own words."""
    users = [scene.people[who] for who in talk.people]
    opening = _opening(scene, talk, users)
    key = await scene.sealer.key_for(opening.subject or opening.id) if talk.title else None
    opened = (await open_conversation(scene.connection, opening, key)).conversation
    conversation = await store.conversation(scene.connection, opened)
    if conversation is None or opened != opening.id:
        return
    for number, line in enumerate(talk.lines, 1):
        await _say(scene, conversation, _draft(scene, talk, conversation, number, line))
    if talk.is_over:
        await store.raise_version(scene.connection, opened, state=State.READ_ONLY)
    moments = talk.moments(scene.now)
    await _age(scene.connection, opened, [moments[0]] * conversation.head + moments)
    values = {"id": opened, "at": moments[0], "reader": users[0], "unread": talk.unread}
    await scene.connection.execute(_READ, values)


async def tell(scene: Scene, user: str, told: Told, at: datetime) -> None:
    """Into somebody's inbox, which is opened for it; it is not read yet."""
    opening = Opening(
        id=id_of("inbox", user),
        kind=Kind.INBOX,
        members={user: Role.READER},
        subject=user,
        direct_key=f"inbox:{user}",
    )
    opened = (await open_conversation(scene.connection, opening, None)).conversation
    conversation = await store.conversation(scene.connection, opened)
    if conversation is None or opened != opening.id:
        return
    await _say(scene, conversation, _system(conversation.id, told))
    await _age(scene.connection, opened, [at])


def _opening(scene: Scene, talk: Talk, users: Sequence[str]) -> Opening:
    places = dict.fromkeys(users, Role.MEMBER)
    is_group, is_care = talk.kind is Kind.GROUP, talk.kind is Kind.CARE
    if is_group:
        places[users[0]] = Role.OWNER
    return Opening(
        id=talk.id,
        kind=talk.kind,
        members=places,
        title=talk.title,
        by=users[0] if is_group else None,
        subject=users[0] if is_care else None,
        source=scene.source,
        direct_key=direct_key(users[0], users[1]) if talk.kind is Kind.DIRECT else None,
    )


def _draft(scene: Scene, talk: Talk, conversation: Conversation, number: int, line: Line | News) -> Draft:
    if isinstance(line, News):
        return _system(conversation.id, scene.news[line.step])
    return Draft(
        conversation=conversation.id,
        sender=scene.people[line.who],
        client_msg_id=f"demo-{talk.name}-{number}",
        type=line.type,
        body=msgspec.json.encode(line.body),
        # Before the lines there is the entry `created`, where the conversation has a title.
        target=None if line.target is None else conversation.head + line.target,
    )


def _system(conversation: str, told: Told) -> Draft:
    kind = EntryType.CARD if isinstance(told.body, CardBody) else EntryType.SYSTEM
    body = msgspec.json.encode(told.body)
    return Draft(conversation=conversation, sender=SYSTEM, client_msg_id=told.name, type=kind, body=body)


async def _say(scene: Scene, conversation: Conversation, draft: Draft) -> None:
    sender = None if draft.sender == SYSTEM else draft.sender
    key = await scene.sealer.key_for(conversation.seals_for(sender))
    appended = await store.append(scene.connection, draft, key)
    if draft.type is EntryType.RECALL and draft.target is not None:
        await store.mark_recalled(scene.connection, conversation.id, draft.target, appended.seq)


async def _age(connection: AsyncConnection, conversation: str, moments: Sequence[datetime]) -> None:
    """The past of a conversation: when each of its entries was said."""
    seqs = list(range(1, len(moments) + 1))
    await connection.execute(_AGE, {"id": conversation, "seqs": seqs, "moments": list(moments)})
    await connection.execute(_AGE_CONVERSATION, {"id": conversation, "at": moments[-1]})
