"""Staff hand an order over: to another doctor or companion, to another staff member. One transaction."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import actions as accounts
from hub.directory import actions as directory
from hub.orders import booking_store, reminder_plan, store
from hub.orders.actions import Orders, locked_order, seen_order
from hub.orders.appointment_actions import same_appointment
from hub.orders.event import OrderAssigned
from hub.orders.model import ASSIGNABLE, STAFF_ROLES, Appointment, Order, conflict
from hub.orders.reading import show_order
from hub.orders.seat import take_seat
from hub.orders.service_actions import offer_of
from hub.orders.slot import Seat, Span, working
from hub.orders.standing import permit_staff
from hub.orders.store import constraint_of
from hub.orders.view import OrderView
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import publish
from hub.security.token import Principal


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes over; the doctor by the id of the directory, the others by account."""

    doctor: str | None
    provider: str | None
    staff: str | None


class _Taker(msgspec.Struct, frozen=True):
    """`field`: what a refusal names."""

    user: str
    doctor: str | None
    field: str


async def assign(orders: Orders, who: Principal, order_id: str, wanted: Assignment) -> OrderView:
    """From now on these do it, or look after it. Conversation and grants follow from `OrderAssigned`.

    Raises `Refusal`: 409 naming the state once it is over, and for a provider who is not free at that time.
    """
    _check(wanted)
    now = orders.clock.now()
    try:
        async with orders.database.transaction() as connection:
            order, standing = await seen_order(orders, connection, who, order_id)
            permit_staff(standing)
            order = await _hand_over(connection, who, order, wanted, now)
            view = await show_order(orders, connection, who, standing, order)
    except IntegrityError as error:
        if constraint_of(error) == "bookings_provider_place_tstzrange_excl":
            raise _busy(wanted) from error
        raise
    orders.outbox.wake()
    return view


async def _hand_over(
    connection: AsyncConnection, who: Principal, order: Order, wanted: Assignment, now: datetime
) -> Order:
    taker = await _taker(connection, order, wanted)
    await _check_staff(connection, wanted.staff)
    _check_assignable(order)
    moving = taker is not None and taker.user != order.provider
    found = await store.appointment_of_order(connection, order.id) if moving else None
    seat = None if taker is None or found is None else await _seat(connection, taker, found, wanted)
    locked = await locked_order(connection, order.id)
    _check_assignable(locked)
    if taker is not None and found is not None and seat is not None:
        found = await same_appointment(connection, found)
        await booking_store.move_booking(connection, found.id, seat, Span(found.starts_at, found.ends_at))
        await store.change_appointment(connection, found.id, now, staff_id=taker.user, doctor_id=taker.doctor)
        await reminder_plan.plan(connection, found.id, now)
    values = {"provider": taker.user if taker else locked.provider, "coordinator": wanted.staff or locked.coordinator}
    former = _former(locked, values)
    if former is None:
        return locked
    handed = OrderAssigned(subject=order.id, at=now, by=who.user, id=new_id(), former=former)
    await publish(connection, handed)
    return await store.change_order(connection, order.id, now, **values)


async def _seat(connection: AsyncConnection, taker: _Taker, found: Appointment, wanted: Assignment) -> Seat:
    """The same time with somebody else, who works then but may not begin a slot just then."""
    span = Span(found.starts_at, found.ends_at)
    try:
        return await take_seat(connection, found.user_id, [taker.user], span, working, apart_from=found.id)
    except Refusal as refusal:
        raise _busy(wanted) from refusal


async def _taker(connection: AsyncConnection, order: Order, wanted: Assignment) -> _Taker | None:
    if wanted.doctor is None and wanted.provider is None:
        return None
    if wanted.doctor is not None:
        doctor = await directory.doctor_of(connection, wanted.doctor)
        if doctor is None:
            raise Refusal(ErrorCode.NOT_FOUND, fields={"doctorId": "provider_unknown"})
        taker = _Taker(doctor.user, doctor.id, "doctorId")
    else:
        user = wanted.provider or ""
        listed = await directory.doctors_by_user(connection, [user]) if is_id(user) else {}
        taker = _Taker(user, listed[user].id if user in listed else None, "providerId")
    if taker.user not in (await offer_of(connection, order.service_id)).providers:
        raise Refusal(ErrorCode.INVALID, fields={taker.field: "provider_other"})
    return taker


async def _check_staff(connection: AsyncConnection, staff: str | None) -> None:
    if staff is None:
        return
    known = await accounts.people(connection, [staff]) if is_id(staff) else {}
    if staff not in known or known[staff].role not in STAFF_ROLES:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"staffId": "staff_unknown"})


def _former(order: Order, values: Mapping[str, str | None]) -> list[str] | None:
    """Who goes; None if nothing changes."""
    places = ((order.provider, values["provider"]), (order.coordinator, values["coordinator"]))
    changed = [before for before, after in places if before != after]
    return [before for before in changed if before is not None] if changed else None


def _check(wanted: Assignment) -> None:
    if wanted.doctor is not None and wanted.provider is not None:
        raise Refusal(ErrorCode.INVALID, fields={"providerId": "doctor_or_provider"})
    if wanted.doctor is None and wanted.provider is None and wanted.staff is None:
        raise Refusal(ErrorCode.INVALID, fields={"providerId": "assignment_empty"})


def _check_assignable(order: Order) -> None:
    if order.state not in ASSIGNABLE:
        raise conflict(order.state)


def _busy(wanted: Assignment) -> Refusal:
    field = "providerId" if wanted.doctor is None else "doctorId"
    return Refusal(ErrorCode.CONFLICT, "provider_busy", fields={field: "provider_busy"})
