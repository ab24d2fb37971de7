"""What people do about who may act for whom: ask, accept, decline, end, look. One use case, one transaction."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import relation as rules
from hub.accounts import relation_store as store
from hub.accounts import store as accounts_store
from hub.accounts.event import RelationAccepted, RelationAsked, RelationEnded
from hub.accounts.relation import Asking, Kind, Relation
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import Outbox, publish
from hub.platform.page import Page, Paging, page_of
from hub.security.masking import mask_name
from hub.security.token import Principal

DAY = timedelta(days=1)


class Asked(msgspec.Struct, frozen=True):
    """A relation that waits for an answer, for telling the person who was asked."""

    user: str
    asker_name: str  # masked
    asker_acts: bool  # the asker wants to act for the other; else the other shall act for the asker
    kind: Kind


class Relations:
    """The use cases. One per process."""

    def __init__(self, database: Database, outbox: Outbox, chosen: settings.Accounts, clock: Clock) -> None:
        self._database = database
        self._outbox = outbox
        self._settings = chosen
        self._clock = clock

    def now(self) -> datetime:
        """The moment by which relations are judged."""
        return self._clock.now()

    async def ask(self, who: Principal, asking: Asking) -> Relation:
        """Ask; it gives nothing until the other side accepts. The same again is the same relation."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            rules.check_asking(asking, who.user, await store.lock_asker(connection, who.user), now)
            existing = await store.existing(connection, who.user, asking)
            if existing is not None and existing.shown_state(now) != "expired":
                if rules.is_repeated(existing, asking):
                    return existing
                raise Refusal(ErrorCode.CONFLICT, "relation_exists")
            if existing is not None:
                await store.end(connection, existing.id, existing.expires_at or now)
            await self._check_limit(connection, who.user, now)
            fresh = await self._add(connection, who.user, asking, now)
            await publish(connection, RelationAsked(subject=fresh.id))
        self._outbox.wake()
        return fresh

    async def _check_limit(self, connection: AsyncConnection, asker: str, now: datetime) -> None:
        asked_at = await store.asked_at(connection, asker, self._settings.relations_asked_per_day)
        if asked_at is not None and asked_at + DAY > now:
            wait_ms = int((asked_at + DAY - now) / timedelta(milliseconds=1))
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=wait_ms)

    async def _add(self, connection: AsyncConnection, asker: str, asking: Asking, now: datetime) -> Relation:
        if asking.user is not None and await accounts_store.user_by_id(connection, asking.user) is None:
            raise rules.unknown_user()
        try:
            relation = await store.add(connection, asker, asking, now)
        except IntegrityError as error:  # the other side asked for the same just now
            raise Refusal(ErrorCode.CONFLICT, "relation_exists") from error
        return _found(await store.relation(connection, asker, relation))

    async def accept(self, who: Principal, relation: str) -> Relation:
        """The asked side agrees: from now on one may act for the other."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await self._locked(connection, who, relation)
            if not rules.check_answer(found, "active", now):
                return found
            try:
                await self._activate(connection, found, who.user, now)
            except IntegrityError as error:  # the two have such a relation, from another asking
                raise Refusal(ErrorCode.CONFLICT, "relation_exists") from error
            accepted = _found(await store.relation(connection, who.user, relation))
            assert accepted.person is not None
            assert accepted.actor is not None
            event = RelationAccepted(subject=relation, person=accepted.person, actor=accepted.actor)
            await publish(connection, event)
        self._outbox.wake()
        return accepted

    async def _activate(self, connection: AsyncConnection, found: Relation, by: str, now: datetime) -> None:
        await store.end_expired(connection, found.id, found.person or by, found.actor or by, now)
        await store.answer(connection, found.id, by, "active", now)

    async def decline(self, who: Principal, relation: str) -> Relation:
        """The asked side does not agree."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await self._locked(connection, who, relation)
            if not rules.check_answer(found, "declined", now):
                return found
            await store.answer(connection, relation, who.user, "declined", now)
            return _found(await store.relation(connection, who.user, relation))

    async def end(self, who: Principal, relation: str) -> None:
        """Either side ends it, at once; who was asked declines so. Repeating changes nothing."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await self._locked(connection, who, relation)
            if found.state == "asked" and not found.asked_by_me:
                await store.answer(connection, relation, who.user, "declined", now)
            elif found.state in ("asked", "active"):
                await store.end(connection, relation, min(now, found.expires_at or now))
            if found.state == "active" and found.person is not None and found.actor is not None:
                await publish(connection, RelationEnded(subject=relation, person=found.person, actor=found.actor))
        self._outbox.wake()

    async def _locked(self, connection: AsyncConnection, who: Principal, relation: str) -> Relation:
        if not is_id(relation):
            raise Refusal(ErrorCode.NOT_FOUND)
        return _found(await store.relation(connection, who.user, relation, lock=True))

    async def list(self, who: Principal, state: str | None, paging: Paging) -> Page[Relation]:
        """All that one asked, was asked, has and had."""
        async with self._database.transaction() as connection:
            found, total = await store.relations(connection, who.user, state, paging, self._clock.now())
        return page_of(found, paging, total)


def _found(relation: Relation | None) -> Relation:
    if relation is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return relation


async def asked(connection: AsyncConnection, relation: str) -> Asked | None:
    """Who waits for whose answer; None if nobody does: it was answered, or nobody has that phone."""
    found = await store.asked(connection, relation)
    return None if found is None else Asked(found[0], mask_name(found[1]), found[2], found[3])
