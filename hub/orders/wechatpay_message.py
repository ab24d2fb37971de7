"""The JSON of WeChat Pay v3: the parts of it that the hub reads. It may hold more."""

from typing import Literal

import msgspec

from hub.orders.payment import RefundState
from hub.orders.payment_provider import RefundReport, Standing, Transaction

# trade_state of an order. USERPAYING and ACCEPT: somebody is at it.
STANDINGS: dict[str, Standing] = {
    "SUCCESS": Standing.PAID,
    "NOTPAY": Standing.UNPAID,
    "USERPAYING": Standing.UNPAID,
    "ACCEPT": Standing.UNPAID,
    "CLOSED": Standing.CLOSED,
    "PAYERROR": Standing.FAILED,
    "REVOKED": Standing.FAILED,
    "REFUND": Standing.RETURNED,
}
# status of a refund. ABNORMAL: the money could not reach the payer; staff decide at WeChat Pay where it goes.
REFUND_STATES: dict[str, RefundState] = {
    "SUCCESS": "succeeded",
    "PROCESSING": "processing",
    "CLOSED": "failed",
    "ABNORMAL": "failed",
}


class Amount(msgspec.Struct, frozen=True):
    """In fen. With coupons the payer pays less; `total` is what the order costs."""

    total: int
    currency: str = "CNY"


class RefundAmount(msgspec.Struct, frozen=True):
    refund: int


class Prepared(msgspec.Struct, frozen=True):
    prepay_id: str = ""
    code_url: str = ""


class Failed(msgspec.Struct, frozen=True):
    code: str = ""


class TransactionMessage(msgspec.Struct, frozen=True):
    """An order, as a query answers it and as a notification carries it."""

    appid: str
    mchid: str
    out_trade_no: str
    trade_state: Literal["SUCCESS", "NOTPAY", "USERPAYING", "ACCEPT", "CLOSED", "PAYERROR", "REVOKED", "REFUND"]
    transaction_id: str = ""
    attach: str = ""
    amount: Amount | None = None

    def told(self) -> Transaction:
        return Transaction(
            number=self.out_trade_no,
            standing=STANDINGS[self.trade_state],
            transaction_id=self.transaction_id,
            reference=self.attach,
            amount_fen=self.amount.total if self.amount else 0,
            currency=self.amount.currency if self.amount else "",
        )


class RefundMessage(msgspec.Struct, frozen=True):
    """A refund, as a request for it and a query answer it."""

    refund_id: str
    out_refund_no: str
    out_trade_no: str
    status: Literal["SUCCESS", "PROCESSING", "CLOSED", "ABNORMAL"]
    amount: RefundAmount

    def told(self) -> RefundReport:
        return _report(self, self.status)


class RefundNotice(msgspec.Struct, frozen=True):
    """A refund, as a notification carries it."""

    mchid: str
    refund_id: str
    out_refund_no: str
    out_trade_no: str
    refund_status: Literal["SUCCESS", "CLOSED", "ABNORMAL"]
    amount: RefundAmount

    def told(self) -> RefundReport:
        return _report(self, self.refund_status)


class Envelope(msgspec.Struct, frozen=True):
    event_type: Literal["TRANSACTION.SUCCESS", "REFUND.SUCCESS", "REFUND.CLOSED", "REFUND.ABNORMAL"]


def _report(message: RefundMessage | RefundNotice, status: str) -> RefundReport:
    state = REFUND_STATES[status]
    return RefundReport(
        number=message.out_refund_no,
        payment_number=message.out_trade_no,
        state=state,
        provider_id=message.refund_id,
        amount_fen=message.amount.refund,
        error=status if state == "failed" else "",
    )
