"""What a returning device is sent: the welcome, and pages with what it lacks. Two statements, a third when keys are not at hand."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from hub.messaging.history import HEADS, History, Span, Standing
from hub.messaging.model import Entry
from hub.realtime.protocol import Gap, Head, Page

BUDGET = 900  # entries in one resume, about what may be owed at once; what is beyond is named in gaps and fetched by the client
CLOCK_SLACK = timedelta(seconds=10)  # a row's time is taken before its commit is visible
ENTRY_BYTES = 300  # of a frame's keys and ids around an entry's body
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)  # moments are subtracted from; year 1 would leave the calendar


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    heads: dict[str, Head]
    more: bool
    pages: list[Page]
    gaps: list[Gap]
    read_until: dict[str, int]
    large: dict[str, Standing]


async def read_resume(
    history: History,
    user: str,
    cursors: Mapping[str, int],
    since: datetime | None,
    *,
    page: int,
    limit: int,
    most_bytes: int,
) -> Resume:
    """Everything after `cursors` that `user` may see, as far as `most_bytes` go. Raises what the database raises."""
    standings = await history.standings(user, since - CLOCK_SLACK if since else None)
    shown = standings[:HEADS]
    spans, gaps = plan(shown, cursors, page=page, limit=limit)
    entries = await history.spans(spans) if spans else {}
    behind = {span.conversation: span for span in spans}
    pages: list[Page] = []
    for standing in shown:
        if (span := behind.get(standing.conversation)) is not None:
            snapshot = span.after > cursors[span.conversation]
            pages += pages_of(span.conversation, entries.get(span.conversation, []), page, snapshot=snapshot)
    read_until = {s.conversation: s.until for s in shown if s.conversation in cursors}
    for gap in gaps:
        read_until.pop(gap.conversation, None)
    pages, left_out = fit(pages, most_bytes)
    for conversation, seq in left_out.items():
        gaps.append(Gap(conversation=conversation, from_=(seq or cursors[conversation]) + 1))
        read_until[conversation] = seq
    return Resume(
        heads={standing.conversation: head_of(standing) for standing in shown},
        more=len(standings) > HEADS,
        pages=pages,
        gaps=gaps,
        read_until=read_until,
        large={s.conversation: s for s in standings if s.large and s.to_seq is None},
    )


def plan(
    standings: list[Standing], cursors: Mapping[str, int], *, page: int, limit: int
) -> tuple[list[Span], list[Gap]]:
    """What to read for these cursors: all that is missing, only the newest page when more than `limit` is, and gaps beyond the budget."""
    spans: list[Span] = []
    gaps: list[Gap] = []
    left = BUDGET
    for standing in standings:
        if standing.conversation not in cursors:
            continue
        after = max(cursors[standing.conversation], standing.from_seq - 1)
        lacking = standing.until - after
        if lacking <= 0:
            continue
        if lacking > limit:
            after = max(after, standing.until - page)
            lacking = standing.until - after
        if lacking > left:
            gaps.append(Gap(conversation=standing.conversation, from_=cursors[standing.conversation] + 1))
            continue
        left -= lacking
        spans.append(Span(standing.conversation, after, standing.until))
    return spans, gaps


def pages_of(conversation: str, entries: list[Entry], size: int, *, snapshot: bool) -> list[Page]:
    """Entries cut into pages; only the first says `snapshot`, all but the last say `more`."""
    cuts = [entries[start : start + size] for start in range(0, len(entries), size)]
    return [
        Page(
            conversation=conversation,
            entries=cut,
            more=number < len(cuts) - 1,
            snapshot=snapshot and number == 0,
        )
        for number, cut in enumerate(cuts)
    ]


def fit(pages: list[Page], most_bytes: int) -> tuple[list[Page], dict[str, int]]:
    """The pages that may be owed to a socket at once, and where conversations end that lost pages: their last seq that stays, or 0.

    The first page always stays. The client fetches the rest at its own pace; owed all at once it would be closed as slow.
    """
    kept: list[Page] = []
    left_out: dict[str, int] = {}
    size = 0
    for page in pages:
        size += sum(ENTRY_BYTES + len(entry.body) for entry in page.entries)
        if kept and size > most_bytes:
            last = kept[-1]
            mine = last.conversation == page.conversation
            left_out.setdefault(page.conversation, last.entries[-1].seq if mine else 0)
        else:
            kept.append(page)
    return kept, left_out


def moment_of(text: str) -> datetime | None:
    """A client's time, which names its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        return max(moment.astimezone(UTC), OLDEST) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def head_of(standing: Standing) -> Head:
    return Head(
        seq=standing.until,
        read_seq=standing.read_seq,
        delivered_seq=standing.delivered_seq,
        unread=standing.unread,
        kind=standing.kind,
        role=standing.role,
        from_seq=standing.from_seq,
        members_version=standing.members_version,
        until=standing.to_seq,
        read_only=standing.read_only,
        muted=standing.muted,
        pinned=standing.pinned,
        receipts=standing.receipts,
    )


def cut(entries: list[Entry], most_bytes: int, *, newest: bool) -> tuple[list[Entry], bool]:
    """As many entries of a page as `most_bytes` hold, at least one: from its end with `newest`, else from its beginning."""
    room = most_bytes
    kept: list[Entry] = []
    for entry in reversed(entries) if newest else entries:
        room -= len(bytes(entry.body)) + ENTRY_BYTES
        if room < 0 and kept:
            return (kept[::-1] if newest else kept), False
        kept.append(entry)
    return entries, True
