"""The SQL of orders and appointments: rows in, structs of the model out. Every function runs in the caller's transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.model import FINAL, Appointment, AppointmentState, Attendance, Order, State
from hub.orders.table import APPOINTMENT, ORDER, appointments, bookings, orders

_LEAST_BUSY = sa.text("""
SELECT u.id::text FROM users u
LEFT JOIN orders o ON o.coordinator = u.id AND o.state IN ('paid', 'confirmed', 'in_progress')
WHERE u.role = 'staff' AND u.status = 'active' AND u.id <> ALL (CAST(:apart_from AS uuid[]))
GROUP BY u.id ORDER BY count(o.id), u.id LIMIT 1
""")


async def order(connection: AsyncConnection, order_id: str, *, lock: bool = False) -> Order | None:
    """With `lock`, nobody else moves it until this transaction ends."""
    return await _one_order(connection, orders.c.id == order_id, lock)


async def order_by_no(connection: AsyncConnection, order_no: str, *, lock: bool = False) -> Order | None:
    return await _one_order(connection, orders.c.order_no == order_no, lock)


async def _one_order(connection: AsyncConnection, same: sa.ColumnElement[bool], lock: bool) -> Order | None:
    query = sa.select(*ORDER).where(same)
    # NO KEY: rows that refer to the order (payments, reviews) may be inserted meanwhile.
    row = (await connection.execute(query.with_for_update(key_share=True) if lock else query)).first()
    return None if row is None else order_of(row)


async def change_order(connection: AsyncConnection, order_id: str, now: datetime, **values: object) -> Order:
    change = sa.update(orders).where(orders.c.id == order_id).values(**values, updated_at=now)
    return order_of((await connection.execute(change.returning(*ORDER))).one())


async def appointment(connection: AsyncConnection, appointment_id: str) -> Appointment | None:
    return await _one_appointment(connection, appointments.c.id == appointment_id)


async def appointment_of_order(connection: AsyncConnection, order_id: str) -> Appointment | None:
    """Whoever changes it holds the lock of its order."""
    return await _one_appointment(connection, appointments.c.order_id == order_id)


async def appointments_of(connection: AsyncConnection, ids: Collection[str]) -> Mapping[str, Appointment]:
    """By order; who has none is left out."""
    rows = await connection.execute(sa.select(*APPOINTMENT).where(appointments.c.order_id.in_(ids)))
    return {row.order_id: appointment_of(row) for row in rows}


async def _one_appointment(connection: AsyncConnection, same: sa.ColumnElement[bool]) -> Appointment | None:
    row = (await connection.execute(sa.select(*APPOINTMENT).where(same))).first()
    return None if row is None else appointment_of(row)


async def change_appointment(connection: AsyncConnection, appointment_id: str, now: datetime, **values: object) -> None:
    change = sa.update(appointments).where(appointments.c.id == appointment_id)
    await connection.execute(change.values(**values, updated_at=now))


async def follow(connection: AsyncConnection, order_id: str, state: AppointmentState, now: datetime) -> str | None:
    """Bring the order's appointment, if it has one and that has not ended, to this state; the answer is which."""
    change = sa.update(appointments).where(appointments.c.order_id == order_id, appointments.c.state.not_in(FINAL))
    followed: str | None = await connection.scalar(
        change.values(state=state, updated_at=now).returning(appointments.c.id)
    )
    return followed


async def release(connection: AsyncConnection, order_id: str, now: datetime) -> None:
    """Free the slot of the order's appointment."""
    own = sa.select(appointments.c.id).where(appointments.c.order_id == order_id).scalar_subquery()
    held = sa.update(bookings).where(bookings.c.appointment_id == own, bookings.c.released_at.is_(None))
    await connection.execute(held.values(released_at=now))


async def least_busy_staff(connection: AsyncConnection, apart_from: Collection[str]) -> str | None:
    """The active staff member who looks after the fewest open orders; of equals always the same; None without staff."""
    found: str | None = await connection.scalar(_LEAST_BUSY, {"apart_from": list(apart_from)})
    return found


async def close_due(connection: AsyncConnection, now: datetime, at_most: int) -> list[str]:
    """The orders whose time after the service is over, marked as closed; each is answered to one caller only."""
    due = sa.select(orders.c.id).where(orders.c.closes_at <= now, orders.c.closed_at.is_(None))
    due = due.order_by(orders.c.closes_at).limit(at_most).with_for_update(skip_locked=True, key_share=True)
    close = sa.update(orders).where(orders.c.id.in_(due)).values(closed_at=now).returning(orders.c.id)
    return list(await connection.scalars(close))


def constraint_of(error: IntegrityError) -> str | None:
    """The constraint that refused a row; the driver's own exception, which knows it, is the cause of SQLAlchemy's."""
    cause = error.orig.__cause__ if error.orig else None
    name: str | None = getattr(cause, "constraint_name", None)
    return name


def order_of(row: sa.Row[Any]) -> Order:  # Any: the columns are those of `ORDER`
    values = dict(row._mapping)
    return Order(**values | {"state": State(values["state"])})


def appointment_of(row: sa.Row[Any]) -> Appointment:  # Any: the columns are those of `APPOINTMENT`
    values = dict(row._mapping)
    attendance = None if values["attendance"] is None else Attendance(values["attendance"])
    return Appointment(**values | {"state": AppointmentState(values["state"]), "attendance": attendance})
