"""One node's way from a commit to its sockets, without PostgreSQL and Redis: what they would answer is in plain sets."""

import asyncio
from collections.abc import Awaitable, Collection
from typing import Any

from msgspec import Raw

from hub.messaging.model import Entry
from hub.messaging.roster import Rosters
from hub.platform.identifier import new_id
from hub.realtime.connection import Connection
from hub.realtime.fanout import Fanout
from hub.realtime.registry import Registry
from hub.realtime.room import Rooms
from hub.realtime.told import Told
from tests.fake_clock import FakeClock
from tests.unit.device import Device, Edge

LARGE = 3


class Memberships:
    """What the bare PostgreSQL pool answers to the two questions of this path; `gate` holds the answers back."""

    def __init__(self) -> None:
        self.version = 1
        self.from_seqs: dict[str, int] = {}
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    def change(self, **from_seqs: int | None) -> None:
        """Raise the version; None takes somebody out."""
        self.version += 1
        merged = {**self.from_seqs, **from_seqs}
        self.from_seqs = {user: seq for user, seq in merged.items() if seq is not None}

    async def fetch(self, query: str, conversation: Any, other: Any) -> list[tuple[Any, ...]]:
        self.reads += 1
        if self.away:
            raise ConnectionError
        # The snapshot is taken when the statement begins.
        users, version = dict(self.from_seqs), self.version
        await self.gate.wait()
        if "members_version" in query:
            places = [f"{user} {seq}" for user, seq in users.items()][:other]
            return [(conversation[0], "group", None, version, places)]
        asked: Collection[str] = other
        return [(user,) for user in users if user in asked]


class Channels:
    """What the node is subscribed to; Redis confirms when `confirmed` says so."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.confirmed = asyncio.Event()
        self.confirmed.set()

    def subscribe(self, channel: str) -> None:
        self.heard.append(channel)

    def unsubscribe(self, channel: str) -> None:
        self.heard.remove(channel)

    async def settled(self, channel: str) -> None:
        await self.confirmed.wait()


class OneNode:
    """The parts of `node.py` that this path needs."""

    def __init__(self, members: Memberships, name: str = "node") -> None:
        self.members = members
        self.edge = Edge()
        self.clock = FakeClock()
        self.registry: Registry[Connection] = Registry()
        self.published: list[tuple[str, bytes]] = []
        self.channels = Channels()
        self.tasks: set[asyncio.Task[None]] = set()
        self.rosters = Rosters(members, LARGE)
        self.rooms = Rooms(members, self.registry, self.channels, self.later)
        self.fanout = Fanout(
            name, self.registry, self.rosters, self.rooms, Told(0.0), self.clock, self._publish, self.later
        )

    def _publish(self, channel: str, payload: bytes) -> None:
        self.published.append((channel, payload))

    def later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def idle(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)

    def device(self, user: str) -> Device:
        """A device of this user that has said hello."""
        found = Device(self.edge, user=user).greet()
        self.registry.join(f"u:{user}", found.connection)
        return found

    def seqs(self, device: Device) -> list[int]:
        return [frame["seq"] for frame in device.heard() if frame["op"] == "entry"]


def entries(conversation: str, *seqs: int) -> list[Entry]:
    at, body = "2026-01-02T03:04:05.000Z", Raw(b'{"text":"x"}')
    return [
        Entry(conversation=conversation, seq=seq, sender="s", type="text", body=body, client_msg_id=new_id(), at=at)
        for seq in seqs
    ]
