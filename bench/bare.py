"""The yardstick: a plain `websockets` server with the library's own `broadcast()`; one process, no storage, no deflate.

It speaks as much of the wire as the scenarios need, with frames of the same shape. `python -m bench.bare [--history]`
prints the port it listens on. With `--history` rooms keep their last entries for those who return.
"""

import sys
from collections import deque
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import uvloop
from msgspec import Raw
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

KEPT = 8  # entries per room; more than any scenario misses
BACKLOG = 4096


class Hello(msgspec.Struct, tag_field="op", tag="hello"):
    ref: int
    cursors: dict[str, int]


class Send(msgspec.Struct, tag_field="op", tag="send", rename="camel"):
    ref: int
    conversation: str
    client_msg_id: str
    type: str
    body: Raw


class Welcome(msgspec.Struct, tag_field="op", tag="welcome"):
    ref: int
    heads: dict[str, int]


class Ack(msgspec.Struct, tag_field="op", tag="ack", rename="camel"):
    ref: int
    conversation: str
    client_msg_id: str
    seq: int
    at: str
    dup: bool = False


class Entry(msgspec.Struct, tag_field="op", tag="entry", rename="camel"):
    conversation: str
    seq: int
    sender: str
    type: str
    body: Raw
    client_msg_id: str
    at: str


class Page(msgspec.Struct, tag_field="op", tag="page"):
    conversation: str
    entries: list[Entry]
    more: bool = False


class Room:
    """Who is here and how many entries there were."""

    def __init__(self) -> None:
        self.here: set[ServerConnection] = set()
        self.head = 0
        self.kept: deque[Entry] = deque(maxlen=KEPT)


_decode = msgspec.json.Decoder(Hello | Send).decode
_encode = msgspec.json.Encoder().encode


class BareServer:
    def __init__(self, history: bool) -> None:
        self._history = history
        self._rooms: dict[str, Room] = {}

    async def serve(self, client: ServerConnection) -> None:
        """One connection, from its hello to its end."""
        name, joined = str(uuid4()), list[Room]()
        try:
            while True:
                match _decode(await client.recv(decode=False)):
                    case Send() as request:
                        await self._send(client, name, request)
                    case Hello() as request:
                        joined = await self._hello(client, request)
        except ConnectionClosed:
            pass
        finally:
            for room in joined:
                room.here.discard(client)

    async def _hello(self, client: ServerConnection, hello: Hello) -> list[Room]:
        rooms = {name: self._rooms.setdefault(name, Room()) for name in hello.cursors}
        for room in rooms.values():
            room.here.add(client)
        await client.send(_encode(Welcome(hello.ref, {name: room.head for name, room in rooms.items()})), text=True)
        for name, room in rooms.items():
            if missing := [entry for entry in room.kept if entry.seq > hello.cursors[name]]:
                await client.send(_encode(Page(name, missing)), text=True)
        return list(rooms.values())

    async def _send(self, client: ServerConnection, name: str, send: Send) -> None:
        room = self._rooms[send.conversation]
        room.head += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        await client.send(_encode(Ack(send.ref, send.conversation, send.client_msg_id, room.head, at)), text=True)
        if not self._history and len(room.here) == 1:
            return
        entry = Entry(send.conversation, room.head, name, send.type, send.body, send.client_msg_id, at)
        if self._history:
            room.kept.append(entry)
        broadcast(room.here - {client}, _encode(entry), text=True)


async def run(history: bool) -> None:
    server = await serve(
        BareServer(history).serve,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("hub.v1.json")],
        compression=None,
        ping_interval=None,
        open_timeout=60,
        backlog=BACKLOG,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run("--history" in sys.argv[1:]))
