"""Gathering what is shown of orders: names, services, appointments, and what is sealed. In the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import actions as accounts
from hub.orders import service_store, store
from hub.orders.actions import Orders
from hub.orders.detail import open_details, open_reason, open_remarks
from hub.orders.model import Appointment, Order
from hub.orders.standing import Standing
from hub.orders.view import AppointmentView, Facts, Opened, OrderView, appointment_view, order_view
from hub.security.token import Principal


async def facts_of(connection: AsyncConnection, found: Sequence[Order]) -> Facts:
    """Three statements, however many orders."""
    appointments = await store.appointments_of(connection, [order.id for order in found])
    users = {user for order in found for user in (order.user_id, order.provider) if user is not None}
    users |= {appointment.staff_id for appointment in appointments.values()}
    return Facts(
        services=await service_store.services_named(connection, {order.service_id for order in found}),
        appointments=appointments,
        people=await accounts.people(connection, users),
    )


async def show_order(
    orders: Orders, connection: AsyncConnection, who: Principal, standing: Standing, order: Order
) -> OrderView:
    """What this viewer sees of it. Reading the details is audited (P13), so call it last in the transaction."""
    facts = await facts_of(connection, [order])
    opened = await _open(orders, standing, order, facts.appointments.get(order.id))
    if not opened.masked:
        await orders.audit.record(connection, who, order.user_id, "order.read", order.id)
    return order_view(order, facts, opened)


async def show_appointment(
    orders: Orders, connection: AsyncConnection, who: Principal, standing: Standing, order: Order
) -> AppointmentView:
    """The same of its appointment, which it must have."""
    facts = await facts_of(connection, [order])
    opened = await _open(orders, standing, order, facts.appointments[order.id])
    if not opened.masked:
        await orders.audit.record(connection, who, order.user_id, "appointment.read", facts.appointments[order.id].id)
    return appointment_view(order, facts, opened)


async def _open(orders: Orders, standing: Standing, order: Order, appointment: Appointment | None) -> Opened:
    masked = not standing.sees_details(order, orders.clock.now())
    key = (await orders.sealer.by_ids([order.key_id]))[order.key_id]
    if key is None:
        return Opened(None, None, None, masked)
    details = open_details(key, order)
    if masked:
        return Opened(details, None, None, masked)
    remarks = None if appointment is None else open_remarks(key, appointment)
    return Opened(details, remarks, open_reason(key, order) if order.reason is not None else None, masked)
