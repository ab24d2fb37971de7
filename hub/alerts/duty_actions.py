"""Looking after duty rosters: who has which role of the ladder, and when nobody has. One use case, one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.admin import check_reader
from hub.alerts import duty_store as store
from hub.alerts.duty import ROLES, DutyRole, Gap, Planned, Shift, check_changeable, check_window, faults, gaps
from hub.platform.clock import Clock, rfc3339
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit, chain_of
from hub.security.token import Principal

SOON = timedelta(hours=24)


class Duties:
    """The use cases, all for staff and admins. One per process; every change leaves a row in the audit of whose duty it is."""

    def __init__(self, database: Database, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def add(self, who: Principal, planned: Sequence[Planned], *, is_many: bool) -> list[Shift]:
        """All of these or none. With `is_many` what is wrong is named with its place: `[1].userId`. Raises `Refusal`."""
        check_reader(who)
        now, ids = self._clock.now(), [new_id() for _ in planned]
        async with self._database.transaction() as connection:
            await store.lock(connection)
            await self._check(connection, planned, now, is_many=is_many)
            for shift, wanted in zip(ids, planned, strict=True):
                await store.add(connection, shift, wanted, who.user, now)
            await _check_apart(connection, ids, is_many=is_many)
            added = [await _known(connection, shift) for shift in ids]
            for each in sorted(added, key=lambda each: chain_of(each.user)):
                await self._audit.record(connection, who, each.user, "duty.added", _described(each))
        return added

    async def replace(self, who: Principal, shift: str, planned: Planned) -> Shift:
        """All of a shift that is not over. Raises `Refusal`."""
        check_reader(who)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection)
            before = await _known(connection, shift)
            check_changeable(before, now)
            await self._check(connection, [planned], now, is_many=False)
            await store.save(connection, shift, planned)
            await _check_apart(connection, [shift], is_many=False)
            after = await _known(connection, shift)
            for user in sorted({before.user, after.user}, key=chain_of):
                subject = f"{_described(before)} -> {_described(after)}"
                await self._audit.record(connection, who, user, "duty.changed", subject)
        return after

    async def delete(self, who: Principal, shift: str) -> None:
        """One that has begun ends now and stays in the roster: it says who was told meanwhile. Raises `Refusal`."""
        check_reader(who)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection)
            found = await _known(connection, shift)
            check_changeable(found, now)
            if found.starts_at < now:
                await store.end(connection, shift, now)
            else:
                await store.delete(connection, shift)
            action = "duty.ended" if found.starts_at < now else "duty.deleted"
            await self._audit.record(connection, who, found.user, action, _described(found))

    async def list(
        self, who: Principal, role: DutyRole | None, start: datetime | None, end: datetime | None, paging: Paging
    ) -> Page[Shift]:
        """What touches the stretch; the coming week when none is named. Raises `Refusal`."""
        check_reader(who)
        start, end = self._window(start, end)
        async with self._database.transaction() as connection:
            found, total = await store.page(connection, role, start, end, paging)
        return page_of(found, paging, total)

    async def now(self, who: Principal) -> Mapping[DutyRole, Sequence[Shift]]:
        """Who would be told of an alert now, role by role, in that order."""
        check_reader(who)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return {role: await store.running(connection, role, now) for role in ROLES}

    async def gaps(self, who: Principal, start: datetime | None, end: datetime | None) -> Sequence[Gap]:
        """When nobody has a role; of the coming week when no stretch is named. Raises `Refusal`."""
        check_reader(who)
        start, end = self._window(start, end)
        async with self._database.transaction() as connection:
            return await _gaps(connection, start, end)

    def _window(self, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
        start = start or self._clock.now()
        end = end or start + timedelta(days=7)
        check_window(start, end)
        return start, end

    async def _check(
        self, connection: AsyncConnection, planned: Sequence[Planned], now: datetime, *, is_many: bool
    ) -> None:
        roles = await store.account_roles(connection, {each.user for each in planned if is_id(each.user)})
        wrong = {
            _place(number, field, is_many=is_many): reason
            for number, each in enumerate(planned)
            for field, reason in faults(each, roles.get(each.user), now).items()
        }
        if wrong:
            raise Refusal(ErrorCode.INVALID, fields=wrong)


async def soon_uncovered(connection: AsyncConnection, now: datetime) -> Sequence[Gap]:
    """The gaps of the next 24 hours, where rosters or alerts are in use at all."""
    return await _gaps(connection, now, now + SOON) if await store.is_used(connection) else ()


async def _gaps(connection: AsyncConnection, start: datetime, end: datetime) -> list[Gap]:
    return [gap for role in ROLES for gap in gaps(role, await store.taken(connection, role, start, end), start, end)]


async def _known(connection: AsyncConnection, shift: str) -> Shift:
    found = await store.find(connection, shift) if is_id(shift) else None
    if found is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return found


async def _check_apart(connection: AsyncConnection, shifts: Sequence[str], *, is_many: bool) -> None:
    """Nobody has the same role twice at once: the roster that was sent twice is found so."""
    overlapping = await store.overlapping(connection, shifts)
    fields = {
        _place(number, "startsAt", is_many=is_many): "duty_overlaps"
        for number, shift in enumerate(shifts)
        if shift in overlapping
    }
    if fields:
        raise Refusal(ErrorCode.CONFLICT, fields=fields)


def _place(number: int, field: str, *, is_many: bool) -> str:
    return f"[{number}].{field}" if is_many else field


def _described(shift: Shift) -> str:
    """For the audit."""
    return f"{shift.id} {shift.role} {rfc3339(shift.starts_at)}/{rfc3339(shift.ends_at)}"
