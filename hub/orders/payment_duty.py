"""Asking the provider about payments, in the background and when the way to pay changes; ending orders that nobody paid.

Each duty may be repeated, interrupted and run twice at once: it first moves `due_at` on, so what dies is taken up again then.
"""

from datetime import datetime

import msgspec
import structlog

from hub.orders import payment_store, store
from hub.orders.model import State, Trigger
from hub.orders.payment import LONGEST_DOUBT, Due, Payment, next_ask
from hub.orders.payment_provider import Rejected, Standing, Transaction, Unanswered
from hub.orders.payment_settlement import Till, apply, expire
from hub.orders.progress import advance_locked
from hub.platform.database import Database
from hub.platform.error import Refusal

log = structlog.get_logger("hub.payments")


async def due_payments(database: Database, now: datetime, limit: int) -> list[Due]:
    """Payments for `ask`, the longest due first."""
    async with database.transaction() as connection:
        return await payment_store.due_payments(connection, now, limit)


async def unpaid_orders(database: Database, now: datetime, limit: int) -> list[Due]:
    """Orders for `end_unpaid`: their time has passed, and there is nothing to ask the provider about."""
    async with database.transaction() as connection:
        return await payment_store.unpaid_orders(connection, now, limit)


async def ask(till: Till, payment_id: str) -> None:
    """Find out about a due payment, and apply it; past the order's end, or when it was cancelled, make it unpayable."""
    claimed = await _claim(till, payment_id)
    if claimed is None:
        return
    payment, expires_at, is_wanted = claimed
    try:
        told = await till.provider.query(payment) if is_wanted else await end(till, payment)
        await apply(till, told)
    except (Unanswered, Refusal):  # refused: what was answered does not fit, and was logged
        await _doubt(till, payment, expires_at)


async def end(till: Till, payment: Payment) -> Transaction:
    """Make it unpayable unless it is paid; the answer says which. Raises `Unanswered` if nobody can tell."""
    told = _ended_if_unknown(await till.provider.query(payment))
    if told.standing is not Standing.UNPAID:
        return told
    try:
        await till.provider.close(payment)
    except Rejected:  # paid since we asked, or closed by time
        told = _ended_if_unknown(await till.provider.query(payment))
        if told.standing is Standing.UNPAID:
            raise Unanswered from None
        return told
    return msgspec.structs.replace(told, standing=Standing.CLOSED)


async def end_unpaid(till: Till, order_id: str) -> None:
    """Cancel an order whose time to pay has passed without any payment that is open."""
    now = till.clock.now()
    async with till.database.transaction() as connection:
        order = await store.order(connection, order_id, lock=True)
        if order is not None:
            await expire(connection, order, now)
    till.outbox.wake()


async def _claim(till: Till, payment_id: str) -> tuple[Payment, datetime, bool] | None:
    """The payment, its order's end, and whether it may still be paid; for the one who comes first."""
    now = till.clock.now()
    async with till.database.transaction() as connection:
        claimed = await payment_store.claim_payment(connection, payment_id, now)
        if claimed is None:
            return None
        payment, state, expires_at = claimed
        again_at = next_ask(payment.attempts, now, expires_at)
        await payment_store.change_payment(connection, payment.id, now, attempts=payment.attempts + 1, due_at=again_at)
        return payment, expires_at, state == State.PENDING and now < expires_at


async def _doubt(till: Till, payment: Payment, expires_at: datetime) -> None:
    """The payment is asked about again; but a slot is not held for ever. Money that turns up later goes back."""
    now = till.clock.now()
    if now < expires_at + LONGEST_DOUBT:
        return
    async with till.database.transaction() as connection:
        order = await store.order(connection, payment.order_id, lock=True)
        if order is None or order.state is not State.PENDING:
            return
        await advance_locked(connection, order, Trigger.PAYMENT_TIMEOUT, now=now, by=None)
    till.outbox.wake()
    log.error("an order was cancelled without knowing whether it was paid", order=order.id, payment=payment.id)


def _ended_if_unknown(told: Transaction) -> Transaction:
    # What the provider does not know, nobody can pay; if our request is still on its way, nobody gets its answer.
    return msgspec.structs.replace(told, standing=Standing.CLOSED) if told.standing is Standing.UNKNOWN else told
