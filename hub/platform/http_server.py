"""HTTP that no peer can hold open: bounds on a request's head, on the wait for the rest of a request, and on connections.

What is done with requests is uvicorn's; so is the idle time between two of them (`timeout_keep_alive`).
"""

import asyncio
from enum import Enum, auto
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10


class Phase(Enum):
    """What is awaited from the peer."""

    IDLE = auto()  # nothing of ours: a request is being answered, or none has begun
    HEAD = auto()  # from connecting, or from the first byte of a later request
    BODY = auto()
    LEAVING = auto()  # it was told to go


WAIT_S = {
    Phase.HEAD: 20.0,  # for all of it
    Phase.BODY: 30.0,  # for the next byte
    Phase.LEAVING: 2.0,  # to hang up: closed on unread bytes, TCP would throw the answer away
}


class TooLarge(Exception):
    """Stops the parser; uvicorn answers its errors through `send_400_response`."""


class BoundedHttp(HttpToolsProtocol):
    """Refuses a head above 64 KiB (431), drops who is slow (408), and closes what comes above `limit_concurrency` at once."""

    _phase = Phase.IDLE
    _since = 0.0
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            transport.abort()
            return
        self._enter(Phase.HEAD)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.LEAVING:
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        elif self._phase is Phase.BODY:
            self._since = self.loop.time()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._phase is Phase.HEAD and self._head_bytes > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self._watch()

    def on_message_begin(self) -> None:
        if self._phase is not Phase.HEAD:  # a second request in one packet
            self._enter(Phase.HEAD)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise TooLarge
        self._enter(Phase.BODY)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._enter(Phase.IDLE)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            # Answered before its body was here: the rest of the body has ended uvicorn's idle timer.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        if self._phase is not Phase.LEAVING:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        self._forget()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        """Leave no timer; uvicorn's own would outlive a reset connection."""
        self._enter(Phase.IDLE)
        self._watch()
        self._unset_keepalive_if_required()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()
        self._head_bytes = 0

    def _watch(self) -> None:
        """Have a timer exactly while something is awaited. It moves when it fires, not at every byte."""
        if self._phase is Phase.IDLE:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_at(self._since + WAIT_S[self._phase], self._look)

    def _look(self) -> None:
        self._timer = None
        if self._phase is Phase.LEAVING:
            self.transport.abort()
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (self._phase is Phase.HEAD and answering):
            self._since = self.loop.time()  # it is we who do not read, or who still answer the request before
        if self.loop.time() < self._since + WAIT_S[self._phase]:
            self._watch()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer, unless an answer is on its way, and end the connection."""
        self._forget()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # what the application would still send goes nowhere
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.abort()
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.write_eof()
        self._enter(Phase.LEAVING)
        self._watch()
