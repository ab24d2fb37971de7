"""What people and the provider do about payments: paying, looking how it stands, telling that it was paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import actions as accounts
from hub.orders import payment_store
from hub.orders.actions import Orders, locked_order, seen_order
from hub.orders.model import Order, State, conflict
from hub.orders.payment import ASK_DELAYS_S, MAX_PAYMENTS, Method, Payment, Refund, ends_at, next_ask, payment_number
from hub.orders.payment_duty import end
from hub.orders.payment_provider import Rejected, RequestPayment, Standing, Unanswered
from hub.orders.payment_settlement import Till, apply
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.token import Principal

ROUNDS = 3  # an order has one open payment, so one other is ended before; more only while somebody else pays, too


@dataclass(frozen=True, slots=True)
class Payments:
    """The use cases. One per process."""

    orders: Orders
    till: Till


class Payable(msgspec.Struct, frozen=True):
    """How to pay: `request` in the mini-program, or `code_url` as a QR code."""

    order: Order
    payment: Payment
    request: RequestPayment | None = None
    code_url: str | None = None


class Paid(msgspec.Struct, frozen=True):
    """A payment and what became of it."""

    payment: Payment
    refund: Refund | None


async def pay(payments: Payments, who: Principal, order_id: str, method: Method) -> Payable:
    """Make an order payable in this way, and in no other; asked again, it is the same payment.

    Raises `Refusal`: 409 naming the state if it cannot be paid, 503 if the provider does not answer: then ask again.
    """
    for _ in range(ROUNDS):
        order, payment, is_asked = await _choose(payments, who, order_id, method)
        if is_asked:
            return await _prepare(payments.till, order, payment)
        try:
            await apply(payments.till, await end(payments.till, payment))
        except Unanswered:
            break
    raise _unknown()


async def payments_of(payments: Payments, who: Principal, order_id: str) -> tuple[list[Paid], bool]:
    """An order's payments, the oldest first, with their refunds; and whether `who` looks as staff."""
    async with payments.orders.database.transaction() as connection:
        order, standing = await seen_order(payments.orders, connection, who, order_id)
        if not (standing.owner or standing.staff):
            raise Refusal(ErrorCode.FORBIDDEN)
        made = await payment_store.of_order(connection, order.id)
        refunds = {each.payment_id: each for each in await payment_store.refunds_of_order(connection, order.id)}
    return [Paid(each, refunds.get(each.id)) for each in made], standing.staff


async def notified(till: Till, headers: Mapping[str, str], body: bytes) -> None:
    """Apply a notification. Raises `Refusal` unless it is the provider's own and fits what was asked."""
    await apply(till, till.provider.read(headers, body, till.clock.now()))


async def _choose(payments: Payments, who: Principal, order_id: str, method: Method) -> tuple[Order, Payment, bool]:
    """The order's open payment, new if there was none, and whether it is of this method and payer; committed before use."""
    now = payments.till.clock.now()
    async with payments.orders.database.transaction() as connection:
        seen, standing = await seen_order(payments.orders, connection, who, order_id)
        if not standing.owner:
            raise Refusal(ErrorCode.FORBIDDEN)
        order = await locked_order(connection, seen.id)
        _check_payable(order, now)
        payment, is_asked = await _payment(payments, connection, who, order, method, now)
    return order, payment, is_asked


async def _payment(
    payments: Payments, connection: AsyncConnection, who: Principal, order: Order, method: Method, now: datetime
) -> tuple[Payment, bool]:
    payer = await accounts.openid_of(connection, who.user) if method == "wechat" else None
    payments.till.provider.check(method, payer)
    earlier = await payment_store.of_order(connection, order.id)
    for payment in earlier:
        if payment.is_open:
            return payment, (payment.method, payment.payer) == (method, payer)
    if len(earlier) >= MAX_PAYMENTS:
        raise Refusal(ErrorCode.CONFLICT, "payment_too_many", fields={"status": order.state.value})
    added = Payment(
        id=new_id(),
        order_id=order.id,
        number=payment_number(order.order_no, len(earlier)),
        method=method,
        amount=order.amount,
        state="created",
        payer=payer,
        prepay_id=None,
        transaction_id=None,
        attempts=1,
        created_at=now,
        succeeded_at=None,
    )
    await payment_store.add_payment(connection, added, next_ask(0, now, order.expires_at))
    return added, True


async def _prepare(till: Till, order: Order, payment: Payment) -> Payable:
    if payment.prepay_id is None:
        payment = await _ask_provider(till, order, payment)
    assert payment.prepay_id is not None
    if payment.method == "wechat_native":
        return Payable(order, payment, code_url=payment.prepay_id)
    return Payable(order, payment, till.provider.request_payment(payment.prepay_id, till.clock.now()))


async def _ask_provider(till: Till, order: Order, payment: Payment) -> Payment:
    """Outside of any transaction: the provider may take its time. What it does not answer stays as it is, and is asked about."""
    try:
        prepay_id = await till.provider.prepare(payment, ends_at(payment, order.expires_at))
    except Unanswered:
        raise _unknown() from None
    except Rejected:
        await _after_refusal(till, payment)
    now = till.clock.now()
    async with till.database.transaction() as connection:
        prepared = await payment_store.prepared(connection, payment.id, prepay_id, now)
    if prepared.is_open:
        return prepared
    # Meanwhile it was paid, or ended because somebody wants to pay in another way.
    raise conflict(State.PAID) if prepared.state == "succeeded" else Refusal(ErrorCode.UNAVAILABLE, "payment_refused")


async def _after_refusal(till: Till, payment: Payment) -> NoReturn:
    """It may be paid already; else this number is of no use any more, and the next try takes another."""
    try:
        told = await end(till, payment)
        await apply(till, told)
    except Unanswered:
        raise _unknown() from None
    if told.standing is Standing.PAID:
        raise conflict(State.PAID)
    raise Refusal(ErrorCode.UNAVAILABLE, "payment_refused")


def _check_payable(order: Order, now: datetime) -> None:
    if order.state is not State.PENDING:
        raise conflict(order.state)
    if order.expires_at <= now:
        raise Refusal(ErrorCode.TOO_LATE, "payment_expired", fields={"status": order.state.value})


def _unknown() -> Refusal:
    return Refusal(ErrorCode.UNAVAILABLE, "payment_unknown", retry_after_ms=int(ASK_DELAYS_S[0] * 1000))
