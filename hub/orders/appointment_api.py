"""HTTP of appointments that are booked. Takes the dependencies `orders` and `principal`."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.orders import appointment_actions, listing, reminder_answer
from hub.orders.actions import Orders
from hub.orders.listing_store import APPOINTMENT_SORTS
from hub.orders.model import AppointmentState, Attendance
from hub.orders.order_api import As, Why
from hub.orders.shape import Inbound, Reason
from hub.orders.view import AppointmentSummary, AppointmentView
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal


class NewTime(Inbound, frozen=True):
    scheduled_time: Annotated[datetime, Meta(tz=True)]


class AttendanceAnswer(Inbound, frozen=True):
    """`reason` belongs to `cannot_come`."""

    answer: Literal["confirm", "cannot_come"]
    reason: Reason = ""


@get(
    "/appointments",
    responses=FAILURES,
    dependencies={"paging": paging(*APPOINTMENT_SORTS, default="-scheduledTime")},
)
async def list_appointments(
    paging: NamedDependency[Paging],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    role: As = None,
    status: FromQuery[AppointmentState | None] = None,
) -> Answer[Page[AppointmentSummary]]:
    """As the list of orders, for those that have an appointment."""
    return answer(await listing.list_appointments(orders, principal, role, status, paging))


@get("/appointments/{appointment:str}", responses=FAILURES)
async def show(
    appointment: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[AppointmentView]:
    """One appointment; masked for staff who do not look after its order."""
    return answer(await appointment_actions.show(orders, principal, appointment))


@post("/appointments/{appointment:str}/reschedule", status_code=200, responses=FAILURES)
async def reschedule(
    appointment: FromPath[str],
    data: JSONBody[NewTime],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
) -> Answer[AppointmentView]:
    """Another time with the same provider; the old one is free again."""
    return answer(await appointment_actions.reschedule(orders, principal, appointment, data.scheduled_time))


@post("/appointments/{appointment:str}/cancel", status_code=200, responses=FAILURES)
async def cancel(
    appointment: FromPath[str],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    data: JSONBody[Why | None] = None,
) -> Answer[AppointmentView]:
    """Cancel its order; what was paid goes back, and the slot is free."""
    return answer(await appointment_actions.cancel(orders, principal, appointment, data.reason if data else ""))


@post("/appointments/{appointment:str}/no-show", status_code=200, responses=FAILURES)
async def miss(
    appointment: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[AppointmentView]:
    """The provider, or staff, notes that the patient did not come."""
    return answer(await appointment_actions.miss(orders, principal, appointment))


@post("/appointments/{appointment:str}/attendance", status_code=200, responses=FAILURES)
async def answer_attendance(
    appointment: FromPath[str],
    data: JSONBody[AttendanceAnswer],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
) -> Answer[AppointmentView]:
    """The patient comes, or cannot: what can be cancelled is cancelled, else staff are told to act."""
    attendance = Attendance.CONFIRMED if data.answer == "confirm" else Attendance.DECLINED
    return answer(await reminder_answer.answer(orders, principal, appointment, attendance, data.reason))


handlers: list[ControllerRouterHandler] = [list_appointments, show, reschedule, cancel, miss, answer_attendance]
