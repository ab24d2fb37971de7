"""HTTP/1.1 over kept connections, small enough not to be what is measured: one request at a time on each."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httptools
import msgspec

TIMEOUT_S = 30.0


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class _Wire(asyncio.Protocol):
    """One connection; answers come in the order of the requests."""

    def __init__(self) -> None:
        self._parser: Any = None  # Any: httptools has no types
        self._body = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(self._parser.get_status_code(), bytes(self._body)))

    async def ask(self, request: bytes) -> Answer:
        assert self.transport is not None
        self._parser, self._body = httptools.HttpResponseParser(self), bytearray()
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            return await self._waiting


class HttpClient:
    """`connections` requests at once to one server; more wait."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._place = (host, port)
        self._free: asyncio.LifoQueue[_Wire | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def ask(self, request: bytes) -> Answer:
        """The answer to a request made by `packet`. Raises `OSError` when the server is away."""
        wire = await self._free.get()
        try:
            if wire is None or wire.transport is None:
                _, wire = await asyncio.get_running_loop().create_connection(_Wire, *self._place)
            return await wire.ask(request)
        except (OSError, TimeoutError):
            if wire is not None and wire.transport is not None:
                wire.transport.abort()
            wire = None
            raise
        finally:
            self._free.put_nowait(wire)

    def close(self) -> None:
        while not self._free.empty():
            wire = self._free.get_nowait()
            if wire is not None and wire.transport is not None:
                wire.transport.close()


def packet(method: str, path: str, token: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """A request as bytes."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: hub",
        f"Authorization: Bearer {token}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content
