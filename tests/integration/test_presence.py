"""Presence over real Redis: who is told what, over devices and nodes, killed nodes, a Redis that is away or forgets."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import redis.asyncio

from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.embedded_home import open_home
from hub.platform.embedded_valkey import EmbeddedValkey
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from hub.realtime.broker import Broker
from hub.realtime.presence import Presence, channel_of
from hub.realtime.presence_store import AWAY, CHUNK
from tests.fake_clock import FakeClock

LIFE_S = 45.0
PATIENCE_S = 15.0


@pytest_asyncio.fixture(scope="module")
async def own_valkey(data_folder: Path) -> AsyncIterator[EmbeddedValkey]:
    """A server of this module's own, to be killed."""
    folder = data_folder / f"presence-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o711)
    server = EmbeddedValkey(open_home(folder, lambda _: None))
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def valkey(own_valkey: EmbeddedValkey) -> AsyncIterator[EmbeddedValkey]:
    yield own_valkey
    await own_valkey.start()


class Air:
    """Hints without Redis: they reach every subscribed node at once, unless `silent`."""

    def __init__(self) -> None:
        self.silent = False
        self.listeners: list[tuple[str, Presence]] = []

    def carry(self, channel: str) -> None:
        if not self.silent:
            for wanted, presence in self.listeners:
                if wanted == channel:
                    presence.hinted(channel.removeprefix("p:"))


class NodeHints:
    """One node's end of the air."""

    def __init__(self, air: Air) -> None:
        self.air = air
        self.presence: Presence | None = None

    def publish(self, channel: str, payload: bytes) -> None:
        self.air.carry(channel)

    def subscribe(self, channel: str) -> None:
        assert self.presence
        self.air.listeners.append((channel, self.presence))

    def unsubscribe(self, channel: str) -> None:
        assert self.presence
        self.air.listeners.remove((channel, self.presence))


class Node:
    """A node's presence and what it told; the steps of its loop are taken by the test, on a clock that stands still."""

    def __init__(self, url: str, prefix: str, name: str, clock: FakeClock, air: Air) -> None:
        self.told: list[tuple[str, bool]] = []
        hints = NodeHints(air)
        self.presence = hints.presence = Presence(
            settings.Realtime(presence_s=LIFE_S),
            settings.Redis(url=url, prefix=prefix),
            node=name,
            clock=clock,
            hints=hints,
            on_change=lambda user, online, at_ms: self.told.append((user, online)),
        )

    async def step(self) -> list[tuple[str, bool]]:
        """What one round of the loop tells."""
        await self.presence.announce()
        await self.presence.refresh()
        await self.presence.sweep()
        told, self.told = self.told, []
        return told

    async def watch(self, *users: str) -> dict[str, bool]:
        self.presence.watch(users)
        return await self.presence.states(users)


class House:
    """Three nodes on one Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = new_id()
        self.clock = FakeClock()
        self.air = Air()
        self.one, self.two, self.three = (
            Node(url, self.prefix, name, self.clock, self.air) for name in ("one", "two", "three")
        )

    async def close(self) -> None:
        for node in (self.one, self.two, self.three):
            await node.presence.close()  # the loop does this, and no loop runs here


@asynccontextmanager
async def open_house(url: str) -> AsyncIterator[House]:
    house = House(url)
    try:
        yield house
        assert house.air.listeners == []
    finally:
        await house.close()


@pytest_asyncio.fixture
async def house(redis_url: str) -> AsyncIterator[House]:
    async with open_house(redis_url) as house:
        yield house


async def test_a_watcher_on_another_node_is_told_when_somebody_enters_and_leaves(house: House) -> None:
    """Once for each change, and not again when nothing changed."""
    assert await house.two.watch("li") == {"li": False}
    house.one.presence.entered("li")
    await house.one.step()
    assert await house.two.step() == [("li", True)]
    assert await house.two.step() == []
    house.one.presence.left("li")
    await house.one.step()

    assert await house.two.step() == [("li", False)]
    assert await house.three.presence.states(["li"]) == {"li": False}
    house.two.presence.unwatch(["li"])


async def test_somebody_on_two_nodes_is_online_until_both_are_left(house: House) -> None:
    """The first arrival and the last departure are told; what is between is not."""
    await house.three.watch("li")
    for node in (house.one, house.two):
        node.presence.entered("li")
        await node.step()
    assert await house.three.step() == [("li", True)]
    house.one.presence.left("li")
    await house.one.step()
    assert await house.three.step() == []
    house.two.presence.left("li")
    await house.two.step()

    assert await house.three.step() == [("li", False)]
    house.three.presence.unwatch(["li"])


async def test_a_killed_nodes_users_end_by_time_and_a_living_ones_stay(house: House) -> None:
    """A node that says nothing for `presence_s` has no users; one that refreshes keeps its own."""
    for node, user in ((house.one, "killed"), (house.two, "alive")):
        node.presence.entered(user)
        await node.step()
    assert await house.three.watch("killed", "alive") == {"killed": True, "alive": True}
    for _ in range(3):
        await house.clock.advance(LIFE_S / 3 - 0.1)
        await house.two.step()
        assert await house.three.step() == []
    await house.clock.advance(1)

    assert await house.three.step() == [("killed", False)]
    assert await house.one.presence.states(["nobody"]) == {"nobody": False}
    house.three.presence.unwatch(["killed", "alive"])


async def test_a_lost_hint_is_made_good_by_looking_again(house: House) -> None:
    """Hints may be lost: who watches looks again after at most `presence_s`."""
    await house.two.watch("li")
    await house.two.step()
    house.air.silent = True
    house.one.presence.entered("li")
    await house.one.step()
    assert await house.two.step() == []
    await house.clock.advance(LIFE_S + 0.1)
    await house.one.step()

    assert await house.two.step() == [("li", True)]
    house.two.presence.unwatch(["li"])


async def test_every_watcher_of_a_node_is_answered_alike(house: House) -> None:
    """A second watcher gets what the first was told, and the change reaches both together."""
    await house.two.watch("li")
    house.air.silent = True
    house.one.presence.entered("li")
    await house.one.step()
    assert await house.two.watch("li") == {"li": False}
    house.two.presence.hinted("li")

    assert await house.two.step() == [("li", True)]
    house.two.presence.unwatch(["li"])
    assert await house.two.watch("li") == {"li": True}
    house.two.presence.unwatch(["li", "li", "li"])


async def test_entering_and_leaving_in_one_breath_ends_as_it_is(house: House) -> None:
    """Only the state at the time of writing reaches Redis."""
    house.one.presence.entered("li")
    house.one.presence.left("li")
    house.one.presence.entered("wang")
    await house.one.step()

    assert await house.two.presence.states(["li", "wang"]) == {"li": False, "wang": True}


async def test_many_people_are_asked_for_in_one_call(house: House) -> None:
    """More than one pipeline holds, half of them online."""
    people = [f"u{number}" for number in range(2 * CHUNK + 7)]
    for user in people[::2]:
        house.one.presence.entered(user)
    await house.one.step()

    assert await house.two.watch(*people) == {user: number % 2 == 0 for number, user in enumerate(people)}
    assert await house.two.step() == []
    house.two.presence.unwatch(people)


async def test_nobody_seems_gone_when_redis_forgot_everything(valkey: EmbeddedValkey) -> None:
    """After a flush each node says its users again; until then absence is not believed, but a departure is."""
    async with open_house(valkey.url) as house:
        for user in ("li", "wang"):
            house.one.presence.entered(user)
        await house.one.step()
        await house.two.watch("li", "wang")
        async with redis.asyncio.Redis.from_url(valkey.url) as client:
            await client.flushall()
        house.two.presence.resync()
        assert await house.two.step() == []
        house.one.presence.left("wang")
        await house.one.step()
        assert await house.two.step() == [("wang", False)]
        house.one.presence.resync()
        await house.one.step()
        await house.clock.advance(LIFE_S / 3 + 0.1)

        assert await house.two.step() == []
        assert await house.three.presence.states(["li"]) == {"li": True}
        house.two.presence.unwatch(["li", "wang"])


async def test_everybody_stays_as_told_while_redis_is_away(valkey: EmbeddedValkey) -> None:
    """Unknown is not offline; what happened meanwhile is told when Redis is back (P6)."""
    async with open_house(valkey.url) as house:
        house.one.presence.entered("li")
        await house.one.step()
        assert await house.two.watch("li", "wang") == {"li": True, "wang": False}
        await valkey.kill()
        house.one.presence.left("li")
        house.one.presence.entered("wang")
        house.two.presence.resync()
        with pytest.raises(AWAY):
            await house.one.presence.announce()
        with pytest.raises(AWAY):
            await house.two.presence.sweep()
        assert house.two.told == []
        assert await house.two.presence.states(["li", "wang", "chen"]) == {"li": True, "wang": False, "chen": False}
        await valkey.start()
        await house.one.step()

        assert sorted(await house.two.step()) == [("li", False), ("wang", True)]
        house.two.presence.unwatch(["li", "wang"])


async def test_watchers_beside_somebody_are_told_although_redis_is_away(valkey: EmbeddedValkey) -> None:
    """Whoever has a socket on this node is online, whatever Redis says."""
    async with open_house(valkey.url) as house:
        await house.one.watch("li")
        await valkey.kill()
        house.one.presence.entered("li")
        await house.one.presence.sweep()

        assert house.one.told == [("li", True)]
        house.one.presence.unwatch(["li"])


class LiveNode:
    """A node as it runs: the real broker, the real loop, the real clock."""

    def __init__(self, url: str, prefix: str, name: str) -> None:
        chosen = settings.Realtime(presence_s=3.0, probe_s=0.2, probe_late_s=1.0)
        self.told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.back = asyncio.Event()
        self.broker = Broker(
            chosen,
            settings.Redis(url=url, prefix=prefix),
            node=name,
            on_message=lambda channel, _: self.presence.hinted(channel.removeprefix(channel_of(""))),
            on_lost=lambda: None,
            on_back=self._on_back,
        )
        self.presence = Presence(
            chosen,
            settings.Redis(url=url, prefix=prefix),
            node=name,
            clock=SystemClock(),
            hints=self.broker,
            on_change=lambda user, online, at_ms: self.told.put_nowait((user, online)),
        )

    def _on_back(self) -> None:
        self.presence.resync()
        self.back.set()

    async def next(self) -> tuple[str, bool]:
        return await asyncio.wait_for(self.told.get(), PATIENCE_S)


@asynccontextmanager
async def live(url: str, prefix: str, name: str) -> AsyncIterator[LiveNode]:
    node = LiveNode(url, prefix, name)
    async with Supervisor() as supervisor:
        supervisor.run("broker", node.broker.run)
        supervisor.run("presence", node.presence.run)
        await asyncio.wait_for(node.back.wait(), PATIENCE_S)
        yield node
        assert supervisor.down == {}


async def test_running_nodes_tell_each_other_and_outlive_a_killed_one(valkey: EmbeddedValkey) -> None:
    """Enter, leave, enter again, and then the node ends without a word: told at once, and by time."""
    prefix = new_id()
    async with live(valkey.url, prefix, "two") as two:
        two.presence.watch(["li"])
        assert await two.presence.states(["li"]) == {"li": False}
        await two.broker.settled(channel_of("li"))
        async with live(valkey.url, prefix, "one") as one:
            one.presence.entered("li")
            assert await two.next() == ("li", True)
            one.presence.left("li")
            assert await two.next() == ("li", False)
            one.presence.entered("li")
            assert await two.next() == ("li", True)

        assert await two.next() == ("li", False)
        two.presence.unwatch(["li"])


async def test_running_nodes_catch_up_when_redis_was_killed(valkey: EmbeddedValkey) -> None:
    """Away for a while, with a departure and an arrival meanwhile: both are told by themselves afterwards."""
    prefix = new_id()
    async with live(valkey.url, prefix, "one") as one, live(valkey.url, prefix, "two") as two:
        two.presence.watch(["li", "wang"])
        await two.presence.states(["li", "wang"])
        await two.broker.settled(channel_of("li"))
        one.presence.entered("li")
        assert await two.next() == ("li", True)
        await valkey.kill()
        one.presence.left("li")
        one.presence.entered("wang")
        await valkey.start()

        assert sorted([await two.next(), await two.next()]) == [("li", False), ("wang", True)]
        two.presence.unwatch(["li", "wang"])
