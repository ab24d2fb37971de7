"""Events: what happened in one area, handed on to the others. Published in the transaction that made it happen, handled once.

A handler's own changes and the mark that the event is handled are one transaction: whatever dies, the effect is there once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.database import Database
from hub.platform.supervisor import describe

POLL_S = 1.0  # how late an event of another process, or of one that died, is found
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
HANDLE_S = 8.0  # for all handlers of one event; the server ends a transaction that idles for 10 s

HANDLED = Counter("hub_events_handled", "Events whose handlers have committed", ["kind"])
FAILED = Counter("hub_events_failed", "Events put back because a handler failed", ["kind"])

_INSERT = """
INSERT INTO events (kind, subject, payload, due_at)
VALUES (:kind, :subject, CAST(:payload AS jsonb), clock_timestamp() + make_interval(secs => :after_s))
"""
# Only the first of a subject may be taken; a subject that is being handled elsewhere is passed over. A kind that this
# process has never heard of is left to one that has: while a new version is rolled out, both run.
_TAKE = text("""
SELECT e.number, e.kind, e.payload::text AS payload, e.attempts FROM events e
WHERE e.done_at IS NULL AND e.due_at <= clock_timestamp() AND e.kind = ANY (CAST(:kinds AS text[])) AND NOT EXISTS (
  SELECT 1 FROM events o WHERE o.subject = e.subject AND o.done_at IS NULL AND o.number < e.number)
ORDER BY e.due_at, e.number LIMIT 1 FOR UPDATE OF e SKIP LOCKED
""")
_DONE = text("UPDATE events SET done_at = clock_timestamp(), error = NULL WHERE number = :number")
_PUT_BACK = text("""
UPDATE events SET attempts = attempts + 1, error = :error, due_at = clock_timestamp() + make_interval(secs => :delay)
WHERE number = :number AND done_at IS NULL
""")
_FORGET = text("""
DELETE FROM events WHERE number = ANY (ARRAY(
  SELECT number FROM events WHERE done_at < statement_timestamp() - make_interval(days => :days)
  ORDER BY done_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
""")

log = structlog.get_logger("hub.outbox")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, named in the past tense. Carries ids, never health content: others look up what they may see."""

    subject: str
    """What it happened to. Events of one subject are handled in the order in which they were published."""


class UrgentEvent(Event, frozen=True, kw_only=True):
    """One on which somebody's health may hang: it does not wait behind the others, however many they are."""


AfterCommit = Callable[[], None]
E = TypeVar("E", bound=Event)
Handler = Callable[[AsyncConnection, E], Awaitable[AfterCommit | None]]


class _Taken(NamedTuple):
    number: int
    kind: str
    attempts: int


class _Failed(Exception):
    """A handler raised; its transaction is gone, and the event must be put back."""

    def __init__(self, taken: _Taken, cause: BaseException) -> None:
        super().__init__(taken.kind)
        self.taken = taken
        self.cause = cause


async def publish(connection: AsyncConnection, *events: Event, after_s: float = 0.0) -> None:
    """Hand these on when the caller's transaction commits, in this order; call `Outbox.wake` then. Not before `after_s` seconds."""
    values = [
        {
            "kind": type(each).__name__,
            "subject": each.subject,
            "payload": msgspec.json.encode(each).decode(),
            "after_s": after_s,
        }
        for each in events
    ]
    if values:
        await connection.execute(text(_INSERT), values)


class Outbox:
    """Handles events. One per process that has handlers; any number of processes share the work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handlers: dict[str, list[Handler[Any]]] = defaultdict(list)  # Any: each takes its own kind of event
        self._shapes: dict[str, type[Event]] = {}
        self._woken = {urgent: asyncio.Event() for urgent in (True, False)}

    def subscribe(self, shape: type[E], handler: Handler[E]) -> None:
        """Call `handler` for each event of this kind, in the transaction that marks it handled.

        What the handler answers, if anything, is called after the commit. Handlers of one event succeed or fail together.
        """
        self._shapes[shape.__name__] = shape
        self._handlers[shape.__name__].append(handler)

    def wake(self) -> None:
        """There may be something to handle: call it after the commit of a transaction that published."""
        for woken in self._woken.values():
            woken.set()

    async def run(self, *, urgent: bool) -> None:
        """Handle the urgent events for ever, or all others; supervised. Run both."""
        woken = self._woken[urgent]
        while True:
            woken.clear()
            if await self.handle_next(_urgent() if urgent else _usual()):
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await woken.wait()
            except TimeoutError:
                continue

    async def drain(self) -> int:
        """Handle all that is due now; the answer is how many."""
        handled = 0
        while await self.handle_next():
            handled += 1
        return handled

    async def handle_next(self, kinds: Sequence[str] | None = None) -> bool:
        """Handle one event, of these kinds or of any; False if none is due."""
        try:
            async with self._database.transaction() as connection:
                row = (await connection.execute(_TAKE, {"kinds": kinds or _kinds(Event)})).first()
                if row is None:
                    return False
                taken = _Taken(row.number, row.kind, row.attempts)
                told = await self._handle(connection, taken, row.payload)
                await connection.execute(_DONE, {"number": taken.number})
        except _Failed as failed:
            await self._put_back(failed)
            return True
        HANDLED.labels(taken.kind).inc()
        for tell in told:
            _tell(tell, taken)
        return True

    async def _handle(self, connection: AsyncConnection, taken: _Taken, payload: str) -> list[AfterCommit]:
        told = []
        shape = self._shapes.get(taken.kind)
        if shape is None:  # nobody wants to know
            return []
        try:
            event = msgspec.json.decode(payload, type=shape)
            async with asyncio.timeout(HANDLE_S):
                for handler in self._handlers[taken.kind]:
                    told.append(await handler(connection, event))
        except Exception as error:
            raise _Failed(taken, error) from error
        return [tell for tell in told if tell is not None]

    async def _put_back(self, failed: _Failed) -> None:
        taken = failed.taken
        delay_s = min(FIRST_DELAY_S * 2 ** min(taken.attempts, 16), LONGEST_DELAY_S)
        log.error("event failed", kind=taken.kind, number=taken.number, again_in_s=delay_s, exc_info=failed.cause)
        FAILED.labels(taken.kind).inc()
        values = {"number": taken.number, "error": describe(failed.cause), "delay": delay_s}
        async with self._database.transaction() as connection:
            await connection.execute(_PUT_BACK, values)


def _kinds(shape: type[Event]) -> list[str]:
    """The name of every event that is declared in this process."""
    return [name for each in shape.__subclasses__() for name in (each.__name__, *_kinds(each))]


def _urgent() -> list[str]:
    return _kinds(UrgentEvent)


def _usual() -> list[str]:
    urgent = set(_urgent())
    return [kind for kind in _kinds(Event) if kind not in urgent]


def _tell(tell: AfterCommit, taken: _Taken) -> None:
    try:
        tell()
    except Exception:  # it is committed: who missed the telling finds it in the log
        log.exception("telling of an event failed", kind=taken.kind, number=taken.number)


async def forget_handled(database: Database, days: int = 30) -> int:
    """Delete a batch of events that were handled long ago; the answer is how many."""
    async with database.transaction() as connection:
        return (await connection.execute(_FORGET, {"days": days})).rowcount
