"""Redis goes away under two nodes and comes back (P6): late, nothing lost, nothing twice; readiness says so meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from hub.platform.embedded_home import open_home
from hub.platform.embedded_valkey import EmbeddedValkey
from tests.integration.wire import Server, serving, settings_for

QUICK = {"probe_s": 0.2, "probe_late_s": 0.6, "heal_s": 0.2}


@pytest_asyncio.fixture
async def valkey(data_folder: Path) -> AsyncIterator[EmbeddedValkey]:
    """A Valkey of this test's own, which it may stop."""
    folder = data_folder / "outage"
    folder.mkdir(exist_ok=True)
    server = EmbeddedValkey(open_home(folder, print))
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def nodes(database_url: str, valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    chosen = settings_for(database_url, valkey.url, str(tmp_path), realtime=QUICK)
    async with serving(chosen) as first, serving(chosen) as second:
        yield first, second


async def test_messages_still_arrive_once_when_redis_is_away(
    nodes: tuple[Server, Server], valkey: EmbeddedValkey
) -> None:
    """P6: sends commit and ack, the same node tells at once, the other node reads PostgreSQL, and afterwards all is as before."""
    here, there = nodes
    people = await here.people(3)
    room = await here.conversation(*people)
    writer, near = await here.device(people[0]), await here.device(people[1])
    far = await there.device(people[2])
    await writer.send(room)
    assert [entry["seq"] for entry in await far.entries(room, 1)] == [1]

    await valkey.kill()
    assert await _becomes(here, 503)
    assert await _becomes(there, 503)
    acks = [await writer.send(room) for _ in range(5)]
    told_near = await near.entries(room, 6)
    told_far = await far.entries(room, 6)
    back = await far.send(room)
    told_back = await near.entries(room, 7)
    await valkey.start()
    assert await _becomes(here, 200)
    assert await _becomes(there, 200)
    await writer.send(room)

    assert [ack["seq"] for ack in acks] == [2, 3, 4, 5, 6]
    assert [entry["seq"] for entry in told_near] == [1, 2, 3, 4, 5, 6]
    assert [entry["seq"] for entry in told_far] == [2, 3, 4, 5, 6]
    assert (back["seq"], [entry["seq"] for entry in told_back]) == (7, [7])
    assert [entry["seq"] for entry in await far.entries(room, 8)] == [7, 8]
    assert [entry["seq"] for entry in await near.entries(room, 8)] == [8]


async def test_a_large_room_is_repaired_too_when_redis_is_away(
    nodes: tuple[Server, Server], valkey: EmbeddedValkey
) -> None:
    """P6, for conversations with a channel of their own; a member who was removed meanwhile is not told (P5)."""
    here, there = nodes
    people = await here.people(5)
    doctor, room = await here.group(*people)
    writer, far, gone = await here.device(people[0]), await there.device(people[1]), await there.device(people[2])
    first = await writer.send(room)
    await far.entries(room, first["seq"])
    await gone.entries(room, first["seq"])

    await valkey.kill()
    assert await _becomes(there, 503)
    await here.remove(room, doctor, people[2])
    later = await writer.send(room)
    told = await far.entries(room, later["seq"])
    await valkey.start()
    assert await _becomes(there, 200)
    last = await writer.send(room)
    await far.entries(room, last["seq"])

    # A repair looks back a little further than the outage: what was written before a device came may come to it as well.
    assert [entry["seq"] for entry in told if entry["seq"] > first["seq"]] == [first["seq"] + 1, later["seq"]]
    told_gone = [frame["seq"] for frame in await gone.so_far() if frame["op"] == "entry"]
    assert [seq for seq in told_gone if seq > first["seq"]] == []


async def _becomes(server: Server, status: int) -> bool:
    """Whether readiness turns to this."""
    async with httpx.AsyncClient(timeout=10) as client:
        for _ in range(400):
            if (await client.get(server.http + "/readyz")).status_code == status:
                return True
    return False
