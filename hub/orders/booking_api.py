"""HTTP of booking: the slots of a day, and an appointment. Takes the dependencies `orders` and `principal`."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.directory.model import SHANGHAI
from hub.orders import booking_actions
from hub.orders.actions import Orders
from hub.orders.booking_actions import Booking
from hub.orders.detail import Contact
from hub.orders.model import AppointmentState
from hub.orders.shape import Fields, Inbound, Key, Name, Notes, Outbound, Phone, money
from hub.orders.slot import Slot
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, current_language
from hub.platform.text import text
from hub.security.token import Principal

ClientKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key", min_length=1, max_length=64, pattern=r"^[!-~]+$",
        description="The same key with the same content answers the first request's order again",
    ),
]  # fmt: skip

Day = Annotated[date, QueryParameter(name="date")]


class NewAppointment(Inbound, frozen=True):
    """`userId`: somebody for whom one may act; oneself if it is left out."""

    service_id: Key
    scheduled_time: Annotated[datetime, Meta(tz=True)]
    contact_person: Name
    contact_phone: Phone
    notes: Notes = ""
    doctor_id: Key | None = None
    hospital_id: Key | None = None
    location_info: Fields | None = None
    user_id: Key | None = None


class SlotView(Outbound, frozen=True):
    """`reason` is there only when the slot is not available."""

    time: str
    available: bool
    reason: str | UnsetType = UNSET


class SlotsView(Outbound, frozen=True):
    date: str
    slots: Sequence[SlotView]


class BookedView(Outbound, frozen=True):
    appointment_id: str
    order_id: str
    order_no: str
    status: AppointmentState
    scheduled_time: str
    amount: str


@get("/appointments/available-slots", responses=FAILURES)
async def list_slots(
    service_id: Annotated[str, QueryParameter(name="serviceId", max_length=64)],
    date: Day,
    orders: NamedDependency[Orders],
    doctor_id: Annotated[str | None, QueryParameter(name="doctorId", max_length=64)] = None,
) -> Answer[SlotsView]:
    """When the service can begin on this day (Asia/Shanghai), with this doctor or with anybody who does it."""
    slots = await booking_actions.available_slots(orders, service_id, date, doctor_id)
    return answer(SlotsView(date.isoformat(), [_slot_view(slot) for slot in slots]))


@post("/appointments", status_code=200, responses=FAILURES)
async def book(
    data: JSONBody[NewAppointment],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    idempotency_key: ClientKey = None,
) -> Answer[BookedView]:
    """Book a slot; its order is to be paid within 15 minutes, or the slot is free again."""
    wanted = Booking(
        person=data.user_id or principal.user,
        service=data.service_id,
        at=data.scheduled_time,
        contact=Contact(data.contact_person, data.contact_phone),
        notes=data.notes,
        doctor=data.doctor_id,
        hospital=data.hospital_id,
        location=data.location_info,
    )
    booked = await booking_actions.book(orders, principal, wanted, idempotency_key)
    order = booked.order
    return answer(
        BookedView(
            booked.appointment,
            order.id,
            order.order_no,
            booked.state,
            rfc3339(booked.starts_at),
            money(order.amount),
        )
    )


handlers: list[ControllerRouterHandler] = [list_slots, book]


def _slot_view(slot: Slot) -> SlotView:
    time = f"{slot.starts_at.astimezone(SHANGHAI):%H:%M}"
    return SlotView(time, slot.available, UNSET if slot.reason is None else text(slot.reason, current_language()))
