"""An order moves on: its state, its times, its appointment, slot and reminders, the money, and the event: one transaction."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import refund, reminder_plan, store
from hub.orders.event import (
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderPaid,
    OrderRefunded,
    OrderStarted,
)
from hub.orders.model import FOLLOWS, STAMPS, Order, State, Trigger, move, took_money
from hub.platform.error import ErrorCode, Refusal
from hub.platform.outbox import publish

_HAPPENED: dict[State, type[OrderEvent]] = {
    State.PAID: OrderPaid,
    State.CONFIRMED: OrderConfirmed,
    State.IN_PROGRESS: OrderStarted,
    State.COMPLETED: OrderCompleted,
    State.REFUNDED: OrderRefunded,
}


async def advance(
    connection: AsyncConnection, order_id: str, event: str, *, now: datetime, by: str | None, reason: str = ""
) -> Order:
    """Move the order by `event` (a `Trigger`) and answer it as it is then; `Outbox.wake` after the commit.

    Raises `Refusal`: 404 without such an order, 409 naming the state for a move that is not in the table.
    `reason` goes on to the payment provider with a refund, so it must be one of our own sentences, never somebody's words.
    """
    order = await store.order(connection, order_id, lock=True)
    if order is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return await advance_locked(connection, order, Trigger(event), now=now, by=by, reason=reason)


async def advance_locked(
    connection: AsyncConnection, order: Order, trigger: Trigger, *, now: datetime, by: str | None, reason: str = ""
) -> Order:
    """The same for an order that was read under its lock in this transaction."""
    after = move(order.state, trigger)
    moved = await store.change_order(connection, order.id, now, state=after, **{STAMPS[after]: now})
    if after in FOLLOWS:
        followed = await store.follow(connection, order.id, FOLLOWS[after], now)
        if followed is not None:
            await reminder_plan.follow(connection, followed, FOLLOWS[after], now)
    if after is State.CANCELLED:
        await store.release(connection, order.id, now)
    if took_money(order.state, after):
        await refund.start(connection, moved, reason=reason, now=now)
    await publish(connection, _event(order, after, trigger, now, by))
    return moved


def _event(before: Order, after: State, trigger: Trigger, now: datetime, by: str | None) -> OrderEvent:
    if after is State.CANCELLED:
        was_paid = before.state is State.PAID
        return OrderCancelled(subject=before.id, at=now, by=by, trigger=trigger, was_paid=was_paid)
    return _HAPPENED[after](subject=before.id, at=now, by=by)
