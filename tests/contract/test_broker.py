"""The broker: hints arrive in order on every node; a Redis that is gone, deaf or frozen is noticed and healed (P6)."""

import asyncio
import os
import signal
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis
import pytest
import pytest_asyncio
import uvloop

from hub.platform import settings
from hub.platform.embedded_home import open_home
from hub.platform.embedded_valkey import EmbeddedValkey
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from hub.realtime.broker import Broker
from hub.realtime.redis_link import Address, Link, Refused, Reply, dial, parse_addresses

PROBE_S = 0.1
LATE_S = 1.0
PATIENCE_S = 15.0  # only a broken broker waits this long


@pytest_asyncio.fixture(scope="module")
async def valkeys(data_folder: Path) -> AsyncIterator[list[EmbeddedValkey]]:
    """Two servers of this module's own, to be killed and frozen."""
    servers = []
    for _ in range(2):
        folder = data_folder / f"broker-{os.urandom(4).hex()}"
        folder.mkdir(mode=0o711)
        servers.append(EmbeddedValkey(open_home(folder, lambda _: None)))
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


@pytest_asyncio.fixture(params=[1, 2], ids=["one shard", "two shards"])
async def shards(request: pytest.FixtureRequest, valkeys: list[EmbeddedValkey]) -> AsyncIterator[list[EmbeddedValkey]]:
    used = valkeys[: request.param]
    yield used
    for server in used:
        thaw(server)
        await server.start()


@pytest_asyncio.fixture
async def shard(valkeys: list[EmbeddedValkey]) -> EmbeddedValkey:
    return valkeys[0]


def freeze(server: EmbeddedValkey) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)


def thaw(server: EmbeddedValkey) -> None:
    if server.pid:
        os.kill(server.pid, signal.SIGCONT)


class Node:
    """A node as its engine sees the broker: what it heard, and what it was told about Redis."""

    def __init__(self, url: str, prefix: str, name: str, **chosen: int) -> None:
        self.name = name
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.health: asyncio.Queue[str] = asyncio.Queue()
        self.hear: Callable[[str, bytes], None] = lambda channel, payload: self.heard.put_nowait((channel, payload))
        self.broker = Broker(
            settings.Realtime(probe_s=PROBE_S, probe_late_s=LATE_S, **chosen),
            settings.Redis(url=url, prefix=prefix),
            node=name,
            on_message=lambda channel, payload: self.hear(channel, payload),
            on_lost=lambda: self.health.put_nowait("lost"),
            on_back=lambda: self.health.put_nowait("back"),
        )

    async def listen(self, *channels: str) -> None:
        for channel in channels:
            self.broker.subscribe(channel)
        for channel in channels:
            await self.broker.settled(channel)

    def ignore(self, *channels: str) -> None:
        for channel in channels:
            self.broker.unsubscribe(channel)

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)

    async def told(self) -> str:
        return await asyncio.wait_for(self.health.get(), PATIENCE_S)


@asynccontextmanager
async def open_node(
    servers: list[EmbeddedValkey], prefix: str, name: str, url: str | None = None, **chosen: int
) -> AsyncIterator[Node]:
    node = Node(url or ",".join(server.url for server in servers), prefix, name, **chosen)
    async with Supervisor() as supervisor:
        supervisor.run("broker", node.broker.run)
        assert not node.broker.healthy
        assert await node.told() == "back"
        assert node.broker.healthy
        yield node
        assert supervisor.down == {}
    assert node.broker.open_subscriptions == 0
    assert not node.broker.healthy


@pytest.fixture
def prefix() -> str:
    return new_id()


@pytest_asyncio.fixture
async def one(shards: list[EmbeddedValkey], prefix: str) -> AsyncIterator[Node]:
    async with open_node(shards, prefix, "one") as node:
        yield node


@pytest_asyncio.fixture
async def two(shards: list[EmbeddedValkey], prefix: str) -> AsyncIterator[Node]:
    async with open_node(shards, prefix, "two") as node:
        yield node


@asynccontextmanager
async def connected(server: EmbeddedValkey) -> AsyncIterator[tuple[Link, asyncio.Queue[Reply]]]:
    """A plain connection, to look at what Redis is asked and to tell it things."""
    replies: asyncio.Queue[Reply] = asyncio.Queue()

    def take(chunk: list[Reply]) -> None:
        for reply in chunk:
            replies.put_nowait(reply)

    link = await dial(parse_addresses(server.url)[0], take)
    yield link, replies
    link.abort("done")


async def tell(server: EmbeddedValkey, *words: bytes) -> Reply:
    async with connected(server) as (link, replies):
        link.write(hiredis.pack_command(words))
        return await asyncio.wait_for(replies.get(), PATIENCE_S)


@asynccontextmanager
async def watched(server: EmbeddedValkey) -> AsyncIterator[Callable[[bytes], "asyncio.Future[list[bytes]]"]]:
    """Every command that Redis gets; call the yielded function to wait for one that contains something."""
    async with connected(server) as (link, lines):
        link.write(hiredis.pack_command((b"MONITOR",)))
        assert await lines.get() == b"OK"

        async def until(part: bytes) -> list[bytes]:
            seen: list[bytes] = []
            while not seen or part not in seen[-1]:
                seen.append(await asyncio.wait_for(lines.get(), PATIENCE_S))
            return seen

        yield until


def beside(channel: str, shards: int) -> str:
    """Another channel on the same shard: what is published there afterwards arrives afterwards."""
    wanted = zlib.crc32(channel.encode()) % shards
    return next(name for name in (f"mark{i}" for i in range(100)) if zlib.crc32(name.encode()) % shards == wanted)


async def test_hints_arrive_in_order_on_every_node_when_two_publish(one: Node, two: Node) -> None:
    """Each publisher's hints keep their order per channel, on its own node and on others, across loop turns."""
    channels = ["u:a", "u:b", "c:c"]
    await one.listen(*channels)
    await two.listen(*channels)
    for number in range(500):
        for channel in channels:
            one.broker.publish(channel, b"one %d" % number)
            two.broker.publish(channel, b"two %d" % number)
        if number % 50 == 0:
            await asyncio.sleep(0)

    for node in (one, two):
        heard = [await node.next() for _ in range(2 * 3 * 500)]
        for channel in channels:
            for who in (b"one", b"two"):
                numbers = [int(p.split()[1]) for c, p in heard if c == channel and p.startswith(who)]
                assert numbers == list(range(500))
        node.ignore(*channels)


async def test_bytes_arrive_unchanged_when_they_are_not_text(one: Node, two: Node) -> None:
    """A payload is bytes, whatever is in them; a channel is text, in any script."""
    payload = bytes(range(256)) + b"\r\n$-1\r\n"
    await two.listen("u:张三")
    one.broker.publish("u:张三", payload)

    assert await two.next() == ("u:张三", payload)
    two.ignore("u:张三")


async def test_nothing_is_missed_after_settled(one: Node, two: Node) -> None:
    """Once `settled` has returned, a hint that any node publishes arrives."""
    for number in range(50):
        channel = f"u:{number}"
        await one.listen(channel)
        two.broker.publish(channel, b"x")

        assert await one.next() == (channel, b"x")
        one.ignore(channel)


async def test_hints_go_on_until_the_last_listener_left(one: Node, shards: list[EmbeddedValkey]) -> None:
    """Subscriptions are counted: one of two leaving changes nothing, the second ends it, one too many is harmless."""
    mark = beside("u:a", len(shards))
    await one.listen("u:a", "u:a", mark)
    one.ignore("u:a")
    one.broker.publish("u:a", b"1")
    assert await one.next() == ("u:a", b"1")
    one.ignore("u:a", "u:a")
    one.broker.publish("u:a", b"2")
    one.broker.publish(mark, b"3")

    assert await one.next() == (mark, b"3")
    one.ignore(mark)


async def test_redis_is_told_late_and_once_when_listeners_leave(shard: EmbeddedValkey, prefix: str) -> None:
    """Leaving is lazy and batched; who returns meanwhile costs Redis nothing and misses nothing."""
    async with open_node([shard], prefix, "one") as node, watched(shard) as until:
        await node.listen("u:a", "u:b", "u:c")
        assert b"SUBSCRIBE" in (await until(b"u:c"))[-1].upper()
        node.ignore("u:a", "u:b", "u:c")
        node.broker.subscribe("u:b")
        node.broker.publish("u:b", b"still")

        assert await node.next() == ("u:b", b"still")
        commands = await until(b"UNSUBSCRIBE")
        assert not [line for line in commands[:-1] if b'"SUBSCRIBE"' in line]
        assert b"u:a" in commands[-1]
        assert b"u:c" in commands[-1]
        assert b"u:b" not in commands[-1]
        node.ignore("u:b")


async def test_many_channels_are_asked_for_in_batches(shard: EmbeddedValkey, prefix: str) -> None:
    """What one loop turn wants is one write of commands with at most 512 channels each."""
    async with open_node([shard], prefix, "one") as node, watched(shard) as until:
        channels = [f"u:{number}." for number in range(1100)]
        await node.listen(*channels)

        lines = await until(b"u:1099.")
        assert [line.count(b"u:") for line in lines if b'"SUBSCRIBE"' in line] == [512, 512, 76]
        node.ignore(*channels)


async def test_a_flood_is_dropped_and_counted_when_the_buffer_is_full(
    shards: list[EmbeddedValkey], prefix: str
) -> None:
    """Unsent bytes are bounded; what does not fit is counted, the rest arrives, and the link goes on."""
    async with open_node(shards, prefix, "one", broker_buffer_bytes=65536) as node:
        await node.listen("u:a")
        for number in range(1000):
            node.broker.publish("u:a", b"%04d" % number + b"." * 1020)
        dropped = node.broker.dropped
        assert 0 < dropped < 1000
        heard = [(await node.next())[1] for _ in range(1000 - dropped)]
        assert [int(payload[:4]) for payload in heard] == list(range(1000 - dropped))
        node.broker.publish("u:a", b"after")

        assert await node.next() == ("u:a", b"after")
        assert node.broker.dropped == dropped
        assert node.health.empty()
        node.ignore("u:a")


async def test_channels_come_back_when_redis_was_killed(one: Node, two: Node, shards: list[EmbeddedValkey]) -> None:
    """Killed and started again: lost once, back once, every channel subscribed by then; hints meanwhile are dropped."""
    channels = [f"u:{number}" for number in range(20)]
    await one.listen(*channels)
    for server in shards:
        await server.kill()
    for node in (one, two):
        assert await node.told() == "lost"
        assert not node.broker.healthy
    before = two.broker.dropped
    two.broker.publish("u:0", b"into nothing")
    assert two.broker.dropped == before + 1
    await asyncio.wait_for(one.broker.settled("u:0"), PATIENCE_S)
    for server in shards:
        await server.start()

    for node in (one, two):
        assert await node.told() == "back"
        assert node.broker.healthy
        assert node.health.empty()
    for channel in channels:
        two.broker.publish(channel, b"again")
    assert sorted([await one.next() for _ in channels]) == sorted((channel, b"again") for channel in channels)
    one.ignore(*channels)


async def test_health_is_lost_in_time_when_redis_freezes(one: Node, shards: list[EmbeddedValkey]) -> None:
    """A stopped process keeps its connections open: only the probe tells, within `probe_late_s`."""
    await one.listen("u:a", "u:b", "u:c")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for server in shards:
        freeze(server)
    assert await one.told() == "lost"
    assert loop.time() - began < LATE_S + 1.0  # on a busy machine
    assert not one.broker.healthy
    for server in shards:
        thaw(server)

    assert await one.told() == "back"
    for channel in ("u:a", "u:b", "u:c"):
        one.broker.publish(channel, b"again")
    assert sorted([await one.next() for _ in range(3)]) == [("u:a", b"again"), ("u:b", b"again"), ("u:c", b"again")]
    one.ignore("u:a", "u:b", "u:c")


async def test_one_frozen_shard_leaves_the_other_working(valkeys: list[EmbeddedValkey], prefix: str) -> None:
    """Readiness is red while any shard is away; hints of the others go on."""
    here = next(name for name in (f"u:{i}" for i in range(100)) if zlib.crc32(name.encode()) % 2 == 0)
    async with open_node(valkeys, prefix, "one") as node:
        await node.listen(here)
        freeze(valkeys[1])
        try:
            assert await node.told() == "lost"
            node.broker.publish(here, b"still")
            assert await node.next() == (here, b"still")
        finally:
            thaw(valkeys[1])

        assert await node.told() == "back"
        node.ignore(here)


async def test_a_flush_is_harmless(one: Node, two: Node, shards: list[EmbeddedValkey]) -> None:
    """FLUSHALL empties keys; subscriptions live in connections and go on (P6)."""
    await one.listen("u:a")
    for server in shards:
        assert await tell(server, b"FLUSHALL") == b"OK"
    two.broker.publish("u:a", b"x")

    assert await one.next() == ("u:a", b"x")
    assert one.health.empty()
    one.ignore("u:a")


async def test_a_subscriber_that_lost_only_its_own_connection_is_restarted(
    one: Node, shards: list[EmbeddedValkey]
) -> None:
    """A failover may cut one connection of two; both begin anew and the channels are back."""
    await one.listen("u:a")
    for server in shards:
        assert await tell(server, b"CLIENT", b"KILL", b"TYPE", b"pubsub") == 1

    assert await one.told() == "lost"
    assert await one.told() == "back"
    one.broker.publish("u:a", b"x")
    assert await one.next() == ("u:a", b"x")
    one.ignore("u:a")


async def test_a_hint_that_fails_costs_only_itself(one: Node) -> None:
    """An exception of `on_message` neither ends the connection nor the chunk that the hint came in."""
    await one.listen("u:a")
    plain = one.hear

    def hear(channel: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("secret")
        plain(channel, payload)

    one.hear = hear
    for payload in (b"1", b"bad", b"2"):
        one.broker.publish("u:a", payload)

    assert await one.next() == ("u:a", b"1")
    assert await one.next() == ("u:a", b"2")
    assert one.health.empty()
    one.ignore("u:a")


class Tunnel:
    """A way to Redis that can swallow what comes back, as a half-dead connection does."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.deaf = False
        self.connections = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        far_reader, far_writer = await asyncio.open_connection(self.target.host, self.target.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, lambda: False))
                group.create_task(self._pump(far_reader, writer, lambda: self.deaf and number <= 2))
        except* ConnectionError:
            pass
        finally:
            for end in (writer, far_writer):
                end.close()

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, swallow: Callable[[], bool]) -> None:
        while data := await source.read(65536):
            if not swallow():
                to.write(data)
        raise ConnectionResetError


@pytest_asyncio.fixture
async def tunnel(shard: EmbeddedValkey) -> AsyncIterator[tuple[Tunnel, str]]:
    target = parse_addresses(shard.url)[0]
    tunnel = Tunnel(target)
    server = await asyncio.start_server(tunnel.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield tunnel, shard.url.replace(f":{target.port}", f":{port}")
    server.close()
    await server.wait_closed()


async def test_a_deaf_connection_is_noticed_although_redis_is_well(
    shard: EmbeddedValkey, prefix: str, tunnel: tuple[Tunnel, str]
) -> None:
    """Publishing works, the connection stands, nothing comes back: the probe tells, and new connections heal it."""
    way, url = tunnel
    async with open_node([shard], prefix, "one", url=url) as node:
        await node.listen("u:a")
        way.deaf = True
        assert await node.told() == "lost"
        assert await node.told() == "back"

        node.broker.publish("u:a", b"x")
        assert await node.next() == ("u:a", b"x")
        node.ignore("u:a")


async def test_a_second_run_has_the_channels_of_the_first(shard: EmbeddedValkey, prefix: str) -> None:
    """The supervisor may end and start the loop: who listens is remembered, health is proven again."""
    node = Node(shard.url, prefix, "one")
    for _ in range(2):
        async with Supervisor() as supervisor:
            supervisor.run("broker", node.broker.run)
            assert await node.told() == "back"
            if not node.broker.open_subscriptions:
                await node.listen("u:a")
            node.broker.publish("u:a", b"x")
            assert await node.next() == ("u:a", b"x")
        assert await node.told() == "lost"
    node.ignore("u:a")
    assert node.broker.open_subscriptions == 0


async def test_it_works_on_the_loop_that_serves(shard: EmbeddedValkey, prefix: str) -> None:
    """Servers run on uvloop, whose transports are of another kind than those of these tests."""

    async def scenario() -> None:
        async with open_node([shard], prefix, "one") as node:
            await node.listen("u:a")
            assert await tell(shard, b"CLIENT", b"KILL", b"TYPE", b"pubsub") == 1
            assert await node.told() == "lost"
            assert await node.told() == "back"
            node.broker.publish("u:a", b"x" * 200_000)
            assert await node.next() == ("u:a", b"x" * 200_000)
            node.ignore("u:a")

    await asyncio.to_thread(uvloop.run, scenario())


@pytest.fixture
def wrong(shard: EmbeddedValkey) -> Address:
    right = parse_addresses(shard.url)[0]
    return Address(right.host, right.port, password="wrong")


async def test_a_wrong_password_is_said_without_repeating_it(wrong: Address) -> None:
    """The refusal carries Redis's words only; the address never shows the password."""
    with pytest.raises(Refused) as refused:
        await dial(wrong, lambda _: None)

    assert "WRONGPASS" in str(refused.value)
    assert "password='" not in repr(wrong)
    assert str(wrong) == f"127.0.0.1:{wrong.port}"
