"""What staff do with broadcasts: prepare one, let it go, hold it, stop it, and look how far it is. One use case, one transaction.

Going on with one is the workers' (`broadcast_duty`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.accounts.admin import WRITERS
from hub.broadcasts import model as rules
from hub.broadcasts import store as store
from hub.broadcasts.model import PAST, BroadcastClass, Move, Progress, Segment
from hub.broadcasts.store import Row
from hub.messaging.model import STAFF_ROLES
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit
from hub.security.sealing import DataKey, Sealer
from hub.security.token import Principal

COUNTING_S = 2.0  # somebody waits for the estimate


@dataclass(frozen=True, slots=True)
class Wanted:
    """A broadcast to be. What is shown outside is the template of its class; title and text are read in the hub only."""

    title: str
    text: str
    class_: BroadcastClass
    segment: Segment
    starts_at: datetime | None = None
    per_s: int | None = None


class Shown(msgspec.Struct, frozen=True):
    """A broadcast with its title in the clear; `states`: its notices by state, where they were asked for."""

    row: Row
    title: str
    states: dict[str, int] | None = None

    @property
    def progress(self) -> Progress:
        row = self.row
        return Progress(row.state, row.estimated, row.looked_at, row.busy_s, row.per_s)


class Broadcasts:
    """The use cases. One per process."""

    def __init__(self, database: Database, sealer: Sealer, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._audit = audit
        self._clock = clock

    async def create(self, who: Principal, wanted: Wanted) -> Shown:
        """A draft, with an estimate of how many it is for. Nobody is told anything before it is started."""
        _permit(who)
        now = self._clock.now()
        rules.check_segment(wanted.segment)
        rules.check_start(wanted.starts_at, now)
        await self._check_known(wanted.segment)
        broadcast = new_id()
        key = await self._sealer.key_for(broadcast)
        estimated, is_least = await self._estimate(wanted.segment)
        values = {
            **_sealed(key, broadcast, wanted),
            "id": broadcast,
            "class_": wanted.class_,
            "segment": msgspec.to_builtins(wanted.segment),
            "estimated": estimated,
            "is_least": is_least,
            "per_s": wanted.per_s,
            "created_by": who.user,
            "created_at": now,
            "starts_at": wanted.starts_at,
        }
        async with self._database.transaction() as connection:
            row = await store.add(connection, values)
            subject = rules.described(broadcast, wanted.class_, wanted.segment)
            await self._audit.record(connection, who, who.user, "broadcast.created", subject)
        return Shown(row, wanted.title)

    async def move(self, who: Principal, broadcast: str, move: Move) -> Shown:
        """Start, pause, resume or cancel. It holds when this returns: the chunk that was under way is over, no other begins,
        and no call is begun for its notices.

        What needs no consent and names nobody is started by admins.
        """
        _permit(who)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            row = _found(await store.find(connection, known(broadcast), lock=True))
            if move == "start" and rules.needs_admin(row.class_, row.segment) and who.role not in WRITERS:
                raise Refusal(ErrorCode.FORBIDDEN, fields={"segment": "broadcast_wide"})
            row = await store.change(connection, broadcast, _changes(row, move, now))
            subject = rules.described(broadcast, row.class_, row.segment) if move == "start" else broadcast
            await self._audit.record(connection, who, who.user, f"broadcast.{PAST[move]}", subject)
        return (await self._shown([row]))[0]

    async def page(self, who: Principal, paging: Paging) -> Page[Shown]:
        _permit(who)
        async with self._database.transaction() as connection:
            rows, total = await store.page(connection, paging)
        return page_of(await self._shown(rows), paging, total)

    async def show(self, who: Principal, broadcast: str, *, with_notices: bool = True) -> Shown:
        """One of them; counting its notices takes some 20 ms per 100,000."""
        _permit(who)
        async with self._database.transaction() as connection:
            row = _found(await store.find(connection, known(broadcast)))
            states = await store.notice_states(connection, broadcast) if with_notices else None
        return msgspec.structs.replace((await self._shown([row]))[0], states=states)

    async def _check_known(self, segment: Segment) -> None:
        if segment.users is None:
            return
        async with self._database.transaction() as connection:
            unknown = await store.unknown(connection, segment.users)
        if unknown:
            positions = [position for position, user in enumerate(segment.users) if user in unknown]
            raise Refusal(ErrorCode.INVALID, fields={f"segment.users[{each}]": "members_unknown" for each in positions})

    async def _estimate(self, segment: Segment) -> tuple[int, bool]:
        """How many are meant, and whether there may be more because counting all would have taken too long."""
        give_up_at = self._clock.monotonic() + COUNTING_S
        total, cursor = 0, store.NOBODY
        while True:
            async with self._database.transaction() as connection:
                counted, until = await store.count(connection, segment, cursor)
            total += counted
            if until is None:
                return total, False
            if self._clock.monotonic() >= give_up_at:
                return total, True
            cursor = until

    async def _shown(self, rows: Sequence[Row]) -> list[Shown]:
        keys = await self._sealer.by_ids({row.key_id for row in rows})
        return [Shown(row, title_of(row, key) if (key := keys[row.key_id]) else "") for row in rows]


def title_of(row: Row, key: DataKey) -> str:
    return key.open(row.title, _context(row.id, "title")).decode()


def text_of(row: Row, key: DataKey) -> str:
    """What is to be said, of one that has not started yet."""
    return key.open(row.body or b"", _context(row.id, "text")).decode()


def known(broadcast: str) -> str:
    """The id, if it could be one. Raises `Refusal`."""
    if not is_id(broadcast):
        raise Refusal(ErrorCode.NOT_FOUND)
    return broadcast


def _changes(row: Row, move: Move, now: datetime) -> dict[str, object]:
    """The columns after a move. Without its lease a worker that is at it goes no further."""
    state = rules.moved(row.state, move)
    changes: dict[str, object] = {"state": state, "lease": None}
    if state == "running":
        return {**changes, "next_at": max(now, row.starts_at or now)}
    if state == "paused":
        return {**changes, "next_at": None}
    # Of one that has begun, a worker still has to withdraw the notices.
    return {**changes, "next_at": now if row.seq is not None else None, "body": None, "finished_at": now}


def _sealed(key: DataKey, broadcast: str, wanted: Wanted) -> dict[str, object]:
    return {
        "title": key.seal(wanted.title.encode(), _context(broadcast, "title")),
        "body": key.seal(wanted.text.encode(), _context(broadcast, "text")),
        "key_id": key.id,
    }


def _context(broadcast: str, part: str) -> bytes:
    return f"{broadcast}|broadcast|{part}".encode()


def _permit(who: Principal) -> None:
    if who.role not in STAFF_ROLES:
        raise Refusal(ErrorCode.FORBIDDEN)


def _found(row: Row | None) -> Row:
    if row is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return row
