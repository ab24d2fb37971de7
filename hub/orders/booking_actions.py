"""Booking: the slots of a day, an appointment with its order, an order without one. One use case, one transaction."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Need
from hub.directory import actions as directory
from hub.directory.model import Doctor
from hub.orders import booking_store, store
from hub.orders.actions import Orders
from hub.orders.detail import Contact, Details, Remarks, seal_details, seal_remarks
from hub.orders.event import OrderPlaced
from hub.orders.model import FOLLOWS, AppointmentState, Order, Trigger
from hub.orders.progress import advance_locked
from hub.orders.seat import Outrun, take_seat, taken
from hub.orders.service import Offer
from hub.orders.service_actions import offer_of
from hub.orders.slot import Seat, Slot, Span, check_day, day_of, offering, slots, whole_day
from hub.orders.store import constraint_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import publish
from hub.security.sealing import DataKey
from hub.security.token import Principal

ATTEMPTS = 20  # each time, somebody else was faster; so it ends by itself unless hundreds want the last places of many


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for: a service at a time. `person`: whom it is for."""

    person: str
    service: str
    at: datetime
    contact: Contact
    notes: str
    doctor: str | None
    hospital: str | None
    location: dict[str, Any] | None  # Any: the client's own form, bounded when it came in


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for: a service without a time."""

    person: str
    service: str
    quantity: int
    contact: Contact
    service_info: dict[str, Any]  # Any: as above


class Booked(msgspec.Struct, frozen=True):
    order: Order
    appointment: str
    state: AppointmentState
    starts_at: datetime


async def available_slots(orders: Orders, service_id: str, day: date, doctor_id: str | None) -> list[Slot]:
    """Every slot of the day at which the service can begin, free or not. Raises `Refusal`."""
    now = orders.clock.now()
    check_day(day, now, orders.settings.booking_days, "date")
    async with orders.database.transaction() as connection:
        offer = await _offered(connection, service_id)
        providers, _ = await _candidates(connection, offer, doctor_id)
        windows = await directory.working_windows(connection, list(providers), day)
        held = await booking_store.held(connection, providers, whole_day(day))
    return slots(windows, held, offer.service.duration, now)


async def book(orders: Orders, who: Principal, wanted: Booking, client_key: str | None) -> Booked:
    """An appointment and its order, to be paid in time. With a `client_key`, asking again answers the first one.

    Raises `Refusal`: 400 for a time that is none of the slots, 409 for one that is gone, or over an own appointment.
    """
    now = orders.clock.now()
    check_time(wanted.at, now, orders.settings.booking_days)
    wanted = msgspec.structs.replace(wanted, at=wanted.at.astimezone(UTC))
    for _ in range(ATTEMPTS):
        try:
            return await _try_to_book(orders, who, wanted, client_key)
        except Outrun:
            continue
    raise taken()


async def _try_to_book(orders: Orders, who: Principal, wanted: Booking, client_key: str | None) -> Booked:
    try:
        async with orders.database.transaction() as connection:
            await orders.access.permit(connection, who, wanted.person, Need.ACT)
            # Made on another connection if it is new; nothing is locked here yet, so nobody waits for us meanwhile.
            key = await orders.sealer.key_for(wanted.person)
            claim = _claim(who, key, client_key, wanted)
            if (earlier := await _earlier(connection, who, wanted.person, claim)) is not None:
                return await _booked_before(connection, earlier)
            booked = await _book(orders, connection, who, wanted, key, claim)
    except IntegrityError as error:
        if (refusal := refusal_of(error)) is None:
            raise
        raise refusal from error
    orders.outbox.wake()
    return booked


async def purchase(
    orders: Orders, connection: AsyncConnection, who: Principal, wanted: Purchase, client_key: str | None
) -> Order:
    """An order without an appointment, in the caller's transaction; `Outbox.wake` after the commit. Raises `Refusal`."""
    await orders.access.permit(connection, who, wanted.person, Need.ACT)
    key = await orders.sealer.key_for(wanted.person)
    claim = _claim(who, key, client_key, wanted)
    if (earlier := await _earlier(connection, who, wanted.person, claim)) is not None:
        return earlier
    offer = await _offered(connection, wanted.service)
    details = Details(wanted.contact, wanted.service_info)
    values = _order_values(orders, who, wanted.person, offer, wanted.quantity, key, details)
    return await _place(connection, await booking_store.add_order(connection, values | claim, orders.clock.now()), who)


def check_time(at: datetime, now: datetime, days: int) -> None:
    """To come, and not too far. Raises `Refusal`."""
    if at <= now:
        raise Refusal(ErrorCode.INVALID, fields={"scheduledTime": "slot_past"})
    # Before its day is asked for: the last moments of the calendar have none in Shanghai.
    if at > now + timedelta(days=days + 2):
        raise Refusal(ErrorCode.INVALID, fields={"scheduledTime": "date_far"})
    check_day(day_of(at), now, days, "scheduledTime")


async def _book(
    orders: Orders,
    connection: AsyncConnection,
    who: Principal,
    wanted: Booking,
    key: DataKey,
    claim: Mapping[str, object],
) -> Booked:
    offer = await _offered(connection, wanted.service)
    providers, doctors = await _candidates(connection, offer, wanted.doctor)
    if wanted.hospital is not None and not is_id(wanted.hospital):
        raise _no_hospital()
    span = Span(wanted.at, wanted.at + offer.service.duration)
    seat = await take_seat(connection, wanted.person, providers, span, offering)
    values = _order_values(orders, who, wanted.person, offer, 1, key, Details(wanted.contact, {}))
    values |= {"provider": seat.provider, **claim}
    appointment_id = new_id()
    appointment = _appointment_values(wanted, key, appointment_id, seat, span, doctors.get(seat.provider))
    minutes = offer.service.reminder_minutes
    appointment["reminder_minutes"] = orders.settings.reminder_minutes if minutes is None else minutes
    order = await booking_store.add_order(connection, values, orders.clock.now(), appointment, seat)
    placed = await _place(connection, order, who)
    state = FOLLOWS.get(placed.state, AppointmentState.PENDING)
    return Booked(placed, appointment_id, state, span.starts_at)


async def _booked_before(connection: AsyncConnection, order: Order) -> Booked:
    appointment = await store.appointment_of_order(connection, order.id)
    if appointment is None:  # the digest says that the request was one for an appointment
        raise _key_used()
    return Booked(order, appointment.id, appointment.state, appointment.starts_at)


async def _place(connection: AsyncConnection, order: Order, who: Principal) -> Order:
    """Tell of a new order; one that costs nothing is paid."""
    now = order.created_at
    await publish(connection, OrderPlaced(subject=order.id, at=now, by=who.user))
    if order.amount:
        return order
    return await advance_locked(connection, order, Trigger.PAY_SUCCESS, now=now, by=who.user)


async def _offered(connection: AsyncConnection, service_id: str) -> Offer:
    try:
        offer = await offer_of(connection, service_id)
    except Refusal:
        offer = None
    if offer is None or not offer.service.is_active:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"serviceId": "service_unknown"})
    return offer


async def _candidates(
    connection: AsyncConnection, offer: Offer, doctor_id: str | None
) -> tuple[Collection[str], Mapping[str, Doctor]]:
    """Who may do it, and those of them who are in the directory. Raises `Refusal` for a doctor who does not."""
    if doctor_id is None:
        return offer.providers, await directory.doctors_by_user(connection, list(offer.providers))
    doctor = await directory.doctor_of(connection, doctor_id)
    if doctor is None:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"doctorId": "provider_unknown"})
    if doctor.user not in offer.providers:
        raise Refusal(ErrorCode.INVALID, fields={"doctorId": "provider_other"})
    return [doctor.user], {doctor.user: doctor}


def _order_values(
    orders: Orders, who: Principal, person: str, offer: Offer, quantity: int, key: DataKey, details: Details
) -> dict[str, object]:
    order_id, now = new_id(), orders.clock.now()
    return {
        "id": order_id,
        "user_id": person,
        "actor_id": who.user,
        "service_id": offer.service.id,
        "quantity": quantity,
        "amount": offer.service.price * Decimal(quantity),
        "details": seal_details(key, order_id, details),
        "key_id": key.id,
        "expires_at": now + timedelta(seconds=orders.settings.unpaid_s),
    }


def _appointment_values(
    wanted: Booking, key: DataKey, appointment_id: str, seat: Seat, span: Span, doctor: Doctor | None
) -> dict[str, object]:
    return {
        "id": appointment_id,
        "user_id": wanted.person,
        "staff_id": seat.provider,
        "doctor_id": doctor.id if doctor else None,
        "hospital_id": wanted.hospital or (doctor.hospital if doctor else None),
        "starts_at": span.starts_at,
        "ends_at": span.ends_at,
        "key_id": key.id,
        **seal_remarks(key, appointment_id, Remarks(wanted.notes, wanted.location)),
    }


def _claim(who: Principal, key: DataKey, client_key: str | None, wanted: Booking | Purchase) -> dict[str, object]:
    """The columns that recognise the same request. The digest is keyed: it tells nothing of what was asked for."""
    if client_key is None:
        return {}
    kind = type(wanted).__name__
    return {"client_key": client_key, "client_digest": key.digest(msgspec.json.encode((kind, who.user, wanted)))}


async def _earlier(
    connection: AsyncConnection, who: Principal, person: str, claim: Mapping[str, object]
) -> Order | None:
    """What this request made when it came first. Raises `Refusal` if its key was used for something else."""
    if not claim:
        return None
    await booking_store.lock(connection, person)  # the same request at the same time is the one or the other first
    order = await booking_store.order_by_client_key(connection, who.user, str(claim["client_key"]))
    if order is not None and order.client_digest != claim["client_digest"]:
        raise _key_used()
    return order


def refusal_of(error: IntegrityError) -> Refusal | None:
    """What a constraint means to who asked; None if it is a fault of ours. The last fence, when our locks were passed by."""
    match constraint_of(error):
        case "bookings_provider_place_tstzrange_excl":
            return Outrun()
        case "orders_client_key":
            return _key_used()
        case "appointments_hospital_id_fkey":
            return _no_hospital()
    return None


def _key_used() -> Refusal:
    return Refusal(ErrorCode.CONFLICT, "key_used", fields={"idempotencyKey": "key_used"})


def _no_hospital() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, fields={"hospitalId": "hospital_unknown"})
