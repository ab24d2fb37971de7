"""Orders and appointments as people see them over HTTP. No I/O: what is shown was read, and opened, before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from hub.accounts.model import Person
from hub.orders.detail import Contact, Details, Remarks
from hub.orders.model import Appointment, AppointmentState, Attendance, Order, State
from hub.orders.service import Service
from hub.orders.shape import Outbound, money
from hub.platform.clock import rfc3339
from hub.security.masking import mask_name, mask_phone


class ContactView(Outbound, frozen=True):
    name: str
    phone: str


class OrderAppointment(Outbound, frozen=True):
    id: str
    status: AppointmentState
    scheduled_time: str


class OrderSummary(Outbound, frozen=True, kw_only=True):
    """An order in a list. `userName` is masked for who neither owns nor serves it."""

    id: str
    order_no: str
    status: State
    service_id: str
    service_name: str
    user_id: str
    user_name: str
    provider_id: str | None
    provider_name: str | None
    coordinator_id: str | None
    quantity: int
    amount: str
    appointment: OrderAppointment | None
    conversation: str | None
    expires_at: str
    created_at: str
    updated_at: str


class OrderView(OrderSummary, frozen=True, kw_only=True):
    """An order. Who may not see its details gets the contact masked, and null for what was written into it."""

    actor_id: str
    contact_info: ContactView | None
    service_info: dict[str, Any] | None  # Any: the client's own form
    reason: str | None
    paid_at: str | None
    confirmed_at: str | None
    started_at: str | None
    completed_at: str | None
    cancelled_at: str | None
    refunded_at: str | None
    closes_at: str | None


class AppointmentSummary(Outbound, frozen=True, kw_only=True):
    """`attendance`: what was answered for the time that holds now."""

    id: str
    order_id: str
    order_no: str
    status: AppointmentState
    service_id: str
    service_name: str
    user_id: str
    user_name: str
    staff_id: str
    staff_name: str
    doctor_id: str | None
    hospital_id: str | None
    scheduled_time: str
    end_time: str
    amount: str
    revision: int
    attendance: Attendance | None
    attendance_at: str | None
    attendance_by: str | None
    created_at: str
    updated_at: str


class AppointmentView(AppointmentSummary, frozen=True, kw_only=True):
    """An appointment; masked as an order is."""

    contact_person: str | None
    contact_phone: str | None
    notes: str | None
    location_info: dict[str, Any] | None  # Any: the client's own form


class Facts(msgspec.Struct, frozen=True):
    """What is shown of several orders: read in a fixed number of statements."""

    services: Mapping[str, Service]
    appointments: Mapping[str, Appointment]
    """By order."""
    people: Mapping[str, Person]


class Opened(msgspec.Struct, frozen=True):
    """What an order kept sealed, as far as the viewer may see it; None where the person's key is destroyed."""

    details: Details | None
    remarks: Remarks | None
    reason: str | None
    masked: bool


def order_summary(order: Order, facts: Facts, *, masked: bool) -> OrderSummary:
    return OrderSummary(**_order_facts(order, facts, masked))


def order_view(order: Order, facts: Facts, opened: Opened) -> OrderView:
    details = opened.details
    return OrderView(
        **_order_facts(order, facts, opened.masked),
        actor_id=order.actor_id,
        contact_info=None if details is None else _contact(details.contact, opened.masked),
        service_info=None if details is None or opened.masked else details.service_info,
        reason=opened.reason,
        paid_at=_time(order.paid_at),
        confirmed_at=_time(order.confirmed_at),
        started_at=_time(order.started_at),
        completed_at=_time(order.completed_at),
        cancelled_at=_time(order.cancelled_at),
        refunded_at=_time(order.refunded_at),
        closes_at=_time(order.closes_at),
    )


def appointment_summary(order: Order, facts: Facts, *, masked: bool) -> AppointmentSummary:
    return AppointmentSummary(**_appointment_facts(order, facts, masked))


def appointment_view(order: Order, facts: Facts, opened: Opened) -> AppointmentView:
    contact = None if opened.details is None else _contact(opened.details.contact, opened.masked)
    return AppointmentView(
        **_appointment_facts(order, facts, opened.masked),
        contact_person=None if contact is None else contact.name,
        contact_phone=None if contact is None else contact.phone,
        notes=None if opened.remarks is None else opened.remarks.notes,
        location_info=None if opened.remarks is None else opened.remarks.location,
    )


def _order_facts(order: Order, facts: Facts, masked: bool) -> dict[str, Any]:  # Any: the fields of `OrderSummary`
    appointment = facts.appointments.get(order.id)
    return {
        "id": order.id,
        "order_no": order.order_no,
        "status": order.state,
        "service_id": order.service_id,
        "service_name": facts.services[order.service_id].name,
        "user_id": order.user_id,
        "user_name": _name(order.user_id, facts, masked),
        "provider_id": order.provider,
        "provider_name": None if order.provider is None else _name(order.provider, facts, False),
        "coordinator_id": order.coordinator,
        "quantity": order.quantity,
        "amount": money(order.amount),
        "appointment": None if appointment is None else _brief(appointment),
        "conversation": order.conversation,
        "expires_at": rfc3339(order.expires_at),
        "created_at": rfc3339(order.created_at),
        "updated_at": rfc3339(order.updated_at),
    }


def _appointment_facts(order: Order, facts: Facts, masked: bool) -> dict[str, Any]:  # Any: of `AppointmentSummary`
    appointment = facts.appointments[order.id]
    return {
        "id": appointment.id,
        "order_id": order.id,
        "order_no": order.order_no,
        "status": appointment.state,
        "service_id": order.service_id,
        "service_name": facts.services[order.service_id].name,
        "user_id": order.user_id,
        "user_name": _name(order.user_id, facts, masked),
        "staff_id": appointment.staff_id,
        "staff_name": _name(appointment.staff_id, facts, False),
        "doctor_id": appointment.doctor_id,
        "hospital_id": appointment.hospital_id,
        "scheduled_time": rfc3339(appointment.starts_at),
        "end_time": rfc3339(appointment.ends_at),
        "amount": money(order.amount),
        "revision": appointment.revision,
        "attendance": appointment.attendance,
        "attendance_at": _time(appointment.attendance_at),
        "attendance_by": appointment.attendance_by,
        "created_at": rfc3339(appointment.created_at),
        "updated_at": rfc3339(appointment.updated_at),
    }


def _brief(appointment: Appointment) -> OrderAppointment:
    return OrderAppointment(appointment.id, appointment.state, rfc3339(appointment.starts_at))


def _contact(contact: Contact, masked: bool) -> ContactView:
    if masked:
        return ContactView(mask_name(contact.name), mask_phone(contact.phone))
    return ContactView(contact.name, contact.phone)


def _name(user: str, facts: Facts, masked: bool) -> str:
    person = facts.people.get(user)
    name = person.name if person else ""
    return mask_name(name) if masked else name


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
