"""Large conversations: a hint reaches exactly those sockets whose people are members at its version (P5)."""

import asyncio

import pytest

from hub.realtime.frame import Broadcast
from hub.realtime.room import QUEUED
from tests.fake_clock import settle
from tests.unit.node import Memberships, OneNode

ROOM = "room"


def entry(seq: int, last: int | None = None) -> Broadcast:
    payloads = [b'{"op":"entry","seq":%d}' % n for n in range(seq, (last or seq) + 1)]
    return Broadcast(payloads, conversation=ROOM, first_seq=seq)


@pytest.fixture
def node() -> OneNode:
    members = Memberships()
    members.from_seqs = dict.fromkeys("abcde", 1)
    return OneNode(members)


async def test_members_hear_the_room_without_a_read(node: OneNode) -> None:
    """At a version that is known nothing is asked of PostgreSQL."""
    a, b = node.device("a"), node.device("b")
    for device in (a, b):
        node.rooms.enter(ROOM, device.connection, 1, 1)
    node.rooms.tell(ROOM, 1, entry(1))

    assert node.seqs(a) == node.seqs(b) == [1]
    assert node.members.reads == 0
    assert node.channels.heard == ["c:room"]


async def test_a_newer_version_is_checked_before_it_is_told(node: OneNode) -> None:
    """P5: who was removed hears nothing of that version, on a socket that is still open."""
    a, b = node.device("a"), node.device("b")
    for device in (a, b):
        node.rooms.enter(ROOM, device.connection, 1, 1)
    node.members.change(b=None)
    node.rooms.tell(ROOM, 2, entry(1))
    node.rooms.tell(ROOM, 1, entry(2))
    assert node.seqs(a) == []
    await node.idle()

    assert node.seqs(a) == [1, 2]
    assert node.seqs(b) == []
    assert node.members.reads == 1


async def test_who_comes_in_during_the_check_is_checked_as_well(node: OneNode) -> None:
    """P5: a resume that read the older membership ends while the newer one is being read."""
    a, b = node.device("a"), node.device("b")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    node.members.change(b=None)
    node.members.gate.clear()
    node.rooms.tell(ROOM, 2, entry(1))
    await settle()
    node.rooms.enter(ROOM, b.connection, 1, 1)
    node.members.gate.set()
    await node.idle()
    node.rooms.tell(ROOM, 2, entry(2))

    assert node.seqs(a) == [1, 2]
    assert node.seqs(b) == []


async def test_newcomers_hear_nothing_from_before_their_first_entry(node: OneNode) -> None:
    """P5, also when a repair brings older entries later."""
    a, b = node.device("a"), node.device("b")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    node.rooms.enter(ROOM, b.connection, 1, 4)
    for broadcast in (entry(2), entry(3, 5), entry(6), entry(1)):
        node.rooms.tell(ROOM, 1, broadcast)

    assert node.seqs(a) == [2, 3, 4, 5, 6, 1]
    assert node.seqs(b) == [4, 5, 6]


async def test_nobody_is_told_when_the_members_cannot_be_read(node: OneNode) -> None:
    """Not telling is healed by digests; telling a removed member is not."""
    a = node.device("a")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    node.members.away = True
    node.rooms.tell(ROOM, 2, entry(1))
    await node.idle()
    assert node.seqs(a) == []
    node.members.away = False
    node.rooms.tell(ROOM, 2, entry(2))
    await node.idle()

    assert node.seqs(a) == [2]


async def test_more_than_may_wait_becomes_a_gap(node: OneNode) -> None:
    """P7: the queue of a check is bounded; what is dropped is named."""
    a = node.device("a")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    node.members.gate.clear()
    for seq in range(1, QUEUED + 4):
        node.rooms.tell(ROOM, 2, entry(seq))
    node.members.gate.set()
    await node.idle()
    frames = a.heard()

    assert [frame["seq"] for frame in frames[:-1]] == list(range(1, QUEUED + 1))
    assert frames[-1] == {"op": "gap", "conversation": ROOM, "from": QUEUED + 1}


async def test_the_last_to_leave_unsubscribes(node: OneNode) -> None:
    """An empty room costs nothing."""
    a, b = node.device("a"), node.device("b")
    for device in (a, b):
        node.rooms.enter(ROOM, device.connection, 1, 1)
    node.rooms.leave(ROOM, a.connection)
    assert node.channels.heard == ["c:room"]
    node.rooms.expel("b", ROOM)

    assert node.channels.heard == []
    assert "c:room" not in node.registry
    node.rooms.tell(ROOM, 9, entry(1))
    await asyncio.sleep(0)
    assert node.members.reads == 0


async def test_a_room_that_empties_during_its_check_is_left_alone(node: OneNode) -> None:
    """The check ends after its last listener did."""
    a = node.device("a")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    node.members.gate.clear()
    node.rooms.tell(ROOM, 2, entry(1))
    await settle()
    node.rooms.leave(ROOM, a.connection)
    node.members.gate.set()
    await node.idle()

    assert node.seqs(a) == []
    assert node.channels.heard == []


async def test_admitting_twice_keeps_the_first_seq(node: OneNode) -> None:
    """A change of somebody else must not reopen what lies before one's own first entry, nor close what is open."""
    a = node.device("a")
    node.rooms.admit("a", ROOM, 3)
    node.rooms.admit("a", ROOM, 9)
    for seq in (2, 3, 9):
        node.rooms.tell(ROOM, 1, entry(seq))
    await node.idle()

    assert node.seqs(a) == [3, 9]


async def test_who_comes_into_a_room_that_is_not_heard_yet_fetches(node: OneNode) -> None:
    """What was published before Redis confirmed the channel was told to nobody here; afterwards nothing is missed."""
    a, b, c = node.device("a"), node.device("b"), node.device("c")
    node.channels.confirmed.clear()
    node.rooms.admit("a", ROOM, 3)
    node.rooms.admit("b", ROOM, 1)
    await settle()
    node.rooms.expel("b", ROOM)
    node.channels.confirmed.set()
    await node.idle()
    node.rooms.admit("c", ROOM, 5)
    await node.idle()

    assert a.heard() == [{"op": "gap", "conversation": ROOM, "from": 3}]
    assert b.heard() == []
    assert c.heard() == []
