"""Requests that read the log: hello with its resume, the start of a stream, and pages."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from hub.messaging.history import History
from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import Settings
from hub.realtime import protocol as wire
from hub.realtime.answering import Answering
from hub.realtime.connection import Connection
from hub.realtime.frame import Broadcast
from hub.realtime.gateway import Gateway
from hub.realtime.resume import BUDGET, Resume, cut, fit, moment_of, pages_of, read_resume

STREAM_SLACK = timedelta(
    seconds=30
)  # a stream's event id is a moment, and a commit may be visible only after its moment
SETTLE_S = 2.0  # for Redis to confirm a subscription; longer, and it is away: the healer and the digest see to the rest

log = structlog.get_logger()


class Reader:
    def __init__(
        self, settings: Settings, clock: Clock, gateway: Gateway, history: History, answering: Answering
    ) -> None:
        self._limits = settings.realtime
        self._clock = clock
        self._gateway = gateway
        self._history = history
        self._answering = answering
        self.slots = asyncio.Semaphore(settings.realtime.reads_at_once)
        """Who reads the log takes one, so that reading leaves connections to those who append."""

    def fetch(self, connection: Connection, request: wire.Fetch) -> None:
        if request.after is not None and request.before is not None:
            connection.refuse(request.ref, Refusal(ErrorCode.INVALID, fields={"before": "either after or before"}))
        else:
            self._answering.start(connection, request.ref, self._page(connection, request))

    async def _page(self, connection: Connection, request: wire.Fetch) -> None:
        async with self.slots:
            page = await self._history.page(
                connection.user,
                request.conversation,
                after=request.after,
                before=request.before,
                limit=request.limit,
            )
        entries, whole = cut(page.entries, self._limits.outbox_soft_bytes, newest=request.after is None)
        connection.reply(
            wire.Page(
                ref=request.ref,
                conversation=request.conversation,
                entries=entries,
                operations=page.operations,
                more=page.more or not whole,
            )
        )

    def hello(self, connection: Connection, request: wire.Hello) -> None:
        try:
            since = _since(request.since)
            if len(request.cursors) > self._limits.cursors:
                reason = f"at most {self._limits.cursors}; GET /conversations pages through more"
                raise Refusal(ErrorCode.TOO_LARGE, fields={"cursors": reason})
        except Refusal as refusal:
            self._not_resumed(connection)
            connection.refuse(request.ref, refusal)
            return
        if not self._answering.start(connection, request.ref, self._resume(connection, request, since)):
            connection.close(ErrorCode.OVERLOADED)

    def stream(self, connection: Connection, ref: int, since: datetime | None) -> None:
        """The welcome of a stream without cursors, and what was committed since a moment; the client drops what it has by seq."""
        if not self._answering.start(connection, ref, self._stream(connection, ref, since)):
            connection.close(ErrorCode.OVERLOADED)

    async def _resume(self, connection: Connection, request: wire.Hello, since: datetime | None) -> None:
        try:
            at, resume = await self._read(connection, request.cursors, since)
            connection.reply(self._welcome(connection, request.ref, at, resume), *resume.pages, *resume.gaps)
        except BaseException:
            self._not_resumed(connection)
            raise
        self._release(connection, *connection.session.resumed(resume.read_until))

    async def _stream(self, connection: Connection, ref: int, since: datetime | None) -> None:
        try:
            at, resume = await self._read(connection, {}, since)
            pages, gaps, read_until = await self._since(connection.user, since, resume) if since else ([], [], {})
            connection.reply(self._welcome(connection, ref, at, resume), *pages, *gaps)
        except BaseException:
            connection.session.not_resumed()
            connection.close(ErrorCode.UNAVAILABLE)
            raise
        self._release(connection, *connection.session.resumed(read_until))

    async def _since(
        self, user: str, since: datetime, resume: Resume
    ) -> tuple[list[wire.Page], list[wire.Gap], dict[str, int]]:
        """The newest of each conversation; a client that held less sees the hole by seq."""
        most = min(self._limits.resume_page, max(5, BUDGET // max(1, len(resume.heads))))
        async with self.slots:
            found = await self._history.since(user, since - STREAM_SLACK, most)
        pages = [page for c, entries in found.items() for page in pages_of(c, entries, most, snapshot=False)]
        pages, left_out = fit(pages, self._limits.outbox_soft_bytes)
        gaps = [wire.Gap(conversation=c, from_=seq + 1 if seq else found[c][0].seq) for c, seq in left_out.items()]
        read_until = {c: entries[-1].seq for c, entries in found.items()} | left_out
        return pages, gaps, read_until

    async def _read(
        self, connection: Connection, cursors: Mapping[str, int], since: datetime | None
    ) -> tuple[str, Resume]:
        """Listen first, then read: what is committed in between comes twice and is merged, never not at all."""
        at = rfc3339(self._clock.now())  # before the read: what moves meanwhile is asked for again next time
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gateway.listen(connection), SETTLE_S)
        while True:
            async with self.slots:
                resume = await read_resume(
                    self._history,
                    connection.user,
                    cursors,
                    since,
                    page=self._limits.resume_page,
                    limit=self._limits.resume_limit,
                    most_bytes=self._limits.outbox_soft_bytes,
                )
            fresh = self._gateway.enter_rooms(connection, resume.large)
            if not fresh:
                return at, resume
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gateway.settled(fresh), SETTLE_S)

    def _release(self, connection: Connection, held: Sequence[Broadcast], overflowed: Mapping[str, int]) -> None:
        """Tell what came live while the resume was read; what was too much to hold is a gap."""
        for broadcast in held:
            connection.tell(broadcast)
        for conversation, seq in sorted(overflowed.items()):
            connection.reply(wire.Gap(conversation=conversation, from_=seq))

    def _not_resumed(self, connection: Connection) -> None:
        self._release(connection, *connection.session.not_resumed())

    def _welcome(self, connection: Connection, ref: int, at: str, resume: Resume) -> wire.Welcome:
        return wire.Welcome(
            ref=ref,
            session=connection.id,
            user=connection.user,
            heads=resume.heads,
            heartbeat_ms=self._limits.heartbeat_ms,
            at=at,
            more=resume.more,
        )


def _since(text: str | None) -> datetime | None:
    since = moment_of(text) if text is not None else None
    if text is not None and since is None:
        raise Refusal(ErrorCode.INVALID, fields={"since": "a time like 2026-11-22T08:00:00.000Z"})
    return since
