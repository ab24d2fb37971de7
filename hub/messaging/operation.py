"""Edit and recall: operations on an earlier entry, which are entries of the log themselves. Each is one transaction."""

from collections.abc import Callable

import msgspec

from hub.messaging import model, store
from hub.messaging.actions import Messaging, Outcome, locked, tell
from hub.messaging.alarm import alarming
from hub.messaging.collector import entry_of
from hub.messaging.conversation import not_found, permit_seen
from hub.messaging.emergency import sign_of
from hub.messaging.model import STAFF_ROLES, SYSTEM, Appended, Draft, EntryType, Kind, Original, RecallBody
from hub.platform.clock import rfc3339
from hub.platform.identifier import is_id
from hub.security.sealing import DataKey

Permit = Callable[[Original | None], None]
Committed = Callable[[Appended], None]
"""Called after the commit and before anybody else is told: the ack comes first."""


async def edit(
    services: Messaging,
    *,
    conversation: str,
    actor: str,
    role: str,
    seq: int,
    client_msg_id: str,
    body: bytes,
    committed: Committed = lambda appended: None,
) -> Appended:
    """Replace one's own text. A repetition answers the first ack. Raises `Refusal`; `ValidationError` for the body."""
    limit = services.settings.text_chars
    text = model.draft(conversation, actor, client_msg_id, EntryType.TEXT, body, None, limit)
    draft = msgspec.structs.replace(text, type=EntryType.EDIT, target=seq)
    async with alarming(services, draft, sign_of(role, draft)):
        return await _operate(services, actor, draft, lambda original: model.permit_edit(original, actor), committed)


async def recall(
    services: Messaging,
    *,
    conversation: str,
    actor: str,
    role: str,
    seq: int,
    client_msg_id: str,
    body: bytes,
    committed: Committed = lambda appended: None,
) -> Appended:
    """Take an entry back. A repetition answers the first ack. Raises `Refusal`; `ValidationError` for the body.

    Readers of a broadcast write nothing, staff among them: what the hub said there it takes back itself, at their word.
    """
    content = msgspec.json.decode(body, type=RecallBody)
    draft = Draft(
        conversation=conversation,
        sender=actor,
        client_msg_id=client_msg_id,
        type=EntryType.RECALL,
        body=msgspec.json.encode(content),
        target=seq,
    )
    if role in STAFF_ROLES and await _is_broadcast(services, conversation):
        # Under an id of the hub's own, which says at whose word.
        draft = msgspec.structs.replace(draft, sender=SYSTEM, client_msg_id=f"{actor}:{client_msg_id}")

    def permit(original: Original | None) -> None:
        window_s = services.settings.recall_s
        model.permit_recall(original, actor, role, content.reason, services.clock.now(), window_s)

    return await _operate(services, actor, draft, permit, committed)


async def _operate(services: Messaging, actor: str, draft: Draft, permit: Permit, committed: Committed) -> Appended:
    """`actor`: who must be in the conversation; the draft's sender, but where the hub writes it."""
    assert draft.target is not None
    key = await _key(services, actor, draft)
    async with services.database.transaction() as connection:
        _, member = await locked(connection, draft.conversation, actor)
        # A retry comes before the rules: it may arrive after the window, or after what it did made it impossible.
        if not await store.is_used(connection, draft.conversation, draft.sender, draft.client_msg_id):
            seen = permit_seen(member)
            permit(await store.original(connection, draft.conversation, draft.target, seen))
        appended = await store.append(connection, draft, key)
        if draft.type == EntryType.RECALL and not appended.dup:
            await store.mark_recalled(connection, draft.conversation, draft.target, appended.seq)
    committed(appended)
    entry = entry_of(draft, appended.seq, rfc3339(appended.at))
    if appended.recalled:
        return appended
    if appended.dup:
        services.announcer.repeated(draft.conversation, appended.members_version, entry)
    else:
        tell(services, Outcome(draft.conversation, appended.members_version, [entry]))
    return appended


async def _is_broadcast(services: Messaging, conversation: str) -> bool:
    if not is_id(conversation):
        raise not_found()
    async with services.database.transaction() as connection:
        found = await store.conversation(connection, conversation)
    return found is not None and found.kind == Kind.BROADCAST


async def _key(services: Messaging, actor: str, draft: Draft) -> DataKey:
    """Taken before the lock, because making one uses a connection that appends waiting for that lock could hold."""
    if not is_id(draft.conversation):
        raise not_found()
    async with services.database.transaction() as connection:
        found = await store.conversation(connection, draft.conversation)
        member = await store.member(connection, draft.conversation, actor)
    if found is None or member is None:
        raise not_found()
    return await services.sealer.key_for(found.seals_for(None if draft.sender == SYSTEM else draft.sender))
