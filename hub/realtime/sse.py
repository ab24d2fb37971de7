"""The same facts as Server-Sent Events, for proxies that break WebSockets: one direction only, sends go over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from litestar.response import Stream

from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, context_of
from hub.realtime.connection import Connection
from hub.realtime.engine import CLOSE_S
from hub.realtime.frame import Form
from hub.realtime.gateway import Gateway
from hub.realtime.protocol import Hello
from hub.realtime.reader import Reader
from hub.realtime.resume import moment_of
from hub.security.token import Principal


class Streams:
    """What SSE stands on; one per process, in `app.state["streams"]`."""

    def __init__(self, gateway: Gateway, reader: Reader, clock: Clock) -> None:
        self._gateway = gateway
        self._reader = reader
        self._clock = clock

    def open(self, principal: Principal, last_event_id: str | None, request: Request[Any, Any, Any]) -> "EventStream":
        """A stream that starts with a welcome, then what was committed since `last_event_id`. Raises `Refusal`."""
        self._gateway.admit()
        since = _moment(last_event_id)
        stream = EventStream(self._clock)
        language = context_of(request.scope).language
        stream.connection = self._gateway.connect(stream, principal, Form.SSE, language)
        hello = Hello(ref=0)
        if isinstance(stream.connection.session.receive(hello, self._gateway.now()), Hello):
            self._reader.stream(stream.connection, hello.ref, since)
        return stream


class EventStream:
    """A `Transport` read by the HTTP response. While one chunk is on its way the next waits in the outbox, where it is bounded."""

    connection: Connection

    def __init__(self, clock: Clock) -> None:
        self.paused = False
        self._clock = clock
        self._chunk = b""
        self._ended = False
        self._response: asyncio.Task[object] | None = None
        self._ready = asyncio.Event()

    def write(self, data: bytes) -> None:
        # An event without data only moves the client's Last-Event-ID (WHATWG HTML, section 9.2.6).
        self._chunk += data + b"id: " + rfc3339(self._clock.now()).encode() + b"\n\n"
        self.paused = True
        self._ready.set()

    def unsent_bytes(self) -> int:
        return len(self._chunk)

    def ping(self) -> None:
        """A comment, so that proxies keep the connection; a peer that is gone ends the response itself."""
        if not self.paused:
            self.write(b": ping\n\n")
            self.connection.alive()

    def close(self, code: int, reason: str) -> None:
        self._chunk += f"event: close\ndata: {code} {reason}\n\n".encode()
        self._ended = True
        self._ready.set()
        # A peer that does not read never asks for the next chunk: then the response is cut off.
        asyncio.get_running_loop().call_later(CLOSE_S, self._cut)

    def _cut(self) -> None:
        if self._response is not None:
            self._response.cancel()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What the response sends, until the hub or the client ends it."""
        self._response = asyncio.current_task()
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                chunk, self._chunk = self._chunk, b""
                yield chunk
                if self._ended:
                    return
                self.paused = False
                self.connection.writable()
        finally:
            self._response = None
            self.connection.lost()


def _moment(text: str | None) -> datetime | None:
    moment = moment_of(text) if text else None
    if text and moment is None:
        raise Refusal(ErrorCode.INVALID, fields={"Last-Event-ID": "the id of an event of this stream"})
    return moment


async def _closing(stream: EventStream) -> AsyncIterator[bytes]:
    async with aclosing(stream.chunks()) as chunks:  # type: ignore[type-var]  # an async generator behind an iterator's type
        async for chunk in chunks:
            yield chunk


@get("/events", media_type="text/event-stream", responses=FAILURES)
async def events(
    request: Request[Any, Any, Any],  # Any: Litestar's user, auth and state
    principal: NamedDependency[Principal],
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Stream:
    """Receive over Server-Sent Events."""
    streams: Streams = request.app.state["streams"]
    stream = streams.open(principal, last_event_id, request)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_closing(stream), media_type="text/event-stream", headers=headers)
