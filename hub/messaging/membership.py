"""Who is in a conversation: joining, going, roles. Every change is one transaction under the conversation's row lock.

The change is an entry of the log too: where a new member begins to see, and the last that a removed one sees (P5).
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.actions import Messaging, Outcome, append_note, change_of, sealing_key, system_key, tell
from hub.messaging.conversation import (
    Conversation,
    Member,
    Role,
    check_people,
    check_size,
    heir,
    named_once,
    not_found,
    permit_leave,
    permit_manage,
    permit_remove,
    permit_role,
    sees_from,
)
from hub.messaging.model import Kind, SystemBody
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.sealing import DataKey


async def has_member(connection: AsyncConnection, conversation: str, user: str) -> bool:
    """Whether somebody is in it now."""
    found = await store.member(connection, conversation, user) if is_id(conversation) else None
    return found is not None and found.to_seq is None


async def add(services: Messaging, *, actor: str, role: str, conversation: str, members: Sequence[str]) -> None:
    """Bring people into a group; who is in already stays as they are, so repeating is safe. Raises `Refusal`."""
    named = named_once(members)
    key = await system_key(services, conversation, actor, role)
    async with services.database.transaction() as connection:
        found, inside = await _locked(connection, conversation)
        permit_manage(found, inside.get(actor), role)
        fresh = [user for user in named if user not in inside]
        if not fresh:
            return
        check_size(len(inside) + len(fresh), services.settings.members)
        check_people(named, fresh, await store.people(connection, actor, fresh), role)
        outcome = await _admit(connection, found, inside, fresh, actor, key)
    tell(services, outcome)


async def remove(services: Messaging, *, actor: str, role: str, conversation: str, members: Sequence[str]) -> None:
    """Take people out of a group; who is out already stays out, so repeating is safe. Raises `Refusal`."""
    named = named_once(members)
    key = await system_key(services, conversation, actor, role)
    async with services.database.transaction() as connection:
        found, inside = await _locked(connection, conversation)
        standing = permit_manage(found, inside.get(actor), role)
        await _check_were_in(connection, conversation, named, inside)
        gone = [inside[user] for user in named if user in inside]
        if not gone:
            return
        permit_remove(standing, gone)
        outcome = await _dismiss(connection, found, inside, gone, SystemBody(event="member_removed", by=actor), key)
    tell(services, outcome)


async def leave(services: Messaging, *, actor: str, conversation: str) -> None:
    """Walk out of a group; an owner's place goes to the longest-serving admin, else member. Raises `Refusal`."""
    key = await system_key(services, conversation, actor, role="")
    async with services.database.transaction() as connection:
        found, inside = await _locked(connection, conversation)
        leaving = permit_leave(found, inside.get(actor))
        outcome = await _dismiss(connection, found, inside, [leaving], SystemBody(event="member_left", by=actor), key)
    tell(services, outcome)


async def change_role(
    services: Messaging, *, actor: str, role: str, conversation: str, user: str, wanted: Role
) -> None:
    """Give somebody another place in a group; giving ownership makes the former owner an admin. Raises `Refusal`."""
    key = await system_key(services, conversation, actor, role)
    async with services.database.transaction() as connection:
        found, inside = await _locked(connection, conversation)
        target = permit_role(permit_manage(found, inside.get(actor), role), inside.get(user), wanted)
        if target.role == wanted:
            return
        roles = {user: wanted}
        if wanted == Role.OWNER:
            roles |= {member.user: Role.ADMIN for member in inside.values() if member.role == Role.OWNER}
        outcome = await _give_roles(connection, found, inside, roles, SystemBody(event="role_changed", by=actor), key)
    tell(services, outcome)


async def assign(
    services: Messaging, connection: AsyncConnection, conversation: str, *, add: Sequence[str], remove: Sequence[str]
) -> Sequence[Outcome]:
    """Set who is in, on behalf of the order that the conversation follows: the hand-over happens at one seq.

    In the caller's transaction; `tell` each outcome after the commit.
    """
    key = await sealing_key(services, connection, conversation)
    outcomes = []
    found, inside = await _locked(connection, conversation)
    if fresh := [user for user in add if user not in inside]:
        outcomes.append(await _admit(connection, found, inside, fresh, None, key))
        found = msgspec.structs.replace(found, members_version=outcomes[-1].members_version)
        inside = {member.user: member for member in await store.active_members(connection, conversation)}
    if gone := [inside[user] for user in remove if user in inside]:
        outcomes.append(await _dismiss(connection, found, inside, gone, SystemBody(event="member_removed"), key))
    return outcomes


async def _locked(connection: AsyncConnection, conversation: str) -> tuple[Conversation, dict[str, Member]]:
    """The conversation under its row lock, and then everybody in it, the longest first. Raises `Refusal`."""
    found = await store.conversation(connection, conversation, lock=True)
    if found is None:
        raise not_found()
    if found.kind == Kind.BROADCAST:  # its readers are no list to be read, and nobody manages them one by one
        raise Refusal(ErrorCode.FORBIDDEN)
    return found, {member.user: member for member in await store.active_members(connection, conversation)}


async def _check_were_in(
    connection: AsyncConnection, conversation: str, named: Sequence[str], inside: Mapping[str, Member]
) -> None:
    """A name that never was in is a mistake; one that went before is a repetition."""
    outside = [user for user in named if user not in inside]
    former = await store.named_members(connection, conversation, outside) if outside else {}
    if strange := [user for user in outside if user not in former]:
        fields = {f"members[{named.index(user)}]": "members_not_in" for user in strange}
        raise Refusal(ErrorCode.INVALID, fields=fields)


async def _admit(
    connection: AsyncConnection,
    conversation: Conversation,
    inside: Mapping[str, Member],
    fresh: Sequence[str],
    by: str | None,
    key: DataKey,
) -> Outcome:
    version = await store.raise_version(connection, conversation.id)
    note = SystemBody(event="members_added", users=list(fresh), by=by)
    entry = await append_note(connection, conversation.id, note, key)
    from_seq = sees_from(conversation, entry.seq)
    await store.admit(connection, conversation.id, dict.fromkeys(fresh, Role.MEMBER), from_seq)
    admitted = await store.named_members(connection, conversation.id, fresh)
    changed = msgspec.structs.replace(conversation, members_version=version)
    changes = [change_of(changed, admitted[user]) for user in fresh]
    return Outcome(conversation.id, version, [entry], changes, [*inside, *fresh])


async def _dismiss(
    connection: AsyncConnection,
    conversation: Conversation,
    inside: Mapping[str, Member],
    gone: Sequence[Member],
    note: SystemBody,
    key: DataKey,
) -> Outcome:
    version = await store.raise_version(connection, conversation.id)
    names = [member.user for member in gone]
    entry = await append_note(connection, conversation.id, msgspec.structs.replace(note, users=names), key)
    await store.set_members(connection, conversation.id, names, {"to_seq": entry.seq})
    changed = msgspec.structs.replace(conversation, members_version=version)
    changes = [change_of(changed, msgspec.structs.replace(member, to_seq=entry.seq)) for member in gone]
    staying = {user: member for user, member in inside.items() if user not in names}
    outcome = Outcome(conversation.id, version, [entry], changes, list(staying))
    successor = heir(list(staying.values())) if conversation.kind == Kind.GROUP else None
    if successor is None:
        return outcome
    handed = SystemBody(event="role_changed", users=[successor.user], note=Role.OWNER)
    follow_up = await _give_roles(connection, changed, staying, {successor.user: Role.OWNER}, handed, key)
    return Outcome(
        conversation.id,
        follow_up.members_version,
        [entry, *follow_up.entries],
        [*changes, *follow_up.changes],
        follow_up.told,
    )


async def _give_roles(
    connection: AsyncConnection,
    conversation: Conversation,
    inside: Mapping[str, Member],
    roles: Mapping[str, Role],
    note: SystemBody,
    key: DataKey,
) -> Outcome:
    """The first of `roles` is whom the entry names."""
    version = await store.raise_version(connection, conversation.id)
    for user, given in roles.items():
        await store.set_members(connection, conversation.id, [user], {"role": given})
    user, given = next(iter(roles.items()))
    entry = await append_note(connection, conversation.id, msgspec.structs.replace(note, users=[user], note=given), key)
    changed = msgspec.structs.replace(conversation, members_version=version)
    changes = [change_of(changed, msgspec.structs.replace(inside[user], role=role)) for user, role in roles.items()]
    return Outcome(conversation.id, version, [entry], changes, list(inside))
