"""What somebody answers to a reminder: the patient comes, or cannot. One use case, one transaction."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import reminder_plan, store
from hub.orders.actions import Orders, locked_order, seen_appointment
from hub.orders.appointment_actions import same_appointment
from hub.orders.detail import seal_reason
from hub.orders.event import AppointmentAnswered
from hub.orders.model import MOVES, REMINDED, Appointment, Attendance, Order, Trigger, conflict
from hub.orders.order_actions import driven
from hub.orders.reading import show_appointment
from hub.orders.standing import permit_decide
from hub.orders.view import AppointmentView
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.outbox import publish
from hub.security.token import Principal

ANSWERS = 5  # to one time of an appointment: each is said to all who take part


async def answer(
    orders: Orders, who: Principal, appointment_id: str, attendance: Attendance, reason: str
) -> AppointmentView:
    """Who cannot come cancels, as long as that is a move of the order; after it is confirmed, staff decide.

    The same answer again changes nothing. Raises `Refusal`: 409 naming the state once the service has begun or ended, and
    409 after so many answers that staff should be called.
    """
    async with orders.database.transaction() as connection:
        found, order, standing = await seen_appointment(orders, connection, who, appointment_id)
        permit_decide(standing)
        order = await locked_order(connection, order.id)
        found = await same_appointment(connection, found)
        if found.attendance is not attendance:
            declines = attendance is Attendance.DECLINED
            cancels = declines and (order.state, Trigger.CANCEL) in MOVES
            if not cancels and found.state not in REMINDED:
                raise conflict(found.state)
            if not cancels and found.attendance_answers >= ANSWERS:
                raise Refusal(ErrorCode.CONFLICT, "answers_many", fields={"answer": "answers_many"})
            now = orders.clock.now()
            said = {"attendance": attendance, "attendance_at": now, "attendance_by": who.user}
            answers = found.attendance_answers + 1
            await store.change_appointment(connection, found.id, now, **said, attendance_answers=answers)
            if cancels:
                order = await driven(orders, connection, who, standing, order, Trigger.CANCEL, reason)
            else:
                order = await _note(orders, connection, who, order, found, attendance, reason if declines else "", now)
        view = await show_appointment(orders, connection, who, standing, order)
    orders.outbox.wake()
    return view


async def _note(
    orders: Orders,
    connection: AsyncConnection,
    who: Principal,
    order: Order,
    before: Appointment,
    attendance: Attendance,
    reason: str,
    now: datetime,
) -> Order:
    """The order goes on; its reminders follow the answer, and those who take part are told."""
    if reason:
        key = await orders.sealer.key_for(order.user_id)
        order = await store.change_order(connection, order.id, now, reason=seal_reason(key, order.id, reason))
    if Attendance.DECLINED in (before.attendance, attendance):
        await reminder_plan.plan(connection, before.id, now)
    answered = AppointmentAnswered(
        subject=order.id, at=now, by=who.user, id=new_id(), appointment=before.id, attendance=attendance
    )
    await publish(connection, answered)
    return order
