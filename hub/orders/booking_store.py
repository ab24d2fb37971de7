"""The SQL of booking: locks, what is held, and the rows of an order with its slot. In the caller's transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.model import MOVABLE, AppointmentState, Order
from hub.orders.slot import Held, Seat, Span, day_of
from hub.orders.store import order_of
from hub.orders.table import ORDER, appointments, bookings, orders

_RUNNING = (*MOVABLE, AppointmentState.IN_PROGRESS)
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) name")
_RUNNING_PART = "FM999999999900000000"  # eight digits, and more when they are needed


async def lock(connection: AsyncConnection, person: str, provider: str | None = None) -> None:
    """Bookings for the person, and with the provider, take turns until commit.

    The person first, so that no two wait for each other; and one provider only, because two of them would have to be
    in order, and PostgreSQL has room for some thousand such locks in all. What is read in the same statement would be
    older than the lock: read afterwards.
    """
    names = [f"booking for {person}"] + ([] if provider is None else [f"booking with {provider}"])
    await connection.execute(_LOCK, {"names": names})


async def held(
    connection: AsyncConnection, providers: Collection[str], span: Span, *, apart_from: str | None = None
) -> list[Held]:
    """The places that these have given away in that time, except the one of the appointment `apart_from`."""
    c = bookings.c
    query = sa.select(c.provider, c.place, c.starts_at, c.ends_at).where(
        c.provider == sa.any_(sa.bindparam("providers", list(providers), sa.ARRAY(sa.Uuid(as_uuid=False)))),
        c.released_at.is_(None),
        c.starts_at < span.ends_at,
        c.ends_at > span.starts_at,
    )
    if apart_from is not None:
        query = query.where(c.appointment_id != apart_from)
    rows = await connection.execute(query)
    return [Held(provider, place, Span(starts_at, ends_at)) for provider, place, starts_at, ends_at in rows]


async def is_engaged(connection: AsyncConnection, person: str, span: Span, *, apart_from: str | None = None) -> bool:
    """Whether the person has an appointment in that time already."""
    c = appointments.c
    query = sa.select(sa.literal(1)).where(
        c.user_id == person, c.state.in_(_RUNNING), c.starts_at < span.ends_at, c.ends_at > span.starts_at
    )
    if apart_from is not None:
        query = query.where(c.id != apart_from)
    return (await connection.execute(query.limit(1))).first() is not None


async def add_order(
    connection: AsyncConnection,
    values: Mapping[str, object],
    now: datetime,
    appointment: Mapping[str, object] | None = None,
    seat: Seat | None = None,
) -> Order:
    """The order under a fresh number, with its appointment and the place that it takes. One statement, so that the
    locks are held as shortly as can be."""
    stamps = {"created_at": now, "updated_at": now}
    ordered = orders.insert().values(**values, **stamps, order_no=_number(now)).returning(*ORDER)
    if appointment is None or seat is None:
        return order_of((await connection.execute(ordered)).one())
    order = ordered.cte("ordered")
    appointed = appointments.insert().values(**appointment, **stamps, order_id=values["id"])
    booked = bookings.insert().values(
        appointment_id=appointment["id"],
        provider=seat.provider,
        place=seat.place,
        starts_at=appointment["starts_at"],
        ends_at=appointment["ends_at"],
    )
    query = sa.select(*order.c).add_cte(appointed.cte("appointed"), booked.cte("booked"))
    return order_of((await connection.execute(query)).one())


async def move_booking(connection: AsyncConnection, appointment_id: str, seat: Seat, span: Span) -> None:
    """Free the place that the appointment has, and take this one instead."""
    own = sa.update(bookings).where(bookings.c.appointment_id == appointment_id, bookings.c.released_at.is_(None))
    values = {"provider": seat.provider, "place": seat.place, "starts_at": span.starts_at, "ends_at": span.ends_at}
    await connection.execute(own.values(**values))


async def order_by_client_key(connection: AsyncConnection, actor: str, key: str) -> Order | None:
    query = sa.select(*ORDER).where(orders.c.actor_id == actor, orders.c.client_key == key)
    row = (await connection.execute(query)).first()
    return None if row is None else order_of(row)


def _number(now: datetime) -> sa.ColumnElement[str]:
    return sa.literal(f"ORDER{day_of(now):%Y%m%d}") + sa.func.to_char(sa.func.nextval("order_numbers"), _RUNNING_PART)
