"""From a commit to sockets: recipients are those at the commit, on this node and on every other (P5)."""

import pytest

from hub.messaging.port import MemberChange
from hub.realtime.fanout import MEMBERSHIPS_TOLD
from hub.realtime.hint import Hint, HintKind, pack, unpack
from hub.realtime.protocol import Typed
from tests.fake_clock import settle
from tests.unit.node import LARGE, Memberships, OneNode, entries

ROOM = "room"


def change(user: str, version: int, from_seq: int = 1, to_seq: int | None = None) -> MemberChange:
    return MemberChange(
        conversation=ROOM,
        user=user,
        role="member",
        kind="group",
        from_seq=from_seq,
        to_seq=to_seq,
        members_version=version,
    )


@pytest.fixture
def members() -> Memberships:
    found = Memberships()
    found.from_seqs = dict.fromkeys("ab", 1)
    return found


@pytest.fixture
def node(members: Memberships) -> OneNode:
    return OneNode(members, "here")


def hand_over(sender: OneNode, receiver: OneNode) -> None:
    """What Redis does: each hint to who listens."""
    for channel, payload in sender.published:
        if channel in receiver.registry:
            receiver.fanout.heard(channel, payload)
    sender.published.clear()


async def test_members_here_and_elsewhere_are_told_once(members: Memberships, node: OneNode) -> None:
    """One's own hint, when it comes back, is passed over."""
    there = OneNode(members, "there")
    a, b = node.device("a"), there.device("b")
    node.fanout.appended(ROOM, 1, entries(ROOM, 1, 2))
    await node.idle()
    for channel, payload in node.published:
        node.fanout.heard(channel, payload)
    hand_over(node, there)

    assert node.seqs(a) == [1, 2]
    assert there.seqs(b) == [1, 2]


async def test_the_roster_is_read_once_per_version_and_order_is_kept(members: Memberships, node: OneNode) -> None:
    """What waits for the read is told in order; what comes later does not overtake."""
    a = node.device("a")
    members.gate.clear()
    for seq in (1, 2):
        node.fanout.appended(ROOM, 1, entries(ROOM, seq))
    await settle()
    members.gate.set()
    await node.idle()
    node.fanout.appended(ROOM, 1, entries(ROOM, 3))

    assert node.seqs(a) == [1, 2, 3]
    assert members.reads == 1


async def test_a_removed_member_is_not_told_what_follows(members: Memberships, node: OneNode) -> None:
    """P5: the version of the commit decides, not what this node knew."""
    a, b = node.device("a"), node.device("b")
    node.fanout.appended(ROOM, 1, entries(ROOM, 1))
    await node.idle()
    members.change(b=None)
    node.fanout.appended(ROOM, 2, entries(ROOM, 2))
    await node.idle()

    assert node.seqs(a) == [1, 2]
    assert node.seqs(b) == [1]


async def test_who_came_after_the_commit_is_not_told(members: Memberships, node: OneNode) -> None:
    """P5: the roster was read later than the commit, when a newcomer was in it."""
    a, c = node.device("a"), node.device("c")
    members.change(c=2)
    node.fanout.appended(ROOM, 1, entries(ROOM, 1))
    node.fanout.appended(ROOM, 2, entries(ROOM, 2))
    await node.idle()

    assert node.seqs(a) == [1, 2]
    assert node.seqs(c) == [2]


async def test_nobody_is_told_when_the_roster_cannot_be_read(members: Memberships, node: OneNode) -> None:
    """Digests and resumes heal that; a guess could tell a removed member."""
    a = node.device("a")
    members.away = True
    node.fanout.appended(ROOM, 1, entries(ROOM, 1))
    await node.idle()
    members.away = False
    node.fanout.appended(ROOM, 1, entries(ROOM, 2))
    await node.idle()

    assert node.seqs(a) == [2]


async def test_a_large_conversation_has_one_channel(members: Memberships, node: OneNode) -> None:
    """One hint however many members, and their sockets on every node."""
    members.from_seqs = dict.fromkeys("abcd", 1)
    there = OneNode(members, "there")
    a, b = node.device("a"), there.device("b")
    node.rooms.enter(ROOM, a.connection, 1, 1)
    there.rooms.enter(ROOM, b.connection, 1, 1)
    node.fanout.appended(ROOM, 1, entries(ROOM, 1))
    await node.idle()
    assert [channel for channel, _ in node.published] == ["c:room"]
    hand_over(node, there)

    assert node.seqs(a) == there.seqs(b) == [1]


async def test_a_conversation_that_becomes_large_keeps_its_listeners(members: Memberships, node: OneNode) -> None:
    """Those who were in it already are moved to the new channel, on every node, though only somebody else came in."""
    members.from_seqs = dict.fromkeys("abc", 1)
    there = OneNode(members, "there")
    a, b, d = node.device("a"), there.device("b"), there.device("d")
    assert len(members.from_seqs) == LARGE
    members.change(d=2)
    node.fanout.members_changed([change("d", 2, from_seq=2)], ["a", "b", "c", "d"])
    await node.idle()
    hand_over(node, there)
    await there.idle()
    node.fanout.appended(ROOM, 2, entries(ROOM, 2))
    await node.idle()
    hand_over(node, there)
    await there.idle()

    assert node.seqs(a) == there.seqs(b) == there.seqs(d) == [2]


async def test_who_is_removed_leaves_the_room_on_every_node(members: Memberships, node: OneNode) -> None:
    """P5, before the next entry even comes."""
    members.from_seqs = dict.fromkeys("abcd", 1)
    there = OneNode(members, "there")
    b = there.device("b")
    there.rooms.enter(ROOM, b.connection, 1, 1)
    members.change(b=None)
    node.fanout.members_changed([change("b", 2, to_seq=1)], ["a", "c", "d"])
    hand_over(node, there)

    assert [frame["toSeq"] for frame in b.heard()] == [1]
    assert "c:room" not in there.registry


async def test_a_device_that_left_meanwhile_is_not_let_in(members: Memberships, node: OneNode) -> None:
    """The roster is read first; a socket that is gone by then must not stay registered for ever."""
    members.from_seqs = dict.fromkeys("abcd", 1)
    a = node.device("a")
    members.gate.clear()
    node.fanout.members_changed([change("a", 1)], ["a"])
    await settle()
    node.registry.drop(a.connection)
    members.gate.set()
    await node.idle()

    assert len(node.registry) == 0
    assert node.channels.heard == []


async def test_everybody_is_told_of_a_newcomer(members: Memberships, node: OneNode) -> None:
    """Once, with the version by which later news are judged."""
    a, c = node.device("a"), node.device("c")
    node.fanout.members_changed([change("c", 2)], ["a", "b", "c"])

    for device in (a, c):
        (frame,) = device.heard()
        assert (frame["op"], frame["user"], frame["membersVersion"]) == ("membership", "c", 2)


async def test_a_crowd_that_comes_together_is_not_told_to_each_of_the_crowd(
    members: Memberships, node: OneNode
) -> None:
    """Two thousand in one change would be four million frames: each hears of themselves, and of the newest version."""
    crowd = [f"user-{n}" for n in range(200)]
    assert len(crowd) ** 2 > MEMBERSHIPS_TOLD
    first, last = node.device(crowd[0]), node.device(crowd[-1])
    node.fanout.members_changed([change(user, 1) for user in crowd], crowd)

    assert [frame["user"] for frame in first.heard()] == [crowd[0], crowd[-1]]
    assert [frame["user"] for frame in last.heard()] == [crowd[-1]]
    assert len(node.published) == 2 * len(crowd) - 1


async def test_receipts_of_a_large_conversation_go_to_one_s_own_devices(members: Memberships, node: OneNode) -> None:
    """Thousands of receipts per entry serve nobody."""
    members.from_seqs = dict.fromkeys("abcd", 1)
    a, b = node.device("a"), node.device("b")
    node.fanout.receipt_moved(ROOM, 1, "a", 5, 4)
    await node.idle()

    assert a.heard() == [{"op": "receipt", "conversation": ROOM, "user": "a", "deliveredSeq": 5, "readSeq": 4}]
    assert b.heard() == []
    assert [channel for channel, _ in node.published] == ["u:a"]


async def test_typing_reaches_the_others_and_only_members_may(members: Memberships, node: OneNode) -> None:
    """P5: also while a newer membership is being read, nothing goes by the older one."""
    a, b = node.device("a"), node.device("b")
    typed = Typed(conversation=ROOM, user="a")
    node.fanout.typing(ROOM, "a", typed)
    assert members.reads == 0
    await node.rosters.load([ROOM])
    node.fanout.typing(ROOM, "stranger", Typed(conversation=ROOM, user="stranger"))
    node.fanout.typing(ROOM, "a", typed)
    assert b.heard() == [{"op": "typing", "conversation": ROOM, "user": "a"}]
    members.change(b=None)
    members.gate.clear()
    node.fanout.heard("u:a", pack(Hint("there", HintKind.OTHERS, ROOM, 2, 1, [b'{"op":"membership"}'])))
    node.fanout.typing(ROOM, "a", typed)
    members.gate.set()
    await node.idle()
    node.fanout.typing(ROOM, "a", typed)

    assert b.heard() == []
    assert [frame["op"] for frame in a.heard()] == ["membership"]


async def test_a_repair_tells_only_what_was_not_told_and_may_be_seen(members: Memberships, node: OneNode) -> None:
    """P6 and P5: after an outage the newest membership is known, but older entries are not for newcomers."""
    a, c = node.device("a"), node.device("c")
    node.fanout.appended(ROOM, 1, entries(ROOM, 2))
    await node.idle()
    members.change(c=3)
    node.published.clear()
    node.fanout.repair(ROOM, 2, entries(ROOM, 1, 2, 3))
    node.fanout.repair(ROOM, 2, entries(ROOM, 1, 2, 3))
    await node.idle()

    assert node.seqs(a) == [2, 1, 3]
    assert node.seqs(c) == [3]
    assert node.published == []


async def test_an_entry_that_nobody_may_have_been_told_is_told_again(members: Memberships, node: OneNode) -> None:
    """P3, P4: a retry finds it committed; whoever committed it may have died before telling. Nodes that told it skip it."""
    there, third = OneNode(members, "there"), OneNode(members, "third")
    a, b, c = node.device("a"), there.device("b"), third.device("b")
    (entry,) = entries(ROOM, 1)
    there.fanout.appended(ROOM, 1, [entry])
    await there.idle()
    assert there.seqs(b) == [1]
    node.fanout.repeated(ROOM, 1, entry)
    await node.idle()
    hints = list(node.published)
    hand_over(node, there)
    node.published = hints
    hand_over(node, third)
    node.fanout.repeated(ROOM, 1, entry)

    assert node.seqs(a) == third.seqs(c) == [1]
    assert there.seqs(b) == []
    assert node.published == []


async def test_an_old_entry_and_newcomers_are_left_alone_by_a_repetition(members: Memberships, node: OneNode) -> None:
    """P5: the retry knows today's membership; and what is old is somebody's history, not news."""
    a, c = node.device("a"), node.device("c")
    members.change(c=2)
    node.fanout.repeated(ROOM, 2, entries(ROOM, 1)[0])
    await node.idle()
    await node.clock.advance(61)
    node.fanout.repeated(ROOM, 2, entries(ROOM, 2)[0])
    await node.idle()

    assert node.seqs(a) == [1]
    assert node.seqs(c) == []


def test_a_hint_is_read_as_it_was_written() -> None:
    """Between nodes of one version."""
    hint = Hint("n", HintKind.ENTRIES, ROOM, 3, 7, [b"{}", "字".encode()])

    assert unpack(pack(hint)) == hint
