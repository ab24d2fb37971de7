"""HTTP of conversations: parse, call, wrap. What one may do is decided by the actions, from who is in what.

Takes the dependencies `principal`, `messaging`, `listing`, `collector`, `history` and `receipts`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, SkipValidation
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.messaging import actions, membership, model, operation
from hub.messaging.actions import Messaging
from hub.messaging.collector import Collector
from hub.messaging.conversation import Detail, Role, Summary, not_found
from hub.messaging.history import History, HistoryPage
from hub.messaging.listing import SORTS, Listing
from hub.messaging.model import Appended
from hub.messaging.receipt import Receipts
from hub.platform.clock import rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging, page_of
from hub.security.token import Principal

Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
# PostgreSQL keeps every character but U+0000 in a text.
ClientMsgId = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\\x00]+$")]
Content = dict[str, Any]  # Any: an entry's body, which is read by its type in `model`

Who = NamedDependency[Principal]
Services = NamedDependency[SkipValidation[Messaging]]
List = NamedDependency[SkipValidation[Listing]]
Log = NamedDependency[SkipValidation[History]]
Appends = NamedDependency[SkipValidation[Collector]]
Marks = NamedDependency[SkipValidation[Receipts]]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class NewConversation(Inbound, frozen=True):
    kind: Literal["direct", "group"]
    members: list[str]
    title: str | None = None


class Change(Inbound, frozen=True):
    """`title` for everybody; `muted` and `pinned` for oneself. What is left out stays."""

    title: str | None = None
    muted: bool | None = None
    pinned: bool | None = None


class Named(Inbound, frozen=True):
    members: list[str]


class RoleChange(Inbound, frozen=True):
    role: Role


class NewEntry(Inbound, frozen=True):
    client_msg_id: ClientMsgId
    type: Annotated[str, Meta(max_length=16)]
    body: Content
    target: Seq | None = None


class NewOperation(Inbound, frozen=True):
    client_msg_id: ClientMsgId
    body: Content = {}


class Mark(Inbound, frozen=True):
    seq: Seq


class Ack(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The entry is committed under this seq (P1); the same over every road."""

    conversation: str
    client_msg_id: str
    seq: int
    at: str
    dup: bool


@post("/conversations", responses=FAILURES)
async def create_conversation(
    data: JSONBody[NewConversation], principal: Who, messaging: Services, listing: List
) -> Answer[Detail]:
    """Start a conversation. A direct one that exists already is answered as it is."""
    user, role = principal.user, principal.role
    if data.kind == "group":
        made = await actions.create_group(messaging, actor=user, role=role, title=data.title, members=data.members)
    elif data.title:
        raise Refusal(ErrorCode.INVALID, fields={"title": "title_unwanted"})
    else:
        made = await actions.create_direct(messaging, actor=user, role=role, members=data.members)
    return answer(await listing.one(user, made), 201)


@get("/conversations", responses=FAILURES, dependencies={"paging": paging(*SORTS, default="-updatedAt")})
async def list_conversations(paging: NamedDependency[Paging], principal: Who, listing: List) -> Answer[Page[Summary]]:
    """The conversations one is in, pinned ones first."""
    summaries, total = await listing.page(principal.user, paging)
    return answer(page_of(summaries, paging, total))


@get("/conversations/{conversation:str}", responses=FAILURES)
async def show_conversation(conversation: FromPath[str], principal: Who, listing: List) -> Answer[Detail]:
    """One conversation, with who is in it."""
    return answer(await listing.one(principal.user, _known(conversation)))


@patch("/conversations/{conversation:str}", responses=FAILURES)
async def change_conversation(
    conversation: FromPath[str], data: JSONBody[Change], principal: Who, messaging: Services
) -> Answer[None]:
    """Rename a group; mute or pin for oneself."""
    _known(conversation)
    # The title first: it is the part that may be refused, and then nothing has changed.
    if data.title is not None:
        who = {"actor": principal.user, "role": principal.role}
        await actions.rename(messaging, **who, conversation=conversation, title=data.title)
    if data.muted is not None or data.pinned is not None:
        await actions.prefer(
            messaging, actor=principal.user, conversation=conversation, muted=data.muted, pinned=data.pinned
        )
    return answer(None)


@post("/conversations/{conversation:str}/members", status_code=200, responses=FAILURES)
async def add_members(
    conversation: FromPath[str], data: JSONBody[Named], principal: Who, messaging: Services
) -> Answer[None]:
    """Bring people into a group. Who is in already stays."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.add(messaging, **who, conversation=_known(conversation), members=data.members)
    return answer(None)


@delete("/conversations/{conversation:str}/members", status_code=200, responses=FAILURES)
async def remove_members(
    conversation: FromPath[str], data: JSONBody[Named], principal: Who, messaging: Services
) -> Answer[None]:
    """Take people out of a group. They see what was there until then."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.remove(messaging, **who, conversation=_known(conversation), members=data.members)
    return answer(None)


@patch("/conversations/{conversation:str}/members/{user:str}", responses=FAILURES)
async def change_role(
    conversation: FromPath[str], user: FromPath[str], data: JSONBody[RoleChange], principal: Who, messaging: Services
) -> Answer[None]:
    """Give a member another place: admin, member, reader, or the group itself (owner)."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.change_role(
        messaging, **who, conversation=_known(conversation), user=_known(user), wanted=data.role
    )
    return answer(None)


@post("/conversations/{conversation:str}/leave", status_code=200, responses=FAILURES)
async def leave(conversation: FromPath[str], principal: Who, messaging: Services) -> Answer[None]:
    """Walk out of a group."""
    await membership.leave(messaging, actor=principal.user, conversation=_known(conversation))
    return answer(None)


@post("/conversations/{conversation:str}/entries", responses=FAILURES, status_code=200)
async def send(
    conversation: FromPath[str], data: JSONBody[NewEntry], principal: Who, messaging: Services, collector: Appends
) -> Answer[Ack]:
    """Append an entry. Repeating it with the same `clientMsgId`, here or over the WebSocket, answers the first ack."""
    with _body():
        draft = model.draft(
            _known(conversation),
            principal.user,
            data.client_msg_id,
            data.type,
            msgspec.json.encode(data.body),
            data.target,
            messaging.settings.text_chars,
        )
    return answer(_ack(conversation, data.client_msg_id, await collector.append(draft)))


@patch("/conversations/{conversation:str}/entries/{seq:int}", responses=FAILURES)
async def edit(
    conversation: FromPath[str],
    seq: FromPath[Seq],
    data: JSONBody[NewOperation],
    principal: Who,
    messaging: Services,
) -> Answer[Ack]:
    """Replace the text of an entry of one's own."""
    with _body():
        appended = await operation.edit(
            messaging,
            conversation=conversation,
            actor=principal.user,
            role=principal.role,
            seq=seq,
            client_msg_id=data.client_msg_id,
            body=msgspec.json.encode(data.body),
        )
    return answer(_ack(conversation, data.client_msg_id, appended))


@delete("/conversations/{conversation:str}/entries/{seq:int}", status_code=200, responses=FAILURES)
async def recall(
    conversation: FromPath[str],
    seq: FromPath[Seq],
    data: JSONBody[NewOperation],
    principal: Who,
    messaging: Services,
) -> Answer[Ack]:
    """Take an entry back: one's own for a while, staff always, with `body.reason`."""
    with _body():
        appended = await operation.recall(
            messaging,
            conversation=conversation,
            actor=principal.user,
            role=principal.role,
            seq=seq,
            client_msg_id=data.client_msg_id,
            body=msgspec.json.encode(data.body),
        )
    return answer(_ack(conversation, data.client_msg_id, appended))


@get("/conversations/{conversation:str}/entries", responses=FAILURES)
async def list_entries(
    conversation: FromPath[str],
    principal: Who,
    history: Log,
    after: FromQuery[Seq | None] = None,
    before: FromQuery[Seq | None] = None,
    limit: FromQuery[Annotated[int, Meta(ge=1, le=200)]] = 100,
) -> Answer[HistoryPage]:
    """A page of the log in seq order: upwards from `after`, else downwards from `before` or the end."""
    if after is not None and before is not None:
        raise Refusal(ErrorCode.INVALID, fields={"before": "not together with after"})
    return answer(await history.page(principal.user, _known(conversation), after=after, before=before, limit=limit))


@post("/conversations/{conversation:str}/read", status_code=200, responses=FAILURES)
async def mark_read(conversation: FromPath[str], data: JSONBody[Mark], principal: Who, receipts: Marks) -> Answer[None]:
    """One has seen everything up to `seq`."""
    await receipts.mark(principal.user, _known(conversation), delivered=data.seq, read=data.seq)
    return answer(None)


@post("/conversations/{conversation:str}/delivered", status_code=200, responses=FAILURES)
async def mark_delivered(
    conversation: FromPath[str], data: JSONBody[Mark], principal: Who, receipts: Marks
) -> Answer[None]:
    """This device holds everything up to `seq`."""
    await receipts.mark(principal.user, _known(conversation), delivered=data.seq, read=0)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    create_conversation,
    list_conversations,
    show_conversation,
    change_conversation,
    add_members,
    remove_members,
    change_role,
    leave,
    send,
    edit,
    recall,
    list_entries,
    mark_read,
    mark_delivered,
]


def _known(name: str) -> str:
    """What cannot be an id is answered like an unknown one, before it reaches the database."""
    if not is_id(name):
        raise not_found()
    return name


def _ack(conversation: str, client_msg_id: str, appended: Appended) -> Ack:
    return Ack(
        conversation=conversation,
        client_msg_id=client_msg_id,
        seq=appended.seq,
        at=rfc3339(appended.at),
        dup=appended.dup,
    )


@contextmanager
def _body() -> Iterator[None]:
    """A body's fault is named with its field under `body`, where the client put it."""
    try:
        yield
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{message} - at `$.body{path or '`'}") from None
