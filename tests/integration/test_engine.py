"""The socket itself: what RFC 6455 asks, what hostile peers try, and that slow ones hurt only themselves (P7)."""

import asyncio
import contextlib
import os
import socket
import struct
import zlib
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from hub.realtime import engine
from tests.integration.conftest import Serve
from tests.integration.wire import PATIENCE_S, SECRET, Json, Server, Socket

HELLO = b'{"op":"hello","ref":1}'
PING = b'{"op":"ping","ref":2}'


def client_frame(opcode: Opcode, data: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Masked, as a client's must be, and otherwise as wrong as wanted."""
    return _masked(0x80 * fin | 0x40 * rsv1 | opcode, data)


def _masked(first: int, data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = struct.pack("!BH", 0x80 | 126, size) if size < 65536 else struct.pack("!BQ", 0x80 | 127, size)
    return bytes([first]) + length + b"\0\0\0\0" + data  # a mask of zeros leaves the data as it is


class RawClient:
    """A peer whose every byte is the test's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: ClientProtocol) -> None:
        self.reader = reader
        self.writer = writer
        self._protocol = protocol
        self._events: list[Any] = []

    @classmethod
    async def dial(
        cls, hub: Server, user: str, after: bytes = b"", *, receive_buffer: int | None = None
    ) -> "RawClient":
        """Send the upgrade request, and `after` in the same breath."""
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", hub.port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=1024)
        protocol = ClientProtocol(parse_uri(hub.ws), subprotocols=[Subprotocol("hub.v1.json")], max_size=None)
        request = protocol.connect()
        request.headers["Authorization"] = f"Bearer {hub.token(user)}"
        protocol.send_request(request)
        writer.write(b"".join(protocol.data_to_send()) + after)
        client = cls(reader, writer, protocol)
        hub.on_hanging_up(client.aclose)
        return client

    async def next(self) -> Any:
        """The next event: the answer to the upgrade, then frames; None at the end."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._events:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self._protocol.receive_data(data)
                self._events = list(self._protocol.events_received())
        return self._events.pop(0)

    async def frame(self) -> Json:
        event = await self.next()
        assert isinstance(event, Frame), event
        assert event.opcode is Opcode.TEXT
        found: Json = msgspec.json.decode(bytes(event.data))
        return found

    async def close_code(self) -> int:
        while (event := await self.next()) is not None:
            if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                return int(struct.unpack("!H", bytes(event.data)[:2])[0])
        raise AssertionError("ended without a close frame")

    async def aclose(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def transport_of(hub: Server) -> Any:
    """The only connection's server side."""
    (connection,) = hub.parts.node.gateway._connections
    return connection._transport


async def test_what_comes_with_the_upgrade_request_is_heard(hub: Server) -> None:
    """A client that does not wait for the 101 loses nothing: all the frames of the same packet are answered."""
    early = client_frame(Opcode.TEXT, HELLO) + client_frame(Opcode.TEXT, PING)
    client = await RawClient.dial(hub, await hub.person(), early)
    assert (await client.next()).status_code == 101

    assert {(await client.frame())["op"] for _ in range(2)} == {"welcome", "pong"}
    client.writer.write(client_frame(Opcode.TEXT, b'{"op":"ping","ref":3}'))
    assert (await client.frame())["ref"] == 3
    await client.aclose()


async def test_an_early_close_leaves_nothing_behind(hub: Server) -> None:
    """Who says goodbye with the upgrade request, or with the hello, is gone."""
    user = await hub.person()
    for early in (b"", client_frame(Opcode.TEXT, HELLO)):
        client = await RawClient.dial(hub, user, early + client_frame(Opcode.CLOSE, b"\x03\xe8"))
        while await client.next() is not None:
            pass
        await client.aclose()

    await hub.connections(0)
    assert hub.parts.node.broker.open_subscriptions == 0


async def test_rubbish_with_the_upgrade_request_is_cut_off(hub: Server) -> None:
    """What is broken before the handshake is complete gets no frame; the server goes on."""
    client = await RawClient.dial(hub, await hub.person(), b"\xff" * 100)
    while await client.next() is not None:
        pass
    await client.aclose()

    await hub.connections(0)


async def test_fragments_and_pings_between_them_are_one_message(hub: Server) -> None:
    """Also when a character is cut in two, and when many fragments are empty."""
    user = await hub.person()
    room = await hub.conversation(user)
    client = await RawClient.dial(hub, user, client_frame(Opcode.TEXT, HELLO))
    await client.next()
    await client.frame()
    body = {"op": "send", "ref": 2, "conversation": room, "clientMsgId": "m", "type": "text", "body": {"text": SECRET}}
    data = msgspec.json.encode(body)
    cut = data.index("怀".encode()) + 1
    client.writer.write(client_frame(Opcode.TEXT, data[:cut], fin=False))
    for _ in range(1000):
        client.writer.write(client_frame(Opcode.CONT, b"", fin=False))
    client.writer.write(client_frame(Opcode.PING, b"still there?"))
    client.writer.write(client_frame(Opcode.CONT, data[cut:]))
    pong = await client.next()

    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"still there?")
    assert (await client.frame())["op"] == "ack"
    assert (await client.frame())["body"] == {"text": SECRET}
    await client.aclose()


async def test_empty_fragments_without_end_are_not_kept(hub: Server) -> None:
    """They cost the sender six bytes each and must cost the server nothing."""
    client = await RawClient.dial(hub, await hub.person(), client_frame(Opcode.TEXT, HELLO))
    await client.next()
    await client.frame()
    client.writer.write(client_frame(Opcode.TEXT, b"{", fin=False))
    client.writer.write(client_frame(Opcode.CONT, b"", fin=False) * 5000 + client_frame(Opcode.PING, b""))
    assert (await client.next()).opcode is Opcode.PONG

    assert len(transport_of(hub).frames) == 1
    await client.aclose()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (client_frame(Opcode.TEXT, b'{"a":"\xed\xa0\x80"}'), 1007),
        (client_frame(Opcode.TEXT, "胸".encode()[:2]), 1007),
        (client_frame(Opcode.TEXT, b"x" * 70_000), 1009),
        (client_frame(Opcode.TEXT, b"x" * 40_000, fin=False) + client_frame(Opcode.CONT, b"x" * 40_000), 1009),
        (b"\x81\xff" + b"\x7f" + b"\xff" * 7, 1009),
        (Frame(Opcode.TEXT, PING).serialize(mask=False), 1002),
        (client_frame(Opcode.CONT, b"x"), 1002),
        (client_frame(Opcode.TEXT, PING, rsv1=True), 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (client_frame(Opcode.PING, b"x", fin=False), 1002),
    ],
    ids=[
        *("utf8", "surrogate", "half", "large", "fragments", "huge"),
        *("unmasked", "continuation", "rsv", "opcode", "control"),
    ],
)
async def test_a_breach_of_the_protocol_closes_with_its_code(hub: Server, data: bytes, code: int) -> None:
    """RFC 6455, sections 5 and 8.1. What follows the breach is not heard, and does not keep the reason from arriving."""
    client = await RawClient.dial(hub, await hub.person(), client_frame(Opcode.TEXT, HELLO))
    await client.next()
    await client.frame()
    client.writer.write(data + client_frame(Opcode.PING, b"x" * 100) * 5000)

    assert await client.close_code() == code
    assert await client.next() is None
    await client.aclose()
    await hub.connections(0)


async def test_a_close_is_answered(hub: Server) -> None:
    """With the same code."""
    device = await hub.device(await hub.person())
    await device.connection.close(4999, "enough")

    assert device.connection.protocol.close_rcvd is not None
    assert device.connection.protocol.close_rcvd.code == 4999
    await hub.connections(0)


async def test_a_lost_connection_leaves_nothing_behind(hub: Server) -> None:
    """A network says no goodbye."""
    device = await hub.device(await hub.person())
    transport: Any = device.connection.transport
    transport.abort()

    await hub.connections(0)
    assert hub.parts.node.broker.open_subscriptions == 0


async def test_pings_of_one_who_does_not_read_are_not_stored(serve: Serve) -> None:
    """P7: the answers of a ping flood wait for nobody; the last one is enough (RFC 6455, section 5.5.3)."""
    async with serve(send_buffer=8192) as hub:
        a, b = await hub.people(2)
        room = await hub.conversation(a, b)
        client, _ = await slow_reader(hub, a)
        (connection,) = hub.parts.node.gateway._connections
        witness = await hub.device(b)
        for number in range(20_000):
            client.writer.write(client_frame(Opcode.PING, b"%0125d" % number))
            if number % 500 == 0:
                await client.writer.drain()
        send = {
            "op": "send",
            "ref": 2,
            "conversation": room,
            "clientMsgId": "m",
            "type": "text",
            "body": {"text": SECRET},
        }
        client.writer.write(client_frame(Opcode.TEXT, msgspec.json.encode(send)))
        await witness.hear("entry")  # so every ping before it was read
        size = connection._transport.unsent_bytes()
        last = b""
        while last != b"%0125d" % 19_999:
            event = await client.next()
            last = bytes(event.data) if isinstance(event, Frame) and event.opcode is Opcode.PONG else last

        assert size < 500_000


async def test_who_says_goodbye_without_reading_is_gone_soon(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unsent to somebody who has closed is dropped, or their socket would stay for as long as they like."""
    monkeypatch.setattr(engine, "CLOSE_S", 0.2)
    async with serve(send_buffer=8192) as hub:
        a, b = await hub.people(2)
        room = await hub.conversation(a, b)
        sender = await hub.device(a)
        client = await RawClient.dial(hub, b, client_frame(Opcode.TEXT, HELLO), receive_buffer=4096)
        await client.next()
        for _ in range(30):
            assert (await sender.send(room, SECRET * 500))["op"] == "ack"
        client.writer.write(client_frame(Opcode.CLOSE, b"\x03\xe8"))

        await hub.connections(1)
        await client.aclose()


async def slow_reader(hub: Server, user: str) -> tuple[RawClient, str]:
    client = await RawClient.dial(hub, user, client_frame(Opcode.TEXT, HELLO), receive_buffer=4096)
    await client.next()
    return client, (await client.frame())["op"]


async def test_a_slow_reader_is_closed_and_resumes_whole(serve: Serve) -> None:
    """P7, P4: closed with 4001 when its bound is reached; others are not delayed, and it comes back to everything."""
    limits = {"outbox_bytes": 60_000, "outbox_soft_bytes": 20_000}
    async with serve(send_buffer=8192, realtime=limits) as hub:
        a, b, c = await hub.people(3)
        room = await hub.conversation(a, b, c)
        sender, quick = await hub.device(a), await hub.device(c)
        client, _ = await slow_reader(hub, b)
        for seq in range(1, 61):
            assert (await sender.send(room, SECRET * 300))["seq"] == seq
            assert (await quick.next())["seq"] == seq
        seqs = []
        while (event := await client.next()) is not None and event.opcode is not Opcode.CLOSE:
            seqs.append(msgspec.json.decode(bytes(event.data))["seq"])
        assert event is not None
        assert struct.unpack("!H", bytes(event.data)[:2]) == (4001,)
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) < 60
        await client.aclose()
        again = await hub.device(b, {room: len(seqs)})
        rest = await everything(again, room, len(seqs), 60)

        assert rest == list(range(len(seqs) + 1, 61))


async def everything(device: Socket, room: str, cursor: int, head: int) -> list[int]:
    """What the welcome is followed by, and what its gaps say to fetch."""
    seqs: list[int] = []
    frames = await device.so_far()
    for page in (frame for frame in frames if frame["op"] == "page"):
        seqs += [entry["seq"] for entry in page["entries"]]
    while cursor + len(seqs) < head:
        page = await device.ask("fetch", conversation=room, after=cursor + len(seqs))
        seqs += [entry["seq"] for entry in page["entries"]]
    return seqs


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_compression_serves_small_and_large_frames(serve: Serve, packed: bool) -> None:
    """RFC 7692 without context, so that one compressed frame serves every socket; who does not offer it is served plain."""
    async with serve(realtime={"deflate": True}) as hub:
        a, b, c = await hub.people(3)
        room = await hub.conversation(a, b, c)
        sender = await hub.device(a, packed=packed, compression="deflate")
        other = await hub.device(b, packed=not packed, compression="deflate")
        plain = await hub.device(c, packed=packed)
        for text in ("短", SECRET * 400, os.urandom(4000).hex()[:5000], "短"):
            assert (await sender.send(room, text))["op"] == "ack"
        expected = ["短", SECRET * 400]

        for device in (sender, other, plain):
            entries = await device.entries(room, 4)
            assert [entry["body"]["text"] for entry in entries][:2] == expected
            assert (await device.ask("fetch", conversation=room))["entries"] == entries
        for connection, on in ((sender.connection, True), (plain.connection, False)):
            assert bool(connection.protocol.extensions) == on


async def test_a_compression_bomb_is_too_large(serve: Serve) -> None:
    """The bound is on what a frame inflates to."""
    async with serve(realtime={"deflate": True}) as hub:
        device = await hub.device(await hub.person(), compression="deflate")
        connection: ClientConnection = device.connection
        squeeze = zlib.compressobj(wbits=-12)
        bomb = squeeze.compress(b" " * 50_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        transport: Any = connection.transport
        transport.write(client_frame(Opcode.TEXT, bomb[:-4], rsv1=True))
        with pytest.raises(ConnectionClosed):
            await device.next()

        assert (await device.closed())[0] == 1009


async def test_compression_is_off_by_default(hub: Server) -> None:
    """It costs memory and time for every socket."""
    device = await hub.device(await hub.person(), compression="deflate")

    assert device.connection.protocol.extensions == []
