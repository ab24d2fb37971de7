"""What people do with orders: place one, see it, move it on. One use case, one transaction."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import store
from hub.orders.actions import Orders, locked_order, seen_order
from hub.orders.booking_actions import Purchase, purchase, refusal_of
from hub.orders.detail import seal_reason
from hub.orders.model import Order, Trigger, move
from hub.orders.progress import advance_locked
from hub.orders.reading import show_order
from hub.orders.standing import Standing, check_refund_time, permit
from hub.orders.view import OrderView
from hub.security.token import Principal

# Why money goes back, as the payment keeps it: by whom it was decided. Words that people give stay sealed in the order.
_REASONS = {
    Trigger.CANCEL: ("owner_cancelled", "staff_cancelled"),
    Trigger.REFUND: ("owner_refund", "staff_refund"),
}


async def place(orders: Orders, who: Principal, wanted: Purchase, client_key: str | None) -> OrderView:
    """An order without an appointment. Raises `Refusal`."""
    try:
        async with orders.database.transaction() as connection:
            order = await purchase(orders, connection, who, wanted, client_key)
            view = await show_order(orders, connection, who, Standing(owner=True), order)
    except IntegrityError as error:
        if (refusal := refusal_of(error)) is None:
            raise
        raise refusal from error
    orders.outbox.wake()
    return view


async def show(orders: Orders, who: Principal, order_id: str) -> OrderView:
    """Raises `Refusal`."""
    async with orders.database.transaction() as connection:
        order, standing = await seen_order(orders, connection, who, order_id)
        return await show_order(orders, connection, who, standing, order)


async def drive(orders: Orders, who: Principal, order_id: str, trigger: Trigger, reason: str = "") -> OrderView:
    """Move the order; the answer is how it is then. Raises `Refusal`: 409 naming the state for a move that is none."""
    async with orders.database.transaction() as connection:
        order, standing = await seen_order(orders, connection, who, order_id)
        moved = await driven(orders, connection, who, standing, order, trigger, reason)
        view = await show_order(orders, connection, who, standing, moved)
    orders.outbox.wake()
    return view


async def driven(
    orders: Orders,
    connection: AsyncConnection,
    who: Principal,
    standing: Standing,
    order: Order,
    trigger: Trigger,
    reason: str,
) -> Order:
    """The same for an order that was seen, in the caller's transaction. Raises `Refusal`."""
    permit(standing, trigger)
    now = orders.clock.now()
    key = await orders.sealer.key_for(order.user_id) if reason else None
    locked = await locked_order(connection, order.id)
    move(locked.state, trigger)
    if trigger is Trigger.REFUND:
        check_refund_time(standing, locked, now, orders.settings.refund_days)
    if key is not None:
        await store.change_order(connection, order.id, now, reason=seal_reason(key, order.id, reason))
    by_owner, by_staff = _REASONS.get(trigger, ("", ""))
    why = by_owner if standing.owner else by_staff
    return await advance_locked(connection, locked, trigger, now=now, by=who.user, reason=why)
