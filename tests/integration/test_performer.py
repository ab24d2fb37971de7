"""What each request sets in motion over a real socket: resumes, sends, marks, typing, presence and the digest."""

import asyncio

import pytest

from clients.terminal.client import HubClient
from clients.terminal.view import View
from hub.platform.identifier import new_id
from tests.integration.conftest import Serve
from tests.integration.wire import SECRET, Json, Server, Socket


async def told(device: Socket) -> list[Json]:
    """The frames after a welcome."""
    return await device.so_far()


def shape(frame: Json) -> tuple[object, ...]:
    if frame["op"] == "page":
        return ("page", [entry["seq"] for entry in frame["entries"]], frame["more"], frame.get("snapshot", False))
    return (frame["op"], frame.get("from"))


async def a_log(hub: Server, entries: int, *others: str, text: str = SECRET) -> tuple[str, str]:
    """(user, room) with this many entries of that user."""
    user = await hub.person()
    room = await hub.conversation(user, *others)
    device = await hub.device(user)
    for _ in range(entries):
        assert (await device.send(room, text))["op"] == "ack"
    await device.connection.close()
    return user, room


async def test_a_resume_brings_what_is_missing_in_pages(serve: Serve) -> None:
    """After the cursor only; `more` until the last page."""
    async with serve(realtime={"resume_page": 3, "resume_limit": 10}) as hub:
        user, room = await a_log(hub, 9)
        for cursor, expected in (
            (9, []),
            (6, [("page", [7, 8, 9], False, False)]),
            (2, [("page", [3, 4, 5], True, False), ("page", [6, 7, 8], True, False), ("page", [9], False, False)]),
        ):
            device = await hub.device(user, {room: cursor})
            assert [shape(frame) for frame in await told(device)] == expected


async def test_far_behind_is_a_snapshot_instead(serve: Serve) -> None:
    """Said explicitly: the client drops what it held."""
    async with serve(realtime={"resume_page": 3, "resume_limit": 5}) as hub:
        user, room = await a_log(hub, 9)
        device = await hub.device(user, {room: 1})

        assert [shape(frame) for frame in await told(device)] == [("page", [7, 8, 9], False, True)]


async def test_a_resume_larger_than_the_outbox_leaves_gaps_and_the_socket_whole(serve: Serve) -> None:
    """P7, P4: who is far behind in bytes is not closed as slow each time it comes back; it fetches the rest."""
    limits = {"outbox_bytes": 40_000, "outbox_soft_bytes": 20_000, "resume_page": 4}
    async with serve(realtime=limits) as hub:
        user, room = await a_log(hub, 20, text=SECRET * 200)
        device = await hub.device(user, {room: 0})
        frames = await told(device)
        seqs = [entry["seq"] for frame in frames[:-1] for entry in frame["entries"]]
        gap = frames[-1]
        assert shape(gap) == ("gap", len(seqs) + 1)
        while len(seqs) < 20:
            page = await device.ask("fetch", conversation=room, after=len(seqs), limit=5)
            seqs += [entry["seq"] for entry in page["entries"]]

        assert seqs == list(range(1, 21))


async def test_a_page_is_cut_to_what_one_write_may_carry(serve: Serve) -> None:
    """P7: both ways; `more` says so, nothing is left out, and the socket stays."""
    async with serve(realtime={"outbox_bytes": 20_000, "outbox_soft_bytes": 10_000}) as hub:
        user, room = await a_log(hub, 20, text=SECRET * 200)
        device = await hub.device(user)
        up: list[int] = []
        while len(up) < 20:
            page = await device.ask("fetch", conversation=room, after=len(up))
            up += [entry["seq"] for entry in page["entries"]]
            assert page["more"] == (len(up) < 20)
        down: list[int] = []
        while len(down) < 20:
            page = await device.ask("fetch", conversation=room, **({"before": down[0]} if down else {}))
            down = [entry["seq"] for entry in page["entries"]] + down
            assert page["more"] == (len(down) < 20)

        assert up == down == list(range(1, 21))
        assert (await device.send(room))["op"] == "ack"


async def test_what_is_committed_during_a_resume_comes_once(hub: Server) -> None:
    """Listen first, then read: pages and live entries are one gapless stream, for many resumes under load."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    writer = await hub.device(a)
    total = 120

    async def write() -> None:
        for _ in range(total):
            await writer.say("send", conversation=room, clientMsgId=new_id(), type="text", body={"text": SECRET})
            await writer.next()

    async def resume() -> list[int]:
        device = await hub.socket(b)
        await device.hello({room: 0})
        seqs: list[int] = []
        while not seqs or seqs[-1] < total:
            frame = await device.next()
            seqs += [entry["seq"] for entry in frame["entries"]] if frame["op"] == "page" else [frame["seq"]]
        return seqs

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        resumes = [tasks.create_task(resume()) for _ in range(10)]
    writing.result()

    assert [task.result() for task in resumes] == [list(range(1, total + 1))] * 10


async def test_a_second_hello_compares_notes_on_the_same_socket(hub: Server) -> None:
    """A resync; one that is refused costs nothing, whatever came meanwhile is told."""
    user, room = await a_log(hub, 3)
    device = await hub.device(user, {room: 3})
    refused = await device.ask("hello", cursors={}, since="yesterday")
    ack = await device.send(room)
    entry = await device.hear("entry", seq=4)
    welcome = await device.hello({room: 2})
    page = await device.hear("page")

    assert (refused["code"], ack["op"], entry["seq"]) == ("invalid", "ack", 4)
    assert welcome["heads"][room]["seq"] == 4
    assert shape(page) == ("page", [3, 4], False, False)


async def test_since_limits_receipts_to_what_moved(hub: Server) -> None:
    """The `at` of the last welcome comes back as `since`."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    writer, reader = await hub.device(a), await hub.device(b)
    await writer.send(room)
    await reader.ask("read", conversation=room, seq=1)
    away = await hub.socket(a)
    first = await away.hello({room: 1})
    old = "UPDATE members SET updated_at = updated_at - interval '1 hour' WHERE conversation = $1"
    await hub.parts.database.log.execute(old, room)
    again = await away.hello({room: 1}, since=first["at"])
    await writer.ask("delivered", conversation=room, seq=1)
    moved = await away.hello({room: 1}, since=first["at"])

    assert first["heads"][room]["receipts"] == {a: [0, 0], b: [1, 1]}
    assert "receipts" not in again["heads"][room]
    assert moved["heads"][room]["receipts"] == {a: [1, 0]}


async def test_marks_are_answered_and_told_to_all_devices(hub: Server) -> None:
    """One's own other device follows; a mark that changes nothing is told to nobody."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    writer, phone, tablet = await hub.device(a), await hub.device(b), await hub.device(b, packed=True)
    await writer.send(room)
    delivered = await phone.ask("delivered", conversation=room, seq=1)
    read = await phone.ask("read", conversation=room, seq=1)
    again = await phone.ask("delivered", conversation=room, seq=1)

    assert [answer["op"] for answer in (delivered, read, again)] == ["ok"] * 3
    for device in (writer, tablet, phone):
        marks = [f for f in await device.so_far() if f["op"] == "receipt"]
        assert [(f["user"], f["deliveredSeq"], f["readSeq"]) for f in marks] == [(b, 1, 0), (b, 1, 1)]


async def test_operations_are_acked_and_told_as_entries(hub: Server) -> None:
    """Edit, recall, react, pin: entries of their own, aimed at an earlier one; retries are free."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    writer, other = await hub.device(a), await hub.device(b, packed=True)
    await writer.send(room)
    edit = await writer.ask("edit", conversation=room, seq=1, clientMsgId="e", body={"text": "改"})
    again = await writer.ask("edit", conversation=room, seq=1, clientMsgId="e", body={"text": "改"})
    await other.ask("send", conversation=room, clientMsgId="f", type="react", target=1, body={"emoji": "👍"})
    recall = await writer.ask("recall", conversation=room, seq=1, clientMsgId="r")
    entries = await other.entries(room, 4)

    assert (edit["seq"], edit["dup"], again["seq"], again["dup"], recall["seq"]) == (2, False, 2, True, 4)
    assert [(e["type"], e.get("target")) for e in entries] == [("text", None), ("edit", 1), ("react", 1), ("recall", 1)]


async def test_typing_reaches_the_others_only(hub: Server) -> None:
    """It is not answered, not stored, and not echoed."""
    a, b, c = await hub.people(3)
    room = await hub.conversation(a, b)
    writer, other, stranger = await hub.device(a), await hub.device(b), await hub.device(c)
    await writer.send(room)
    await writer.so_far()
    await writer.say("typing", conversation=room)
    typed = await other.hear("typing")
    await stranger.say("typing", conversation=room)

    assert typed == {"op": "typing", "conversation": room, "user": a}
    assert await writer.so_far() == []
    assert [frame["op"] for frame in await other.so_far()] == ["entry"]
    assert await stranger.so_far() == []


async def test_a_watch_ends_with_the_last_shared_conversation(hub: Server) -> None:
    """P5: who was removed is not told any more whether the others are there; who stayed is."""
    a, b = await hub.people(2)
    doctor, room = await hub.group(a, b)
    gone, stays, watched = await hub.device(a), await hub.device(doctor), await hub.device(b)
    for watcher in (gone, stays):
        assert (await watcher.ask("watch", users=[b]))["op"] == "ok"
        await watcher.hear("presence", online=True)
    await hub.remove(room, doctor, a)
    await watched.connection.close()
    await stays.hear("presence", online=False)

    assert [frame for frame in await gone.so_far() if frame["op"] == "presence"] == []


async def test_who_is_watched_is_told_as_they_come_and_go(hub: Server) -> None:
    """A person is online while any device is; the list replaces the former one."""
    a, b, c = await hub.people(3)
    await hub.conversation(a, b, c)
    watcher, phone = await hub.device(a), await hub.device(b)
    assert (await watcher.ask("watch", users=[b, c]))["op"] == "ok"
    states = {frame["user"]: frame["online"] for frame in await watcher.so_far()}
    tablet = await hub.device(b)
    await phone.connection.close()
    await hub.connections(2)
    still = await watcher.so_far()
    await tablet.connection.close()
    offline = await watcher.hear("presence")
    await hub.device(b)
    online = await watcher.hear("presence")
    await watcher.ask("watch", users=[])
    await hub.device(c)

    assert states == {b: True, c: False}
    assert still == []
    assert (offline["user"], offline["online"]) == (b, False)
    assert (online["user"], online["online"]) == (b, True)
    assert await watcher.so_far() == []


async def test_the_digest_is_what_a_client_computes(hub: Server) -> None:
    """The same four sums on both sides, after messages, marks, members and a room that is large."""
    a, b, c, d, e = await hub.people(5)
    doctor, group = await hub.group(a, b)
    _, large = await hub.group(a, b, c, d, e)
    room = await hub.conversation(a, b)
    for user in (doctor, a):
        device = await hub.device(user)
        for conversation in (group, large, *([room] if user == a else [])):
            await device.send(conversation)
        await device.ask("read", conversation=group, seq=2)
    await hub.add(group, doctor, c)
    await hub.remove(group, doctor, b)

    class Known:
        """An account that has signed in elsewhere."""

        url, token = hub.http, hub.token(a)

    async with HubClient(Known(), view=View(whole=True)) as client:  # type: ignore[arg-type]
        await client.until(lambda view: client.online and not view.missing())
        pong = await (await hub.device(a)).ask("ping")
        await client.until(lambda view: view.digest() == pong["digest"])


async def test_sends_of_one_turn_are_one_statement(hub: Server) -> None:
    """When rosters and keys are at hand: two people, three conversations, twelve sends, one call and no read."""
    a, b = await hub.people(2)
    rooms = [await hub.conversation(a, b) for _ in range(3)]
    one, two = await hub.device(a), await hub.device(b)
    for device in (one, two):
        for room in rooms:
            await device.send(room)
        await device.so_far()
    async with hub.statements() as said:
        for device in (one, two):
            burst = b"".join(
                device.packet("send", conversation=room, clientMsgId=new_id(), type="text", body={"text": SECRET})
                for room in rooms * 2
            )
            device.write(burst)
        for device in (one, two):
            for _ in range(6):
                await device.hear("ack")
            for room in rooms:
                await device.entries(room, 6)

    assert 1 <= len(said) <= 2, said  # two packets may be read in two turns
    assert all("append_entries" in statement for statement in said)


async def test_a_resume_is_two_statements(hub: Server) -> None:
    """However many conversations are behind, when their keys are at hand; one when nothing is."""
    a, b = await hub.people(2)
    rooms = [await hub.conversation(a, b) for _ in range(3)]
    writer = await hub.device(a)
    for room in rooms:
        await writer.send(room)
    counts = []
    for cursors in (dict.fromkeys(rooms, 0), dict.fromkeys(rooms, 0), {}):
        device = await hub.socket(b)
        async with hub.statements() as said:
            await device.hello(cursors)
        counts.append(len(said))

    assert counts[1:] == [2, 1]
    assert counts[0] in (2, 3)


async def test_refused_sends_leave_room_for_others(serve: Serve) -> None:
    """P15: an overload that is refused must not count as unanswered for ever."""
    async with serve(messaging={"waiting": 1, "large_conversation": 3}, realtime={"frames_burst": 30}) as hub:
        user = await hub.person()
        room = await hub.conversation(user)
        device = await hub.device(user)
        packet = b"".join(
            device.packet("send", conversation=room, clientMsgId=new_id(), type="text", body={"text": SECRET})
            for _ in range(25)
        )
        device.write(packet)
        answers = [await device.answer(ref) for ref in range(2, 27)]
        refused = [answer for answer in answers if answer["op"] == "failed"]

        assert {answer["code"] for answer in refused} == {"overloaded"}
        assert all(answer["retryAfterMs"] == 1000 for answer in refused)
        (connection,) = hub.parts.node.gateway._connections
        assert connection.session.unanswered == 0
        assert len(refused) + len([a for a in answers if a["op"] == "ack"]) == 25


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_two_devices_of_one_person_see_the_same(hub: Server, packed: bool) -> None:
    """One's own entries come to one's other devices, and back to the one that sent them."""
    user = await hub.person()
    room = await hub.conversation(user)
    phone, tablet = await hub.device(user), await hub.device(user, packed=packed)
    for seq in (1, 2, 3):
        assert (await (phone if seq % 2 else tablet).send(room, str(seq)))["seq"] == seq

    assert await phone.entries(room, 3) == await tablet.entries(room, 3)
