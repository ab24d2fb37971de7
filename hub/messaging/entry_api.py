"""HTTP of a conversation's entries: send, edit, recall, fetch, and how far one has read. Acks as over the WebSocket.

Takes the dependencies `principal`, `messaging`, `collector`, `history` and `receipts`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter, SkipValidation
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.messaging import model, operation
from hub.messaging.actions import Messaging
from hub.messaging.alarm import alarming
from hub.messaging.collector import Collector
from hub.messaging.conversation import not_found
from hub.messaging.emergency import sign_of
from hub.messaging.history import History, HistoryPage
from hub.messaging.model import Appended
from hub.messaging.receipt import Receipts
from hub.platform.clock import rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.identifier import is_id
from hub.security.token import Principal

SEQ_MOST = 2**53 - 1  # the largest whole number that JavaScript keeps
Seq = Annotated[int, Meta(ge=0, le=SEQ_MOST)]
SeqInPath = Annotated[int, PathParameter(ge=0, le=SEQ_MOST)]
# As on the wire: PostgreSQL keeps no U+0000 in a text, and a log line no control characters.
ClientMsgId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+(?![\s\S])")]
Content = dict[str, Any]  # Any: an entry's body, which is read by its type in `model`

Who = NamedDependency[Principal]
Services = NamedDependency[SkipValidation[Messaging]]
Log = NamedDependency[SkipValidation[History]]
Appends = NamedDependency[SkipValidation[Collector]]
Marks = NamedDependency[SkipValidation[Receipts]]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class NewEntry(Inbound, frozen=True):
    client_msg_id: ClientMsgId
    type: Annotated[str, Meta(max_length=16)]
    body: Content
    target: Seq | None = None
    on_behalf_of: Annotated[str, Meta(max_length=64)] | None = None


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


@post("/conversations/{conversation:str}/entries", responses=FAILURES, status_code=200)
async def send(
    conversation: FromPath[str], data: JSONBody[NewEntry], principal: Who, messaging: Services, collector: Appends
) -> Answer[Ack]:
    """Append an entry. Repeating it with the same `clientMsgId`, here or over the WebSocket, answers the first ack."""
    with _body():
        draft = model.draft(
            known(conversation),
            principal.user,
            data.client_msg_id,
            data.type,
            msgspec.json.encode(data.body),
            data.target,
            messaging.settings.text_chars,
            data.on_behalf_of,
        )
    async with alarming(messaging, draft, sign_of(principal.role, draft)):
        appended = await collector.append(draft)
    return answer(_ack(conversation, data.client_msg_id, appended))


@patch("/conversations/{conversation:str}/entries/{seq:int}", responses=FAILURES)
async def edit(
    conversation: FromPath[str],
    seq: SeqInPath,
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
    seq: SeqInPath,
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
    after: Annotated[int | None, QueryParameter(ge=0, le=SEQ_MOST)] = None,
    before: Annotated[int | None, QueryParameter(ge=0, le=SEQ_MOST)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
) -> Answer[HistoryPage]:
    """A page of the log in seq order: upwards from `after`, else downwards from `before` or the end."""
    if after is not None and before is not None:
        raise Refusal(ErrorCode.INVALID, fields={"before": "not together with after"})
    return answer(await history.page(principal.user, known(conversation), after=after, before=before, limit=limit))


@post("/conversations/{conversation:str}/read", status_code=200, responses=FAILURES)
async def mark_read(conversation: FromPath[str], data: JSONBody[Mark], principal: Who, receipts: Marks) -> Answer[None]:
    """One has seen everything up to `seq`."""
    await receipts.mark(principal.user, known(conversation), delivered=data.seq, read=data.seq)
    return answer(None)


@post("/conversations/{conversation:str}/delivered", status_code=200, responses=FAILURES)
async def mark_delivered(
    conversation: FromPath[str], data: JSONBody[Mark], principal: Who, receipts: Marks
) -> Answer[None]:
    """This device holds everything up to `seq`."""
    await receipts.mark(principal.user, known(conversation), delivered=data.seq, read=0)
    return answer(None)


handlers: list[ControllerRouterHandler] = [send, edit, recall, list_entries, mark_read, mark_delivered]


def known(name: str) -> str:
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
