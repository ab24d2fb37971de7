"""What a returning device is sent: all it lacks, a snapshot when that is too much, and gaps for what one write cannot carry."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hub.messaging.history import Standing
from hub.messaging.model import Entry
from hub.realtime.protocol import Page
from hub.realtime.resume import BUDGET, ENTRY_BYTES, OLDEST, fit, moment_of, pages_of, plan


def standing(conversation: str, until: int, from_seq: int = 1) -> Standing:
    return Standing(
        conversation=conversation,
        kind="group",
        read_only=False,
        members_version=1,
        role="member",
        from_seq=from_seq,
        to_seq=None,
        until=until,
        delivered_seq=0,
        read_seq=0,
        muted=False,
        pinned=False,
        unread=0,
        large=False,
        receipts={},
    )


def entry(seq: int, conversation: str = "c", size: int = 0) -> Entry:
    body = Raw(b"x" * size)
    at = "2026-01-02T03:04:05.000Z"
    return Entry(conversation=conversation, seq=seq, sender="s", type="text", body=body, client_msg_id=str(seq), at=at)


def entries(first: int, last: int, conversation: str = "c", size: int = 0) -> list[Entry]:
    return [entry(seq, conversation, size) for seq in range(first, last + 1)]


def test_only_what_is_missing_is_read() -> None:
    """A conversation without a cursor is told by its head alone, one that is complete not at all."""
    spans, gaps = plan([standing("a", 9), standing("b", 9), standing("c", 9)], {"a": 4, "b": 9}, page=10, limit=50)

    assert [(s.conversation, s.after, s.until) for s in spans] == [("a", 4, 9)]
    assert gaps == []


def test_a_cursor_ahead_of_the_log_reads_nothing() -> None:
    """It can only come from another database; nothing is made up for it."""
    assert plan([standing("a", 9)], {"a": 2**53 - 1}, page=10, limit=50) == ([], [])


def test_far_behind_gets_the_newest_page() -> None:
    """More than the limit is a snapshot instead."""
    spans, _ = plan([standing("a", 1000)], {"a": 10}, page=100, limit=500)

    assert (spans[0].after, spans[0].until) == (900, 1000)


def test_entries_beyond_the_budget_are_gaps() -> None:
    """P7: one hello cannot make the server read without bound."""
    many = BUDGET // 500 + 2
    spans, gaps = plan(
        [standing(str(n), 500) for n in range(many)], {str(n): 0 for n in range(many)}, page=1, limit=500
    )

    assert sum(span.until - span.after for span in spans) <= BUDGET
    assert [(gap.conversation, gap.from_) for gap in gaps] == [(str(many - 2), 1), (str(many - 1), 1)]


cursors = st.integers(0, 60)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 55), cursors), max_size=6), st.integers(1, 60), cursors)
def test_a_plan_covers_what_is_missing_and_nothing_that_may_not_be_seen(
    logs: list[tuple[int, int, int]], page: int, limit: int
) -> None:
    """P5, for any heads, first seqs, cursors and sizes."""
    standings = [standing(str(n), until, from_seq) for n, (until, from_seq, _) in enumerate(logs)]
    spans, gaps = plan(standings, {str(n): cursor for n, (_, _, cursor) in enumerate(logs)}, page=page, limit=limit)

    assert gaps == []
    found = {span.conversation: span for span in spans}
    for n, (until, from_seq, cursor) in enumerate(logs):
        first = max(cursor + 1, from_seq)
        span = found.get(str(n))
        if span is None:
            assert first > until
        else:
            snapshot = until - first + 1 > limit
            assert (span.after, span.until) == (max(first - 1, until - page) if snapshot else first - 1, until)


@given(st.integers(0, 30), st.integers(1, 12), st.booleans())
def test_pages_are_the_entries_in_order(count: int, size: int, snapshot: bool) -> None:
    """Only the first says `snapshot`, all but the last say `more`."""
    pages = pages_of("c", entries(1, count), size, snapshot=snapshot)

    assert [e.seq for page in pages for e in page.entries] == list(range(1, count + 1))
    assert all(0 < len(page.entries) <= size for page in pages)
    assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False] * bool(pages)
    assert [page.snapshot for page in pages] == ([snapshot] + [False] * (len(pages) - 1))[: len(pages)]


def test_pages_that_one_write_cannot_carry_are_left_out() -> None:
    """A client that is sent more than its outbox holds would be closed as slow, each time it came back."""
    a, b = (
        pages_of("a", entries(1, 6, "a", 100), 2, snapshot=False),
        pages_of("b", entries(1, 2, "b"), 2, snapshot=False),
    )
    kept, left_out = fit([*a, *b], 4 * (ENTRY_BYTES + 100))

    assert kept == a[:2]
    assert left_out == {"a": 4, "b": 0}


def test_the_first_page_always_goes() -> None:
    """Or nothing ever would."""
    (page,) = pages_of("a", entries(1, 6, "a", 1000), 6, snapshot=True)

    assert fit([page], 1) == ([page], {})


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 500)), max_size=3, unique_by=lambda t: t[0]
    )
)
def test_what_is_kept_and_what_is_left_out_are_everything(logs: list[tuple[str, int, int]]) -> None:
    """For any logs: each goes on right where its pages stop."""
    pages: list[Page] = []
    for name, count, size in logs:
        pages += pages_of(name, entries(1, count, name, size), 2, snapshot=False)
    kept, left_out = fit(pages, 2000)

    for name, count, _ in logs:
        sent = [e.seq for page in kept if page.conversation == name for e in page.entries]
        assert sent == list(range(1, left_out.get(name, count) + 1))
    assert sum(len(msgspec.json.encode(page.entries)) for page in kept[1:]) <= 2000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T08:00:00.123Z", datetime(2026, 11, 22, 8, 0, 0, 123000, UTC)),
        ("2026-11-22T16:00:00+08:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", OLDEST),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-11-22T08:00:00", None),
        ("2026-11-22", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_moment_is_one_that_can_be_reckoned_with(text: str, moment: datetime | None) -> None:
    """A time of the client's never leaves the calendar, whatever is subtracted from it."""
    assert moment_of(text) == moment
