"""What the timers of plans do: make occurrences ahead, remind of them, find them missed. All in the transaction of the timer."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import occurrence_store as store
from hub.care import plan_store
from hub.care.event import MeasurementMissed
from hub.care.occurrence import PLAN_DUE, PLAN_MISSED, PLAN_WINDOW, Occurrence, key_of, place_of
from hub.care.occurrence_window import make_ahead, measured_now
from hub.care.plan import Plan
from hub.messaging.actions import Outcome
from hub.messaging.model import CardBody
from hub.notices.actions import Notices, Telling, notify_all, tell_all
from hub.notices.draft import Draft
from hub.platform.clock import rfc3339
from hub.platform.outbox import publish
from hub.platform.text import text
from hub.security.sealing import Sealer
from hub.timers.firing import Done, Firing
from hub.timers.model import Due

WINDOWS = 50  # in one transaction: each may take 8 ms of computing


class PlanTimers:
    """One per scheduler. Plans are read without a lock: whoever changes one cancels its timers first, and waits for us."""

    def __init__(self, sealer: Sealer, notices: Notices) -> None:
        self._sealer = sealer
        self._notices = notices

    def subscribe(self, firing: Firing) -> None:
        firing.subscribe(PLAN_WINDOW, self._extend, batch=WINDOWS)
        firing.subscribe(PLAN_DUE, self._remind)
        firing.subscribe(PLAN_MISSED, self._miss)

    async def _extend(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        plans = await plan_store.find_all(connection, self._sealer, {each.subject for each in due})
        current = [each for each in due if each.subject in plans and plans[each.subject].revision == each.revision]
        await make_ahead(connection, [(plans[each.subject], place_of(each.key)[0]) for each in current], now)
        return Done(void=_without(due, current))

    async def _remind(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        ripe, plans, measured = await self._ripe(connection, due, now)
        told = [
            msgspec.structs.replace(each, told_at=now)
            for each in ripe
            if each.plan in plans and plans[each.plan].state == "active"
        ]
        await store.save(connection, [*measured, *told])
        timers = {(each.subject, each.key): each for each in due}
        by_place = [(each, timers[each.plan, key_of(each.at, each.snoozes)]) for each in told]
        tellings = [_telling(each, plans[each.plan], timer) for each, timer in by_place]
        outcomes = await notify_all(self._notices, connection, tellings, now=now)
        return Done(void=_without(due, [timer for _, timer in by_place]), tell=[partial(self._tell, outcomes)])

    async def _miss(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        ripe, plans, measured = await self._ripe(connection, due, now)
        missed = [msgspec.structs.replace(each, state="missed") for each in ripe]
        await store.save(connection, [*measured, *missed])
        # Of each plan the last one only: after an outage one asks once.
        last = {each.plan: each for each in sorted(missed, key=lambda each: each.at)}
        await publish(
            connection,
            *(
                MeasurementMissed(subject=each.user, plan=each.plan, occurrence=each.id)
                for each in last.values()
                if each.plan in plans and plans[each.plan].critical and plans[each.plan].state == "active"
            ),
        )
        places = {(each.plan, key_of(each.at, each.snoozes)) for each in [*measured, *missed]}
        return Done(void=[each.id for each in due if (each.subject, each.key) not in places])

    async def _ripe(
        self, connection: AsyncConnection, due: Sequence[Due], now: datetime
    ) -> tuple[list[Occurrence], dict[str, Plan], list[Occurrence]]:
        """What nothing became of, its plans, and what a reading has made done by now."""
        found = await store.lock_ripe(connection, due)
        plans = await plan_store.find_all(connection, self._sealer, {each.plan for each in found})
        measured = await measured_now(connection, found, list(plans.values()), now)
        served = {each.id for each in measured}
        return [each for each in found if each.id not in served], plans, measured

    async def _tell(self, outcomes: Sequence[Outcome]) -> None:
        tell_all(self._notices, outcomes)


def _telling(found: Occurrence, plan: Plan, timer: Due) -> Telling:
    """The entry says what it is about, for it is sealed; outside it is a reminder and nothing more."""
    at = found.at.astimezone(ZoneInfo(plan.timing.timezone))
    return Telling(
        code="plan",
        draft=Draft(
            user=found.user,
            dedupe_key=f"plan-{found.id}-{found.snoozes}",
            subject=f"plan:{plan.id}",
            expires_at=timer.expires_at,
        ),
        body=CardBody(
            card="plan",
            id=f"{plan.id}/{rfc3339(found.at)}",
            title=plan.title or text(f"plan_{plan.kind}"),
            summary=f"{text(f'plan_{plan.kind}')} · {at.month}月{at.day}日 {at:%H:%M}",
        ),
    )


def _without(due: Sequence[Due], kept: Sequence[Due]) -> list[str]:
    ids = {each.id for each in kept}
    return [each.id for each in due if each.id not in ids]
