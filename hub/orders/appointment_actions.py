"""What people do with appointments: see one, move it, cancel it, note that nobody came. One use case, one transaction."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import booking_store, reminder_plan, store
from hub.orders.actions import Orders, locked_order, seen_appointment
from hub.orders.booking_actions import check_time
from hub.orders.event import AppointmentMissed, AppointmentMoved
from hub.orders.model import (
    MISSABLE,
    MOVABLE,
    Appointment,
    AppointmentState,
    Order,
    State,
    Trigger,
    conflict,
)
from hub.orders.order_actions import driven
from hub.orders.progress import advance_locked
from hub.orders.reading import show_appointment
from hub.orders.seat import take_seat
from hub.orders.slot import Span, offering
from hub.orders.standing import permit, permit_decide
from hub.orders.view import AppointmentView
from hub.platform.error import ErrorCode, Refusal
from hub.platform.outbox import publish
from hub.security.token import Principal

# From each state on, the moves that are left until the order of a patient who did not come is completed.
_ON = {
    State.PAID: Trigger.CONFIRM,
    State.CONFIRMED: Trigger.START_SERVICE,
    State.IN_PROGRESS: Trigger.COMPLETE_SERVICE,
}


async def show(orders: Orders, who: Principal, appointment_id: str) -> AppointmentView:
    """Raises `Refusal`."""
    async with orders.database.transaction() as connection:
        _, order, standing = await seen_appointment(orders, connection, who, appointment_id)
        return await show_appointment(orders, connection, who, standing, order)


async def cancel(orders: Orders, who: Principal, appointment_id: str, reason: str) -> AppointmentView:
    """Cancel its order. Raises `Refusal`."""
    async with orders.database.transaction() as connection:
        _, order, standing = await seen_appointment(orders, connection, who, appointment_id)
        moved = await driven(orders, connection, who, standing, order, Trigger.CANCEL, reason)
        view = await show_appointment(orders, connection, who, standing, moved)
    orders.outbox.wake()
    return view


async def reschedule(orders: Orders, who: Principal, appointment_id: str, to: datetime) -> AppointmentView:
    """Give its place up for one at another time of the same provider, both in one transaction; asking again changes
    nothing. Raises `Refusal`: as booking does, and 409 naming the state once the service has begun or ended."""
    now = orders.clock.now()
    check_time(to, now, orders.settings.booking_days)
    async with orders.database.transaction() as connection:
        found, order, standing = await seen_appointment(orders, connection, who, appointment_id)
        permit_decide(standing)
        check_movable(found)
        if found.starts_at != to:
            await _move(connection, who, found, Span(to, to + (found.ends_at - found.starts_at)), now)
        view = await show_appointment(orders, connection, who, standing, order)
    orders.outbox.wake()
    return view


async def miss(orders: Orders, who: Principal, appointment_id: str) -> AppointmentView:
    """The patient did not come: the appointment is `no_show` for ever, and the order goes on to `completed` by the
    moves that there are. Raises `Refusal`."""
    now = orders.clock.now()
    async with orders.database.transaction() as connection:
        found, order, standing = await seen_appointment(orders, connection, who, appointment_id)
        permit(standing, Trigger.COMPLETE_SERVICE)
        order = await locked_order(connection, order.id)
        found = await same_appointment(connection, found)
        if found.state not in MISSABLE:
            raise conflict(found.state)
        if now < found.starts_at:
            raise Refusal(ErrorCode.CONFLICT, "appointment_early", fields={"scheduledTime": "appointment_early"})
        await store.change_appointment(connection, found.id, now, state=AppointmentState.NO_SHOW)
        await reminder_plan.end(connection, found.id)
        await store.release(connection, order.id, now)
        await publish(connection, AppointmentMissed(subject=order.id, at=now, by=who.user, appointment=found.id))
        order = await _complete(connection, order, now, who.user)
        view = await show_appointment(orders, connection, who, standing, order)
    orders.outbox.wake()
    return view


def check_movable(appointment: Appointment) -> None:
    if appointment.state not in MOVABLE:
        raise conflict(appointment.state)


async def same_appointment(connection: AsyncConnection, before: Appointment) -> Appointment:
    """The appointment under the lock of its order, if its time and provider are as they were. Raises `Refusal`."""
    found = await store.appointment(connection, before.id)
    if found is None or (found.revision, found.staff_id) != (before.revision, before.staff_id):
        raise Refusal(ErrorCode.CONFLICT)
    return found


async def _move(connection: AsyncConnection, who: Principal, found: Appointment, span: Span, now: datetime) -> None:
    seat = await take_seat(connection, found.user_id, [found.staff_id], span, offering, apart_from=found.id)
    await locked_order(connection, found.order_id)
    found = await same_appointment(connection, found)
    check_movable(found)
    await booking_store.move_booking(connection, found.id, seat, span)
    revision = found.revision + 1
    times = {"starts_at": span.starts_at, "ends_at": span.ends_at, "revision": revision}
    unanswered = {"attendance": None, "attendance_at": None, "attendance_by": None, "attendance_answers": 0}
    await store.change_appointment(connection, found.id, now, **times, **unanswered)
    await reminder_plan.plan(connection, found.id, now)
    moved = AppointmentMoved(subject=found.order_id, at=now, by=who.user, appointment=found.id, revision=revision)
    await publish(connection, moved)


async def _complete(connection: AsyncConnection, order: Order, now: datetime, by: str) -> Order:
    while order.state is not State.COMPLETED:
        order = await advance_locked(connection, order, _ON[order.state], now=now, by=by)
    return order
