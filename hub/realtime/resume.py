"""What a returning device is sent: the welcome, and pages with what it lacks. Two statements, a third when keys are not at hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from hub.messaging.history import HEADS, History, Span, Standing
from hub.messaging.model import Entry
from hub.realtime.protocol import Gap, Head, Page

BUDGET = 5000  # entries in one resume; what is beyond is named in gaps and fetched by the client
CLOCK_SLACK = timedelta(seconds=10)  # a row's time is taken before its commit is visible


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    heads: dict[str, Head]
    more: bool
    pages: list[Page]
    gaps: list[Gap]
    read_until: dict[str, int]
    large: dict[str, Standing]


async def read_resume(
    history: History, user: str, cursors: Mapping[str, int], since: datetime | None, *, page: int, limit: int
) -> Resume:
    """Everything after `cursors` that `user` may see. Raises what the database raises."""
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
            after, lacking = standing.until - page, page
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
