"""Use cases of plans: make, see, list, change, end. One use case, one transaction."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.care import occurrence_store
from hub.care import plan_store as store
from hub.care.event import PlanChanged, PlanEnded
from hub.care.occurrence import State as Fate
from hub.care.occurrence_window import make_ahead, remake
from hub.care.plan import SHOWN, Kind, Plan, State, occurrences, state_at
from hub.care.plan_change import Change, Wanted, changed, ended, planned
from hub.care.recurrence import LAST
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import Outbox, publish
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal

# Not ended, of one person: more than anybody keeps to, and few enough for the scheduler. Two at once may be one more.
OPEN_PLANS = 200
OPEN_CRITICAL = 10  # of them: each that is missed calls whoever is on duty
ADHERENCE = timedelta(days=30)


class Shown(msgspec.Struct, frozen=True):
    """A plan as it stands now, when it is due next, and how many of the last 30 days were done, skipped, missed."""

    plan: Plan
    state: State
    next: list[datetime]
    adherence: Mapping[Fate, int]


class HealthPlans:
    """One per process."""

    def __init__(
        self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock, outbox: Outbox
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock
        self._outbox = outbox

    async def make(self, who: Principal, person: str | None, wanted: Wanted) -> Shown:
        """A plan for a person, for oneself if nobody is named."""
        person, now = person or who.user, self._now()
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_WRITE)
            if await store.count_open(connection, person, now) >= OPEN_PLANS:
                raise Refusal(ErrorCode.CONFLICT, "plans_too_many")
            plan = planned(wanted, person, who.user, now)
            if plan.critical:
                await self._check_critical(connection, plan, now)
            await store.add(connection, await self._sealer.key_for(person), plan)
            await make_ahead(connection, [(plan, now)], now)
            await publish(connection, PlanChanged(subject=plan.id))
        self._outbox.wake()
        return _shown(plan, now, {})

    async def show(self, who: Principal, plan: str) -> Shown:
        """It leaves a row in the audit."""
        now = self._now()
        async with self._database.transaction() as connection:
            found = await self._find(connection, who, plan, Need.HEALTH_READ)
            counts = await occurrence_store.counts(connection, [plan], now - ADHERENCE)
            await self._audit.record(connection, who, found.user, "health_plan.read", plan)
        return _shown(found, now, counts[plan])

    async def list(
        self, who: Principal, person: str | None, kind: Kind | None, state: State | None, paging: Paging
    ) -> Page[Shown]:
        """The plans of a person, of oneself if nobody is named; ended ones too, unless a state is asked for."""
        person, now = person or who.user, self._now()
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            found, total = await store.page(connection, self._sealer, person, kind, state, now, paging)
            counts = await occurrence_store.counts(connection, [plan.id for plan in found], now - ADHERENCE)
            await self._audit.record(connection, who, person, "health_plan.list")
        items = []
        for plan in found:
            items.append(_shown(plan, now, counts[plan.id]))
            await asyncio.sleep(0)  # a rule takes up to 4 ms, a page of them 0.4 s: others have their turn between
        return page_of(items, paging, total)

    async def change(self, who: Principal, plan: str, change: Change) -> Shown:
        """Change what is given; its answer shows the plan, so it leaves a row in the audit as well."""
        now = self._now()
        async with self._database.transaction() as connection:
            before = await self._find(connection, who, plan, Need.HEALTH_WRITE, lock=True)
            after = changed(before, change, now)
            if after.critical and not before.critical:
                await self._check_critical(connection, after, now)
            if after is not before:
                await store.save(connection, await self._sealer.key_for(after.user), after)
            if after.revision != before.revision:
                await remake(connection, after, now)
                await publish(connection, PlanChanged(subject=plan))
            counts = await occurrence_store.counts(connection, [plan], now - ADHERENCE)
            await self._audit.record(connection, who, after.user, "health_plan.change", plan)
        self._outbox.wake()
        return _shown(after, now, counts[plan])

    async def end(self, who: Principal, plan: str) -> Shown:
        """End it for good; it is kept. Ending again changes nothing."""
        now = self._now()
        async with self._database.transaction() as connection:
            before = await self._find(connection, who, plan, Need.HEALTH_WRITE, lock=True)
            after = ended(before, now)
            if after is not before:
                await store.save(connection, await self._sealer.key_for(after.user), after)
                await remake(connection, after, now)
                await publish(connection, PlanEnded(subject=plan))
            counts = await occurrence_store.counts(connection, [plan], now - ADHERENCE)
            await self._audit.record(connection, who, after.user, "health_plan.end", plan)
        self._outbox.wake()
        return _shown(after, now, counts[plan])

    async def _check_critical(self, connection: AsyncConnection, plan: Plan, now: datetime) -> None:
        """What is critical is sealed: all that are open are read."""
        others = await store.of_person(connection, self._sealer, plan.user, now, ())
        if sum(each.critical for each in others if each.id != plan.id) >= OPEN_CRITICAL:
            raise Refusal(ErrorCode.CONFLICT, "plans_critical_too_many")

    async def _find(
        self, connection: AsyncConnection, who: Principal, plan: str, need: Need, *, lock: bool = False
    ) -> Plan:
        found = await store.find(connection, self._sealer, plan, lock=lock) if is_id(plan) else None
        if found is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        await self._access.permit(connection, who, found.user, need)
        return found

    def _now(self) -> datetime:
        now = self._clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as fine as the wire shows


def _shown(plan: Plan, now: datetime, adherence: Mapping[Fate, int]) -> Shown:
    return Shown(plan, state_at(plan, now), occurrences(plan, now, LAST, SHOWN), adherence)
