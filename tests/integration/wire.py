"""Hub servers in this process, on real databases and real sockets, and people with WebSocket clients of another maker."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from hub.app import HubServer, Parts, build_config, listen, open_parts
from hub.messaging import actions, membership
from hub.platform import settings
from hub.platform.identifier import new_id
from hub.realtime.protocol import JSON, MSGPACK
from hub.security import token
from hub.security.keyring import load_keyring

PATIENCE_S = 10.0
SECRET = "怀孕-4711"  # in every text that these tests send, so that no log may hold it
SECURITY = settings.Security(
    master_keys="test:" + base64.b64encode(b"m" * 32).decode(), signing_key=base64.b64encode(b"s" * 32).decode()
)
Json = dict[str, Any]


class QuietServer(HubServer):
    """Leaves the signals of the test run alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Socket:
    """One device. Frames wait in order until a test looks for them."""

    def __init__(self, connection: ClientConnection, *, packed: bool = False) -> None:
        self.connection = connection
        self.waiting: list[Json] = []
        self._packed = packed
        self._ref = 0

    async def say(self, op: str, **fields: object) -> int:
        """Send a request; the answer is its ref."""
        self._ref += 1
        frame = {"op": op, **({} if op == "typing" else {"ref": self._ref}), **fields}
        data = msgspec.msgpack.encode(frame) if self._packed else msgspec.json.encode(frame)
        await self.connection.send(data, text=not self._packed)
        return self._ref

    def packet(self, op: str, **fields: object) -> bytes:
        """A request as bytes for `write`, so that several can leave together."""
        self._ref += 1
        data = msgspec.json.encode({"op": op, "ref": self._ref, **fields})
        return Frame(Opcode.TEXT, data).serialize(mask=True)

    def write(self, packet: bytes) -> None:
        """Everything in one packet, past the library."""
        self.connection.transport.write(packet)

    async def raw(self, data: bytes, *, text: bool | None = None) -> None:
        await self.connection.send(data, text=not self._packed if text is None else text)

    async def next(self) -> Json:
        """The next frame of all."""
        if self.waiting:
            return self.waiting.pop(0)
        return await self._receive()

    async def hear(self, op: str, **fields: object) -> Json:
        """The first frame like this; others stay, in order."""
        wanted = {"op": op, **fields}
        looked = 0
        while True:
            for number in range(looked, len(self.waiting)):
                if wanted.items() <= self.waiting[number].items():
                    return self.waiting.pop(number)
            looked = len(self.waiting)
            self.waiting.append(await self._receive())

    async def ask(self, op: str, **fields: object) -> Json:
        """The answer to a request."""
        ref = await self.say(op, **fields)
        return await self.answer(ref)

    async def answer(self, ref: int | None) -> Json:
        looked = 0
        while True:
            for number in range(looked, len(self.waiting)):
                frame = self.waiting[number]
                if "ref" in frame and frame["ref"] == ref:
                    return self.waiting.pop(number)
            looked = len(self.waiting)
            self.waiting.append(await self._receive())

    async def hello(self, cursors: dict[str, int] | None = None, **fields: object) -> Json:
        welcome = await self.ask("hello", cursors=cursors or {}, **fields)
        assert welcome["op"] == "welcome", welcome
        return welcome

    async def send(
        self, conversation: str, text: str = SECRET, client_msg_id: str | None = None, **fields: object
    ) -> Json:
        """A text, and what came of it."""
        said = {"clientMsgId": client_msg_id or new_id(), "type": "text", "body": {"text": text}, **fields}
        return await self.ask("send", conversation=conversation, **said)

    async def so_far(self) -> list[Json]:
        """Every frame that was on its way, by a ping and its pong."""
        assert (await self.ask("ping"))["op"] == "pong"
        waiting, self.waiting = self.waiting, []
        return waiting

    async def entries(self, conversation: str, upto: int) -> list[Json]:
        """The entries told of a conversation, in the order of arrival, until this one has come."""
        await self._until_seq(conversation, upto)
        found = [f for f in self.waiting if f["op"] == "entry" and f["conversation"] == conversation]
        self.waiting = [f for f in self.waiting if f not in found]
        return found

    async def _until_seq(self, conversation: str, seq: int) -> None:
        frame = await self.hear("entry", conversation=conversation, seq=seq)
        self.waiting.append(frame)

    async def closed(self) -> tuple[int, str]:
        """How the server ended it."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self.waiting.append(self._frame(await self.connection.recv()))
        close = self.connection.protocol.close_rcvd
        assert close is not None, "no close frame came"
        return close.code, close.reason

    async def _receive(self) -> Json:
        async with asyncio.timeout(PATIENCE_S):
            return self._frame(await self.connection.recv())

    def _frame(self, data: str | bytes) -> Json:
        assert isinstance(data, bytes) == self._packed
        frame: Json = msgspec.msgpack.decode(data) if isinstance(data, bytes) else msgspec.json.decode(data)
        return frame


class Server:
    """One node, and ways to it."""

    def __init__(self, parts: Parts, port: int) -> None:
        self.parts = parts
        self.port = port
        self.http = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/ws/v1"
        self._key = load_keyring(parts.settings).derive(token.PURPOSE)
        self._stack = AsyncExitStack()
        self.uvicorn: HubServer | None = None

    def token(self, user: str, *, role: str = "patient", life_s: int = 600, session: str | None = None) -> str:
        now = datetime.now(UTC)
        return token.issue(self._key, user=user, session=session or new_id(), role=role, now=now, life_s=life_s)

    async def socket(
        self,
        user: str = "",
        *,
        packed: bool = False,
        offer: list[str] | None = None,
        bearer: str | None = None,
        role: str = "patient",
        **options: Any,
    ) -> Socket:
        """A connected device that has not said hello. `offer`: the subprotocols, in place of a header."""
        header = {} if offer else {"Authorization": f"Bearer {bearer or self.token(user, role=role)}"}
        # Frames are taken off the network as they come: who is slow here is slow on purpose, and does not use this.
        options = {"compression": None, "open_timeout": PATIENCE_S, "close_timeout": 2, "max_size": 2**26, **options}
        options["max_queue"] = None
        connection = await connect(
            self.ws,
            subprotocols=[Subprotocol(name) for name in offer or [MSGPACK if packed else JSON]],
            additional_headers=header,
            ping_interval=None,
            proxy=None,
            **options,
        )
        self._stack.push_async_callback(connection.close)
        return Socket(connection, packed=connection.subprotocol == MSGPACK)

    async def device(self, user: str, cursors: dict[str, int] | None = None, **options: Any) -> Socket:
        """A connected device that has been welcomed."""
        found = await self.socket(user, **options)
        await found.hello(cursors)
        return found

    def on_hanging_up(self, close: Callable[[], Awaitable[object]]) -> None:
        self._stack.push_async_callback(close)

    async def hang_up(self) -> None:
        await self._stack.aclose()

    # People and conversations

    async def person(self, role: str = "patient") -> str:
        user = new_id()
        await self.parts.database.log.execute(
            "INSERT INTO users (id, name, role, status) VALUES ($1, '张三', $2, 'active')", user, role
        )
        return user

    async def people(self, count: int) -> list[str]:
        return [await self.person() for _ in range(count)]

    async def conversation(self, *users: str, kind: str = "group") -> str:
        """An empty one with these members."""
        found, log = new_id(), self.parts.database.log
        await log.execute("INSERT INTO conversations (id, kind) VALUES ($1, $2)", found, kind)
        await log.executemany(
            "INSERT INTO members (conversation, user_id) VALUES ($1, $2)", [(found, u) for u in users]
        )
        return found

    async def group(self, *users: str) -> tuple[str, str]:
        """A doctor and a group of theirs with these members; its first entry says so."""
        doctor = await self.person("doctor")
        services = self.parts.node.messaging
        made = await actions.create_group(services, actor=doctor, role="doctor", title="随访", members=list(users))
        return doctor, made

    async def add(self, group: str, doctor: str, *users: str) -> None:
        services = self.parts.node.messaging
        await membership.add(services, actor=doctor, role="doctor", conversation=group, members=list(users))

    async def remove(self, group: str, doctor: str, *users: str) -> None:
        services = self.parts.node.messaging
        await membership.remove(services, actor=doctor, role="doctor", conversation=group, members=list(users))

    async def connections(self, count: int) -> None:
        """Wait until this many sockets are open here."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.parts.node.gateway) != count:  # noqa: ASYNC110 - a leak would be no event
                await asyncio.sleep(0.01)

    def statements(self) -> AbstractAsyncContextManager[list[str]]:
        """The log's statements of this node meanwhile."""
        return statements(self.parts.database.log, self.parts.database.append)


@asynccontextmanager
async def statements(*pools: asyncpg.Pool) -> AsyncIterator[list[str]]:
    """What pools say meanwhile, without the look at revoked sessions and the driver's at types."""
    said: list[str] = []

    def note(record: Any) -> None:
        if not any(part in record.query for part in ("FROM sessions", "typeinfo_tree", "set_config('jit'")):
            said.append(" ".join(record.query.split()))

    for pool in pools:
        async with _all_connections(pool) as held:
            for connection in held:
                connection.add_query_logger(note)
    yield said
    for pool in pools:
        async with _all_connections(pool) as held:
            for connection in held:
                connection.remove_query_logger(note)


@asynccontextmanager
async def _all_connections(pool: asyncpg.Pool) -> AsyncIterator[list[Any]]:
    """Every connection that the pool may have, so that none is missed."""
    held = [await pool.acquire() for _ in range(pool.get_max_size())]
    yield held
    for connection in held:
        await pool.release(connection)


def settings_for(database_url: str, redis_url: str, folder: str, **sections: dict[str, Any]) -> settings.Settings:
    """Small pools, a room is large above three members, and nothing waits long."""
    tree: dict[str, Any] = {
        "server": {"drain_s": 1.0},
        "data": {"dir": folder},
        "database": {"url": database_url, "pool_size": 3, "log_pool_size": 2},
        "redis": {"url": redis_url, "prefix": f"t{new_id()}"},
        "messaging": {"large_conversation": 3},
        "security": msgspec.to_builtins(SECURITY),
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return msgspec.convert(tree, settings.Settings)


@asynccontextmanager
async def serving(chosen: settings.Settings, send_buffer: int | None = None) -> AsyncIterator[Server]:
    """A node that is ready: Redis has answered. Leaves nothing behind: no socket, no subscription, no task."""
    async with open_parts(chosen) as parts:
        config = build_config(parts)
        listening = listen("127.0.0.1", 0, reuse_port=False)
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = Server(parts, listening.getsockname()[1])
        server.uvicorn = QuietServer(config, parts.node, chosen.server.drain_s)
        running = asyncio.create_task(server.uvicorn.serve(sockets=[listening]))
        try:
            await _ready(server)
            yield server
            await server.hang_up()
            await server.connections(0)
            assert parts.node.broker.open_subscriptions == 0
        finally:
            await server.hang_up()
            server.uvicorn.should_exit = True
            await running
        assert len(parts.node.crew) == 0


async def _ready(server: Server) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(httpx.ConnectError):
                if (await client.get(server.http + "/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.01)


async def rewrite(pool: asyncpg.Pool, statement: str, *values: object) -> None:
    """Change what lies in the database behind the hub's back: time that has passed, for example."""
    await pool.execute(statement, *values)
