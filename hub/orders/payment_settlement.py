"""What the provider says, applied: once however often and in whatever order it comes, and only if it fits what was asked."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders import payment_store, refund, store
from hub.orders.model import Order, State, Trigger
from hub.orders.payment import CURRENCY, Payment, Refund, fen, refund_after
from hub.orders.payment_event import RefundFailed, RefundSucceeded
from hub.orders.payment_provider import PaymentProvider, RefundReport, Standing, Transaction
from hub.orders.progress import advance_locked
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.outbox import Outbox, publish

PAID_LATE = "paid_late"  # the order was cancelled meanwhile
PAID_TWICE = "paid_twice"

log = structlog.get_logger("hub.payments")


@dataclass(frozen=True, slots=True)
class Till:
    """What payments stand on, in a server and in a worker. One per process."""

    database: Database
    provider: PaymentProvider
    clock: Clock
    outbox: Outbox


async def apply(till: Till, told: Transaction | RefundReport) -> None:
    """`settle` or `settle_refund` in a transaction of its own."""
    now = till.clock.now()
    async with till.database.transaction() as connection:
        if isinstance(told, Transaction):
            await settle(connection, told, now)
        else:
            await settle_refund(connection, told, now)
    till.outbox.wake()


async def settle(connection: AsyncConnection, told: Transaction, now: datetime) -> None:
    """Apply how a payment stands. Raises `Refusal`, and changes nothing, if we never asked for it like that."""
    found = await payment_store.payment_by_number(connection, told.number)
    if found is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    # First the order, then what belongs to it: as in cancelling, so that the two cannot wait for each other.
    order = await store.order(connection, found.order_id, lock=True)
    payment = await payment_store.payment(connection, found.id)
    assert order is not None
    assert payment is not None
    if told.standing is Standing.PAID:
        await _pay(connection, order, payment, told, now)
    elif told.standing in (Standing.CLOSED, Standing.FAILED, Standing.RETURNED):
        await _end(connection, order, payment, told, now)


async def _pay(connection: AsyncConnection, order: Order, payment: Payment, told: Transaction, now: datetime) -> None:
    asked = (payment.id, fen(payment.amount), CURRENCY)
    if (told.reference, told.amount_fen, told.currency) != asked or not told.transaction_id:
        raise _mismatch(payment)
    if payment.state == "succeeded":
        if payment.transaction_id != told.transaction_id:
            raise _mismatch(payment)
        return
    if await payment_store.transaction_is_used(connection, told.transaction_id):
        raise _mismatch(payment)
    # Also a payment that we took for closed: what the provider took is the truth.
    await payment_store.change_payment(
        connection,
        payment.id,
        now,
        state="succeeded",
        transaction_id=told.transaction_id,
        succeeded_at=now,
        due_at=None,
    )
    if order.state is State.PENDING:
        await advance_locked(connection, order, Trigger.PAY_SUCCESS, now=now, by=None)
        return
    reason = PAID_LATE if order.state is State.CANCELLED else PAID_TWICE
    log.warning("money for nothing goes back", order=order.id, payment=payment.id, why=reason)
    await refund.give_back(connection, payment, reason=reason, now=now)


async def _end(connection: AsyncConnection, order: Order, payment: Payment, told: Transaction, now: datetime) -> None:
    if not payment.is_open:
        return
    if told.standing is Standing.RETURNED:
        log.error("somebody gave a payment back at the provider", order=order.id, payment=payment.id)
    await payment_store.change_payment(connection, payment.id, now, state="closed", due_at=None)
    if told.standing is Standing.FAILED and order.state is State.PENDING:
        await advance_locked(connection, order, Trigger.PAY_FAILED, now=now, by=None)
    else:
        await expire(connection, order, now)


async def expire(connection: AsyncConnection, order: Order, now: datetime) -> None:
    """Cancel an order (locked) whose time to pay has passed, unless some payment may still turn out to have been made."""
    is_late = order.state is State.PENDING and order.expires_at <= now
    if is_late and not await payment_store.has_open(connection, order.id):
        await advance_locked(connection, order, Trigger.PAYMENT_TIMEOUT, now=now, by=None)


async def settle_refund(connection: AsyncConnection, told: RefundReport, now: datetime) -> None:
    """Apply how a refund stands. Raises `Refusal`, and changes nothing, if we never asked for it like that."""
    kept = await payment_store.lock_refund(connection, told.number)
    payment = await payment_store.payment(connection, kept.payment_id) if kept is not None else None
    if kept is None or payment is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    if (told.payment_number, told.amount_fen) != (payment.number, fen(kept.amount)):
        raise _mismatch(payment)
    after = refund_after(kept.state, told.state)
    if after != kept.state:
        await _move_refund(connection, kept, told, now)


async def fail_refund(connection: AsyncConnection, number: str, code: str, now: datetime) -> None:
    """The provider refused it for good."""
    kept = await payment_store.lock_refund(connection, number)
    if kept is not None and kept.is_open:
        await _finish_refund(connection, kept, now, state="failed", error=code)


async def _move_refund(connection: AsyncConnection, kept: Refund, told: RefundReport, now: datetime) -> None:
    values: dict[str, object] = {"provider_id": told.provider_id, "error": told.error or None}
    if told.state == "processing":
        await payment_store.change_refund(connection, kept.id, now, state=told.state, **values)
    else:
        await _finish_refund(connection, kept, now, state=told.state, **values)


async def _finish_refund(
    connection: AsyncConnection, kept: Refund, now: datetime, *, state: str, **values: object
) -> None:
    succeeded_at = now if state == "succeeded" else None
    await payment_store.change_refund(
        connection, kept.id, now, state=state, due_at=None, succeeded_at=succeeded_at, **values
    )
    if state == "failed":
        log.error("a refund failed: staff must give the money back", order=kept.order_id, refund=kept.id)
    happened = RefundSucceeded if state == "succeeded" else RefundFailed
    await publish(connection, happened(subject=kept.order_id, at=now, by=None, refund=kept.id))


def _mismatch(payment: Payment) -> Refusal:
    log.error("what the provider says does not fit the payment", order=payment.order_id, payment=payment.id)
    return Refusal(ErrorCode.CONFLICT, "notification_mismatch")
