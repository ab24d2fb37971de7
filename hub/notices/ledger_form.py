"""An export of the ledger as a file: CSV for a spreadsheet, a line for each attempt; or a line of JSON for each notice."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from hub.notices.ledger import Line, Tried
from hub.platform.clock import rfc3339

Form = Literal["csv", "ndjson"]
MEDIA: dict[Form, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

NOTICE = ("id", "user", "class", "state", "reason", "conversation", "seq", "broadcast")
TIMES = ("createdAt", "beginsAt", "expiresAt", "deliveredAt", "seenAt", "endedAt")
ATTEMPT = ("attempt", "step", "channel", "provider", "number", "aside", "attemptState", "code", "providerId")
ATTEMPT_TIMES = ("madeAt", "sentAt", "settledAt")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute (OWASP, CSV injection)


async def written(pages: AsyncIterator[Sequence[tuple[Line, Sequence[Tried]]]], form: Form) -> AsyncIterator[bytes]:
    """The file in pieces, one for each page. Neither content nor addresses are in it."""
    if form == "csv":
        yield _csv([[*NOTICE, *TIMES, *ATTEMPT, *ATTEMPT_TIMES]])
    async for page in pages:
        yield _csv(_rows(page)) if form == "csv" else b"".join(_json(line, tried) for line, tried in page)


def _rows(page: Sequence[tuple[Line, Sequence[Tried]]]) -> list[list[str]]:
    empty = [""] * len((*ATTEMPT, *ATTEMPT_TIMES))
    return [
        [_cell(value) for value in _notice(line).values()] + cells
        for line, tried in page
        for cells in ([[_cell(value) for value in _attempt(each).values()] for each in tried] or [empty])
    ]


def _json(line: Line, tried: Sequence[Tried]) -> bytes:
    return msgspec.json.encode({**_notice(line), "attempts": [_attempt(each) for each in tried]}) + b"\n"


def _notice(line: Line) -> dict[str, str | int | None]:
    values = (
        line.id,
        line.user,
        line.class_,
        line.state.value,
        line.reason,
        line.conversation,
        line.upto_seq,
        line.broadcast,
    )
    times = (line.created_at, line.begins_at, line.expires_at, line.delivered_at, line.seen_at, line.ended_at)
    return {**dict(zip(NOTICE, values, strict=True)), **dict(zip(TIMES, map(_time, times), strict=True))}


def _attempt(tried: Tried) -> dict[str, str | int | None]:
    values = (
        *(tried.id, tried.step, tried.channel, tried.provider, tried.number, tried.aside),
        *(tried.state.value, tried.code, tried.provider_id),
    )
    times = (tried.created_at, tried.sent_at, tried.settled_at)
    return {**dict(zip(ATTEMPT, values, strict=True)), **dict(zip(ATTEMPT_TIMES, map(_time, times), strict=True))}


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _cell(value: str | int | None) -> str:
    """Words of providers are never a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    piece = io.StringIO()
    csv.writer(piece).writerows(rows)
    return piece.getvalue().encode()
