"""What the use cases of orders stand on, and what they share: finding an order for somebody who may see it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.messaging.actions import Messaging
from hub.orders import store
from hub.orders.model import STAFF_ROLES, Appointment, Order
from hub.orders.standing import Standing
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.hot_read import HotReads
from hub.platform.identifier import is_id
from hub.platform.outbox import Outbox
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal


@dataclass(frozen=True, slots=True)
class Orders:
    """One per process."""

    database: Database
    sealer: Sealer
    clock: Clock
    access: Access
    audit: Audit
    outbox: Outbox
    hot_reads: HotReads
    messaging: Messaging
    settings: settings.Orders


async def standing_of(orders: Orders, connection: AsyncConnection, who: Principal, order: Order) -> Standing:
    """What they are to this order. Raises `Refusal`, as if there were no such order, for who is nothing to it."""
    standing = Standing(
        owner=await _may_act(orders, connection, who, order.user_id),
        provider=order.provider == who.user,
        coordinator=order.coordinator == who.user,
        staff=who.role in STAFF_ROLES,
    )
    if not standing.sees:
        raise Refusal(ErrorCode.NOT_FOUND)
    return standing


async def seen_order(
    orders: Orders, connection: AsyncConnection, who: Principal, order_id: str
) -> tuple[Order, Standing]:
    """The order, not locked, and what `who` is to it. Raises `Refusal`."""
    order = await store.order(connection, order_id) if is_id(order_id) else None
    if order is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return order, await standing_of(orders, connection, who, order)


async def seen_appointment(
    orders: Orders, connection: AsyncConnection, who: Principal, appointment_id: str
) -> tuple[Appointment, Order, Standing]:
    """The same by the order's appointment. Raises `Refusal`."""
    appointment = await store.appointment(connection, appointment_id) if is_id(appointment_id) else None
    if appointment is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    order, standing = await seen_order(orders, connection, who, appointment.order_id)
    return appointment, order, standing


async def locked_order(connection: AsyncConnection, order_id: str) -> Order:
    """An order that was seen in this transaction, under its lock. Orders are never deleted."""
    order = await store.order(connection, order_id, lock=True)
    if order is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return order


async def _may_act(orders: Orders, connection: AsyncConnection, who: Principal, person: str) -> bool:
    try:
        await orders.access.permit(connection, who, person, Need.ACT)
    except Refusal:
        return False
    return True
