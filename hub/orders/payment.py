"""Payments and refunds of orders, and their rules. No I/O: time is an argument."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

Method = Literal["wechat", "wechat_native"]
"""How to pay: in the mini-program (JSAPI), or by a QR code that WeChat scans."""

PaymentState = Literal["created", "pending", "succeeded", "closed"]
RefundState = Literal["pending", "processing", "succeeded", "failed"]

OPEN: tuple[PaymentState, ...] = ("created", "pending")
CURRENCY = "CNY"
MAX_PAYMENTS = 20  # of one order; each change of the method needs a number of its own

# WeChat Pay refuses an end that is less than a minute away.
SHORTEST_LIFE = timedelta(seconds=61)
# How long an order holds its slot when the provider does not say whether it was paid; what comes later is given back.
LONGEST_DOUBT = timedelta(hours=1)

# Most people pay within a minute; a notification that is lost is found by asking.
ASK_DELAYS_S = (5.0, 30.0, 60.0, 300.0)
REFUND_DELAYS_S = (5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
LATE_ASK_DELAYS_S = (5.0, 3600.0)  # once the time to pay has passed: at first often, and never less than hourly


class Payment(msgspec.Struct, frozen=True):
    """One way in which an order may be paid. `number` is what the provider knows it by, for ever."""

    id: str
    order_id: str
    number: str
    method: Method
    amount: Decimal
    state: PaymentState
    payer: str | None
    """The openid that pays, for `wechat`."""
    prepay_id: str | None
    """What the provider answered: a prepay id, or the address in the QR code."""
    transaction_id: str | None
    attempts: int
    created_at: datetime
    succeeded_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it may still be paid, as far as we know."""
        return self.state in OPEN


class Refund(msgspec.Struct, frozen=True):
    """The whole of one payment, given back. Sending it again under the same number is the same refund."""

    id: str
    order_id: str
    payment_id: str
    number: str
    amount: Decimal
    reason: str
    state: RefundState
    provider_id: str | None
    error: str | None
    attempts: int
    created_at: datetime
    succeeded_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in ("pending", "processing")


class Due(NamedTuple):
    """A row to do something about. With each try the attempt counts on, so that a job that died holds up no later one."""

    id: str
    attempt: int


def payment_number(order_no: str, earlier: int) -> str:
    """The number of an order's next payment; at most 32 letters, digits and hyphens, as WeChat Pay wants it."""
    return f"{order_no}-{earlier + 1}"


def refund_number(payment: str) -> str:
    """There is one refund of a payment, so its number follows."""
    return f"{payment}-R"


def fen(amount: Decimal) -> int:
    """Yuan as the provider counts them. Amounts have two places, so nothing is lost."""
    return int(amount.scaleb(2))


def ends_at(payment: Payment, expires_at: datetime) -> datetime:
    """Until when the provider shall take the money; the same each time it is asked about the same payment."""
    return max(expires_at, payment.created_at + SHORTEST_LIFE)


def next_ask(attempts: int, now: datetime, expires_at: datetime) -> datetime:
    """When to ask about an open payment again: exactly at the order's end, and then ever less often."""
    if now < expires_at:
        return min(now + _delay(ASK_DELAYS_S, attempts), expires_at)
    shortest, longest = (timedelta(seconds=each) for each in LATE_ASK_DELAYS_S)
    return now + min(max(now - expires_at, shortest), longest)


def next_send(attempts: int, now: datetime) -> datetime:
    """When to send or ask about a refund again."""
    return now + _delay(REFUND_DELAYS_S, attempts)


def refund_after(state: RefundState, told: RefundState) -> RefundState:
    """The state once the provider has told one: money that has gone back stays so, whatever arrives late."""
    if state == "succeeded" or (state == "failed" and told != "succeeded"):
        return state
    return told


def _delay(steps_s: Sequence[float], attempts: int) -> timedelta:
    return timedelta(seconds=steps_s[min(max(attempts, 0), len(steps_s) - 1)])
