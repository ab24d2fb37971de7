"""Making occurrences ahead, with their timers, in the transaction of the plan that they belong to.

Locks are taken in one order: the plan (by who changes it), its timers, its occurrences. Who fires a timer has it locked
already and only reads the plan.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import occurrence_store as store
from hub.care.occurrence import (
    PLAN_DUE,
    PLAN_MISSED,
    PLAN_WINDOW,
    Occurrence,
    Pick,
    measured,
    planned,
    stretch,
    timers_again,
    timers_of,
)
from hub.care.plan import Plan
from hub.platform.identifier import new_id
from hub.timers.actions import remove, set_timers


async def make_ahead(connection: AsyncConnection, wanted: Sequence[tuple[Plan, datetime]], now: datetime) -> None:
    """For each plan its next stretch from the moment given, and the timer that goes on from there."""
    stretches = []
    for plan, after in wanted:
        stretches.append((plan, stretch(plan, after, now)))
        await asyncio.sleep(0)  # a rule takes up to 4 ms: others have their turn between
    rows = [planned(plan, at, new_id()) for plan, made in stretches for at in made.moments]
    fresh = await store.add(connection, rows)
    timers = []
    for plan, made in stretches:
        timers += timers_of(plan, made, {at for at in made.moments if (plan.id, at) in fresh})
    await set_timers(connection, timers)


async def remake(connection: AsyncConnection, plan: Plan, now: datetime) -> None:
    """After a change of when it is due, `plan` being locked and of a new revision: what is to come is made anew.

    What is over stays as it is; what was due before can still be done, and is missed at its time.
    """
    # A window that is being extended at this moment is waited for; what it made is seen by the statements after this one.
    await remove(connection, [PLAN_WINDOW], plan.id, before=plan.revision)
    # Removed, not cancelled: who changes a plan over and over leaves nothing. Its revision keeps them from being set again.
    await remove(connection, [PLAN_WINDOW, PLAN_DUE, PLAN_MISSED], plan.id, before=plan.revision)
    standing = await store.renew(connection, plan.id, plan.revision, now)
    await set_timers(connection, timers_again(plan, standing))
    if plan.state == "active":
        await make_ahead(connection, [(plan, now)], now)


async def measured_now(
    connection: AsyncConnection, due: Sequence[Occurrence], plans: Sequence[Plan], now: datetime
) -> list[Occurrence]:
    """Those of these that a reading has made done."""
    types = {plan.id: plan.measurement_type for plan in plans if plan.measurement_type is not None}
    found: list[Pick] = await store.picks(connection, due, types, now)
    return measured(due, found)
