"""The SQL of payments and refunds: rows in, structs out. Whoever changes a payment holds the lock of its order."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.payment import OPEN, Due, Payment, Refund
from hub.orders.payment_table import payments, refunds
from hub.orders.table import orders

PAYMENT = tuple(payments.c[name] for name in Payment.__struct_fields__)
REFUND = tuple(refunds.c[name] for name in Refund.__struct_fields__)

_OPEN = payments.c.state.in_(OPEN)


# Payments


async def of_order(connection: AsyncConnection, order: str) -> list[Payment]:
    """The oldest first."""
    rows = await connection.execute(sa.select(*PAYMENT).where(payments.c.order_id == order).order_by(payments.c.id))
    return [_payment(row) for row in rows]


async def payment(connection: AsyncConnection, payment_id: str) -> Payment | None:
    row = (await connection.execute(sa.select(*PAYMENT).where(payments.c.id == payment_id))).first()
    return None if row is None else _payment(row)


async def payment_by_number(connection: AsyncConnection, number: str) -> Payment | None:
    row = (await connection.execute(sa.select(*PAYMENT).where(payments.c.number == number))).first()
    return None if row is None else _payment(row)


async def transaction_is_used(connection: AsyncConnection, transaction_id: str) -> bool:
    """Whether some payment was made by this transaction of the provider's."""
    query = sa.select(sa.exists().where(payments.c.transaction_id == transaction_id))
    return bool((await connection.execute(query)).scalar_one())


async def add_payment(connection: AsyncConnection, added: Payment, due_at: datetime) -> None:
    values = {name: getattr(added, name) for name in Payment.__struct_fields__}
    await connection.execute(sa.insert(payments).values(**values, due_at=due_at, updated_at=added.created_at))


async def change_payment(connection: AsyncConnection, payment_id: str, now: datetime, **values: object) -> None:
    await connection.execute(sa.update(payments).where(payments.c.id == payment_id).values(**values, updated_at=now))


async def prepared(connection: AsyncConnection, payment_id: str, prepay_id: str, now: datetime) -> Payment:
    """Keep what the provider answered; of two who asked at once both get the first answer."""
    change = sa.update(payments).where(payments.c.id == payment_id)
    change = change.values(
        prepay_id=sa.func.coalesce(payments.c.prepay_id, prepay_id),
        state=sa.case((payments.c.state == "created", "pending"), else_=payments.c.state),
        updated_at=now,
    )
    return _payment((await connection.execute(change.returning(*PAYMENT))).one())


async def due_payments(connection: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Open payments about which the provider is to be asked."""
    due = sa.select(payments.c.id, payments.c.attempts).where(_OPEN, payments.c.due_at <= now)
    return [Due(*row) for row in await connection.execute(due.order_by(payments.c.due_at).limit(limit))]


async def claim_payment(
    connection: AsyncConnection, payment_id: str, now: datetime
) -> tuple[Payment, str, datetime] | None:
    """A due payment, its order's state and end, for the one who comes first; set `due_at` in the same transaction."""
    query = sa.select(*PAYMENT, orders.c.state.label("order_state"), orders.c.expires_at)
    query = query.join_from(payments, orders, payments.c.order_id == orders.c.id)
    query = query.where(payments.c.id == payment_id, _OPEN, payments.c.due_at <= now)
    row = (await connection.execute(query.with_for_update(of=payments, skip_locked=True))).first()
    return None if row is None else (_payment(row), row.order_state, row.expires_at)


async def unpaid_orders(connection: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Orders whose time to pay has passed and that no open payment can pay any more."""
    open_payment = sa.exists().where(payments.c.order_id == orders.c.id, _OPEN)
    query = sa.select(orders.c.id).where(orders.c.state == "pending", orders.c.expires_at <= now, ~open_payment)
    rows = await connection.execute(query.order_by(orders.c.expires_at).limit(limit))
    return [Due(order, 0) for order in rows.scalars()]


async def has_open(connection: AsyncConnection, order: str) -> bool:
    query = sa.select(sa.exists().where(payments.c.order_id == order, _OPEN))
    return bool((await connection.execute(query)).scalar_one())


# Refunds


async def refunds_of_order(connection: AsyncConnection, order: str) -> list[Refund]:
    rows = await connection.execute(sa.select(*REFUND).where(refunds.c.order_id == order))
    return [_refund(row) for row in rows]


async def lock_refund(connection: AsyncConnection, number: str) -> Refund | None:
    query = sa.select(*REFUND).where(refunds.c.number == number).with_for_update()
    row = (await connection.execute(query)).first()
    return None if row is None else _refund(row)


async def change_refund(connection: AsyncConnection, refund_id: str, now: datetime, **values: object) -> None:
    await connection.execute(sa.update(refunds).where(refunds.c.id == refund_id).values(**values, updated_at=now))


async def due_refunds(connection: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Refunds to be sent or asked about."""
    due = sa.select(refunds.c.id, refunds.c.attempts).where(refunds.c.due_at <= now)
    return [Due(*row) for row in await connection.execute(due.order_by(refunds.c.due_at).limit(limit))]


async def claim_refund(connection: AsyncConnection, refund_id: str, now: datetime) -> Refund | None:
    """A due refund, for the one who comes first; set `due_at` in the same transaction."""
    query = sa.select(*REFUND).where(refunds.c.id == refund_id, refunds.c.due_at <= now)
    row = (await connection.execute(query.with_for_update(skip_locked=True))).first()
    return None if row is None else _refund(row)


def _payment(row: sa.Row[*tuple[Any, ...]]) -> Payment:  # Any: the columns are those of `PAYMENT`, and perhaps more
    return Payment(**{name: row._mapping[name] for name in Payment.__struct_fields__})


def _refund(row: sa.Row[*tuple[Any, ...]]) -> Refund:
    return Refund(**{name: row._mapping[name] for name in Refund.__struct_fields__})
