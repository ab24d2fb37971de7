"""Several nodes are one hub: everything crosses once and in order, and membership holds on open sockets everywhere (P2, P5)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.platform.identifier import new_id
from tests.integration.conftest import Serve
from tests.integration.wire import Json, Server, Socket


@pytest_asyncio.fixture(scope="module")
async def other_running(serve: Serve, running: Server) -> AsyncIterator[Server]:
    async with serve(like=running) as server:
        yield server


@pytest_asyncio.fixture
async def there(other_running: Server) -> AsyncIterator[Server]:
    """A second node beside `hub`."""
    yield other_running
    await other_running.hang_up()
    await other_running.connections(0)


def ops(frames: list[Json]) -> list[str]:
    return [frame["op"] for frame in frames]


def seqs(frames: list[Json]) -> list[int]:
    return [frame["seq"] for frame in frames]


async def catch_up(socket: Socket, other: Socket, room: str) -> list[Json]:
    """What `socket` has been told, once `other` of the same node was told of an entry sent for this."""
    ack = await other.send(room)
    await other.hear("entry", conversation=room, seq=ack["seq"])
    return await socket.so_far()


async def sees(socket: Socket, room: str, seq: int) -> list[int]:
    """Wait until an entry is told, or a gap that covers it is; the answer is what live entries came until then."""
    live = []
    while seq not in live:
        frame = await socket.next()
        if frame["op"] == "entry" and frame["conversation"] == room:
            live.append(frame["seq"])
        elif frame["op"] == "gap" and frame["from"] <= seq:
            page = await socket.ask("fetch", conversation=room, after=frame["from"] - 1)
            if seq in seqs(page["entries"]):
                break
    return live


@pytest.mark.parametrize("size", [2, 6], ids=["small", "large"])
async def test_entries_cross_nodes_once_and_in_order(hub: Server, there: Server, size: int) -> None:
    """Over personal channels, and over the one of a large conversation; both subprotocols."""
    people = await hub.people(size)
    room = await hub.conversation(*people)
    writer, near = await hub.device(people[0]), await hub.device(people[1])
    far = [await there.device(user, packed=bool(n % 2)) for n, user in enumerate(people)]
    for seq in range(1, 31):
        assert (await writer.send(room))["seq"] == seq
    expected = list(range(1, 31))

    assert seqs(await near.entries(room, 30)) == expected
    for device in far:
        assert seqs(await device.entries(room, 30)) == expected
        assert ops(await device.so_far()) == []


async def test_writers_on_two_nodes_share_one_numbering(hub: Server, there: Server) -> None:
    """P2: everybody holds the same entries under the same numbers, each once, whatever order they came in."""
    people = await hub.people(4)
    room = await hub.conversation(*people)
    devices = [await (hub if n % 2 else there).device(user) for n, user in enumerate(people)]
    each = 25

    async def write(device: Socket) -> None:
        for n in range(each):
            assert (await device.send(room, f"{n}"))["op"] == "ack"

    async with asyncio.TaskGroup() as tasks:
        for device in devices:
            tasks.create_task(write(device))
    total = each * len(devices)
    logs = []
    for device in devices:
        found = {}
        while len(found) < total:
            entry = await device.hear("entry")
            assert entry["seq"] not in found, "told twice"
            found[entry["seq"]] = (entry["sender"], entry["clientMsgId"], entry["body"]["text"])
        logs.append(found)
        assert ops(await device.so_far()) == []

    assert sorted(logs[0]) == list(range(1, total + 1))
    assert all(log == logs[0] for log in logs)
    for user in people:
        assert [text for _, (sender, _, text) in sorted(logs[0].items()) if sender == user] == [
            str(n) for n in range(each)
        ]


async def test_receipts_typing_and_presence_cross_nodes(hub: Server, there: Server) -> None:
    """Nobody sees on which node the other is."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    here, far = await hub.device(a), await there.device(b)
    await here.send(room)
    await far.hear("entry")
    await here.ask("watch", users=[b])
    assert (await here.hear("presence"))["online"] is True
    await far.ask("read", conversation=room, seq=1)
    receipt = await here.hear("receipt")
    await here.say("typing", conversation=room)
    typed = await far.hear("typing")
    await far.connection.close()
    gone = await here.hear("presence")

    assert (receipt["user"], receipt["readSeq"]) == (b, 1)
    assert (typed["user"], typed["conversation"]) == (a, room)
    assert (gone["user"], gone["online"]) == (b, False)


@pytest.mark.parametrize("others", [1, 5], ids=["small", "large"])
async def test_a_removed_member_hears_nothing_more(hub: Server, there: Server, others: int) -> None:
    """P5: on open sockets of either node; their last entry is the removal itself, and a fetch ends there."""
    people = await hub.people(others)
    gone = await hub.person()
    doctor, room = await hub.group(gone, *people)
    witness = {node: await node.device(doctor) for node in (hub, there)}
    sockets = {node: await node.device(gone, packed=node is there) for node in (hub, there)}
    await witness[hub].send(room)
    for socket in sockets.values():
        await socket.hear("entry", seq=2)
    await hub.remove(room, doctor, gone)
    places = [await socket.hear("membership") for socket in sockets.values()]

    assert [(place["user"], place["toSeq"]) for place in places] == [(gone, 3)] * 2
    for node, socket in sockets.items():
        frames = await catch_up(socket, witness[node], room)
        assert [frame["seq"] for frame in frames if frame["op"] == "entry"] in ([], [3])
        await witness[node].ask("read", conversation=room, seq=4)
        await witness[node].say("typing", conversation=room)
        assert await catch_up(socket, witness[node], room) == []
        page = await socket.ask("fetch", conversation=room)
        assert seqs(page["entries"]) == [1, 2, 3]
        assert (await socket.send(room))["code"] == "not_found"
        welcome = await socket.hello({room: 1})
        assert welcome["heads"][room]["until"] == 3
        assert seqs((await socket.hear("page"))["entries"]) == [2, 3]


@pytest.mark.parametrize("others", [1, 5], ids=["small", "large"])
async def test_a_newcomer_sees_from_their_first_entry(hub: Server, there: Server, others: int) -> None:
    """P5: live, on sockets that were open before; fetched; and resumed. From the entry that says they came."""
    people = await hub.people(others)
    late = await hub.person()
    doctor, room = await hub.group(*people)
    writer = await hub.device(doctor)
    sockets = [await hub.device(late), await there.device(late)]
    for _ in range(3):
        await writer.send(room)
    await hub.add(room, doctor, late)
    await writer.send(room)
    for socket in sockets:
        place = await socket.hear("membership", user=late)
        assert (place["fromSeq"], "toSeq" in place) == (5, False)
        assert set(await sees(socket, room, 6)) <= {5, 6}
        assert seqs((await socket.ask("fetch", conversation=room, after=0))["entries"]) == [5, 6]
        welcome = await socket.hello({room: 0})
        assert welcome["heads"][room]["fromSeq"] == 5
        assert seqs((await socket.hear("page"))["entries"]) == [5, 6]


async def test_who_comes_back_into_a_large_conversation_hears_it_again(hub: Server, there: Server) -> None:
    """Removed, away, and added again: nothing of the time between, everything afterwards."""
    people = await hub.people(5)
    doctor, room = await hub.group(*people)
    writer, device = await hub.device(doctor), await there.device(people[0])
    await hub.remove(room, doctor, people[0])
    await device.hear("membership", toSeq=2)
    await writer.send(room)
    await hub.add(room, doctor, people[0])
    await device.hear("membership", fromSeq=4)
    ack = await writer.send(room)

    assert ack["seq"] == 5
    assert set(await sees(device, room, 5)) <= {2, 4, 5}  # 2 is the entry of their own removal


async def test_a_conversation_that_grows_large_goes_on_for_everybody(hub: Server, there: Server) -> None:
    """From one channel per member to one for all, on every node, and back, without a hello."""
    a, b, c = await hub.people(3)
    doctor, room = await hub.group(a, b)
    writer, near, far = await hub.device(doctor), await hub.device(a), await there.device(b)
    for change in (hub.add, hub.remove, hub.add):
        await change(room, doctor, c)
        ack = await writer.send(room)
        for device in (writer, near, far):
            await sees(device, room, ack["seq"])


async def test_both_nodes_are_told_of_new_conversations(hub: Server, there: Server) -> None:
    """A membership frame for each, wherever they are."""
    a, b = await hub.people(2)
    devices = [await hub.device(a), await there.device(b)]
    _, room = await hub.group(a, b)

    for device, user in zip(devices, (a, b), strict=True):
        place = await device.hear("membership", user=user)
        assert (place["conversation"], place["membersVersion"], place["fromSeq"]) == (room, 1, 1)


async def test_a_retry_on_another_node_is_answered_and_not_told_again(hub: Server, there: Server) -> None:
    """P3: the ack was lost, the client came back elsewhere."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    first, second, reader = await hub.device(a), await there.device(a), await there.device(b)
    name = new_id()
    ack = await first.send(room, client_msg_id=name)
    assert seqs(await reader.entries(room, 1)) == [1]
    again = await second.send(room, client_msg_id=name)

    assert {**again, "ref": 0} == {**ack, "ref": 0, "dup": True}
    assert await reader.so_far() == []
