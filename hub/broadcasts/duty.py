"""What a worker does: go on with a broadcast, chunk by chunk, or withdraw the notices of one that was cancelled.

May be repeated, cut off, and run twice at once: each chunk is one transaction under the row's lock that also moves the
cursor on, so nobody is left out or reached twice. Sending what the notices say is the notice workers' business.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.broadcasts import model as rules
from hub.broadcasts import store as store
from hub.broadcasts.actions import text_of, title_of
from hub.broadcasts.store import Due, Row
from hub.messaging import broadcast as log_of
from hub.messaging.broadcast import Saying
from hub.messaging.history import History
from hub.messaging.model import Entry
from hub.messaging.port import MemberChange
from hub.notices.class_book import ClassBook
from hub.notices.draft import Draft, insert
from hub.notices.notice_class import NoticeClass
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.sealing import DataKey, Sealer

BUDGET_S = 8.0  # of one job: less than a worker that is told to stop waits for
LEASE = timedelta(seconds=30)  # more than one job takes, its last chunk included
AGAIN = timedelta(seconds=1)  # until notices that somebody had locked are looked at again

Announce = Callable[[Entry, Sequence[MemberChange]], Awaitable[None]]

log = structlog.get_logger("hub.broadcast")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the duty stands on. `announce` tells sockets of new readers after a commit; it never raises."""

    database: Database
    sealer: Sealer
    history: History
    classes: ClassBook
    clock: Clock
    shards: int
    announce: Announce


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction did. `due_at`: when the next one is due; None: there is none."""

    seq: int
    changes: Sequence[MemberChange]
    due_at: datetime | None


async def due_broadcasts(database: Database, now: datetime, at_most: int) -> Sequence[Due]:
    """Which wait for a worker, for a sweep to enqueue; each `runs` once."""
    async with database.transaction() as connection:
        return await store.due(connection, now, at_most)


async def advance(desk: Desk, broadcast: str) -> None:
    """Go on for `BUDGET_S` at most; nothing to do is fine."""
    lease, now = new_id(), desk.clock.now()
    async with desk.database.transaction() as connection:
        row = await store.lease(connection, broadcast, lease, now, now + LEASE)
    if row is None:
        return
    next_at = await (_spread(desk, row, lease) if row.state == "running" else _withdraw(desk, row.id))
    async with desk.database.transaction() as connection:
        await store.give_back(connection, broadcast, lease, next_at)


async def _spread(desk: Desk, row: Row, lease: str) -> datetime | None:
    """Chunk after chunk, until it is done, not due yet, or taken away; the answer is when it is due again."""
    key = await desk.sealer.key_for(row.id)  # before any lock: it may need a connection of its own
    chosen = await desk.classes.of(row.class_)
    end_at = desk.clock.monotonic() + BUDGET_S
    due_at: datetime | None = row.next_at
    entry: Entry | None = None
    while due_at is not None and due_at <= desk.clock.now():
        chunk = await reach(desk, row.id, lease, key, chosen, due_at)
        if chunk is None:
            return None
        if chunk.changes:
            entry = entry or await log_of.said(desk.history, row.id, chunk.seq)
            await desk.announce(entry, chunk.changes)
        due_at = chunk.due_at
        if desk.clock.monotonic() >= end_at:
            break
    return due_at


async def reach(
    desk: Desk, broadcast: str, lease: str, key: DataKey, chosen: NoticeClass, due_at: datetime
) -> Chunk | None:
    """The next chunk, in one transaction; None if the lease was taken away. The first opens the conversation."""
    began = desk.clock.monotonic()
    async with desk.database.transaction() as connection:
        row = await store.held(connection, broadcast, lease)
        if row is None:
            return None
        row, opened = (row, []) if row.seq is not None else await _open(desk, connection, row, key)
        seq = row.seq or 0
        found = await _next(connection, row, chosen)
        users = [user for user, why in found.users if not why]
        changes = await log_of.add_readers(connection, row.id, seq, users)
        told = await _notify(desk, connection, row, chosen, users)
        now = desk.clock.now()
        next_at = rules.due_after(due_at, now, told, row.per_s) if found.until is not None else None
        after = {**_after(row, found, told), "busy_s": row.busy_s + desk.clock.monotonic() - began}
        if next_at is None:
            after |= {"state": "done", "finished_at": now, "lease": None, "next_at": None}
        await store.change(connection, row.id, after)
    if next_at is None:
        log.info("broadcast done", broadcast=row.id, looked_at=after["looked_at"], reached=after["reached"])
    return Chunk(seq, [*opened, *changes], next_at)


async def _open(desk: Desk, connection: AsyncConnection, row: Row, key: DataKey) -> tuple[Row, list[MemberChange]]:
    """Say it: from now on the text is the entry, and nowhere else."""
    saying = Saying(row.id, title_of(row, key), row.created_by, text_of(row, key))
    outcome, seq = await log_of.say(connection, saying, key)
    started = {"seq": seq, "body": None, "started_at": desk.clock.now()}
    return await store.change(connection, row.id, started), list(outcome.changes)


async def _next(connection: AsyncConnection, row: Row, chosen: NoticeClass) -> store.Next:
    return await store.next_users(
        connection,
        row.segment,
        row.cursor,
        rules.chunk_of(row.per_s),
        code=chosen.code,
        consent=chosen.consent,
        optional=not chosen.mandatory,
    )


async def _notify(desk: Desk, connection: AsyncConnection, row: Row, chosen: NoticeClass, users: Sequence[str]) -> int:
    """One notice each, in the lane that nobody else waits in; how many are new."""
    drafts = [
        Draft(
            user=user,
            dedupe_key=f"broadcast:{row.id}:{user}",
            subject=f"broadcast:{row.id}",
            conversation=row.id,
            seq=row.seq,
            broadcast=row.id,
        )
        for user in users
    ]
    bulk = msgspec.structs.replace(chosen, lane="bulk")
    return len(await insert(connection, bulk, desk.shards, desk.clock.now(), drafts))


def _after(row: Row, found: store.Next, told: int) -> Mapping[str, object]:
    """Cursor and counts after a chunk."""
    left_out = Counter(row.left_out) + Counter(why for _, why in found.users if why)
    return {
        "cursor": found.until or row.cursor,
        "looked_at": row.looked_at + len(found.users),
        "reached": row.reached + told,
        "left_out": dict(left_out),
    }


async def _withdraw(desk: Desk, broadcast: str) -> datetime | None:
    """End the notices that are still open, in batches; the answer is when to look again, None when all are ended."""
    end_at = desk.clock.monotonic() + BUDGET_S
    while desk.clock.monotonic() < end_at:
        async with desk.database.transaction() as connection:
            if await store.withdraw(connection, broadcast) == 0:
                return desk.clock.now() + AGAIN if await store.has_open(connection, broadcast) else None
    return desk.clock.now()
