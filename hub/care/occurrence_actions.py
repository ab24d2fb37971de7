"""Use cases of occurrences: see them, and say what became of one. One use case, one transaction."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.care import occurrence_store as store
from hub.care import plan_store
from hub.care.occurrence import (
    MEASURED_BEFORE,
    PLAN_DUE,
    PLAN_MISSED,
    SNOOZES,
    Occurrence,
    done,
    due_timer,
    key_of,
    merged,
    missed_timer,
    skipped,
    snoozed,
)
from hub.care.occurrence_window import measured_now
from hub.care.plan import Plan, occurrences
from hub.care.record import bound, parse_moment
from hub.care.recurrence import LAST
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal
from hub.timers.actions import remove, set_timers

SHOWN_OCCURRENCES = 500  # in one answer, the earliest first
DAY_OCCURRENCES = 15_000  # 200 plans, each 24 times a day, over a day in all zones: more there cannot be
BEFORE, AFTER = timedelta(days=7), timedelta(days=7)  # what is shown where nothing else is asked for
ZONE_SPREAD = timedelta(hours=14)  # no local day begins further from UTC's

Turn = Callable[[Occurrence, datetime], Occurrence]


class Shown(msgspec.Struct, frozen=True):
    """An occurrence, and the plan that it is of."""

    plan: Plan
    occurrence: Occurrence


class PlanOccurrences:
    """One per process."""

    def __init__(self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock

    async def of_plan(self, who: Principal, plan: str, start: str | None, end: str | None) -> list[Shown]:
        """What became of those that were due, and those to come; it leaves a row in the audit."""
        now = self._now()
        begin = now - BEFORE if start is None else bound(start, "from")
        until = max(now, begin) + AFTER if end is None else bound(end, "to", is_end=True)
        if until <= begin:
            raise Refusal(ErrorCode.INVALID, fields={"to": "range_reversed"})
        async with self._database.transaction() as connection:
            found = await self._find(connection, who, plan, Need.HEALTH_READ)
            stored = await store.between(connection, "plan", plan, begin, until, SHOWN_OCCURRENCES)
            stored = await self._with_measured(connection, stored, [found], now)
            await self._audit.record(connection, who, found.user, "health_plan.occurrences", plan)
        shown = merged(found, stored, max(begin, now), until, SHOWN_OCCURRENCES)
        return [Shown(found, each) for each in shown]

    async def of_day(self, who: Principal, person: str | None, day: date) -> list[Shown]:
        """Of all plans of a person, of oneself if nobody is named, on a day of each plan's zone; it is audited, too."""
        person, now = person or who.user, self._now()
        utc = bound(day.isoformat(), "date") + timedelta(hours=8)
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            start, end = utc - ZONE_SPREAD, utc + timedelta(days=1) + ZONE_SPREAD
            stored = await store.between(connection, "user", person, start, end, DAY_OCCURRENCES)
            ids = {each.plan for each in stored}
            plans = await plan_store.of_person(connection, self._sealer, person, now, ids)
            stored = await self._with_measured(connection, stored, plans, now)
            await self._audit.record(connection, who, person, "health_plan.day", day.isoformat())
        shown = []
        for plan in plans:
            begin, until = _day(day, plan)
            own = [each for each in stored if each.plan == plan.id and begin <= each.at < until]
            shown += [Shown(plan, each) for each in merged(plan, own, max(begin, now), until, SHOWN_OCCURRENCES)]
            await asyncio.sleep(0)  # a rule takes up to 4 ms: others have their turn between
        return sorted(shown, key=lambda each: each.occurrence.at)[:SHOWN_OCCURRENCES]

    async def done(self, who: Principal, plan: str, at: str) -> Shown:
        """It was taken, measured, done. Doing it again changes nothing. Raises `Refusal`."""
        return await self._act(who, plan, at, "done", lambda found, now: done(found, who.user, now), ends=True)

    async def skip(self, who: Principal, plan: str, at: str) -> Shown:
        """It will not be done. Skipping again changes nothing. Raises `Refusal`."""
        return await self._act(who, plan, at, "skip", lambda found, now: skipped(found, who.user, now), ends=True)

    async def snooze(self, who: Principal, plan: str, at: str, minutes: int) -> Shown:
        """Be reminded again in so many minutes, and let it be missed as much later. Raises `Refusal`."""
        return await self._act(who, plan, at, "snooze", lambda found, now: snoozed(found, minutes, now))

    async def _act(self, who: Principal, plan: str, at: str, name: str, turn: Turn, *, ends: bool = False) -> Shown:
        moment, now = parse_moment(at, "at"), self._now()
        async with self._database.transaction() as connection:
            owner = await self._find(connection, who, plan, Need.HEALTH_WRITE)
            if ends:  # timers before occurrences: one that is firing has its occurrence next
                keys = [key_of(moment, snoozes) for snoozes in range(SNOOZES + 1)]
                await remove(connection, [PLAN_DUE, PLAN_MISSED], plan, keys=keys)
            before = await store.lock(connection, plan, moment)
            if before is None:
                raise Refusal(ErrorCode.NOT_FOUND)
            after = turn(before, now)
            if after.snoozes != before.snoozes:
                await _set_again(connection, owner, after)
            if after is not before:
                await store.save(connection, [after])
            await self._audit.record(connection, who, owner.user, f"health_plan.{name}", plan)
        return Shown(owner, after)

    async def _with_measured(
        self, connection: AsyncConnection, stored: list[Occurrence], plans: list[Plan], now: datetime
    ) -> list[Occurrence]:
        """The same, showing as done what a reading answers: the timer will write it down."""
        due = [each for each in stored if each.state == "due" and each.at <= now + MEASURED_BEFORE]
        answered = {each.id: each for each in await measured_now(connection, due, plans, now)}
        return [answered.get(each.id, each) for each in stored]

    async def _find(self, connection: AsyncConnection, who: Principal, plan: str, need: Need) -> Plan:
        found = await plan_store.find(connection, self._sealer, plan) if is_id(plan) else None
        if found is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        await self._access.permit(connection, who, found.user, need)
        return found

    def _now(self) -> datetime:
        now = self._clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as fine as the wire shows


async def _set_again(connection: AsyncConnection, plan: Plan, found: Occurrence) -> None:
    """The timers of one that was snoozed; those before find it snoozed, and do nothing."""
    if plan.state != "active":
        reason = f"plan_is_{plan.state}"
        raise Refusal(ErrorCode.CONFLICT, reason, fields={"state": reason})
    # Of the occurrence's own revision: if the plan changes at this moment, they are void, and set again by who changes it.
    owner = msgspec.structs.replace(plan, revision=found.revision)
    coming = occurrences(plan, found.at + timedelta(microseconds=1), LAST, 1)
    following = coming[0] if coming else None
    await set_timers(
        connection,
        [
            due_timer(owner, found.at, found.snoozes, found.since, following),
            missed_timer(owner, found.at, found.snoozes, found.since),
        ],
    )


def _day(day: date, plan: Plan) -> tuple[datetime, datetime]:
    zone = ZoneInfo(plan.timing.timezone)
    return datetime.combine(day, time(), zone), datetime.combine(day + timedelta(days=1), time(), zone)
