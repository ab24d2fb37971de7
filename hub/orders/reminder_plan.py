"""Setting the timers of reminders, in the transaction that changes an appointment or what somebody wishes (P10)."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import reminder_store as store
from hub.orders.model import REMINDED, AppointmentState
from hub.orders.reminder import KIND, Wishes, target
from hub.orders.reminder import timers as timers_of
from hub.orders.reminder_store import Hearer
from hub.platform.identifier import new_id
from hub.timers import actions as timers


async def follow(connection: AsyncConnection, appointment: str, state: AppointmentState, now: datetime) -> None:
    """The appointment came to this state."""
    if state is AppointmentState.SCHEDULED:
        await plan(connection, appointment, now)
    elif state not in REMINDED:
        await end(connection, appointment)


async def plan(connection: AsyncConnection, appointment: str, now: datetime) -> None:
    """What was set for it ends, and what holds now is set. Whoever calls it holds the lock of its order."""
    await store.hold_wishes(connection, appointment)
    await plan_all(connection, [appointment], now)


async def end(connection: AsyncConnection, appointment: str) -> None:
    """Nobody is reminded of it any more."""
    await timers.cancel(connection, [KIND], appointment)


async def plan_all(connection: AsyncConnection, appointments: Collection[str], now: datetime) -> None:
    """The same for many, for who holds the wishes of the person because of whom it is done. Four statements.

    Others may be doing it for another person of the same appointment: then both sets stay, what is no longer wanted of
    them is void when it fires, and what is there twice is said once.
    """
    if not appointments:
        return
    ended = await timers.cancel(connection, [KIND], *appointments)
    courses = (await store.occasions(connection, appointments, now)).values()
    wishes = wishes_of(await store.hearers(connection, courses))
    stamp = new_id()[-12:]
    # What has come and was not looked at yet is still to be said: its time is not over because a scheduler is late.
    waiting = {(each.subject, target(each)) for each in ended if each.due_at <= now}
    await timers.set_timers(
        connection, [each for course in courses for each in timers_of(course, wishes, now, stamp, waiting)]
    )


def wishes_of(hearers: Mapping[str, Hearer]) -> Wishes:
    return {person: each.minutes for person, each in hearers.items() if each.minutes is not None}
