"""HTTP of payments. Takes the dependencies `payments` and `principal`; the notification has its own form of answer."""

from typing import Any

import msgspec
from limits import RateLimitItemPerMinute
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap
from msgspec import UNSET, UnsetType

from hub.orders import payment_actions
from hub.orders.payment import Method, PaymentState, Refund, RefundState
from hub.orders.payment_actions import Paid, Payable, Payments
from hub.orders.shape import Inbound, Outbound, money
from hub.platform.clock import rfc3339
from hub.platform.error import Refusal
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.http_error import exception_handlers
from hub.platform.text import text
from hub.security.token import Principal

# All of WeChat Pay's notifications come from a handful of addresses, so many more are let in than from a person. To refuse
# a forged one costs 0.1 ms, mostly the signature.
NOTIFICATIONS_PER_ADDRESS = RateLimitItemPerMinute(12_000, namespace="payment-notification")
NOTIFICATION_BYTES = 65_536  # they are of some 2 KB


class PayWanted(Inbound, frozen=True):
    method: Method


class PayableView(Outbound, frozen=True):
    """`timeStamp` to `paySign` go to `wx.requestPayment` as they are; with `wechat_native`, `codeUrl` is shown as a QR code."""

    order_no: str
    payment_id: str
    amount: str
    expires_at: str
    time_stamp: str | UnsetType = UNSET
    nonce_str: str | UnsetType = UNSET
    package: str | UnsetType = UNSET
    sign_type: str | UnsetType = UNSET
    pay_sign: str | UnsetType = UNSET
    code_url: str | UnsetType = UNSET


class RefundView(Outbound, frozen=True):
    id: str
    amount: str
    status: RefundState
    created_at: str
    succeeded_at: str | None
    error: str | UnsetType = UNSET
    """The provider's word for why it failed, or waits; for staff only."""


class PaymentView(Outbound, frozen=True):
    id: str
    method: Method
    amount: str
    status: PaymentState
    created_at: str
    succeeded_at: str | None
    refund: RefundView | None


class PaymentsView(Outbound, frozen=True):
    items: list[PaymentView]


class NotificationRefused(msgspec.Struct, frozen=True):
    """What WeChat Pay wants to read of a notification that was not taken."""

    code: str
    message: str


@post("/orders/{order:str}/pay", status_code=200, responses=FAILURES)
async def pay(
    order: FromPath[str],
    data: JSONBody[PayWanted],
    principal: NamedDependency[Principal],
    payments: NamedDependency[Payments],
) -> Answer[PayableView]:
    """Pay an order that waits for it; asking again is the same payment."""
    return answer(_payable_view(await payment_actions.pay(payments, principal, order, data.method)))


@get("/orders/{order:str}/payments", responses=FAILURES)
async def list_payments(
    order: FromPath[str], principal: NamedDependency[Principal], payments: NamedDependency[Payments]
) -> Answer[PaymentsView]:
    """How the payments of an order stand, and the way of the money that goes back."""
    made, is_staff = await payment_actions.payments_of(payments, principal, order)
    return answer(PaymentsView([_payment_view(each, is_staff) for each in made]))


def _fail(
    request: Request[Any, Any, Any], error: Exception
) -> Response[NotificationRefused]:  # Any: as in `http.Connection`
    """The same refusals as everywhere, in WeChat Pay's form: it sends the notification again, for a day."""
    handlers = (exception_handlers[shape] for shape in (Refusal, HTTPException, Exception) if isinstance(error, shape))
    usual: Response[Any] = next(handlers)(request, error)
    message = text(error.text) if isinstance(error, Refusal) else text("internal")
    headers = {name: value for name, value in usual.headers.items() if name == "Retry-After"}
    return Response(
        NotificationRefused("FAIL", message),
        status_code=usual.status_code,
        headers=headers,
        media_type="application/json",
    )


_TELLING: ExceptionHandlersMap = {Exception: _fail, HTTPException: _fail, Refusal: _fail}
_REFUSALS = {
    status: ResponseSpec(data_container=NotificationRefused, description=description, generate_examples=False)
    for status, description in (
        (400, "Not a notification that is understood here"),
        (401, "Not signed by WeChat Pay, or too old"),
        (404, "No such payment"),
        (409, "Does not fit the payment"),
        (413, "Too large"),
        (429, "Too many"),
        (503, "Temporarily unavailable"),
    )
}


@post(
    "/payments/wechat/notify",
    status_code=204,
    opt={"limit": NOTIFICATIONS_PER_ADDRESS},
    responses=_REFUSALS,
    exception_handlers=_TELLING,
    request_max_body_size=NOTIFICATION_BYTES,
)
async def notify(request: Request[Any, Any, Any], payments: NamedDependency[Payments]) -> None:
    """WeChat Pay tells that something was paid or given back. No wrapper: this is what it expects."""
    await payment_actions.notified(payments.till, dict(request.headers), await request.body())


handlers: list[ControllerRouterHandler] = [pay, list_payments, notify]


def _payable_view(found: Payable) -> PayableView:
    view = PayableView(
        order_no=found.order.order_no,
        payment_id=found.payment.id,
        amount=money(found.payment.amount),
        expires_at=rfc3339(found.order.expires_at),
        code_url=found.code_url or UNSET,
    )
    return msgspec.structs.replace(view, **msgspec.structs.asdict(found.request)) if found.request else view


def _payment_view(paid: Paid, is_staff: bool) -> PaymentView:
    payment = paid.payment
    return PaymentView(
        id=payment.id,
        method=payment.method,
        amount=money(payment.amount),
        status=payment.state,
        created_at=rfc3339(payment.created_at),
        succeeded_at=rfc3339(payment.succeeded_at) if payment.succeeded_at else None,
        refund=_refund_view(paid.refund, is_staff) if paid.refund else None,
    )


def _refund_view(refund: Refund, is_staff: bool) -> RefundView:
    return RefundView(
        id=refund.id,
        amount=money(refund.amount),
        status=refund.state,
        created_at=rfc3339(refund.created_at),
        succeeded_at=rfc3339(refund.succeeded_at) if refund.succeeded_at else None,
        error=refund.error or UNSET if is_staff else UNSET,
    )
