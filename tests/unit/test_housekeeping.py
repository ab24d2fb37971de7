"""What a client owes the server, moment by moment, on a clock that is an argument."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw

from clients.terminal.housekeeping import DOUBTS, RECEIPTS, Housekeeping, Timing
from clients.terminal.view import View
from hub.messaging.model import Entry
from hub.realtime.protocol import (
    ClientFrame,
    Delivered,
    Drain,
    Failed,
    Fetch,
    Head,
    Hello,
    Membership,
    Ok,
    Page,
    Ping,
    Pong,
    Welcome,
)

AT = "2026-01-02T03:04:05.000Z"
Kind = TypeVar("Kind", bound=ClientFrame)


def head(seq: int = 0, **changes: object) -> Head:
    plain = Head(
        seq=seq,
        read_seq=0,
        delivered_seq=0,
        unread=0,
        kind="group",
        role="member",
        from_seq=1,
        members_version=1,
        receipts={"me": (0, 0)},
    )
    return msgspec.structs.replace(plain, **changes)


def entry(seq: int, conversation: str = "room") -> Entry:
    return Entry(
        conversation=conversation,
        seq=seq,
        sender="you",
        type="text",
        body=Raw(b'{"text":"x"}'),
        client_msg_id=f"m{seq}",
        at=AT,
    )


def only(kind: type[Kind], frames: list[ClientFrame]) -> Kind:
    (frame,) = [frame for frame in frames if isinstance(frame, kind)]
    return frame


def kinds(frames: list[ClientFrame]) -> list[str]:
    return [type(frame).__name__ for frame in frames]


class House:
    """A client that was just welcomed."""

    def __init__(self, heads: dict[str, Head] | None = None, *, whole: bool = True) -> None:
        self.now = 100.0
        self.keep = Housekeeping(View(whole=whole), Timing(), "test")
        self.keep.connected(self.now)
        hello = only(Hello, self.keep.due(self.now))
        self.welcome(hello, heads if heads is not None else {"room": head()})

    def welcome(self, hello: Hello, heads: dict[str, Head]) -> None:
        frame = Welcome(ref=hello.ref, session="s", user="me", heads=heads, heartbeat_ms=25_000, at=AT)
        self.keep.take(frame, self.now)

    def due(self, after_s: float = 0.25) -> list[ClientFrame]:
        self.now += after_s
        return self.keep.due(self.now)

    def pong(self, digest: str | None) -> None:
        ping = only(Ping, self.due(25))
        self.keep.take(Pong(ref=ping.ref, digest=digest, at=AT), self.now)


def test_nothing_but_hello_leaves_before_the_welcome() -> None:
    """The server refuses everything else until it has greeted."""
    keep = Housekeeping(View(), Timing(), "test")
    keep.connected(0.0)
    keep.take(entry(1), 0.0)

    assert kinds(keep.due(0.0)) == ["Hello"]
    assert keep.due(5.0) == []
    assert keep.overdue(10.5)


def test_refused_hello_is_repeated_when_the_server_says() -> None:
    """Overload is told with a time; the client keeps to it."""
    keep = Housekeeping(View(), Timing(), "test")
    keep.connected(0.0)
    hello = only(Hello, keep.due(0.0))
    keep.take(Failed(ref=hello.ref, code="overloaded", message="", fields={}, retry_after_ms=2000), 0.0)

    assert keep.due(1.9) == []
    assert kinds(keep.due(2.0)) == ["Hello"]


def test_hole_is_fetched_only_when_it_stays_for_a_tick() -> None:
    """Entries of two servers cross; most holes close by themselves."""
    house = House()
    for seq in (1, 3):
        house.keep.take(entry(seq), house.now)

    assert "Fetch" not in kinds(house.due())
    fetch = only(Fetch, house.due())
    assert (fetch.after, fetch.limit) == (1, 1)
    assert "Fetch" not in kinds(house.due())


def test_long_hole_is_fetched_page_by_page_without_pauses() -> None:
    """Who was away for long is not made to wait a tick twice for each page."""
    house = House({"room": head(450)})
    house.due()
    fetch = only(Fetch, house.due())
    assert fetch.limit == 200
    house.keep.take(Page(ref=fetch.ref, conversation="room", entries=[entry(n) for n in range(1, 201)], more=True), 0)

    assert only(Fetch, house.due()).after == 200


def test_fetch_is_not_repeated_when_the_server_has_nothing() -> None:
    """A hole that cannot be filled costs one question, until the next welcome."""
    house = House({"room": head(3)})
    house.due()
    fetch = only(Fetch, house.due())
    house.keep.take(Page(ref=fetch.ref, conversation="room", entries=[], more=False), house.now)

    assert [frame for _ in range(5) for frame in house.due()] == []


def test_receipts_are_rationed_and_none_is_forgotten() -> None:
    """A thousand conversations at once must not look like a flood."""
    names = [f"room {number}" for number in range(RECEIPTS + 2)]
    house = House({name: head() for name in names})
    for name in names:
        house.keep.take(entry(1, name), house.now)
    first, second = house.due(), house.due()

    assert len(first) == RECEIPTS
    told = [frame.conversation for frame in (*first, *second) if isinstance(frame, Delivered)]
    assert sorted(told) == sorted(names)


def test_receipt_is_repeated_when_it_was_refused_for_now() -> None:
    """What decides about a push is not left to luck."""
    house = House()
    house.keep.take(entry(1), house.now)
    delivered = only(Delivered, house.due())
    house.keep.take(Failed(ref=delivered.ref, code="unavailable", message="", fields={}, retry_after_ms=500), house.now)
    again = only(Delivered, house.due())
    house.keep.take(Ok(again.ref), house.now)

    assert house.due() == []


def test_what_was_never_held_is_not_reported_as_delivered() -> None:
    """A client that begins at the head has not received what lies before (P9)."""
    house = House({"room": head(40)}, whole=False)

    assert house.due() == []


def test_equal_digest_moves_since_and_asks_nothing() -> None:
    """The normal heartbeat is one ping and one pong."""
    house = House()
    house.pong("1.0.1.0")

    assert [frame for _ in range(10) for frame in house.due()] == []


def test_digest_ahead_of_ours_leads_to_hello_after_the_grace() -> None:
    """An entry that is on its way has a second to arrive."""
    house = House()
    house.pong("1.1.1.0")
    assert house.due(0.5) == []

    hello = only(Hello, house.due(0.6))

    assert (hello.cursors, hello.since) == ({"room": 0}, None)


def test_digest_is_forgotten_when_what_was_on_its_way_arrives() -> None:
    """No repair for what was merely late."""
    house = House()
    house.pong("1.1.1.0")
    house.keep.take(entry(1), house.now)

    assert "Hello" not in kinds(house.due(1.1))


def test_digest_that_never_settles_leads_to_hello_in_the_end() -> None:
    """In a busy time the sums may pass each other; after some heartbeats everything is compared."""
    house = House()
    seq = 0
    for _ in range(DOUBTS):
        house.pong(f"1.{seq}.1.7")
        house.keep.take(Page(conversation="room", entries=[entry(seq + 1), entry(seq + 2)], more=False), house.now)
        house.keep.view.log("room").receive("me", 0, 9 + seq)
        seq += 2
        assert "Hello" not in kinds(house.due(1.1))
    house.pong(f"1.{seq - 1}.1.7")

    assert "Hello" in kinds(house.due(1.1))


def test_unknown_digest_says_nothing() -> None:
    """Null is not a difference."""
    house = House()
    house.pong(None)

    assert house.due(1.1) == []


def test_joining_others_leads_to_a_complete_hello() -> None:
    """How far the others have read is told by a welcome only; a conversation made just now has no past."""
    house = House()
    change = Membership(conversation="new", user="me", role="member", from_seq=1, members_version=1, kind="group")
    house.keep.take(change, house.now)
    assert "Hello" not in kinds(house.due())

    house.keep.take(msgspec.structs.replace(change, conversation="old", members_version=4), house.now)

    assert only(Hello, house.due()).since is None


def test_membership_that_changed_while_away_leads_to_a_complete_hello() -> None:
    """Receipts that moved since are told at once, those who went only by a complete welcome."""
    house = House()
    house.keep.disconnected()
    house.keep.connected(house.now)
    hello = only(Hello, house.due())
    assert hello.since == AT
    house.welcome(hello, {"room": head(members_version=2)})
    complete = only(Hello, house.due())
    assert complete.since is None
    house.welcome(complete, {"room": head(members_version=2)})

    assert "Hello" not in kinds(house.due())


def test_drain_sets_the_moment_to_leave() -> None:
    """The old socket serves until then."""
    house = House()
    house.keep.take(Drain(reconnect_after_ms=1500), house.now)

    assert house.keep.leave_at == house.now + 1.5


def test_requests_are_told_when_the_connection_is_lost() -> None:
    """Nobody waits for an answer that cannot come."""
    house = House()
    answers: list[object] = []
    answer: Callable[[object], None] = answers.append
    house.keep.ask(Ping(ref=0), answer)
    house.keep.disconnected()

    assert answers == [None]
    assert not house.keep.online
