"""P7, P15: before anybody has signed in, a peer costs little, and not for long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop

from hub.platform import http_server
from hub.platform.http_server import HEAD_BYTES, BoundedHttp, Phase
from hub.realtime.engine import HubWebSocket

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
UPLOAD = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PATIENCE_S = 10.0
SHORT_S = 0.3

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Application:
    """Reads a body at /read, answers before it at /early, streams until told at /stream, and accepts every socket."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "text": "heard"})
            return
        while scope["path"] == "/read":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"done"})


class Running(uvicorn.Server):
    application: Application
    port: int

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Signals are the tests' own."""
        yield

    async def dial(self, data: bytes = b"") -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer

    async def settled(self, connections: int = 0) -> None:
        """Wait until this many are left."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.server_state.connections) != connections:  # noqa: ASYNC110  uvicorn tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(limit: int | None = None) -> AsyncIterator[Running]:
    application = Application()
    config = uvicorn.Config(
        application,
        http=BoundedHttp,
        ws=HubWebSocket,
        port=0,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
        limit_concurrency=limit,
    )
    server = Running(config)
    server.application = application
    task = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(PATIENCE_S):
        while not server.started:  # noqa: ASYNC110  uvicorn tells nobody
            await asyncio.sleep(0.01)
    server.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def end_of(peer: Peer) -> bytes:
    """All that is said until the connection ends."""
    reader, writer = peer
    said = b""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(PATIENCE_S):
            while data := await reader.read(65536):
                said += data
    writer.transport.abort()
    return said


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for phase in (Phase.HEAD, Phase.BODY):
        monkeypatch.setitem(http_server.WAIT_S, phase, SHORT_S)


@pytest.mark.parametrize("ended", [b"\r\n\r\n", b""])
async def test_a_head_is_refused_when_it_is_too_large(ended: bytes) -> None:
    """431 for one long header, whether it ends or not; the answer arrives though more was sent."""
    async with serving() as server:
        said = await end_of(await server.dial(GET[:-2] + b"x: " + b"a" * (HEAD_BYTES + 1000) + ended))
        await server.settled()

    assert said.startswith(b"HTTP/1.1 431 ")


async def test_a_large_head_is_taken_when_it_is_within_the_limit() -> None:
    """Just below the limit is not refused, also as the second request of one packet."""
    fits = GET[:-2] + b"x: " + b"a" * (HEAD_BYTES - 100) + b"\r\nconnection: close\r\n\r\n"
    async with serving() as server:
        said = await end_of(await server.dial(GET + fits))

    assert said.count(b"HTTP/1.1 200 ") == 2


async def test_a_connection_is_closed_when_its_head_does_not_come(short: None) -> None:
    """One that says nothing and one that dribbles are told 408; bytes buy no time."""
    async with serving() as server:
        silent, dribbling = await server.dial(), await server.dial(GET[:-2])

        async def dribble() -> None:
            while not dribbling[1].is_closing():
                dribbling[1].write(b"x: y\r\n")
                await asyncio.sleep(SHORT_S / 10)

        dribbler = asyncio.ensure_future(dribble())

        assert (await end_of(silent)).startswith(b"HTTP/1.1 408 ")
        assert (await end_of(dribbling)).startswith(b"HTTP/1.1 408 ")
        await dribbler
        await server.settled()


async def test_a_kept_connection_is_closed_when_only_line_ends_come(short: None) -> None:
    """What a parser skips before a request ends uvicorn's idle time, but begins ours."""
    async with serving() as server:
        peer = await server.dial(GET)
        await peer[0].readuntil(b"0\r\n\r\n")
        peer[1].write(b"\r\n")

        assert (await end_of(peer)).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_is_closed_when_its_body_stalls(short: None) -> None:
    """408 while the application still waits for it, and it learns that the peer is gone."""
    async with serving() as server:
        said = await end_of(await server.dial(UPLOAD % b"read" + b"1"))
        await server.settled()

        assert said.startswith(b"HTTP/1.1 408 ")
        assert not server.server_state.tasks


async def test_a_slow_body_is_taken_when_it_moves(short: None) -> None:
    """The time is for the next byte, not for all of them."""
    async with serving() as server:
        peer = await server.dial(UPLOAD % b"read")
        for _ in range(10):
            await asyncio.sleep(SHORT_S / 5)
            peer[1].write(b"1")

        assert (await peer[0].readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        peer[1].transport.abort()


async def test_a_connection_is_closed_when_the_body_comes_after_the_answer() -> None:
    """The idle time begins anew with the end of the body."""
    async with serving() as server:
        peer = await server.dial(UPLOAD % b"early")
        await peer[0].readuntil(b"0\r\n\r\n")
        peer[1].write(b"1" * 10)

        assert await end_of(peer) == b""
        await server.settled()


async def test_a_long_answer_is_not_cut(short: None) -> None:
    """An event stream lasts, even if its reader begins another request meanwhile."""
    async with serving() as server:
        peer = await server.dial(GET.replace(b"/ ", b"/stream ") + GET[:5])
        await peer[0].readuntil(b"first\r\n")
        await asyncio.sleep(SHORT_S * 3)
        server.application.go_on.set()

        assert await peer[0].readuntil(b"0\r\n\r\n") == b"4\r\ndone\r\n0\r\n\r\n"
        peer[1].transport.abort()


async def test_no_timer_stays_when_a_connection_becomes_a_socket(short: None) -> None:
    """A WebSocket has limits of its own."""
    async with serving() as server:
        peer = await server.dial(GET)
        await peer[0].readuntil(b"0\r\n\r\n")
        peer[1].write(UPGRADE)
        assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await asyncio.sleep(1.3)  # longer than any wait of this server
        peer[1].write(b"\x81\x81\0\0\0\0?")

        assert await asyncio.wait_for(peer[0].readexactly(7), PATIENCE_S) == b"\x81\x05heard"
        peer[1].transport.abort()


async def test_a_connection_is_closed_when_there_are_too_many() -> None:
    """At accept, before anything is read; a place that becomes free is given again."""
    async with serving(limit=4) as server:
        peers = [await server.dial() for _ in range(3)]
        await server.settled(3)

        assert await end_of(await server.dial(GET)) == b""
        peers[0][1].transport.abort()
        await server.settled(2)
        fourth = await server.dial(GET)
        assert (await fourth[0].readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        for _, writer in (*peers, fourth):
            writer.transport.abort()


def test_bounds_hold_when_the_loop_is_the_one_that_serves() -> None:
    """The hub runs on uvloop."""

    async def refused() -> tuple[bytes, bytes]:
        async with serving(limit=2) as server:
            said = await end_of(await server.dial(GET[:-2] + b"x: " + b"a" * (4 * HEAD_BYTES)))
            await server.settled()
            peer = await server.dial()
            await server.settled(1)
            more = await end_of(await server.dial(GET))
            peer[1].transport.abort()
            await server.settled()
            return said, more

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        said, more = runner.run(refused())

    assert said.startswith(b"HTTP/1.1 431 ")
    assert more == b""
