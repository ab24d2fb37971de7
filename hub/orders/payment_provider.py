"""The port to whoever takes the money: what it is asked, what it says, and how it can fail."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from hub.orders.payment import Method, Payment, Refund, RefundState


class Standing(StrEnum):
    """How a payment stands at the provider."""

    UNPAID = "unpaid"
    PAID = "paid"
    CLOSED = "closed"  # not paid, and never will be
    FAILED = "failed"  # tried, and not possible
    RETURNED = "returned"  # paid, and given back by somebody at the provider
    UNKNOWN = "unknown"  # the provider has no payment of this number


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says of a payment; of our merchant and app, which the adapter has checked."""

    number: str
    standing: Standing
    transaction_id: str = ""
    reference: str = ""
    """The payment's id, which the provider was given with the number."""
    amount_fen: int = 0
    currency: str = ""


class RefundReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says of a refund; of our merchant, which the adapter has checked."""

    number: str
    payment_number: str
    state: RefundState
    provider_id: str
    amount_fen: int
    error: str = ""
    """For staff, when it failed: the provider's word."""


class RequestPayment(msgspec.Struct, frozen=True, rename="camel"):
    """What `wx.requestPayment` takes."""

    time_stamp: str
    nonce_str: str
    package: str
    sign_type: str
    pay_sign: str


class Unanswered(Exception):
    """Nobody knows whether it happened: no answer in time, a fault at the provider, or an answer that is not its own."""


class Rejected(Exception):
    """The provider refused, so nothing happened. `code` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PaymentProvider(Protocol):
    """Every call ends in time, and may raise `Unanswered`; `Rejected` only where that is said.

    Whatever was sent may be sent again as it is, and is the same.
    """

    def check(self, method: Method, payer: str | None) -> None:
        """Raise `Refusal` if nobody can pay here, or this payer (an openid, if known) not in this way."""

    async def prepare(self, payment: Payment, ends_at: datetime) -> str:
        """Make it payable until `ends_at`: a prepay id, or for `wechat_native` the address in the QR code. Or `Rejected`."""

    def request_payment(self, prepay_id: str, now: datetime) -> RequestPayment:
        """What the mini-program needs to pay it; without I/O."""

    async def query(self, payment: Payment) -> Transaction:
        """How it stands."""

    async def close(self, payment: Payment) -> None:
        """Make it impossible to pay. `Rejected` may mean that it is paid: ask."""

    async def refund(self, refund: Refund, payment: Payment) -> RefundReport:
        """Give it back. `Rejected` may mean that it was given back before: ask."""

    async def query_refund(self, refund: Refund, payment: Payment) -> RefundReport | None:
        """How the refund stands; None if the provider has none of this number."""

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Transaction | RefundReport:
        """What a notification says. Raises `Refusal` unless it is the provider's own, fresh, and meant for us."""
