"""One connected device: its session, its outbox, and the transport they meet at (a WebSocket, or an SSE stream)."""

from typing import Protocol

import structlog
from prometheus_client import Counter

from hub.platform.error import RULES, ErrorCode, Refusal
from hub.platform.text import Language, text
from hub.realtime.codec import BadFrame, decode, encode_json, failed
from hub.realtime.frame import Broadcast, Form, finish
from hub.realtime.outbox import Outbox, Pressure
from hub.realtime.protocol import MSGPACK, Request, ServerFrame, Typing
from hub.realtime.session import Close, Effect, Refuse, Session, State
from hub.security.token import Principal

CLOSED = Counter("hub_sockets_closed_total", "Sockets closed by the server", ["reason"])
DROPPED = Counter("hub_ephemeral_dropped_total", "Typing and presence frames dropped under pressure")

log = structlog.get_logger()


class Transport(Protocol):
    paused: bool

    def write(self, data: bytes) -> None: ...

    def unsent_bytes(self) -> int: ...

    def ping(self) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Edge(Protocol):
    """What a connection needs of the gateway."""

    def now(self) -> float: ...

    def perform(self, connection: "Connection", request: Request) -> None: ...

    def flush_soon(self, connection: "Connection") -> None: ...

    def left(self, connection: "Connection") -> None: ...


class Connection:
    __slots__ = (
        "__weakref__",
        "_edge",
        "_transport",
        "close_code",
        "connected_at",
        "dirty",
        "form",
        "heard_at",
        "id",
        "language",
        "outbox",
        "pinged",
        "principal",
        "session",
        "watching",
    )

    def __init__(
        self,
        connection_id: str,
        edge: Edge,
        transport: Transport,
        principal: Principal,
        session: Session,
        outbox: Outbox,
        form: Form,
        language: Language,
    ) -> None:
        self.id = connection_id
        self._edge = edge
        self._transport = transport
        self.principal = principal
        self.session = session
        self.outbox = outbox
        self.form = form
        self.language = language
        self.connected_at = self.heard_at = edge.now()
        self.pinged = False
        self.dirty = False
        self.close_code: ErrorCode | None = None
        self.watching: frozenset[str] = frozenset()

    @property
    def user(self) -> str:
        return self.principal.user

    @property
    def packed(self) -> bool:
        return self.form in (Form.MSGPACK, Form.MSGPACK_DEFLATED)

    @property
    def greeting(self) -> bool:
        """Whether no hello has come yet."""
        return self.session.state is State.GREETING

    def received(self, data: bytes, *, binary: bool) -> None:
        """Read one message and let the session decide. A bad frame costs the frame, not the socket (P14)."""
        now = self._edge.now()
        self.heard_at, self.pinged = now, False
        effect: Effect
        try:
            if binary != self.packed:
                raise BadFrame(None, Refusal(ErrorCode.WRONG_FRAME_TYPE))
            request = decode(data, packed=binary)
        except BadFrame as bad:
            effect = self.session.heard(bad.ref, now) or Refuse(bad.ref, bad.refusal)
        else:
            effect = self.session.receive(request, now)
        if isinstance(effect, Refuse):
            self.refuse(effect.ref, effect.refusal)
        elif isinstance(effect, Close):
            self.close(effect.code)
        else:
            self._perform(effect)

    def _perform(self, request: Request) -> None:
        try:
            self._edge.perform(self, request)
        except Exception as error:  # a fault of ours costs the request, not the socket
            log.error("request failed", op=type(request).__name__, error=type(error).__name__, exc_info=error)
            self.refuse(None if isinstance(request, Typing) else request.ref, Refusal(ErrorCode.INTERNAL))

    def alive(self) -> None:
        self.heard_at, self.pinged = self._edge.now(), False

    def writable(self) -> None:
        if self.outbox.size:
            self._edge.flush_soon(self)

    def lost(self) -> None:
        self.session.close()
        self._edge.left(self)

    def tell(self, broadcast: Broadcast) -> None:
        """Facts for this device, now or after the resume that is under way."""
        if self.session.hold(broadcast):
            return
        try:
            frames = broadcast.bytes_for(self.form)
        except Exception as error:  # what cannot be said in one form must not cost those who hear it in another
            log.error("telling failed", form=self.form.name, error=type(error).__name__)
            self.close(ErrorCode.INTERNAL)
            return
        self.push(frames, ephemeral=broadcast.ephemeral)

    def reply(self, *frames: ServerFrame) -> None:
        """An answer to this device alone; several are taken or refused as one."""
        self.push(b"".join([finish(encode_json(frame), self.form) for frame in frames]))

    def refuse(self, ref: int | None, refusal: Refusal) -> None:
        self.reply(failed(ref, refusal, self.language))

    def push(self, frames: bytes, *, ephemeral: bool = False) -> None:
        """Owe finished frames; they leave at the end of this loop turn, with everything else of the turn."""
        if self.close_code is not None:
            return
        unsent = self._transport.unsent_bytes() if self._transport.paused else 0
        match self.outbox.push(frames, unsent=unsent, ephemeral=ephemeral):
            case Pressure.CLOSE:
                self.close(ErrorCode.SLOW_CONSUMER)
            case Pressure.DROPPED:
                DROPPED.inc()
            case Pressure.NONE:
                if not self.dirty:
                    self.dirty = True
                    self._edge.flush_soon(self)

    def flush(self) -> None:
        """Write what is owed, unless the transport is full; then it waits in the outbox, where it is counted."""
        self.dirty = False
        if self.outbox.size and not self._transport.paused:
            self._transport.write(self.outbox.take())

    def ping(self) -> None:
        self.pinged = True
        self._transport.ping()

    def close(self, code: ErrorCode) -> None:
        """End it for this reason; what is owed is still written if the transport takes it."""
        if self.close_code is not None:
            return
        self.flush()
        self.close_code = code
        CLOSED.labels(code.value).inc()
        self.session.close()
        rule = RULES[code]
        self._transport.close(rule.close or 1000, text(code.value, "en"))


def form_of(subprotocol: str, *, deflate: bool) -> Form:
    if subprotocol == MSGPACK:
        return Form.MSGPACK_DEFLATED if deflate else Form.MSGPACK
    return Form.JSON_DEFLATED if deflate else Form.JSON
