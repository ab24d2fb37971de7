"""Every frame of the wire: what a client may ask (imperatives) and what the server tells (facts). `codec` reads and writes them.

AsyncAPI is generated from these types (`hub/realtime/asyncapi.py`); `docs/protocol.md` explains them.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from hub.messaging.model import Entry

JSON = "hub.v1.json"
MSGPACK = "hub.v1.msgpack"

Ref = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
ClientMsgId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+(?![\s\S])")]


class ClientFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="op"):
    """What a client asks. An answer repeats `ref`."""


class Hello(ClientFrame, frozen=True, tag="hello", kw_only=True):
    """The first frame, and later the way to compare notes again. `cursors`: the last seq held of each conversation."""

    ref: Ref
    cursors: dict[Id, Seq] = {}
    since: str | None = None
    device: Annotated[str, Meta(max_length=128)] = ""


class Send(ClientFrame, frozen=True, tag="send", kw_only=True):
    """Append an entry. Safe to repeat with the same `clientMsgId`: the first ack comes again with `dup`."""

    ref: Ref
    conversation: Id
    client_msg_id: ClientMsgId
    type: Annotated[str, Meta(max_length=16)]
    body: Raw
    target: Seq | None = None
    on_behalf_of: Id | None = None


class Edit(ClientFrame, frozen=True, tag="edit", kw_only=True):
    """Replace the text of an entry of one's own."""

    ref: Ref
    conversation: Id
    seq: Seq
    client_msg_id: ClientMsgId
    body: Raw


class Recall(ClientFrame, frozen=True, tag="recall", kw_only=True):
    """Take an entry back: one's own for a while, staff always, with a reason in `body.reason`."""

    ref: Ref
    conversation: Id
    seq: Seq
    client_msg_id: ClientMsgId
    body: Raw = msgspec.field(default_factory=Raw)


class Delivered(ClientFrame, frozen=True, tag="delivered", kw_only=True):
    """This device holds everything up to `seq`."""

    ref: Ref
    conversation: Id
    seq: Seq


class Read(ClientFrame, frozen=True, tag="read", kw_only=True):
    """The person has seen everything up to `seq`."""

    ref: Ref
    conversation: Id
    seq: Seq


class Typing(ClientFrame, frozen=True, tag="typing", kw_only=True):
    """The person is writing. Not answered; forgotten under pressure."""

    conversation: Id


class Fetch(ClientFrame, frozen=True, tag="fetch", kw_only=True):
    """A page of the log: `after` a seq upwards, or `before` a seq downwards."""

    ref: Ref
    conversation: Id
    after: Seq | None = None
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class Watch(ClientFrame, frozen=True, tag="watch", kw_only=True):
    """Tell the presence of these people from now on; replaces the former list."""

    ref: Ref
    users: Annotated[list[Id], Meta(max_length=200)]


class Ping(ClientFrame, frozen=True, tag="ping", kw_only=True):
    """Alive, and asking for the digest of heads."""

    ref: Ref


Request = Hello | Send | Edit | Recall | Delivered | Read | Typing | Fetch | Watch | Ping


class ServerFrame(msgspec.Struct, frozen=True, rename="camel", tag_field="op"):
    """What the server tells."""


class Head(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Where a conversation stands for one member."""

    seq: int
    read_seq: int
    delivered_seq: int
    unread: int
    kind: str
    role: str
    from_seq: int
    members_version: int
    until: int | None = None
    read_only: bool = False
    muted: bool = False
    pinned: bool = False
    receipts: dict[str, tuple[int, int]] = {}


class Welcome(ServerFrame, frozen=True, tag="welcome", kw_only=True):
    """Answers hello. `receipts` in a head: user → [deliveredSeq, readSeq], those moved since `since`."""

    ref: int
    session: str
    user: str
    heads: dict[str, Head]
    heartbeat_ms: int
    at: str
    more: bool = False


class Ack(ServerFrame, frozen=True, tag="ack", kw_only=True):
    """The entry is committed under this seq (P1)."""

    ref: int
    conversation: str
    client_msg_id: str
    seq: int
    at: str
    dup: bool


class Page(ServerFrame, frozen=True, tag="page", kw_only=True, omit_defaults=True):
    """Entries in seq order. `operations`: later entries aimed at these. `snapshot`: drop what you held of this conversation before."""

    conversation: str
    entries: list[Entry]
    more: bool
    operations: list[Entry] = []
    ref: int | None = None
    snapshot: bool = False


class Ok(ServerFrame, frozen=True, tag="ok"):
    """Done."""

    ref: int


class Receipt(ServerFrame, frozen=True, tag="receipt", kw_only=True):
    """How far a member has received and read."""

    conversation: str
    user: str
    delivered_seq: int
    read_seq: int


class Typed(ServerFrame, frozen=True, tag="typing", kw_only=True):
    """A member is writing."""

    conversation: str
    user: str


class Presence(ServerFrame, frozen=True, tag="presence", kw_only=True):
    """A watched person came or went; for showing, never for deciding."""

    user: str
    online: bool
    at: str


class Membership(ServerFrame, frozen=True, tag="membership", kw_only=True, omit_defaults=True):
    """Somebody's place in a conversation changed. `toSeq`: the last entry they may see; absent while a member."""

    conversation: str
    user: str
    role: str
    from_seq: int
    members_version: int
    kind: str
    to_seq: int | None = None
    read_only: bool = False


class Notice(ServerFrame, frozen=True, tag="notice", kw_only=True, omit_defaults=True):
    """A notice of one's own begins (`open`) or was `seen`. `unread`: of one's inbox now; what has a lower `version` is older."""

    notice: str
    class_: str = msgspec.field(name="class")
    state: str
    conversation: str | None = None
    seq: int | None = None
    unread: int
    version: int
    at: str


class Gap(ServerFrame, frozen=True, tag="gap", kw_only=True):
    """Entries from `from` on may be missing here: fetch them."""

    conversation: str
    from_: int = msgspec.field(name="from")


class Pong(ServerFrame, frozen=True, tag="pong", kw_only=True):
    """`digest`: see `docs/messaging.md`; a client that computes another one says hello again. Null when it is not known just now."""

    ref: int
    digest: str | None
    at: str


class Drain(ServerFrame, frozen=True, tag="drain", kw_only=True):
    """This server is leaving: reconnect after that long."""

    reconnect_after_ms: int


class Failed(ServerFrame, frozen=True, tag="failed", kw_only=True):
    """A refusal; `ref` is null when the frame had none."""

    ref: int | None
    code: str
    message: str
    fields: dict[str, str]
    retry_after_ms: int | None


Fact = (
    Welcome | Ack | Entry | Page | Ok | Receipt | Typed | Presence | Membership | Notice | Gap | Pong | Drain | Failed
)


def schema_types() -> tuple[Any, Any]:  # Any: typing unions, which mypy has no type for
    """Both unions, for the AsyncAPI generator."""
    return Request, Fact
