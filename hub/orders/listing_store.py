"""The SQL of lists of orders and of appointments. In the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.model import MOVABLE, Appointment, AppointmentState, Order, State
from hub.orders.slot import Span
from hub.orders.store import appointment_of, order_of
from hub.orders.table import APPOINTMENT, ORDER, appointments, orders
from hub.platform.page import Paging

_ORDER_SORTS: dict[str, sa.ColumnElement[object]] = {
    "createdAt": orders.c.created_at,
    "updatedAt": orders.c.updated_at,
    "amount": orders.c.amount,
}
_APPOINTMENT_SORTS: dict[str, sa.ColumnElement[object]] = {
    "scheduledTime": appointments.c.starts_at,
    "createdAt": appointments.c.created_at,
}
ORDER_SORTS = tuple(_ORDER_SORTS)
APPOINTMENT_SORTS = tuple(_APPOINTMENT_SORTS)


class Scope(msgspec.Struct, frozen=True):
    """Whose orders: of these persons, of this provider, of this coordinator; everybody's if nothing is said."""

    persons: Sequence[str] | None = None
    provider: str | None = None
    coordinator: str | None = None

    def fits(self) -> list[sa.ColumnElement[bool]]:
        fits: list[sa.ColumnElement[bool]] = []
        if self.persons is not None:
            fits.append(orders.c.user_id.in_(self.persons))
        if self.provider is not None:
            fits.append(orders.c.provider == self.provider)
        if self.coordinator is not None:
            fits.append(orders.c.coordinator == self.coordinator)
        return fits


async def orders_page(
    connection: AsyncConnection, scope: Scope, state: State | None, paging: Paging
) -> tuple[list[Order], int]:
    """One page, and how many there are. Two statements."""
    fits = [*scope.fits(), *([] if state is None else [orders.c.state == state])]
    total = (await connection.execute(sa.select(sa.func.count()).select_from(orders).where(*fits))).scalar_one()
    query = sa.select(*ORDER).where(*fits).order_by(paging.order(_ORDER_SORTS), orders.c.id.desc())
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [order_of(row) for row in rows], total


async def appointed_page(
    connection: AsyncConnection, scope: Scope, state: AppointmentState | None, paging: Paging
) -> tuple[list[Order], int]:
    """The orders that have an appointment, as those are sorted. Two statements."""
    joined = appointments.join(orders, orders.c.id == appointments.c.order_id)
    fits = [*scope.fits(), *([] if state is None else [appointments.c.state == state])]
    total = (await connection.execute(sa.select(sa.func.count()).select_from(joined).where(*fits))).scalar_one()
    query = sa.select(*ORDER).select_from(joined).where(*fits)
    query = query.order_by(paging.order(_APPOINTMENT_SORTS), appointments.c.id.desc())
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [order_of(row) for row in rows], total


async def open_orders_by(connection: AsyncConnection, actor: str, person: str) -> list[Order]:
    """What one ordered for the other and has a conversation that is not closed; locked, in one order."""
    c = orders.c
    query = sa.select(*ORDER).where(
        c.user_id == person, c.actor_id == actor, c.conversation.is_not(None), c.closed_at.is_(None)
    )
    rows = await connection.execute(query.order_by(c.id).with_for_update(key_share=True))
    return [order_of(row) for row in rows]


async def coming_appointments(
    connection: AsyncConnection, provider: str, now: datetime, span: Span | None
) -> list[Appointment]:
    """Those of this provider that have not begun, in this time or at any."""
    c = appointments.c
    query = sa.select(*APPOINTMENT).where(c.staff_id == provider, c.starts_at > now, c.state.in_(MOVABLE))
    if span is not None:
        query = query.where(c.starts_at >= span.starts_at, c.starts_at < span.ends_at)
    return [appointment_of(row) for row in await connection.execute(query.order_by(c.starts_at))]
