"""Where no merchant is configured: a provider for development that everybody pays at, and one that takes nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NoReturn

from hub.orders.payment import CURRENCY, Method, Payment, Refund, fen
from hub.orders.payment_provider import (
    RefundReport,
    RequestPayment,
    Standing,
    Transaction,
    Unanswered,
)
from hub.platform.clock import Clock
from hub.platform.error import ErrorCode, Refusal

PAID_AFTER = timedelta(seconds=1)  # so that a demo shows an order that waits for its payment


class DevelopmentPay:
    """Whoever asks to pay has paid a second later. Remembers nothing: what it says follows from the payment's row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def check(self, method: Method, payer: str | None) -> None:
        """Everybody may, also without WeChat."""

    async def prepare(self, payment: Payment, ends_at: datetime) -> str:
        return f"development-{payment.number}"

    def request_payment(self, prepay_id: str, now: datetime) -> RequestPayment:
        return RequestPayment(str(int(now.timestamp())), "development", f"prepay_id={prepay_id}", "RSA", "development")

    async def query(self, payment: Payment) -> Transaction:
        if self._clock.now() < payment.created_at + PAID_AFTER:
            return Transaction(number=payment.number, standing=Standing.UNPAID)
        return Transaction(
            number=payment.number,
            standing=Standing.PAID,
            transaction_id=f"development-{payment.number}",
            reference=payment.id,
            amount_fen=fen(payment.amount),
            currency=CURRENCY,
        )

    async def close(self, payment: Payment) -> None:
        """Nothing is kept that could be closed."""

    async def refund(self, refund: Refund, payment: Payment) -> RefundReport:
        return RefundReport(
            number=refund.number,
            payment_number=payment.number,
            state="succeeded",
            provider_id=f"development-{refund.number}",
            amount_fen=fen(refund.amount),
        )

    async def query_refund(self, refund: Refund, payment: Payment) -> RefundReport | None:
        return await self.refund(refund, payment)

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NoReturn:
        raise _unconfigured()


class NoPay:
    """Takes no money and says so; payments of earlier days stay as they are until a merchant is configured again."""

    def check(self, method: Method, payer: str | None) -> None:
        raise _unconfigured()

    async def prepare(self, payment: Payment, ends_at: datetime) -> NoReturn:
        raise _unconfigured()

    def request_payment(self, prepay_id: str, now: datetime) -> NoReturn:
        raise _unconfigured()

    async def query(self, payment: Payment) -> NoReturn:
        raise Unanswered

    async def close(self, payment: Payment) -> NoReturn:
        raise Unanswered

    async def refund(self, refund: Refund, payment: Payment) -> NoReturn:
        raise Unanswered

    async def query_refund(self, refund: Refund, payment: Payment) -> NoReturn:
        raise Unanswered

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NoReturn:
        raise _unconfigured()


def _unconfigured() -> Refusal:
    return Refusal(ErrorCode.UNAVAILABLE, "payment_unconfigured")
