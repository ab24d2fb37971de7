"""Sending refunds, and asking about them until the money is there. Repeated, interrupted or run twice, it goes back once."""

from datetime import datetime

from hub.orders import payment_store
from hub.orders.payment import Due, Payment, Refund, next_send
from hub.orders.payment_provider import RefundReport, Rejected, Unanswered
from hub.orders.payment_settlement import Till, apply, fail_refund
from hub.platform.database import Database

# Refusals that somebody can put right without another refund: the merchant's balance, or its rights.
CURABLE = frozenset({"NOT_ENOUGH", "NOTENOUGH", "NO_AUTH", "NOAUTH"})


async def due_refunds(database: Database, now: datetime, limit: int) -> list[Due]:
    """Refunds for `send`, the longest due first."""
    async with database.transaction() as connection:
        return await payment_store.due_refunds(connection, now, limit)


async def send(till: Till, refund_id: str) -> None:
    """Send a due refund, or ask about it; a definite refusal is kept for staff."""
    claimed = await _claim(till, refund_id)
    if claimed is None:
        return
    refund, payment = claimed
    try:
        await apply(till, await _report(till, refund, payment))
    except Unanswered:
        return  # it is due again already
    except Rejected as rejected:
        await _refused(till, refund, rejected.code)


async def _report(till: Till, refund: Refund, payment: Payment) -> RefundReport:
    if refund.state == "processing":
        report = await till.provider.query_refund(refund, payment)
        if report is not None:
            return report
    try:
        return await till.provider.refund(refund, payment)
    except Rejected:
        # Perhaps because it was done before, and the answer was lost.
        report = await till.provider.query_refund(refund, payment)
        if report is None:
            raise
        return report


async def _claim(till: Till, refund_id: str) -> tuple[Refund, Payment] | None:
    now = till.clock.now()
    async with till.database.transaction() as connection:
        refund = await payment_store.claim_refund(connection, refund_id, now)
        payment = await payment_store.payment(connection, refund.payment_id) if refund is not None else None
        if refund is None or payment is None:
            return None
        again_at = next_send(refund.attempts, now)
        await payment_store.change_refund(connection, refund.id, now, attempts=refund.attempts + 1, due_at=again_at)
        return refund, payment


async def _refused(till: Till, refund: Refund, code: str) -> None:
    now = till.clock.now()
    async with till.database.transaction() as connection:
        if code in CURABLE:
            await payment_store.change_refund(connection, refund.id, now, error=code)
        else:
            await fail_refund(connection, refund.number, code, now)
    till.outbox.wake()
