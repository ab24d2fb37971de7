"""A notification is applied once however often it comes, in whatever order, and only if everything about it fits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from limits import RateLimitItemPerMinute

from hub.orders import payment_api
from hub.platform.database import Database
from tests.integration import core_app
from tests.integration.payment_scene import NOTIFY, UNPAID_S, Ordered, Shop, open_shop, opened_standin
from tests.standins.wechatpay import SIGNTEST, Notification, WechatPayStandin

pay = pytest.fixture(opened_standin)


@pytest_asyncio.fixture
async def shop(database: Database, redis_url: str, pay: WechatPayStandin) -> AsyncIterator[Shop]:
    async with open_shop(database, redis_url, pay) as opened:
        yield opened


async def paid(shop: Shop) -> tuple[Ordered, Notification]:
    """An order that its payer has paid, and what WeChat Pay is about to tell."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    return order, shop.pay.paid(order.payment)


async def test_notification_pays_the_order(shop: Shop) -> None:
    """204 without a body, the order paid, the transaction kept, the event published, nothing left to ask."""
    order, sent = await paid(shop)
    answer = await shop.tell(sent)
    (row,) = await shop.payments(order)

    assert answer == (204, b"")
    assert await shop.state(order) == "paid"
    assert await shop.events(order) == ["OrderPaid"]
    assert (row["state"], row["due_at"]) == ("succeeded", None)
    assert row["transaction_id"] == shop.pay.trades[order.payment].transaction_id
    assert row["succeeded_at"] == shop.hub.clock.now()
    assert await shop.holds_slot(order)


async def test_notification_is_applied_once_however_often_it_comes(shop: Shop) -> None:
    """At once, again, signed anew a day later, and found by asking: one payment, one event; each time it is taken."""
    order, sent = await paid(shop)
    await shop.hub.clock.advance(5)
    *answers, _ = await asyncio.gather(*(shop.tell(sent) for _ in range(8)), shop.work())
    before = await shop.everything()
    await shop.hub.clock.advance(86_400)
    again = await shop.tell(shop.pay.paid(order.payment))

    assert {*answers, again} == {(204, b"")}
    assert await shop.events(order) == ["OrderPaid"]
    assert await shop.everything() == before


async def test_notification_finds_the_payment_whose_preparation_was_lost(shop: Shop) -> None:
    """The answer to us was lost, the payer has paid all the same."""
    order = await shop.order()
    shop.pay.moods["prepare"] = "lost"
    await shop.start(order, status=503)
    shop.pay.pay(order.payment)

    assert (await shop.tell(shop.pay.paid(order.payment)))[0] == 204
    assert await shop.state(order) == "paid"


HOSTILE: dict[str, tuple[int, Callable[[WechatPayStandin, str], Notification]]] = {
    "forged": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), owner="stranger")),
    "by the merchant": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), owner="merchant")),
    "probe": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), signature=SIGNTEST)),
    "unsigned": (401, lambda s, n: Notification({}, s.paid(n).body)),
    "old": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), age_s=301)),
    "of tomorrow": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), age_s=-301)),
    "another serial": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), serial="7777")),
    "another algorithm": (
        401,
        lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), signature_type="WECHATPAY2-SM2"),
    ),
    "another secret": (401, lambda s, n: s.notification("TRANSACTION.SUCCESS", s._transaction(n), api_key="k" * 32)),
    "one byte more": (401, lambda s, n: Notification(s.paid(n).headers, s.paid(n).body + b"\n")),
    "another body": (401, lambda s, n: Notification(s.paid(n).headers, b"{}")),
    "no JSON": (401, lambda s, n: s.signed(b"\xff")),
    "another merchant": (409, lambda s, n: s.paid(n, mchid="1900000002")),
    "another app": (409, lambda s, n: s.paid(n, appid="wx-other")),
    "less money": (409, lambda s, n: s.paid(n, amount={"total": 12799, "currency": "CNY"})),
    "more money": (409, lambda s, n: s.paid(n, amount={"total": 12801, "currency": "CNY"})),
    "negative money": (409, lambda s, n: s.paid(n, amount={"total": -12800, "currency": "CNY"})),
    "no money": (409, lambda s, n: s.paid(n, amount=None)),
    "other money": (409, lambda s, n: s.paid(n, amount={"total": 12800, "currency": "USD"})),
    "no transaction": (409, lambda s, n: s.paid(n, transaction_id="")),
    "not our reference": (409, lambda s, n: s.paid(n, attach="")),
    "not paid": (409, lambda s, n: s.paid(n, trade_state="NOTPAY")),
    "unknown number": (404, lambda s, n: s.paid(n, out_trade_no="ORDER2026010299999999-1")),
    "injected number": (404, lambda s, n: s.paid(n, out_trade_no="' OR 1=1 --")),
    "half a fen": (400, lambda s, n: s.paid(n, amount={"total": 12800.5})),
    "words for money": (400, lambda s, n: s.paid(n, amount={"total": "一百"})),
    "another kind": (400, lambda s, n: s.notification("PAYSCORE.USER_PAID", s._transaction(n))),
    "a refund that is none": (400, lambda s, n: s.notification("REFUND.SUCCESS", s._transaction(n))),
    "a list": (400, lambda s, n: s.notification("TRANSACTION.SUCCESS", [])),
}


@pytest.mark.parametrize(("status", "send"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_notification_changes_nothing_when_it_does_not_fit(
    shop: Shop, status: int, send: Callable[[WechatPayStandin, str], Notification]
) -> None:
    """Refused in WeChat Pay's form, not a row touched; the true one that follows is applied."""
    order, true = await paid(shop)
    before = await shop.everything()
    found, content = await shop.tell(send(shop.pay, order.payment))
    failure = json.loads(content)

    assert (found, failure["code"]) == (status, "FAIL")
    assert set(failure) == {"code", "message"}
    assert await shop.everything() == before
    assert (await shop.tell(true))[0] == 204
    assert await shop.state(order) == "paid"


async def test_notification_under_another_orders_number_is_refused(shop: Shop) -> None:
    """The same price, another order: what was paid for one does not pay the other."""
    order, _ = await paid(shop)
    other = await shop.waiting()
    status, _ = await shop.tell(shop.pay.paid(order.payment, out_trade_no=other.payment))

    assert status == 409
    assert (await shop.state(order), await shop.state(other)) == ("pending", "pending")


async def test_one_transaction_pays_one_payment(shop: Shop) -> None:
    """Neither does a transaction pay two orders, nor are there two transactions of one payment."""
    first, sent = await paid(shop)
    second = await shop.waiting()
    await shop.tell(sent)
    used = shop.pay.trades[first.payment].transaction_id
    shop.pay.pay(second.payment)
    again, _ = await shop.tell(shop.pay.paid(second.payment, transaction_id=used))
    another, _ = await shop.tell(shop.pay.paid(first.payment, transaction_id="4200000000"))

    assert (again, another) == (409, 409)
    assert await shop.state(second) == "pending"
    assert await shop.refunds(first) == []


@pytest.mark.parametrize("size", [65_537, 5_000_000])
async def test_notification_is_refused_when_it_is_large(shop: Shop, size: int) -> None:
    """They are of two kilobytes; nobody makes the hub read and verify megabytes."""
    status, content = await shop.tell(shop.pay.signed(b" " * size))

    assert (status, json.loads(content)["code"]) == (413, "FAIL")


async def test_flood_of_notifications_is_refused_in_wechat_pays_form(
    database: Database, redis_url: str, pay: WechatPayStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with the time to come back; the limit is of this address, and of notifications alone."""
    limit = RateLimitItemPerMinute(2, namespace="payment-notification")
    monkeypatch.setitem(payment_api.notify.opt, "limit", limit)
    monkeypatch.setattr(core_app, "_free", [])  # an application that was built before has the usual limit
    async with open_shop(database, redis_url, pay) as shop:
        order, sent = await paid(shop)
        statuses = [(await shop.tell(pay.signed(b"{}")))[0] for _ in range(2)]
        late = await shop.hub.client.post(NOTIFY, content=sent.body, headers=sent.headers)

        assert statuses == [401, 401]
        assert (late.status_code, late.json()["code"]) == (429, "FAIL")
        assert int(late.headers["Retry-After"]) >= 1
        assert await shop.state(order) == "pending"


async def test_notification_needs_no_sign_in_and_takes_no_other_method(shop: Shop) -> None:
    """WeChat Pay has no account here."""
    assert (await shop.tell(Notification({"Authorization": "Bearer nonsense"}, b"{}")))[0] == 401
    assert (await shop.hub.client.get(NOTIFY)).status_code == 405


async def test_database_that_is_away_is_told_as_such(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, so that WeChat Pay comes again; nothing is lost."""
    order, sent = await paid(shop)
    engine = shop.hub.ground.database.engine

    def away(*_: Any) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as broken:
        broken.setattr(type(engine), "begin", away)
        status, content = await shop.tell(sent)

    assert (status, json.loads(content)["code"]) == (503, "FAIL")
    assert (await shop.tell(sent))[0] == 204
    assert await shop.state(order) == "paid"


# Money for nothing


async def test_money_for_a_cancelled_order_goes_back(shop: Shop) -> None:
    """It came too late: recorded as what it is, the order stays cancelled, its slot free, and a refund is started."""
    order, sent = await paid(shop)
    await shop.cancel(order)
    answers = [await shop.tell(sent) for _ in range(3)]
    (row,) = await shop.payments(order)
    (refund,) = await shop.refunds(order)

    assert answers == [(204, b"")] * 3
    assert (await shop.state(order), row["state"]) == ("cancelled", "succeeded")
    assert (refund["number"], refund["state"], refund["reason"]) == (f"{order.payment}-R", "pending", "paid_late")
    assert refund["amount"] == row["amount"]
    assert await shop.events(order) == ["OrderCancelled"]
    assert not await shop.holds_slot(order)


async def test_money_for_an_order_that_timed_out_goes_back(shop: Shop) -> None:
    """Closed by us, closed by WeChat Pay, and yet a notification says that it was paid: the money decides."""
    order = await shop.waiting()
    await shop.after(UNPAID_S)
    trade = shop.pay.trades[order.payment]
    assert (await shop.state(order), trade.state) == ("cancelled", "CLOSED")
    trade.state, trade.transaction_id = "SUCCESS", "4200000001"
    await shop.tell(shop.pay.paid(order.payment))

    (row,) = await shop.payments(order)
    assert (await shop.state(order), row["state"]) == ("cancelled", "succeeded")
    assert [each["reason"] for each in await shop.refunds(order)] == ["paid_late"]


async def test_order_that_was_paid_twice_keeps_one_payment(shop: Shop) -> None:
    """Paid by QR code and, though that was closed, in the mini-program: the second money goes back, the first stays."""
    order = await shop.waiting()
    await shop.start(order, "wechat_native")
    shop.pay.pay(f"{order.number}-2")
    await shop.tell(shop.pay.paid(f"{order.number}-2"))
    trade = shop.pay.trades[order.payment]
    trade.state, trade.transaction_id = "SUCCESS", "4200000002"
    await shop.tell(shop.pay.paid(order.payment))

    first, second = await shop.payments(order)
    (refund,) = await shop.refunds(order)
    assert (first["state"], second["state"]) == ("succeeded", "succeeded")
    assert (refund["payment_id"], refund["reason"]) == (first["id"], "paid_twice")
    assert (await shop.state(order), await shop.events(order)) == ("paid", ["OrderPaid"])


async def test_cancelling_and_being_paid_at_once_end_consistently(shop: Shop) -> None:
    """Whoever is first: either paid and then cancelled, or cancelled and then paid; one refund, the slot free, no deadlock."""
    for _ in range(5):
        order, sent = await paid(shop)
        await asyncio.gather(shop.tell(sent), shop.cancel(order), shop.tell(sent), shop.after(5))

        assert await shop.state(order) == "cancelled"
        assert len(await shop.refunds(order)) == 1
        assert not await shop.holds_slot(order)
        assert await shop.events(order) in (["OrderPaid", "OrderCancelled"], ["OrderCancelled"])
