"""Giving money back: the row that a refund is, written in the transaction that decides it; a worker does the rest."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.model import Order
from hub.orders.payment import Payment, refund_number
from hub.orders.payment_table import payments, refunds
from hub.platform.identifier import new_id


async def start(connection: AsyncConnection, order: Order, *, reason: str, now: datetime) -> None:
    """Give back what was paid for the order, once however often it is called; nothing if nothing was paid.

    The caller has locked the order. `reason` is kept in the clear: a code such as `order_cancelled`, never people's words.
    """
    columns = (payments.c.id, payments.c.order_id, payments.c.number, payments.c.amount)
    paid = sa.select(*columns).where(payments.c.order_id == order.id, payments.c.state == "succeeded")
    for row in (await connection.execute(paid)).all():
        await _add(connection, row.id, row.order_id, row.number, row.amount, reason, now)


async def give_back(connection: AsyncConnection, payment: Payment, *, reason: str, now: datetime) -> None:
    """Give back this payment, which pays for nothing."""
    await _add(connection, payment.id, payment.order_id, payment.number, payment.amount, reason, now)


async def _add(
    connection: AsyncConnection, payment: str, order: str, number: str, amount: object, reason: str, now: datetime
) -> None:
    row = {
        "id": new_id(),
        "order_id": order,
        "payment_id": payment,
        "number": refund_number(number),
        "amount": amount,
        "reason": reason,
        "state": "pending",
        "due_at": now,
        "created_at": now,
        "updated_at": now,
    }
    await connection.execute(insert(refunds).values(row).on_conflict_do_nothing(index_elements=["payment_id"]))
