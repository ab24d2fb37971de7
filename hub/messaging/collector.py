"""Appends of one process, collected: whatever gathered while the last call was out goes in one call, for many conversations.

Sealing, the call and its retries live here; numbering and the membership check live in the SQL function `append_entries`.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import asyncpg
import structlog
from msgspec import Raw
from prometheus_client import Counter

from hub.messaging.model import SYSTEM, Appended, Draft, Entry, Status, refusal_of
from hub.messaging.port import Announcer
from hub.messaging.retry import TRANSIENT
from hub.messaging.roster import Rosters
from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import Messaging
from hub.security.sealing import DataKey, Sealer

T = TypeVar("T")
Outcome = Appended | Refusal
Waiting = tuple[Draft, Callable[[Outcome], None]]

_APPEND = "SELECT status, seq, created_at, members_version, recalled FROM append_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

BATCHES = Counter("hub_append_batches_total", "Calls of append_entries that were answered")
APPENDED = Counter("hub_appended_total", "Entries committed")
REPEATS = Counter("hub_append_repeats_total", "Sends that had been committed before")

log = structlog.get_logger()


def context_of(conversation: str, sender: str, client_msg_id: str) -> bytes:
    """What a sealed body is bound to: moved to another row, it does not open."""
    return f"{conversation}|{sender}|{client_msg_id}".encode()


class Collector:
    """Queues by conversation; a conversation is in one call at a time, so one sender's entries keep their order."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        sealer: Sealer,
        rosters: Rosters,
        announcer: Announcer,
        clock: Clock,
        settings: Messaging,
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._rosters = rosters
        self._announcer = announcer
        self._clock = clock
        self._settings = settings
        self._queues: dict[str, deque[Waiting]] = {}
        self._ready: deque[str] = deque()
        self._size = 0
        self._flying = 0
        self._wake = asyncio.Event()

    def submit(self, draft: Draft, done: Callable[[Outcome], None]) -> None:
        """Take a draft; `done` is called once, after the commit or with the refusal. Raises `Refusal` when too many wait (P15)."""
        if self._size >= self._settings.waiting:
            raise Refusal(ErrorCode.OVERLOADED, retry_after_ms=1000)
        queue = self._queues.get(draft.conversation)
        if queue is None:
            queue = self._queues[draft.conversation] = deque()
            self._ready.append(draft.conversation)
        queue.append((draft, done))
        self._size += 1
        self._wake.set()

    async def append(self, draft: Draft) -> Appended:
        """Append and wait for the commit. Raises `Refusal`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(draft, lambda outcome: None if future.done() else future.set_result(outcome))
        outcome = await future
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Send batches for ever; run it under the supervisor."""
        async with asyncio.TaskGroup() as flights:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._ready and self._flying < self._settings.batches:
                    self._flying += 1
                    flights.create_task(self._fly(self._next_batch(), flights), name="append")

    def _next_batch(self) -> dict[str, list[Waiting]]:
        batch: dict[str, list[Waiting]] = {}
        room = self._settings.batch
        while self._ready and room:
            conversation = self._ready.popleft()
            queue = self._queues[conversation]
            taken = [queue.popleft() for _ in range(min(room, len(queue)))]
            batch[conversation] = taken
            room -= len(taken)
        return batch

    async def _fly(self, batch: dict[str, list[Waiting]], flights: asyncio.TaskGroup, *, counted: bool = True) -> None:
        """One call. When somebody holds the lock of one of its conversations, each goes on alone, so that only that one waits."""
        try:
            if await self._append([waiting for taken in batch.values() for waiting in taken], alone=len(batch) == 1):
                self._release(batch)
                return
        except BaseException:
            self._release(batch)
            raise
        finally:
            self._flying -= counted
            self._wake.set()
        for conversation, taken in batch.items():
            # Not counted: whoever waits for a lock must not keep others on the ground. One flight a conversation bounds them.
            flights.create_task(self._fly({conversation: taken}, flights, counted=False), name="append alone")

    def _release(self, batch: dict[str, list[Waiting]]) -> None:
        for conversation, taken in batch.items():
            self._size -= len(taken)
            if self._queues[conversation]:
                self._ready.append(conversation)
            else:
                del self._queues[conversation]

    async def _append(self, items: Sequence[Waiting], *, alone: bool) -> bool:
        """Each item is told exactly once, whatever happens. False when a lock was not to be had, and nobody was told yet."""
        try:
            keys = await self._repeatedly(lambda: self._keys([draft for draft, _ in items]))
            sealable = [(draft, done, key) for (draft, done), key in zip(items, keys, strict=True) if key is not None]
            columns = sealed_columns([(draft, key) for draft, _, key in sealable])
            rows = await self._repeatedly(lambda: self._pool.fetch(_APPEND, *columns), alone) if sealable else []
        except asyncpg.LockNotAvailableError:
            return False
        except Refusal as refusal:
            _tell_all(items, refusal)
        except Exception:
            await self._append_apart(items)
        else:
            _tell_all(
                [item for item, key in zip(items, keys, strict=True) if key is None], Refusal(ErrorCode.FORBIDDEN)
            )
            self._complete([(draft, done) for draft, done, _ in sealable], rows)
        return True

    async def _append_apart(self, items: Sequence[Waiting]) -> None:
        """One row that PostgreSQL cannot take must not cost its neighbours: try each alone."""
        if len(items) == 1:
            log.exception("append failed", type=items[0][0].type)
            _tell_all(items, Refusal(ErrorCode.INTERNAL))
            return
        for item in items:
            await self._append([item], alone=True)

    def _complete(self, items: Sequence[Waiting], rows: Sequence[asyncpg.Record]) -> None:
        fresh: dict[tuple[str, int], list[Entry]] = defaultdict(list)
        again: list[tuple[int, Entry]] = []
        stamps: dict[object, str] = {}
        for (draft, done), (status, seq, at, version, recalled) in zip(items, rows, strict=True):
            if status > Status.REPEATED:
                _tell(done, refusal_of(status))
                continue
            _tell(done, Appended(seq=seq, at=at, dup=status == Status.REPEATED, members_version=version))
            stamp = stamps.get(at) or stamps.setdefault(at, rfc3339(at))
            if status == Status.NEW:
                fresh[draft.conversation, version].append(entry_of(draft, seq, stamp))
            elif not recalled:
                again.append((version, entry_of(draft, seq, stamp)))
        BATCHES.inc()
        APPENDED.inc(sum(map(len, fresh.values())))
        REPEATS.inc(len(again))
        for (conversation, version), entries in fresh.items():
            self._announce(partial(self._announcer.appended, conversation, version, entries))
        for version, entry in again:
            self._announce(partial(self._announcer.repeated, entry.conversation, version, entry))

    def _announce(self, tell: Callable[[], None]) -> None:
        """They are committed: a fault in telling one costs neither the loop nor the others."""
        try:
            tell()
        except Exception:
            log.exception("announcing an append failed")

    async def _repeatedly(self, call: Callable[[], Awaitable[T]], alone: bool = True) -> T:
        """Call until it is answered or `retry_s` have passed. Repeating is safe: what was committed is found by its client id (P3)."""
        deadline = self._clock.monotonic() + self._settings.retry_s
        pause = 0.05
        while True:
            try:
                return await call()
            except TRANSIENT as error:
                if isinstance(error, asyncpg.LockNotAvailableError) and not alone:
                    raise
                if self._clock.monotonic() + pause > deadline:
                    log.warning("append gave up", error=type(error).__name__)
                    raise Refusal(ErrorCode.UNAVAILABLE, retry_after_ms=2000) from error
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.5)

    async def _keys(self, drafts: Sequence[Draft]) -> list[DataKey | None]:
        """The key for each draft; None where it was destroyed, so nothing can be written under it any more."""
        unknown = {d.conversation for d in drafts if self._rosters.get(d.conversation) is None}
        if unknown:
            await self._rosters.load(unknown)
        subjects = [self._subject(draft) for draft in drafts]
        found = {subject: self._sealer.cached(subject) or await self._key(subject) for subject in set(subjects)}
        return [found[subject] for subject in subjects]

    async def _key(self, subject: str) -> DataKey | None:
        try:
            return await self._sealer.key_for(subject)
        except Refusal:
            return None

    def _subject(self, draft: Draft) -> str:
        roster = self._rosters.get(draft.conversation)
        # An unknown conversation is refused by the function; sealing under the sender costs nothing and shows nothing.
        return roster.seals_for(draft.sender, draft.conversation, SYSTEM) if roster else draft.sender


def sealed_columns(items: Sequence[tuple[Draft, DataKey]]) -> tuple[list[object], ...]:
    """The arguments of `append_entries`, bodies sealed."""
    rows = [
        (
            draft.conversation,
            draft.sender,
            draft.client_msg_id,
            draft.type,
            draft.target,
            key.seal(draft.body, context_of(draft.conversation, draft.sender, draft.client_msg_id)),
            key.digest(draft.body),
            key.id,
            draft.attachment,
            draft.on_behalf_of,
        )
        for draft, key in items
    ]
    return tuple(list(column) for column in zip(*rows, strict=True))


def entry_of(draft: Draft, seq: int, at: str) -> Entry:
    """A committed draft as members see it."""
    return Entry(
        conversation=draft.conversation,
        seq=seq,
        sender=None if draft.sender == SYSTEM else draft.sender,
        type=draft.type,
        body=Raw(draft.body),
        client_msg_id=draft.client_msg_id,
        at=at,
        target=draft.target,
        on_behalf_of=draft.on_behalf_of,
    )


def _tell(done: Callable[[Outcome], None], outcome: Outcome) -> None:
    try:
        done(outcome)
    except Exception:  # one listener's fault must not cost the others their answers
        log.exception("telling an append failed")


def _tell_all(items: Sequence[Waiting], refusal: Refusal) -> None:
    for _, done in items:
        _tell(done, refusal)
