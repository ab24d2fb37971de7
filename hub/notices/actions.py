"""Telling a person something they must know: an entry in their inbox and, beside it, the notice that follows it outside.

Both are part of the transaction of what happened; sockets are told after its commit, the rest is the workers'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.actions import Messaging, Outcome, tell
from hub.messaging.model import CardBody, SystemBody, TextBody
from hub.messaging.posting import Post, post_all
from hub.notices.class_book import ClassBook
from hub.notices.draft import Draft, insert
from hub.platform import settings
from hub.platform.clock import Clock


@dataclass(frozen=True, slots=True)
class Notices:
    """What the use cases of this area stand on."""

    messaging: Messaging
    classes: ClassBook
    clock: Clock
    settings: settings.Notices
    begun: Callable[[str, str], None] = lambda client_id, conversation: None
    """`Bell.note` where there are sockets."""


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one person must know: a notice of class `code`, and what is said in their inbox."""

    code: str
    draft: Draft
    body: TextBody | CardBody | SystemBody


async def notify(
    services: Notices, connection: AsyncConnection, code: str, draft: Draft, body: TextBody | CardBody | SystemBody
) -> Sequence[Outcome]:
    """`notify_all` for one person."""
    return await notify_all(services, connection, [Telling(code=code, draft=draft, body=body)])


async def notify_all(
    services: Notices,
    connection: AsyncConnection,
    tellings: Sequence[Telling],
    posts: Sequence[Post] = (),
    *,
    now: datetime | None = None,
) -> Sequence[Outcome]:
    """Put each body into its person's inbox and make the notice that follows; `tell_all` the outcomes after the commit.

    A draft's dedupe key is its entry's client id, so it need not name the person: a repetition adds neither. To somebody
    whose key is destroyed nothing is said any more. `posts` go into the same append. `now`: PostgreSQL's, where it is known.
    """
    said = [Post(user=each.draft.user, body=each.body, name=each.draft.dedupe_key) for each in tellings]
    opened, posted = await post_all(services.messaging, connection, [*said, *posts])
    drafts: dict[str, list[Draft]] = {}
    for telling, each in zip(tellings, posted, strict=False):
        if each.outcome is not None and each.outcome.entries:
            drafts.setdefault(telling.code, []).append(_placed(telling.draft, each.outcome))
    for code, placed in drafts.items():
        chosen = await services.classes.of(code, connection)
        await insert(connection, chosen, services.settings.shards, now or services.clock.now(), placed)
    return [*opened, *(each.outcome for each in posted if each.outcome is not None)]


def _placed(draft: Draft, outcome: Outcome) -> Draft:
    key, seq = f"{draft.dedupe_key}:{draft.user}", outcome.entries[0].seq
    return msgspec.structs.replace(draft, dedupe_key=key, conversation=outcome.conversation, seq=seq)


def tell_all(services: Notices, outcomes: Sequence[Outcome]) -> None:
    """What `notify` answered, to sockets; after the commit."""
    for outcome in outcomes:
        tell(services.messaging, outcome)
        for entry in outcome.entries:
            services.begun(entry.client_msg_id, outcome.conversation)
