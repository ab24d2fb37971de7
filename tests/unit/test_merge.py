"""A resume and what came live meanwhile are one stream: every entry once, in order, whatever overlaps."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hub.realtime.frame import Broadcast
from hub.realtime.merge import merge


def entries(conversation: str, first: int, last: int) -> Broadcast:
    payloads = [f"{conversation}{seq}".encode() for seq in range(first, last + 1)]
    return Broadcast(payloads, conversation=conversation, first_seq=first)


def fact(name: str) -> Broadcast:
    return Broadcast([name.encode()])


@st.composite
def logs(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int], list[Broadcast]]:
    """(heads, read until, held): the held broadcasts cover what was not read, in any order, overlapping, repeated."""
    heads, read_until, held = {}, {}, []
    for conversation in "ab":
        head = heads[conversation] = draw(st.integers(0, 12))
        read = draw(st.integers(0, head))
        if draw(st.booleans()):
            read_until[conversation] = read
        else:
            read = 0
        cuts = sorted({read, head, *draw(st.lists(st.integers(read, head), max_size=4))})
        spans = [(low + 1, high) for low, high in pairwise(cuts)]
        again = st.tuples(st.integers(1, max(head, 1)), st.integers(1, max(head, 1))).map(sorted)
        spans += [(low, min(high, head)) for low, high in draw(st.lists(again, max_size=3)) if low <= head]
        held += [entries(conversation, low, high) for low, high in spans]
    held += [fact(name) for name in draw(st.lists(st.sampled_from("xyz"), max_size=4))]
    return heads, read_until, draw(st.permutations(held))


@given(logs())
def test_pages_and_held_facts_are_every_seq_once_in_order(
    log: tuple[dict[str, int], dict[str, int], list[Broadcast]],
) -> None:
    """For any split of a log into what was read and what was held."""
    heads, read_until, held = log
    merged = merge(read_until, held)

    for conversation, head in heads.items():
        told = [b"%b%d" % (conversation.encode(), seq) for seq in range(1, read_until.get(conversation, 0) + 1)]
        for broadcast in merged:
            if broadcast.conversation == conversation:
                assert broadcast.last_seq - broadcast.first_seq + 1 == len(broadcast.payloads) > 0
                told += broadcast.payloads
        assert told == [b"%b%d" % (conversation.encode(), seq) for seq in range(1, head + 1)]
    facts = [broadcast for broadcast in held if broadcast.conversation is None]
    assert merged[len(merged) - len(facts) :] == facts


def test_entries_of_an_unread_conversation_are_all_told() -> None:
    """The client named no cursor for it, so nothing was read and nothing may be taken away."""
    assert [broadcast.first_seq for broadcast in merge({}, [entries("a", 7, 9)])] == [7]


def test_a_hole_stays_visible() -> None:
    """What nobody has cannot be made up; the client sees the jump and fetches."""
    merged = merge({"a": 2}, [entries("a", 5, 6), entries("a", 2, 3)])

    assert [payload for broadcast in merged for payload in broadcast.payloads] == [b"a3", b"a5", b"a6"]
