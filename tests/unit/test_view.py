"""A client's picture depends on what arrived, not on how: order, repeats and paging change nothing (P4)."""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from clients.terminal.view import Missing, View
from hub.messaging.model import Entry
from hub.realtime.protocol import Ack, Fact, Gap, Head, Membership, Page, Receipt, Typed, Welcome

ME, YOU = "me", "you"
PATIENTLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
ROOM = "room"


def welcome(seq: int = 0, **changes: object) -> Welcome:
    head = Head(
        seq=seq,
        read_seq=0,
        delivered_seq=0,
        unread=0,
        kind="group",
        role="member",
        from_seq=1,
        members_version=1,
        receipts={ME: (0, 0), YOU: (0, 0)},
    )
    return Welcome(
        ref=1,
        session="s",
        user=ME,
        heads={ROOM: msgspec.structs.replace(head, **changes)},
        heartbeat_ms=25000,
        at="2026-01-02T03:04:05.000Z",
    )


def entry(seq: int, kind: str = "text", target: int | None = None, sender: str = YOU, **body: object) -> Entry:
    return Entry(
        conversation=ROOM,
        seq=seq,
        sender=sender,
        type=kind,
        body=Raw(msgspec.json.encode(body or {"text": f"word {seq}"})),
        client_msg_id=f"m{seq}",
        at="2026-01-02T03:04:05.000Z",
        target=target,
    )


def membership(user: str, version: int, **changes: object) -> Membership:
    change = Membership(conversation=ROOM, user=user, role="member", from_seq=1, members_version=version, kind="group")
    return msgspec.structs.replace(change, **changes)


def page(
    entries: Sequence[Entry], *, more: bool = False, operations: Iterable[Entry] = (), snapshot: bool = False
) -> Page:
    return Page(conversation=ROOM, entries=list(entries), more=more, operations=list(operations), snapshot=snapshot)


def seen(*frames: Fact) -> View:
    view = View(whole=True)
    for frame in frames:
        view.apply(frame)
    return view


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """A log in which about half of the entries are operations on earlier ones."""
    log: list[Entry] = []
    for seq in range(1, draw(st.integers(1, 14)) + 1):
        kind = draw(st.sampled_from(["text", "text", "edit", "recall", "react", "pin"])) if seq > 1 else "text"
        sender = draw(st.sampled_from([ME, YOU]))
        if kind == "text":
            log.append(entry(seq, sender=sender))
            continue
        target = draw(st.integers(1, seq - 1))
        on = draw(st.booleans())
        bodies: dict[str, dict[str, object]] = {
            "edit": {"text": f"edited at {seq}"},
            "recall": {"reason": "no"},
            "react": {"emoji": draw(st.sampled_from(["👍", "❤️"])), "on": on},
            "pin": {"on": on},
        }
        log.append(entry(seq, kind, target, sender, **bodies[kind]))
    return log


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Entry], list[Fact]]:
    """A log, and the same log as frames: single entries and overlapping pages, some twice, in any order."""
    log = draw(logs())
    frames: list[Fact] = [*log]
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, len(log) - 1))
        part = log[first : first + draw(st.integers(1, len(log)))]
        numbers = {held.seq for held in part}
        later = [e for e in log if e.target in numbers and e.seq > part[-1].seq]
        frames.append(page(part, more=part[-1] is not log[-1], operations=later))
    frames += draw(st.lists(st.sampled_from(frames), max_size=6))
    return log, draw(st.permutations(frames))


@PATIENTLY
@given(deliveries())
def test_picture_is_the_same_whatever_the_order_and_the_repeats(delivery: tuple[list[Entry], list[Fact]]) -> None:
    """Any permutation, duplication and split into pages of a log shows what its in-order application shows."""
    log, frames = delivery
    in_order = seen(welcome(), *log)

    assert seen(welcome(), *frames).picture() == in_order.picture()
    assert in_order.cursors() == {ROOM: len(log)}


@PATIENTLY
@given(logs())
def test_picture_equals_a_fresh_fetch_where_recalled_bodies_are_gone(log: list[Entry]) -> None:
    """The server blanks a recalled entry; who saw the recall happen and who came later see the same."""
    recalled = {e.target for e in log if e.type == "recall"}
    stored = [msgspec.structs.replace(e, recalled=True, body=Raw(b"{}")) if e.seq in recalled else e for e in log]

    assert seen(welcome(), *log).shown(ROOM) == seen(welcome(len(log)), page(stored)).shown(ROOM)


@PATIENTLY
@given(logs(), st.data())
def test_recall_stays_when_an_older_copy_arrives_after_it(log: list[Entry], data: st.DataObject) -> None:
    """A page that was read before a recall cannot bring the text back."""
    index = data.draw(st.integers(0, len(log) - 1))
    blank = msgspec.structs.replace(log[index], recalled=True, body=Raw(b"{}"))
    view = seen(welcome(), *log, blank, log[index])

    shown = view.log(ROOM).look(log[index].seq)
    assert shown is None or shown.recalled


@PATIENTLY
@given(st.permutations([
    membership("new", 2, from_seq=4),
    membership("new", 3, from_seq=4, to_seq=6),
    membership("new", 4, from_seq=9),
    membership(YOU, 5, to_seq=12),
    Receipt(conversation=ROOM, user="new", delivered_seq=9, read_seq=8),
    Receipt(conversation=ROOM, user="new", delivered_seq=10, read_seq=8),
    Receipt(conversation=ROOM, user=ME, delivered_seq=7, read_seq=7),
]))  # fmt: skip
def test_receipts_and_membership_settle_whatever_the_order(frames: list[Fact]) -> None:
    """The newest version of each place and the highest marks win; who has gone is not counted."""
    view = seen(welcome(), *frames)

    assert view.log(ROOM).counted_receipts() == {ME: (7, 7), "new": (10, 8)}
    assert view.digest() == "1.12.5.32"


def test_digest_is_the_documented_sums() -> None:
    """`<conversations>.<heads>.<members versions>.<receipts>` over the conversations one is in."""
    frame = welcome(17, receipts={ME: (3, 2), YOU: (5, 4)}, members_version=6)
    other = msgspec.structs.replace(frame.heads[ROOM], seq=4, members_version=1, receipts={ME: (4, 4)})
    gone = msgspec.structs.replace(other, until=3)
    view = seen(msgspec.structs.replace(frame, heads={**frame.heads, "inbox": other, "gone": gone}))

    assert view.digest() == "2.21.7.22"


def test_digest_leaves_out_the_receipts_of_a_large_conversation() -> None:
    """Above fifty members receipts are not told, so they cannot be compared."""
    crowd = {f"u{n}": (1, 1) for n in range(49)}
    view = seen(welcome(receipts={ME: (0, 0), **crowd}))
    assert view.digest() == "1.0.1.98"

    view.apply(membership("one more", 2))

    assert view.digest() == "1.0.2.0"
    assert seen(welcome(receipts={}, delivered_seq=5)).digest() == "1.0.1.0"


def test_digest_is_unknown_when_the_welcome_did_not_name_everything() -> None:
    """With more conversations than one welcome holds there is nothing to compare."""
    assert seen(msgspec.structs.replace(welcome(), more=True)).digest() is None


def test_missing_names_the_holes_when_a_later_entry_arrives() -> None:
    """A gap is a seq beyond the cursor; what was held early splits it."""
    view = seen(welcome(), *map(entry, (1, 2, 5, 9)))

    assert view.missing() == [Missing(ROOM, 3, 4), Missing(ROOM, 6, 8)]
    assert view.cursors() == {ROOM: 2}


def test_missing_follows_heads_and_acks() -> None:
    """A number that was promised but not seen is missing as well."""
    view = seen(welcome(2), entry(1), entry(2))
    assert view.missing() == []

    view.apply(Ack(ref=1, conversation=ROOM, client_msg_id="x", seq=4, at="", dup=False))

    assert view.missing() == [Missing(ROOM, 3, 4)]


def test_missing_asks_once_more_after_a_gap_frame() -> None:
    """A gap is settled by a page that reaches the end, not by hope."""
    view = seen(welcome(2), entry(1), entry(2), Gap(conversation=ROOM, from_=2))
    assert view.missing() == [Missing(ROOM, 3, 3)]

    view.apply(page([]))

    assert view.missing() == []


def test_nothing_is_missing_of_a_conversation_one_has_no_place_in_yet() -> None:
    """An entry may outrun the membership that says from where one sees."""
    view = seen(welcome(), msgspec.structs.replace(entry(8), conversation="new"))
    assert view.missing() == []

    view.apply(msgspec.structs.replace(membership(ME, 1, from_seq=8), conversation="new"))

    assert view.missing() == []
    assert view.cursors()["new"] == 8


def test_removed_member_misses_nothing_beyond_the_end() -> None:
    """The last visible entry is the removal; later ones are not theirs (P5)."""
    view = seen(welcome(6), *map(entry, range(1, 6)), membership(ME, 2, to_seq=5), entry(6))

    assert view.missing() == []
    assert [shown.seq for shown in view.shown(ROOM)] == [1, 2, 3, 4, 5]
    assert not view.log(ROOM).active
    assert (view.digest() or "").split(".") == ["0"] * 4


def test_removed_member_misses_the_entry_that_removed_them() -> None:
    """It is the last they may see, and it may not have been told to them."""
    view = seen(welcome(4), *map(entry, range(1, 5)), membership(ME, 2, to_seq=5))

    assert view.missing() == [Missing(ROOM, 5, 5)]


def test_returned_member_sees_from_the_new_beginning() -> None:
    """What passed while one was away is neither shown nor fetched."""
    view = seen(
        welcome(3), *map(entry, range(1, 4)), membership(ME, 2, to_seq=3), entry(9), membership(ME, 3, from_seq=8)
    )

    assert view.missing() == [Missing(ROOM, 8, 8)]
    view.apply(entry(8))
    assert [shown.seq for shown in view.shown(ROOM)] == [8, 9]


def test_snapshot_replaces_what_was_held() -> None:
    """Too far behind: the old part is dropped, what came live meanwhile stays, and nothing before is missed."""
    view = seen(welcome(120), *map(entry, range(1, 6)), entry(121))
    view.apply(page(list(map(entry, range(101, 121))), snapshot=True))

    assert [shown.seq for shown in view.shown(ROOM)] == list(range(101, 122))
    assert view.missing() == []
    assert view.cursors() == {ROOM: 121}


def test_history_before_a_snapshot_can_be_fetched() -> None:
    """Older pages extend what is shown downwards and do not move the cursor."""
    view = seen(
        welcome(30), page(list(map(entry, range(21, 31))), snapshot=True), page(list(map(entry, range(11, 21))))
    )

    assert view.log(ROOM).base == 10
    assert view.cursors() == {ROOM: 30}


def test_nothing_old_is_missing_when_the_whole_log_is_not_wanted() -> None:
    """A client that was never here starts at the head and fetches history when somebody looks."""
    view = View()
    view.apply(welcome(50))
    assert view.missing() == []
    assert view.cursors() == {ROOM: 50}

    view.apply(entry(52))

    assert view.missing() == [Missing(ROOM, 51, 51)]
    view.apply(page(list(map(entry, range(41, 51)))))
    assert view.log(ROOM).base == 40


def test_conversation_is_left_when_a_complete_welcome_does_not_name_it() -> None:
    """Membership that ended long ago is not told one by one."""
    view = seen(welcome(2), entry(1), entry(2))
    view.expect_all()
    view.apply(msgspec.structs.replace(welcome(), heads={}))

    assert not view.log(ROOM).active
    view.apply(welcome(2, members_version=2))
    assert view.digest() == "1.2.2.0"


def test_welcome_since_keeps_what_it_does_not_name() -> None:
    """Only what moved is told; the rest stands."""
    view = seen(welcome(receipts={ME: (0, 0), YOU: (6, 6)}))
    view.apply(welcome(receipts={ME: (1, 0)}, delivered_seq=1))

    assert view.log(ROOM).counted_receipts() == {ME: (1, 0), YOU: (6, 6)}


def test_passing_frames_change_nothing() -> None:
    """Typing is for now, not for the picture."""
    view = seen(welcome(1), entry(1))
    before = view.picture()
    view.apply(Typed(conversation=ROOM, user=YOU))

    assert view.picture() == before
    assert list(islice(view.logs, 2)) == [ROOM]


def test_last_word_counts_for_reactions_and_pins() -> None:
    """A reaction taken back is gone, and so is one that was recalled."""
    view = seen(
        welcome(),
        entry(1),
        entry(2, "react", 1, emoji="👍", on=True),
        entry(3, "react", 1, sender=ME, emoji="👍", on=True),
        entry(4, "react", 1, emoji="👍", on=False),
        entry(5, "react", 1, emoji="❤️", on=True),
        entry(6, "recall", 5, reason=""),
        entry(7, "pin", 1, on=True),
    )

    (shown,) = view.shown(ROOM)
    assert (shown.reactions, shown.pinned) == ({"👍": (ME,)}, True)
