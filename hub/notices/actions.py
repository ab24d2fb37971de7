"""Telling a person something they must know: an entry in their inbox and, beside it, the notice that follows it outside.

Both are part of the transaction of what happened; sockets are told after its commit, the rest is the workers'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.actions import Messaging, Outcome, tell
from hub.messaging.model import CardBody, SystemBody, TextBody
from hub.messaging.posting import post_to_inbox
from hub.notices.class_book import ClassBook
from hub.notices.draft import Draft, insert
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.error import Refusal


@dataclass(frozen=True, slots=True)
class Notices:
    """What the use cases of this area stand on."""

    messaging: Messaging
    classes: ClassBook
    clock: Clock
    settings: settings.Notices
    begun: Callable[[str, str], None] = lambda client_id, conversation: None
    """`Bell.note` where there are sockets."""


async def notify(
    services: Notices, connection: AsyncConnection, code: str, draft: Draft, body: TextBody | CardBody | SystemBody
) -> Sequence[Outcome]:
    """Put `body` into the person's inbox and make the notice of class `code`; `tell_all` the outcomes after the commit.

    The draft's dedupe key is the entry's client id, so it need not name the person: a repetition adds neither. To somebody
    whose key is destroyed nothing is said any more.
    """
    try:
        outcomes = await post_to_inbox(services.messaging, connection, draft.user, body, draft.dedupe_key)
    except Refusal as refusal:
        if refusal.text != "erased":
            raise
        return ()
    posted = outcomes[-1]
    if posted.entries:
        placed = msgspec.structs.replace(
            draft,
            dedupe_key=f"{draft.dedupe_key}:{draft.user}",
            conversation=posted.conversation,
            seq=posted.entries[0].seq,
        )
        chosen = await services.classes.of(code, connection)
        await insert(connection, chosen, services.settings.shards, services.clock.now(), [placed])
    return outcomes


def tell_all(services: Notices, outcomes: Sequence[Outcome]) -> None:
    """What `notify` answered, to sockets; after the commit."""
    for outcome in outcomes:
        tell(services.messaging, outcome)
        for entry in outcome.entries:
            services.begun(entry.client_msg_id, outcome.conversation)
