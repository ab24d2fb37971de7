"""How far each member has received and read, collected: marks that gather while one statement is out go in the next, highest wins."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from hub.messaging.port import Announcer
from hub.messaging.retry import TRANSIENT
from hub.platform.error import ErrorCode, Refusal

Done = Callable[[Refusal | None], None]
Moved = Callable[[str, str, int], None]

# Rows are locked in one order everywhere, so two processes that mark the same people cannot deadlock.
_MARK = """
WITH input AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(conversation, user_id, delivered, read)
), locked AS (
  SELECT m.conversation, m.user_id, i.delivered, i.read, c.members_version, m.to_seq IS NULL AS inside, coalesce(m.to_seq, c.head) AS until
  FROM input i
  JOIN members m ON m.conversation = i.conversation AND m.user_id = i.user_id
  JOIN conversations c ON c.id = m.conversation
  ORDER BY m.conversation, m.user_id FOR NO KEY UPDATE OF m
), moved AS (
  UPDATE members m
  SET delivered_seq = greatest(m.delivered_seq, l.delivered, l.read), read_seq = greatest(m.read_seq, l.read),
      updated_at = clock_timestamp()
  FROM locked l
  WHERE m.conversation = l.conversation AND m.user_id = l.user_id AND greatest(l.delivered, l.read) <= l.until
    AND (m.delivered_seq < greatest(l.delivered, l.read) OR m.read_seq < l.read)
  RETURNING m.conversation, m.user_id, m.delivered_seq, m.read_seq
)
SELECT l.conversation::text, l.user_id::text, l.until, l.members_version,
       CASE WHEN l.inside THEN v.delivered_seq END, v.read_seq
FROM locked l LEFT JOIN moved v ON v.conversation = l.conversation AND v.user_id = l.user_id
"""

log = structlog.get_logger()


class _Mark:
    __slots__ = ("asked", "delivered", "read")

    def __init__(self) -> None:
        self.delivered = 0
        self.read = 0
        self.asked: list[tuple[int, int, Done]] = []


class Receipts:
    """One row per (conversation, user) however many devices report; bounded by the members there are."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        announcer: Announcer,
        batch: int,
        on_read: Moved = lambda user, conversation, seq: None,
    ) -> None:
        """`on_read(user, conversation, read_seq)` is called after each commit that moved a member's cursors; it must not wait."""
        self._pool = pool
        self._on_read = on_read
        self._announcer = announcer
        self._batch = batch
        self._marks: dict[tuple[str, str], _Mark] = {}
        self._wake = asyncio.Event()

    def submit(self, user: str, conversation: str, *, delivered: int, read: int, done: Done) -> None:
        """Raise the member's marks; `done` is called once after the commit. A seq that is not there yet is refused, alone."""
        mark = self._marks.setdefault((conversation, user), _Mark())
        mark.delivered = max(mark.delivered, delivered)
        mark.read = max(mark.read, read)
        mark.asked.append((delivered, read, done))
        self._wake.set()

    async def mark(self, user: str, conversation: str, *, delivered: int, read: int) -> None:
        """The same, waiting for the commit. Raises `Refusal`."""
        future: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self.submit(
            user,
            conversation,
            delivered=delivered,
            read=read,
            done=lambda refusal: None if future.done() else future.set_result(refusal),
        )
        if (refusal := await future) is not None:
            raise refusal

    async def run(self) -> None:
        """Write for ever; run it under the supervisor."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._marks:
                keys = list(self._marks)[: self._batch]
                await self._write({key: self._marks.pop(key) for key in keys})

    async def _write(self, marks: dict[tuple[str, str], _Mark]) -> None:
        """A failed write is told as such; the device says the same again with its next receipt."""
        conversations, users = zip(*marks, strict=True)
        delivered = [mark.delivered for mark in marks.values()]
        read = [mark.read for mark in marks.values()]
        try:
            rows = await self._pool.fetch(_MARK, conversations, users, delivered, read)
        except TRANSIENT:
            self._tell(marks, Refusal(ErrorCode.UNAVAILABLE, retry_after_ms=2000))
            return
        except Exception:
            log.exception("receipts failed", marks=len(marks))
            self._tell(marks, Refusal(ErrorCode.INTERNAL))
            return
        for conversation, user, until, version, delivered_seq, read_seq in rows:
            mark = marks.pop((conversation, user))
            if max(mark.delivered, mark.read) > until:
                self._part(user, conversation, mark, until)
                continue
            self._tell({(conversation, user): mark}, None)
            if read_seq is not None:
                self._on_read(user, conversation, read_seq)
            if delivered_seq is not None:  # somebody who was removed reads for themselves only
                self._announcer.receipt_moved(conversation, version, user, delivered_seq, read_seq)
        self._tell(marks, Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"}))

    def _part(self, user: str, conversation: str, mark: _Mark, until: int) -> None:
        """Some of these are ahead of the log, so nothing was written: refuse those, and write the others next."""
        for delivered, read, done in mark.asked:
            if max(delivered, read) > until:
                done(Refusal(ErrorCode.INVALID, fields={"seq": "no such entry yet"}))
            else:
                self.submit(user, conversation, delivered=delivered, read=read, done=done)

    def _tell(self, marks: dict[tuple[str, str], _Mark], refusal: Refusal | None) -> None:
        for mark in marks.values():
            for _, _, done in mark.asked:
                done(refusal)
