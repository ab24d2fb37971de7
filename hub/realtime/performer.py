"""What each request of a socket sets in motion, and the answer that follows. The session has already let it pass."""

from collections.abc import Callable

import asyncpg
import msgspec

from hub.messaging import operation
from hub.messaging.actions import Messaging
from hub.messaging.alarm import alarming
from hub.messaging.collector import Collector, Outcome
from hub.messaging.emergency import Sign, sign_of
from hub.messaging.model import Appended, Draft, draft
from hub.messaging.receipt import Receipts
from hub.messaging.roster import acquainted
from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.settings import Settings
from hub.realtime import protocol as wire
from hub.realtime.answering import Answering
from hub.realtime.codec import body_refusal, json_of, not_a_body
from hub.realtime.connection import Connection
from hub.realtime.fanout import Fanout
from hub.realtime.gateway import Gateway
from hub.realtime.heads import Digests
from hub.realtime.reader import Reader


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
        digests: Digests,
        reader: Reader,
        answering: Answering,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pool = pool
        self._gateway = gateway
        self._fanout = fanout
        self._messaging = messaging
        self._collector = collector
        self._receipts = receipts
        self._digests = digests
        self._reader = reader
        self._answering = answering

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
                self._reader.fetch(connection, request)
            case wire.Hello():
                self._reader.hello(connection, request)
            case wire.Edit() | wire.Recall():
                self._operate(connection, request)
            case wire.Watch():
                self._watch(connection, request)

    # Appending

    def _send(self, connection: Connection, request: wire.Send) -> None:
        try:
            body = json_of(request.body, packed=connection.packed)
            entry = draft(
                request.conversation,
                connection.user,
                request.client_msg_id,
                request.type,
                body,
                request.target,
                self._settings.messaging.text_chars,
                request.on_behalf_of,
            )
            if not is_id(request.conversation):
                raise Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})
            if sign := sign_of(connection.principal.role, entry):
                self._answering.start(connection, request.ref, self._send_alarming(connection, request, entry, sign))
                return
            self._collector.submit(entry, self._acking(connection, request))
            connection.session.unanswered += 1
        except msgspec.ValidationError as error:
            connection.refuse(request.ref, body_refusal(error))
        except (msgspec.DecodeError, RecursionError):
            connection.refuse(request.ref, not_a_body())
        except Refusal as refusal:
            connection.refuse(request.ref, refusal)

    async def _send_alarming(self, connection: Connection, request: wire.Send, entry: Draft, sign: Sign) -> None:
        async with alarming(self._messaging, entry, sign):
            connection.reply(_ack(request, await self._collector.append(entry)))

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
            await perform(
                self._messaging,
                conversation=request.conversation,
                actor=connection.user,
                role=connection.principal.role,
                seq=request.seq,
                client_msg_id=request.client_msg_id,
                body=json_of(request.body, packed=connection.packed),
                committed=lambda appended: connection.reply(_ack(request, appended)),
            )

        self._answering.start(connection, request.ref, work())

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
            async with self._reader.slots:
                known = await acquainted(self._pool, [(connection.user, user) for user in users]) if users else set()
            if strangers := sorted(set(request.users) - {user for _, user in known}):
                raise Refusal(ErrorCode.FORBIDDEN, fields={"users": f"no conversation is shared with {strangers[0]}"})
            states = await self._gateway.watch(connection, users)
            connection.reply(wire.Ok(request.ref))
            at = rfc3339(self._clock.now())
            for user, online in sorted(states.items()):
                connection.reply(wire.Presence(user=user, online=online, at=at))

        self._answering.start(connection, request.ref, work())


def _ack(request: wire.Send | wire.Edit | wire.Recall, appended: Appended) -> wire.Ack:
    return wire.Ack(
        ref=request.ref,
        conversation=request.conversation,
        client_msg_id=request.client_msg_id,
        seq=appended.seq,
        at=rfc3339(appended.at),
        dup=appended.dup,
    )
