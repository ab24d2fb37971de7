"""What the hub itself says in a conversation or an inbox, in the transaction of what it tells about."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import inbox, store
from hub.messaging.actions import Messaging, Outcome, open_inbox, sealing_key
from hub.messaging.collector import entry_of
from hub.messaging.model import SYSTEM, CardBody, Draft, EntryType, SystemBody, TextBody
from hub.platform.clock import rfc3339
from hub.platform.error import Refusal

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
    draft = _draft(conversation, Post(body=body, name=name))
    appended = await store.append(connection, draft, key)
    entries = [] if appended.dup else [entry_of(draft, appended.seq, rfc3339(appended.at))]
    return Outcome(conversation, appended.members_version, entries)


async def post_to_inbox(
    services: Messaging, connection: AsyncConnection, user: str, body: TextBody | CardBody | SystemBody, name: str
) -> Sequence[Outcome]:
    """The same into a person's inbox, which is opened if there is none yet."""
    opened = await open_inbox(services, connection, user)
    return opened, await post(services, connection, opened.conversation, body, name)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said: into the inbox of `user`, or in `conversation`. `name` is its client id."""

    user: str = ""
    conversation: str = ""
    body: TextBody | CardBody | SystemBody
    name: str


class Posted(msgspec.Struct, frozen=True):
    """What came of one: `outcome` without entries if it was said before, None if nothing can be said there any more."""

    outcome: Outcome | None


async def post_all(
    services: Messaging, connection: AsyncConnection, posts: Sequence[Post]
) -> tuple[Sequence[Outcome], Sequence[Posted]]:
    """Say many things in one append, in the caller's transaction: the inboxes that were opened for it, and what came of each.

    `tell` all outcomes after the commit, those first. One append takes the locks of its conversations in one order, so a
    transaction should make one only. Where a key is destroyed nothing is said any more.
    """
    opened, inboxes = await inbox.inboxes_of(services, connection, {post.user for post in posts if post.user})
    places = [inboxes[post.user] if post.user else post.conversation for post in posts]
    subjects = {inboxes[user]: user for user in inboxes}
    subjects |= await store.sealing_subjects(connection, {place for place in places if place not in subjects})
    keys = await services.sealer.keys_for(set(subjects.values()))
    drafts = [_draft(place, post) for place, post in zip(places, posts, strict=True)]
    sealable = [
        (number, draft, key)
        for number, draft in enumerate(drafts)
        if (key := keys.get(subjects.get(draft.conversation, ""))) is not None
    ]
    results = await store.append_all(connection, [(draft, key) for _, draft, key in sealable])
    posted = [Posted(None)] * len(posts)
    for (number, draft, _), appended in zip(sealable, results, strict=True):
        if isinstance(appended, Refusal):
            raise appended
        entries = [] if appended.dup else [entry_of(draft, appended.seq, rfc3339(appended.at))]
        posted[number] = Posted(Outcome(draft.conversation, appended.members_version, entries))
    return opened, posted


def _draft(conversation: str, post: Post) -> Draft:
    return Draft(
        conversation=conversation,
        sender=SYSTEM,
        client_msg_id=post.name,
        type=_TYPE_OF[type(post.body)],
        body=msgspec.json.encode(post.body),
    )
