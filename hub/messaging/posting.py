"""What the hub itself says in a conversation or an inbox, in the transaction of what it tells about."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.actions import Messaging, Outcome, open_inbox, sealing_key
from hub.messaging.collector import entry_of
from hub.messaging.model import SYSTEM, CardBody, Draft, EntryType, SystemBody, TextBody
from hub.platform.clock import rfc3339

_TYPE_OF = {TextBody: EntryType.TEXT, CardBody: EntryType.CARD, SystemBody: EntryType.SYSTEM}


async def post(
    services: Messaging,
    connection: AsyncConnection,
    conversation: str,
    body: TextBody | CardBody | SystemBody,
    name: str,
) -> Outcome:
    """An entry by the hub itself, in the caller's transaction; `tell` after the commit. `name` is its client id: a
    repetition adds nothing."""
    key = await sealing_key(services, connection, conversation)
    draft = Draft(
        conversation=conversation,
        sender=SYSTEM,
        client_msg_id=name,
        type=_TYPE_OF[type(body)],
        body=msgspec.json.encode(body),
    )
    appended = await store.append(connection, draft, key)
    entries = [] if appended.dup else [entry_of(draft, appended.seq, rfc3339(appended.at))]
    return Outcome(conversation, appended.members_version, entries)


async def post_to_inbox(
    services: Messaging, connection: AsyncConnection, user: str, body: TextBody | CardBody | SystemBody, name: str
) -> Sequence[Outcome]:
    """The same into a person's inbox, which is opened if there is none yet."""
    opened = await open_inbox(services, connection, user)
    return opened, await post(services, connection, opened.conversation, body, name)
