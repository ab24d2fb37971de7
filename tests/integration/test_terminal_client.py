"""The terminal client against a scripted server: it stays, comes back, repeats and heals, as the protocol asks of every client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from clients.terminal.account import Account, Refused
from clients.terminal.client import HubClient
from clients.terminal.event import Offline, Online, Stopped
from clients.terminal.housekeeping import Timing

QUICK = Timing(tick_s=0.01, answer_s=5.0, digest_grace_s=0.02, first_delay_s=0.01, longest_delay_s=0.02)
HEAD = {
    "seq": 0,
    "readSeq": 0,
    "deliveredSeq": 0,
    "unread": 0,
    "kind": "group",
    "role": "member",
    "fromSeq": 1,
    "membersVersion": 1,
    "receipts": {"me": [0, 0]},
}


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.packed = socket.subprotocol == "hub.v1.msgpack"

    @property
    def authorization(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.headers["Authorization"]

    async def hear(self, op: str) -> dict[str, Any]:
        """The next frame of this kind; receipts and pings in between are let pass."""
        async with asyncio.timeout(5):
            while True:
                message = await self.socket.recv()
                assert isinstance(message, bytes) == self.packed
                decode: Callable[..., Any] = msgspec.msgpack.decode if self.packed else msgspec.json.decode
                frame: dict[str, Any] = decode(message)
                if frame["op"] == op:
                    return frame
                assert frame["op"] in {"delivered", "ping", "fetch"}, frame

    async def tell(self, op: str, **fields: object) -> None:
        frame = {"op": op, **fields}
        data = msgspec.msgpack.encode(frame) if self.packed else msgspec.json.encode(frame)
        await self.socket.send(data, text=not self.packed)

    async def welcome(self, seq: int = 0, heartbeat_ms: int = 60_000, **head: object) -> dict[str, Any]:
        hello = await self.hear("hello")
        heads = {"room": {**HEAD, "seq": seq, **head}}
        at = "2026-01-02T03:04:05.000Z"
        await self.tell(
            "welcome", ref=hello["ref"], session="s", user="me", heads=heads, heartbeatMs=heartbeat_ms, at=at
        )
        return hello

    async def entry(self, seq: int) -> None:
        await self.tell("entry", **entry(seq))

    async def ack(self, send: dict[str, Any], seq: int) -> None:
        fields = {"conversation": send["conversation"], "clientMsgId": send["clientMsgId"]}
        await self.tell("ack", ref=send["ref"], seq=seq, at="2026-01-02T03:04:05.000Z", dup=False, **fields)


def entry(seq: int) -> dict[str, Any]:
    body = {"text": f"word {seq}"}
    at, name = "2026-01-02T03:04:05.000Z", f"m{seq}"
    return {
        "conversation": "room",
        "seq": seq,
        "sender": "you",
        "type": "text",
        "body": body,
        "clientMsgId": name,
        "at": at,
    }


class Hub:
    """A server that hands each connection to the test as it comes."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Peer] = asyncio.Queue()
        self.refreshed = 0

    async def handle(self, socket: ServerConnection) -> None:
        self.connections.put_nowait(Peer(socket))
        await socket.wait_closed()

    async def next(self) -> Peer:
        async with asyncio.timeout(5):
            return await self.connections.get()

    def refresh(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/auth/refresh"
        self.refreshed += 1
        pair = {"token": f"token {self.refreshed}", "refreshToken": "next", "expiresIn": 60}
        return httpx.Response(200, json={"success": True, "code": 200, "message": "", "data": pair})


@pytest.fixture
async def hub() -> Hub:
    return Hub()


@pytest.fixture
async def server(hub: Hub) -> AsyncIterator[Server]:
    protocols = [Subprotocol("hub.v1.json"), Subprotocol("hub.v1.msgpack")]
    async with serve(hub.handle, "127.0.0.1", 0, subprotocols=protocols) as server:
        yield server


Connect = Callable[..., HubClient]


@pytest.fixture
async def connect(hub: Hub, server: Server) -> AsyncIterator[Connect]:
    """A client that is not started yet; use it as a context."""
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(transport=httpx.MockTransport(hub.refresh)) as http:

        def build(**options: Any) -> HubClient:
            account = Account(f"http://127.0.0.1:{port}", http)
            account.token = "token 0"
            return HubClient(account, **{"timing": QUICK, **options})

        yield build


async def outcome(work: Awaitable[object]) -> object:
    """What it answers, or the error it raises."""
    try:
        return await work
    except Exception as error:
        return error


async def test_hello_comes_first_with_the_token_in_the_header(hub: Hub, connect: Connect) -> None:
    """Authentication is in the upgrade; the first frame names the device."""
    async with connect(device="test") as client:
        peer = await hub.next()
        hello = await peer.welcome()
        await client.until(lambda _: client.online)

        assert peer.authorization == "Bearer token 0"
        assert (hello["device"], hello["cursors"], hello["since"]) == ("test", {}, None)


async def test_send_returns_the_ack(hub: Hub, connect: Connect) -> None:
    """What was asked for is what is sent, and the ack comes back to who asked."""
    async with connect() as client, asyncio.TaskGroup() as tasks:
        peer = await hub.next()
        await peer.welcome()
        sending = tasks.create_task(client.send("room", {"text": "早上好"}, client_msg_id="a"))
        send = await peer.hear("send")
        await peer.ack(send, 1)

        assert (await sending).seq == 1
        assert (send["type"], send["body"], send["clientMsgId"]) == ("text", {"text": "早上好"}, "a")


async def test_send_is_repeated_with_the_same_id_after_a_lost_connection(hub: Hub, connect: Connect) -> None:
    """P3: whether the first try arrived is unknown, so it is said again, and resolves once."""
    async with connect() as client, asyncio.TaskGroup() as tasks:
        first = await hub.next()
        await first.welcome()
        sending = tasks.create_task(client.send("room", {"text": "once"}))
        before = await first.hear("send")
        client.cut()
        second = await hub.next()
        await second.welcome()
        after = await second.hear("send")
        await second.ack(after, 7)

        assert (await sending).seq == 7
        assert after["clientMsgId"] == before["clientMsgId"]


async def test_order_of_writing_survives_a_reconnect(hub: Hub, connect: Connect) -> None:
    """P2: while the backlog of an outage leaves little by little, what is written meanwhile waits behind it."""
    async with connect(timing=msgspec.structs.replace(QUICK, tick_s=0.05)) as client, asyncio.TaskGroup() as tasks:
        first = await hub.next()
        await first.welcome()
        await client.until(lambda _: client.online)

        def write(numbers: range) -> list[asyncio.Task[object]]:
            return [tasks.create_task(client.send("room", {"text": str(number)})) for number in numbers]

        writing = write(range(5))
        for _ in range(3):
            await first.hear("send")
        client.cut()
        writing += write(range(5, 20))
        second = await hub.next()
        await second.welcome()
        heard = []
        for number in range(60):
            if number < 40:
                writing += write(range(20 + number, 21 + number))
            send = await second.hear("send")
            heard.append(int(send["body"]["text"]))
            await second.ack(send, number + 1)
        await asyncio.gather(*writing)

        assert heard == list(range(60))


async def test_send_waits_while_offline(hub: Hub, connect: Connect) -> None:
    """What is said without a connection leaves with the next one."""
    async with connect() as client, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send("room", {"text": "early"}))
        peer = await hub.next()
        await peer.welcome()
        await peer.ack(await peer.hear("send"), 1)

        assert (await sending).seq == 1


async def test_send_raises_when_refused_and_repeats_when_that_may_help(hub: Hub, connect: Connect) -> None:
    """`retryAfterMs` decides: with it the client tries again by itself, without it the caller is told."""
    async with connect() as client, asyncio.TaskGroup() as tasks:
        peer = await hub.next()
        await peer.welcome()
        sending = tasks.create_task(outcome(client.send("room", {"text": "x"})))
        busy = await peer.hear("send")
        await peer.tell("failed", ref=busy["ref"], code="unavailable", message="later", fields={}, retryAfterMs=1)
        again = await peer.hear("send")
        fields = {"conversation": "unknown"}
        await peer.tell("failed", ref=again["ref"], code="not_found", message="no", fields=fields, retryAfterMs=None)

        refused = await sending
        assert isinstance(refused, Refused)
        assert (refused.code, refused.fields) == ("not_found", fields)


async def test_delivered_is_reported_once_for_many_entries(hub: Hub, connect: Connect) -> None:
    """A receipt speaks for everything up to its seq."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome(3)
        page = [entry(seq) for seq in (4, 5, 6)]
        await peer.tell("page", conversation="room", entries=page, more=False)
        delivered = await peer.hear("delivered")

        assert (delivered["conversation"], delivered["seq"]) == ("room", 6)
        assert client.view.cursors() == {"room": 6}


async def test_hole_is_fetched_when_it_stays(hub: Hub, connect: Connect) -> None:
    """A seq that jumps ahead means that something was lost on the way."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome()
        await peer.entry(1)
        await peer.entry(4)
        fetch = await peer.hear("fetch")
        page = [entry(2), entry(3)]
        await peer.tell("page", ref=fetch["ref"], conversation="room", entries=page, more=True)
        await client.until(lambda view: view.cursors() == {"room": 4})

        assert (fetch["after"], fetch["limit"]) == (1, 2)


async def test_cursors_and_since_continue_on_the_next_connection(hub: Hub, connect: Connect) -> None:
    """P4: a returning client names what it holds, so that it is sent the rest."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome()
        await peer.entry(1)
        await client.until(lambda view: view.cursors() == {"room": 1})
        client.cut()
        hello = await (await hub.next()).welcome(1)

        assert (hello["cursors"], hello["since"]) == ({"room": 1}, "2026-01-02T03:04:05.000Z")


async def test_differing_digest_leads_to_a_complete_hello_on_the_same_socket(hub: Hub, connect: Connect) -> None:
    """The last frames before silence cannot leave a gap in seq; the digest finds them."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome(heartbeat_ms=10)
        ping = await peer.hear("ping")
        await peer.tell("pong", ref=ping["ref"], digest="1.1.1.0", at="2026-01-02T03:05:00.000Z")
        hello = await peer.welcome(1)
        await peer.tell("page", conversation="room", entries=[entry(1)], more=False)
        await client.until(lambda view: view.cursors() == {"room": 1})

        assert (hello["cursors"], hello["since"]) == ({"room": 0}, None)
        assert hub.connections.empty()


async def test_token_is_refreshed_when_the_socket_closes_as_unauthorized(hub: Hub, connect: Connect) -> None:
    """4401 comes back, with a fresh token."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome()
        await peer.socket.close(4401)
        peer = await hub.next()
        await peer.welcome()
        await client.until(lambda _: client.online)

        assert peer.authorization == "Bearer token 1"


async def test_client_stops_when_it_is_told_not_to_come_back(hub: Hub, connect: Connect) -> None:
    """4500 and above end it; who waits is told, and so is who asks later."""
    async with connect() as client, asyncio.TaskGroup() as tasks:
        peer = await hub.next()
        await peer.welcome()
        sending = tasks.create_task(outcome(client.send("room", {"text": "x"})))
        await peer.hear("send")
        await peer.socket.close(4509, "replaced")

        assert isinstance(await sending, Stopped)
        with pytest.raises(Stopped):
            await client.send("room", {"text": "y"})
        events = [event async for event in client]
        assert events[-1] == Offline("4509 replaced", None)


async def test_client_moves_at_the_moment_a_drain_gave_it(hub: Hub, connect: Connect) -> None:
    """The server spreads its clients over time; the old socket serves until then."""
    async with connect():
        first = await hub.next()
        await first.welcome()
        await first.tell("drain", reconnectAfterMs=50)
        await first.entry(1)
        second = await hub.next()
        hello = await second.welcome(1)

        assert hello["cursors"] == {"room": 1}
        assert first.socket.close_code == 1000


async def test_silent_server_is_left(hub: Hub, connect: Connect) -> None:
    """A ping without an answer is a dead connection, whatever TCP believes."""
    async with connect(timing=msgspec.structs.replace(QUICK, answer_s=0.1)):
        first = await hub.next()
        await first.welcome(heartbeat_ms=10)
        await first.hear("ping")
        second = await hub.next()
        await second.welcome()


async def test_events_arrive_in_order(hub: Hub, connect: Connect) -> None:
    """A program sees the frames and the state of the connection as one stream."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome()
        await peer.tell("typing", conversation="room", user="you")
        await peer.entry(1)
        async with asyncio.timeout(5):
            kinds = [type(await anext(client)).__name__ for _ in range(4)]

        assert kinds == ["Welcome", Online.__name__, "Typed", "Entry"]


async def test_msgpack_gives_the_same_view(hub: Hub, connect: Connect) -> None:
    """The keys are the same, and so are the bodies."""
    async with connect(packed=True) as client, asyncio.TaskGroup() as tasks:
        peer = await hub.next()
        await peer.welcome()
        await peer.entry(1)
        sending = tasks.create_task(client.send("room", {"text": "二进制"}))
        send = await peer.hear("send")
        await peer.ack(send, 2)
        await sending

        assert send["body"] == {"text": "二进制"}
        assert [shown.body for shown in client.view.shown("room")] == [{"text": "word 1"}]


async def test_unknown_frames_are_passed_over(hub: Hub, connect: Connect) -> None:
    """A newer server may say more than this client knows."""
    async with connect() as client:
        peer = await hub.next()
        await peer.welcome()
        await peer.tell("novelty", conversation="room")
        await peer.entry(1)
        await client.until(lambda view: view.cursors() == {"room": 1})
