"""A connected device without a network: what it is written is read back as frames."""

from collections.abc import Iterator
from typing import Any

import msgspec
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from hub.platform.identifier import new_id
from hub.realtime.connection import Connection
from hub.realtime.frame import Form
from hub.realtime.outbox import Outbox
from hub.realtime.protocol import Request
from hub.realtime.session import Limits, Session
from hub.security.token import Principal

LIMITS = Limits(frames_per_s=10.0, burst=100.0, strikes=5, unanswered=3, held_bytes=10_000)


def frames_in(data: bytes) -> Iterator[Frame]:
    """The WebSocket frames in these bytes, read (and inflated) by another implementation than ours.

    As a client that negotiated what every socket does: no context is kept, and the window has 12 bits.
    """
    reader = StreamReader()
    reader.feed_data(data)
    while reader.buffer:
        inflate = PerMessageDeflate(True, True, 12, 12)
        parser = Frame.parse(reader.read_exact, mask=False, extensions=[inflate])
        try:
            next(parser)
        except StopIteration as done:
            yield done.value
        else:
            raise AssertionError("an incomplete frame")


class Wire:
    """A `Transport` that takes everything, until it is `paused`."""

    def __init__(self) -> None:
        self.paused = False
        self.unsent = 0
        self.writes: list[bytes] = []
        self.pings = 0
        self.closed: tuple[int, str] | None = None

    def write(self, data: bytes) -> None:
        assert not self.paused, "written although the transport is full"
        self.writes.append(data)

    def unsent_bytes(self) -> int:
        return self.unsent

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


class Edge:
    """What a connection needs of the gateway; `turn` is the end of a loop turn."""

    def __init__(self) -> None:
        self.time = 0.0
        self.performed: list[Request] = []
        self.gone: list[Connection] = []
        self.fault: Exception | None = None
        self._dirty: list[Connection] = []

    def now(self) -> float:
        return self.time

    def perform(self, connection: Connection, request: Request) -> None:
        if self.fault is not None:
            raise self.fault
        self.performed.append(request)

    def flush_soon(self, connection: Connection) -> None:
        self._dirty.append(connection)

    def left(self, connection: Connection) -> None:
        self.gone.append(connection)

    def turn(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()


class Device:
    """A connection with both ends at hand."""

    def __init__(
        self,
        edge: Edge | None = None,
        *,
        user: str | None = None,
        form: Form = Form.JSON,
        limits: Limits = LIMITS,
        soft: int = 100_000,
        hard: int = 1_000_000,
    ) -> None:
        self.edge = edge or Edge()
        self.wire = Wire()
        self.user = user or new_id()
        principal = Principal(self.user, new_id(), "patient", 2.0**40)
        session = Session(limits, self.edge.now())
        outbox = Outbox(soft, hard)
        self.connection = Connection(new_id(), self.edge, self.wire, principal, session, outbox, form, "en")

    def say(self, **frame: object) -> None:
        data = msgspec.json.encode(frame)
        packed = self.connection.packed
        self.connection.received(msgspec.msgpack.encode(frame) if packed else data, binary=packed)

    def greet(self) -> "Device":
        """Past hello, with an empty resume."""
        self.say(op="hello", ref=0)
        self.edge.performed.clear()
        assert self.connection.session.resumed({}) == ([], {})
        return self

    def heard(self) -> list[dict[str, Any]]:
        """The frames written since the last call, this loop turn's included."""
        self.edge.turn()
        data = b"".join(self.wire.writes)
        self.wire.writes.clear()
        if self.connection.form is Form.SSE:
            return [msgspec.json.decode(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
        return [_content(frame) for frame in frames_in(data)]


def _content(frame: Frame) -> dict[str, Any]:
    assert frame.fin
    decode = msgspec.json.decode if frame.opcode is Opcode.TEXT else msgspec.msgpack.decode
    content: dict[str, Any] = decode(bytes(frame.data))
    return content
