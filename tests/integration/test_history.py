"""Reading the log as one member may see it: pages, standings, digests, and what a node or a stream missed."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from hub.messaging import membership, operation
from hub.messaging.history import History, Span
from hub.messaging.model import Entry
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.realtime.resume import read_resume
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer
from tests.integration.scene import Scene, words
from tests.integration.wire import statements

AGES_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def cold(scene: Scene, large: int = 50) -> History:
    """The history of a node that has no key at hand."""
    return History(scene.database.log, Sealer(Keyring({"k": b"m" * 32}, b"s" * 32), scene.database), large)


async def a_group(scene: Scene, entries: int) -> tuple[str, str, str]:
    """(room, member, doctor) with entries up to this seq; the first is the system's."""
    member = await scene.person()
    doctor, room = await scene.group(member)
    for seq in range(2, entries + 1):
        await scene.send(room, member, f"word {seq}")
    return room, member, doctor


def seqs(entries: list[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


async def test_pages_go_up_and_down(scene: Scene) -> None:
    """In seq order either way; `more` is about the asked direction."""
    room, member, _ = await a_group(scene, 9)
    page = scene.history.page
    pages = {
        "up": await page(member, room, after=0, limit=4),
        "rest": await page(member, room, after=5, limit=4),
        "beyond": await page(member, room, after=9, limit=4),
        "newest": await page(member, room, limit=4),
        "down": await page(member, room, before=4, limit=2),
        "first": await page(member, room, before=4, limit=3),
        "before": await page(member, room, before=1, limit=3),
    }

    assert {name: (seqs(found.entries), found.more) for name, found in pages.items()} == {
        "up": ([1, 2, 3, 4], True),
        "rest": ([6, 7, 8, 9], False),
        "beyond": ([], False),
        "newest": ([6, 7, 8, 9], True),
        "down": ([2, 3], True),
        "first": ([1, 2, 3], False),
        "before": ([], False),
    }


async def test_a_page_brings_the_later_operations_on_its_entries(scene: Scene) -> None:
    """So that an old page shows what its entries look like now."""
    room, member, doctor = await a_group(scene, 6)
    edit = {"conversation": room, "actor": member, "role": "patient", "body": b'{"text":"edited"}'}
    await operation.edit(scene.services, **edit, seq=2, client_msg_id="e1")
    await operation.edit(scene.services, **edit, seq=5, client_msg_id="e2")
    await scene.write(room, doctor, "react", b'{"emoji":"x"}', target=3)
    old = await scene.history.page(member, room, after=1, limit=2)
    whole = await scene.history.page(member, room, after=1, limit=100)

    assert [(o.seq, o.target) for o in old.operations] == [(7, 2), (9, 3)]
    assert (seqs(whole.entries), whole.operations) == ([2, 3, 4, 5, 6, 7, 8, 9], [])


async def test_a_page_ends_where_a_member_s_place_does(scene: Scene) -> None:
    """P5: nothing from before the first seq or after the last, operations included."""
    room, member, doctor = await a_group(scene, 3)
    late = await scene.person()
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=room, members=[late])
    await scene.send(room, member, "five")
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=room, members=[member])
    await scene.write(room, doctor, "react", b'{"emoji":"x"}', target=2)

    assert await scene.seqs(member, room) == [1, 2, 3, 4, 5, 6]
    assert (await scene.history.page(member, room, after=1, limit=1)).operations == []
    assert await scene.seqs(late, room) == [4, 5, 6, 7]
    down = await scene.history.page(late, room, before=6, limit=10)
    assert (seqs(down.entries), down.more) == ([4, 5], False)


async def test_strangers_see_nothing(scene: Scene) -> None:
    """One answer for what is not theirs, what is unknown and what is no id."""
    room, _, _ = await a_group(scene, 1)
    stranger = await scene.person()
    for name in (room, new_id(), "x"):
        with pytest.raises(Refusal) as refused:
            await scene.history.page(stranger, name)
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_recalled_erased_and_broken_entries_keep_their_number(scene: Scene) -> None:
    """P2, P12: an empty body that says why; one bad row does not cost the page."""
    room, member, doctor = await a_group(scene, 5)
    await operation.recall(
        scene.services, conversation=room, actor=member, role="patient", seq=2, client_msg_id="r", body=b"{}"
    )
    await scene.send(room, doctor, "of another")
    moved = "UPDATE entries SET body = (SELECT body FROM entries WHERE conversation = $1 AND seq = 4) WHERE conversation = $1 AND seq = 3"
    await scene.database.log.execute(moved, room)
    broken = {
        e.seq: (e.recalled, e.erased, bytes(e.body)) for e in (await cold(scene).page(member, room, after=0)).entries
    }
    async with scene.database.transaction() as connection:
        await scene.sealer.destroy(connection, member)
    entries = {e.seq: (e.recalled, e.erased) for e in (await cold(scene).page(doctor, room, after=0)).entries}

    assert broken[2] == (True, False, b"{}")
    assert broken[3] == (False, True, b"{}")
    assert broken[4] == (False, False, b'{"text":"word 4"}')
    assert entries == {1: (False, False), 2: (True, False), 3: (False, True), 4: (False, True), 5: (False, True)} | {
        6: (False, True),
        7: (False, False),
    }


async def test_statements_per_page_and_per_resume_are_few(scene: Scene) -> None:
    """Two for a page, two for a resume however many conversations are behind; one more when keys are not at hand."""
    rooms = [await a_group(scene, 5) for _ in range(3)]
    people = {member for _, member, _ in rooms}
    for room, _, doctor in rooms:
        fresh = sorted(people - {member for r, member, _ in rooms if r == room})
        await membership.add(scene.services, actor=doctor, role="doctor", conversation=room, members=fresh)
    user = rooms[0][1]
    cursors = {room: 2 for room, _, _ in rooms}
    history = cold(scene)
    counts = []
    async with statements(scene.database.log) as said:
        for _ in range(2):
            resume = await read_resume(history, user, cursors, None, page=100, limit=500, most_bytes=10**6)
            counts.append(len(said))
            said.clear()
        for _ in range(2):
            await history.page(user, rooms[0][0], after=0, limit=2)
            counts.append(len(said))
            said.clear()
        await read_resume(history, user, {}, None, page=100, limit=500, most_bytes=10**6)
        counts.append(len(said))

    assert counts == [3, 2, 2, 2, 1]
    assert {page.conversation for page in resume.pages} == set(cursors)


async def test_standings_say_where_one_stands(scene: Scene) -> None:
    """Heads, unread of others, receipts of all, and those one has left lately."""
    room, member, doctor = await a_group(scene, 4)
    await scene.send(room, doctor, "five")
    mark = "UPDATE members SET delivered_seq = 4, read_seq = 3, updated_at = clock_timestamp() WHERE conversation = $1 AND user_id = $2"
    await scene.database.log.execute(mark, room, doctor)
    (standing,) = await scene.history.standings(member, None)
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=room, members=[member])
    await scene.send(room, doctor, "seven")
    (left,) = await scene.history.standings(member, None)

    assert (standing.until, standing.unread, standing.role, standing.to_seq) == (5, 2, "member", None)
    assert standing.receipts == {doctor: (4, 3), member: (0, 0)}
    assert (left.until, left.to_seq) == (6, 6)


async def test_since_limits_receipts_to_what_moved(scene: Scene) -> None:
    """A returning client knows the others."""
    room, member, doctor = await a_group(scene, 4)
    moment = await scene.database.log.fetchval("SELECT clock_timestamp()")
    mark = (
        "UPDATE members SET delivered_seq = 4, updated_at = clock_timestamp() WHERE conversation = $1 AND user_id = $2"
    )
    await scene.database.log.execute(mark, room, doctor)
    (standing,) = await scene.history.standings(member, moment)

    assert standing.receipts == {doctor: (4, 0)}


async def test_a_digest_is_the_four_sums(scene: Scene) -> None:
    """Conversations, heads, member versions, marks of those that are told: none of large ones, and none of broadcasts."""
    _, member, doctor = await a_group(scene, 4)
    _, other, _ = await a_group(scene, 1)
    await scene.send(await scene.broadcast(doctor, member), doctor, "to all")
    mark = "UPDATE members SET delivered_seq = 2, read_seq = 2 WHERE user_id = $1"
    await scene.database.log.execute(mark, member)
    stranger = await scene.person()
    digests = await scene.history.digests([member, other, stranger])
    small = await cold(scene, large=1).digests([member])

    assert digests == {member: "2.6.2.4", other: "1.1.1.0", stranger: "0.0.0.0"}  # noqa: S104 - sums, not an address
    assert small == {member: "2.6.2.0"}
    assert all(not standing.receipts for standing in await scene.history.standings(member, None) if standing.large)


async def test_spans_are_read_in_one_statement(scene: Scene) -> None:
    """Of many conversations, each in order."""
    (one, _, _), (two, _, _) = await a_group(scene, 5), await a_group(scene, 4)
    found = await scene.history.spans([Span(one, 2, 4), Span(two, 0, 2), Span(new_id(), 0, 9)])

    assert {room: seqs(entries) for room, entries in found.items()} == {one: [3, 4], two: [1, 2]}
    assert words(found[one][0]) == "word 3"


async def test_what_was_missed_is_of_these_users_and_that_time(scene: Scene) -> None:
    """For a node whose Redis was away."""
    room, member, _ = await a_group(scene, 5)
    _, stranger, _ = await a_group(scene, 2)
    await scene.database.log.execute(
        "UPDATE entries SET created_at = created_at - interval '1 hour' WHERE conversation = $1 AND seq < 4", room
    )
    recently = datetime.now(UTC) - timedelta(minutes=1)
    missed = await scene.history.missed([member], recently, 100)
    newest = await scene.history.missed([member], recently, 1)

    assert {key: seqs(found) for key, found in missed.items()} == {(room, 1): [4, 5]}
    assert {key: seqs(found) for key, found in newest.items()} == {(room, 1): [5]}
    assert await scene.history.missed([await scene.person()], AGES_AGO, 100) == {}
    assert stranger


async def test_a_stream_reads_on_from_a_moment(scene: Scene) -> None:
    """What one user may see, newest of each conversation."""
    room, member, doctor = await a_group(scene, 3)
    late = await scene.person()
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=room, members=[late])
    await scene.send(room, member, "five")

    assert {c: seqs(found) for c, found in (await scene.history.since(late, AGES_AGO, 100)).items()} == {room: [4, 5]}
    assert {c: seqs(found) for c, found in (await scene.history.since(member, AGES_AGO, 2)).items()} == {room: [4, 5]}
    assert await scene.history.since(member, datetime.now(UTC) + timedelta(minutes=1), 100) == {}


async def test_a_page_is_json_as_the_contract_says(scene: Scene) -> None:
    """Bodies are carried as they were sent."""
    room, member, _ = await a_group(scene, 2)
    page = await scene.history.page(member, room, after=1)

    (entry,) = msgspec.json.decode(msgspec.json.encode(page))["entries"]
    assert (entry["op"], entry["seq"], entry["sender"], entry["body"]) == ("entry", 2, member, {"text": "word 2"})
