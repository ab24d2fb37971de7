"""Conversations' use cases: starting them, and what is true of a conversation as a whole. Each is one transaction.

Who is in one is `membership`'s; edits and recalls are `operation`'s; what the hub itself says is `posting`'s; reading is `listing`'s
and `history`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.collector import entry_of
from hub.messaging.conversation import (
    Conversation,
    Member,
    Role,
    State,
    check_people,
    check_size,
    checked_title,
    direct_key,
    may_create,
    not_found,
    others_named,
    permit_known,
    permit_manage,
    permit_seen,
)
from hub.messaging.model import SYSTEM, Draft, Entry, EntryType, Kind, SystemBody
from hub.messaging.port import Announcer, MemberChange
from hub.platform import settings
from hub.platform.clock import Clock, rfc3339
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.sealing import DataKey, Sealer


@dataclass(frozen=True, slots=True)
class Messaging:
    """What the use cases of this area stand on."""

    database: Database
    sealer: Sealer
    clock: Clock
    announcer: Announcer
    settings: settings.Messaging
    wake: Callable[[], None] = lambda: None
    """`Outbox.wake` where events are handled."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a use case changed, for telling after the commit."""

    conversation: str
    members_version: int = 1
    entries: Sequence[Entry] = ()
    changes: Sequence[MemberChange] = ()
    told: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """A conversation to be: who is in it, and with which place."""

    kind: str
    members: Mapping[str, str]
    title: str = ""
    by: str | None = None
    source: str | None = None
    subject: str | None = None
    direct_key: str | None = None
    id: str = field(default_factory=new_id)


def tell(services: Messaging, outcome: Outcome) -> None:
    """Announce; call it after the commit, never before."""
    gone = {change.user: change.to_seq for change in outcome.changes if change.to_seq is not None}
    until = max(gone.values(), default=0)
    # What follows a removal in the same transaction, a new owner for example, is not for who was removed (P5).
    removal = [entry for entry in outcome.entries if entry.seq <= until]
    others = [entry for entry in outcome.entries if entry.seq > until]
    for entries, also in ((removal, list(gone)), (others, [])):
        if entries:
            services.announcer.appended(outcome.conversation, outcome.members_version, entries, also)
    if outcome.changes:
        services.announcer.members_changed(outcome.changes, outcome.told)


async def create_direct(services: Messaging, *, actor: str, role: str, members: Sequence[str]) -> str:
    """The conversation of these two, made if there is none yet. Raises `Refusal`."""
    others = others_named(members, actor)
    if len(others) != 1:
        raise Refusal(ErrorCode.INVALID, fields={"members": "members_one"})
    key = direct_key(actor, others[0])
    async with services.database.transaction() as connection:
        if existing := await store.id_of_key(connection, key):
            return existing
        check_people(members, others, await store.people(connection, actor, others), role)
        places = {actor: Role.MEMBER, others[0]: Role.MEMBER}
        opening = Opening(kind=Kind.DIRECT, members=places, by=actor, direct_key=key)
        outcome = await open_conversation(connection, opening, None)
    tell(services, outcome)
    return outcome.conversation


async def create_group(services: Messaging, *, actor: str, role: str, title: str | None, members: Sequence[str]) -> str:
    """A new group, owned by who makes it. Raises `Refusal`."""
    if not may_create(Kind.GROUP, role):
        raise Refusal(ErrorCode.FORBIDDEN)
    others = others_named(members, actor)
    check_size(len(others) + 1, services.settings.members)
    places = {actor: Role.OWNER, **dict.fromkeys(others, Role.MEMBER)}
    opening = Opening(kind=Kind.GROUP, members=places, title=checked_title(title), by=actor)
    async with services.database.transaction() as connection:
        check_people(members, others, await store.people(connection, actor, others), role)
        # The key is made on another connection; nothing is locked here yet, so nobody can wait for us meanwhile.
        key = await services.sealer.key_for(opening.id)
        outcome = await open_conversation(connection, opening, key)
    tell(services, outcome)
    return outcome.conversation


async def open_care(
    services: Messaging, connection: AsyncConnection, *, source: str, patient: str, members: Sequence[str], title: str
) -> Outcome:
    """The conversation of an order, in the transaction that pays it; `tell` the outcome after its commit."""
    places = dict.fromkeys((patient, *members), Role.MEMBER)
    opening = Opening(kind=Kind.CARE, members=places, title=title, source=source, subject=patient)
    return await open_conversation(connection, opening, await services.sealer.key_for(patient))


async def open_inbox(services: Messaging, connection: AsyncConnection, user: str) -> Outcome:
    """Where the hub writes to one person. There is one for each; it is made on first use. `tell` after the commit."""
    key = f"inbox:{user}"
    if existing := await store.id_of_key(connection, key):
        return Outcome(existing)
    return await open_conversation(
        connection, Opening(kind=Kind.INBOX, members={user: Role.READER}, subject=user, direct_key=key), None
    )


async def open_conversation(connection: AsyncConnection, opening: Opening, key: DataKey | None) -> Outcome:
    """Insert a conversation and its members; those with a title begin with the entry `created`. `key` seals both."""
    values: dict[str, object] = {
        "id": opening.id,
        "kind": opening.kind,
        "title": store.seal_title(key, opening.id, opening.title) if key else None,
        "source": opening.source,
        "subject": opening.subject,
        "policy": {},
        "direct_key": opening.direct_key,
        "created_by": opening.by,
    }
    if await store.insert_conversation(connection, values) is None:
        # Somebody else made the same one just now; they tell of it.
        existing = await store.id_of_key(connection, opening.direct_key or "")
        return Outcome(existing or opening.id)
    await store.admit(connection, opening.id, opening.members, 1)
    entries = []
    if key is not None:
        note = SystemBody(event="created", users=sorted(opening.members), by=opening.by, note=opening.title)
        entries.append(await append_note(connection, opening.id, note, key))
    changes = [
        MemberChange(
            conversation=opening.id, user=user, role=role, kind=opening.kind, from_seq=1, to_seq=None, members_version=1
        )
        for user, role in opening.members.items()
    ]
    return Outcome(opening.id, 1, entries, changes, list(opening.members))


async def rename(services: Messaging, *, actor: str, role: str, conversation: str, title: str) -> None:
    """Give a group another title; told as an entry. Raises `Refusal`."""
    title = checked_title(title)
    key = await system_key(services, conversation, actor, role)
    async with services.database.transaction() as connection:
        found, member = await locked(connection, conversation, actor)
        permit_manage(found, member, role)
        await store.set_title(connection, conversation, store.seal_title(key, conversation, title))
        note = SystemBody(event="renamed", by=actor, note=title)
        entry = await append_note(connection, conversation, note, key)
    tell(services, Outcome(conversation, found.members_version, [entry]))


async def prefer(
    services: Messaging, *, actor: str, conversation: str, muted: bool | None, pinned: bool | None
) -> None:
    """How one member wants to be bothered by a conversation; nobody else sees it. Raises `Refusal`."""
    wanted = {name: value for name, value in (("muted", muted), ("pinned", pinned)) if value is not None}
    async with services.database.transaction() as connection:
        permit_seen(await store.member(connection, conversation, actor))
        if wanted:
            await store.set_members(connection, conversation, [actor], wanted)


async def set_read_only(
    services: Messaging, connection: AsyncConnection, conversation: str, *, read_only: bool
) -> Outcome:
    """Close a conversation for writing, or open it again, on behalf of what it follows; `tell` after the commit."""
    state = State.READ_ONLY if read_only else State.OPEN
    key = await sealing_key(services, connection, conversation)
    found = await store.conversation(connection, conversation, lock=True)
    if found is None or found.state == state:
        return Outcome(conversation)
    version = await store.raise_version(connection, conversation, state=state)
    entry = await append_note(connection, conversation, SystemBody(event="state_changed", note=state), key)
    inside = await store.active_members(connection, conversation)
    changed = msgspec.structs.replace(found, state=state, members_version=version)
    changes = [change_of(changed, member) for member in inside]
    return Outcome(conversation, version, [entry], changes, [member.user for member in inside])


async def sealing_key(services: Messaging, connection: AsyncConnection, conversation: str) -> DataKey:
    """The key for what the system writes. Take it before the conversation's lock: making one uses a connection that
    appends use too."""
    known = await store.conversation(connection, conversation)
    if known is None:
        raise not_found()
    return await services.sealer.key_for(known.seals_for(None))


def change_of(conversation: Conversation, member: Member) -> MemberChange:
    """A place as it is now. `conversation` carries the version after the change."""
    return MemberChange(
        conversation=conversation.id,
        user=member.user,
        role=member.role,
        kind=conversation.kind,
        from_seq=member.from_seq,
        to_seq=member.to_seq,
        members_version=conversation.members_version,
        read_only=conversation.state == State.READ_ONLY,
    )


async def system_key(services: Messaging, conversation: str, actor: str, role: str) -> DataKey:
    """The key for what the system writes, taken before any lock: making one uses a connection that appends use too.

    A stranger is refused here already, so that asking for any id makes no keys.
    """
    async with services.database.transaction() as connection:
        found = await store.conversation(connection, conversation)
        member = await store.member(connection, conversation, actor)
    if found is None:
        raise not_found()
    permit_known(member, role)
    return await services.sealer.key_for(found.seals_for(None))


async def locked(connection: AsyncConnection, conversation: str, actor: str) -> tuple[Conversation, Member | None]:
    """The conversation with its row lock, and the actor's place under that lock. Raises `Refusal`."""
    found = await store.conversation(connection, conversation, lock=True)
    if found is None:
        raise not_found()
    return found, await store.member(connection, conversation, actor)


async def append_note(connection: AsyncConnection, conversation: str, note: SystemBody, key: DataKey) -> Entry:
    """An entry that the system writes, in the caller's transaction."""
    draft = Draft(
        conversation=conversation,
        sender=SYSTEM,
        client_msg_id=new_id(),
        type=EntryType.SYSTEM,
        body=msgspec.json.encode(note),
    )
    appended = await store.append(connection, draft, key)
    return entry_of(draft, appended.seq, rfc3339(appended.at))
