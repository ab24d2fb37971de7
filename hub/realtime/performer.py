"""What each request of a socket sets in motion, and the answer that follows. The session has already let it pass."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec
import structlog

from hub.messaging import operation
from hub.messaging.actions import Messaging
from hub.messaging.collector import Collector, Outcome
from hub.messaging.history import History
from hub.messaging.model import Appended, draft
from hub.messaging.receipt import Receipts
from hub.messaging.retry import TRANSIENT
from hub.messaging.roster import acquainted
from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http_error import is_outage
from hub.platform.identifier import is_id
from hub.platform.settings import Settings
from hub.realtime import protocol as wire
from hub.realtime.connection import Connection
from hub.realtime.crew import Crew
from hub.realtime.fanout import Fanout
from hub.realtime.frame import Broadcast
from hub.realtime.gateway import Gateway
from hub.realtime.heads import Digests
from hub.realtime.resume import Resume, moment_of, pages_of, read_resume

STREAM_SLACK = timedelta(
    seconds=30
)  # a stream's event id is a moment, and a commit may become visible after its moment
SETTLE_S = 2.0  # for Redis to confirm a subscription; longer, and the probe will have noticed

log = structlog.get_logger()


class Performer:
    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        pool: asyncpg.Pool,
        gateway: Gateway,
        fanout: Fanout,
        messaging: Messaging,
        collector: Collector,
        receipts: Receipts,
        history: History,
        digests: Digests,
        crew: Crew,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pool = pool
        self._gateway = gateway
        self._fanout = fanout
        self._messaging = messaging
        self._collector = collector
        self._receipts = receipts
        self._history = history
        self._digests = digests
        self._crew = crew
        self._reads = asyncio.Semaphore(settings.realtime.reads_at_once)
        self._reading = 0

    def perform(self, connection: Connection, request: wire.Request) -> None:
        """Start what the request asks; its answer follows. The most frequent come first."""
        match request:
            case wire.Send():
                self._send(connection, request)
            case wire.Delivered() | wire.Read():
                self._mark(connection, request)
            case wire.Ping():
                self._ping(connection, request)
            case wire.Typing():
                self._typing(connection, request)
            case wire.Fetch():
                self._fetch(connection, request)
            case wire.Hello():
                self._hello(connection, request)
            case wire.Edit() | wire.Recall():
                self._operate(connection, request)
            case wire.Watch():
                self._watch(connection, request)

    # Appending

    def _send(self, connection: Connection, request: wire.Send) -> None:
        try:
            body = wire.json_of(request.body, packed=connection.packed)
            entry = draft(
                request.conversation,
                connection.user,
                request.client_msg_id,
                request.type,
                body,
                request.target,
                self._settings.messaging.text_chars,
            )
            if not is_id(request.conversation):
                raise Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})
            self._collector.submit(entry, self._acking(connection, request))
            connection.session.unanswered += 1
        except msgspec.ValidationError as error:
            connection.refuse(request.ref, wire.body_refusal(error))
        except (msgspec.DecodeError, RecursionError):
            connection.refuse(request.ref, wire.not_a_body())
        except Refusal as refusal:
            connection.refuse(request.ref, refusal)

    def _acking(
        self, connection: Connection, request: wire.Send | wire.Edit | wire.Recall
    ) -> Callable[[Outcome], None]:
        def done(outcome: Outcome) -> None:
            connection.session.unanswered -= 1
            if isinstance(outcome, Refusal):
                connection.refuse(request.ref, outcome)
            else:
                connection.reply(_ack(request, outcome))

        return done

    def _operate(self, connection: Connection, request: wire.Edit | wire.Recall) -> None:
        async def work() -> None:
            perform = operation.edit if isinstance(request, wire.Edit) else operation.recall
            appended = await perform(
                self._messaging,
                conversation=request.conversation,
                actor=connection.user,
                role=connection.principal.role,
                seq=request.seq,
                client_msg_id=request.client_msg_id,
                body=wire.json_of(request.body, packed=connection.packed),
            )
            connection.reply(_ack(request, appended))

        self._answer(connection, request.ref, work())

    # Receipts, typing, presence, digest

    def _mark(self, connection: Connection, request: wire.Delivered | wire.Read) -> None:
        if not is_id(request.conversation):
            refusal = Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})
            connection.refuse(request.ref, refusal)
            return
        connection.session.unanswered += 1

        def done(refusal: Refusal | None) -> None:
            connection.session.unanswered -= 1
            if refusal is None:
                connection.reply(wire.Ok(request.ref))
            else:
                connection.refuse(request.ref, refusal)

        read = request.seq if isinstance(request, wire.Read) else 0
        self._receipts.submit(connection.user, request.conversation, delivered=request.seq, read=read, done=done)

    def _typing(self, connection: Connection, request: wire.Typing) -> None:
        frame = wire.Typed(conversation=request.conversation, user=connection.user)
        self._fanout.typing(request.conversation, connection.user, frame)

    def _ping(self, connection: Connection, request: wire.Ping) -> None:
        connection.session.unanswered += 1

        def answer(digest: str | None) -> None:
            connection.session.unanswered -= 1
            connection.reply(wire.Pong(ref=request.ref, digest=digest, at=rfc3339(self._clock.now())))

        self._digests.ask(connection.user, answer)

    def _watch(self, connection: Connection, request: wire.Watch) -> None:
        async def work() -> None:
            users = {user for user in request.users if is_id(user)}
            known = await acquainted(self._pool, connection.user, users) if users else set()
            if strangers := sorted(set(request.users) - known):
                raise Refusal(ErrorCode.FORBIDDEN, fields={"users": f"no conversation is shared with {strangers[0]}"})
            states = await self._gateway.watch(connection, users)
            connection.reply(wire.Ok(request.ref))
            at = rfc3339(self._clock.now())
            for user, online in sorted(states.items()):
                connection.reply(wire.Presence(user=user, online=online, at=at))

        self._answer(connection, request.ref, work())

    # Reading

    def _fetch(self, connection: Connection, request: wire.Fetch) -> None:
        async def work() -> None:
            async with self._reads:
                page = await self._history.page(
                    connection.user,
                    request.conversation,
                    after=request.after,
                    before=request.before,
                    limit=request.limit,
                )
            connection.reply(
                wire.Page(
                    ref=request.ref,
                    conversation=request.conversation,
                    entries=page.entries,
                    operations=page.operations,
                    more=page.more,
                )
            )

        if request.after is not None and request.before is not None:
            connection.refuse(request.ref, Refusal(ErrorCode.INVALID, fields={"before": "either after or before"}))
        elif self._admit(connection, request.ref):
            self._answer(connection, request.ref, self._counted(work()))

    def _hello(self, connection: Connection, request: wire.Hello) -> None:
        try:
            since = _since(request.since)
            if len(request.cursors) > self._settings.realtime.cursors:
                most = self._settings.realtime.cursors
                raise Refusal(
                    ErrorCode.TOO_LARGE, fields={"cursors": f"at most {most}; GET /conversations pages through more"}
                )
        except Refusal as refusal:
            self._not_resumed(connection)
            connection.refuse(request.ref, refusal)
            return
        if not self._admit(connection, request.ref):
            connection.close(ErrorCode.OVERLOADED)
            return
        self._answer(connection, request.ref, self._counted(self._resume(connection, request, since)))

    def resume_stream(self, connection: Connection, ref: int, since: datetime | None) -> None:
        """The welcome of a stream without cursors, and what was committed since a moment; the client drops what it has by seq."""

        async def work() -> None:
            try:
                async with self._reads:
                    resume = await self._read_resume(connection, wire.Hello(ref=ref), since)
                    past = since - STREAM_SLACK if since else None
                    most = self._settings.realtime.resume_page
                    found = await self._history.since(connection.user, past, most) if past else {}
            except BaseException:
                connection.session.not_resumed()
                connection.close(ErrorCode.UNAVAILABLE)
                raise
            pages = [
                page
                for conversation, entries in found.items()
                for page in pages_of(conversation, entries, most, snapshot=False)
            ]
            connection.reply(self._welcome(connection, ref, resume), *pages)
            read_until = {c: entries[-1].seq for c, entries in found.items()}
            self._release(connection, *connection.session.resumed(read_until))

        self._answer(connection, ref, self._counted(work()))

    async def _resume(self, connection: Connection, request: wire.Hello, since: datetime | None) -> None:
        try:
            async with self._reads:
                resume = await self._read_resume(connection, request, since)
        except BaseException:
            self._not_resumed(connection)
            raise
        connection.reply(self._welcome(connection, request.ref, resume), *resume.pages, *resume.gaps)
        self._release(connection, *connection.session.resumed(resume.read_until))

    def _release(self, connection: Connection, held: Sequence[Broadcast], overflowed: Mapping[str, int]) -> None:
        """Tell what came live while the resume was read; what was too much to hold is a gap."""
        for broadcast in held:
            connection.tell(broadcast)
        for conversation, seq in sorted(overflowed.items()):
            connection.reply(wire.Gap(conversation=conversation, from_=seq))

    def _not_resumed(self, connection: Connection) -> None:
        self._release(connection, *connection.session.not_resumed())

    async def _read_resume(self, connection: Connection, request: wire.Hello, since: datetime | None) -> Resume:
        """Listen first, then read: what is committed in between comes twice and is merged, never not at all."""
        limits = self._settings.realtime
        await asyncio.wait_for(self._gateway.listen(connection), SETTLE_S)
        while True:
            resume = await read_resume(
                self._history,
                connection.user,
                request.cursors,
                since,
                page=limits.resume_page,
                limit=limits.resume_limit,
                most_bytes=limits.outbox_soft_bytes,
            )
            if not await self._gateway.enter_rooms(connection, resume.large):
                return resume

    def _welcome(self, connection: Connection, ref: int, resume: Resume) -> wire.Welcome:
        return wire.Welcome(
            ref=ref,
            session=connection.id,
            user=connection.user,
            heads=resume.heads,
            heartbeat_ms=self._settings.realtime.heartbeat_ms,
            at=rfc3339(self._clock.now()),
            more=resume.more,
        )

    # Answering in a task

    def _admit(self, connection: Connection, ref: int) -> bool:
        if self._reading < self._settings.realtime.reads_waiting:
            return True
        connection.refuse(ref, Refusal(ErrorCode.OVERLOADED, retry_after_ms=2000))
        return False

    async def _counted(self, work: Awaitable[None]) -> None:
        self._reading += 1
        try:
            await work
        finally:
            self._reading -= 1

    def _answer(self, connection: Connection, ref: int, work: Awaitable[None]) -> None:
        connection.session.unanswered += 1

        async def run() -> None:
            try:
                await work
            except Refusal as refusal:
                connection.refuse(ref, refusal)
            except msgspec.ValidationError as error:
                connection.refuse(ref, wire.body_refusal(error))
            except msgspec.DecodeError:
                connection.refuse(ref, wire.not_a_body())
            except TRANSIENT:
                connection.refuse(ref, Refusal(ErrorCode.UNAVAILABLE, retry_after_ms=2000))
            except Exception as error:
                if is_outage(error):
                    connection.refuse(ref, Refusal(ErrorCode.UNAVAILABLE, retry_after_ms=2000))
                    return
                log.error("request failed", error=type(error).__name__, exc_info=error)
                connection.refuse(ref, Refusal(ErrorCode.INTERNAL))
            finally:
                connection.session.unanswered -= 1

        self._crew.start(run())


def _ack(request: wire.Send | wire.Edit | wire.Recall, appended: Appended) -> wire.Ack:
    return wire.Ack(
        ref=request.ref,
        conversation=request.conversation,
        client_msg_id=request.client_msg_id,
        seq=appended.seq,
        at=rfc3339(appended.at),
        dup=appended.dup,
    )


def _since(text: str | None) -> datetime | None:
    since = moment_of(text) if text is not None else None
    if text is not None and since is None:
        raise Refusal(ErrorCode.INVALID, fields={"since": "a time like 2026-11-22T08:00:00.000Z"})
    return since
