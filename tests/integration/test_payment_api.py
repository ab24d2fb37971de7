"""Paying an order: what the mini-program gets, one open payment at a time, and a provider that fails in every way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from hub.platform import settings
from hub.platform.database import Database
from hub.platform.settings import Settings
from tests.integration.core_app import open_core
from tests.integration.payment_scene import UNPAID_S, Shop, open_shop, opened_standin
from tests.integration.scene import Scene
from tests.standins.wechatpay import APP_ID, WechatPayStandin, is_signed

pay = pytest.fixture(opened_standin)


@pytest_asyncio.fixture
async def shop(database: Database, redis_url: str, pay: WechatPayStandin) -> AsyncIterator[Shop]:
    async with open_shop(database, redis_url, pay) as opened:
        yield opened


# What the payer gets


async def test_mini_program_gets_what_it_needs_to_pay(shop: Shop) -> None:
    """All of wx.requestPayment, signed by the merchant; the order's end; and a row that knows the provider's number."""
    order = await shop.order()
    shown = await shop.start(order)
    (row,) = await shop.payments(order)
    asked = shop.pay.trades[order.payment].asked

    signed = (APP_ID, shown["timeStamp"], shown["nonceStr"], shown["package"])
    assert is_signed("merchant", shown.pop("paySign"), *signed)
    assert shown.pop("nonceStr")
    assert shown == {
        "orderNo": order.number,
        "paymentId": str(row["id"]),
        "amount": "128.00",
        "expiresAt": (shop.hub.clock.now().replace(minute=15)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "timeStamp": str(int(shop.hub.clock.now().timestamp())),
        "package": f"prepay_id={shop.pay.trades[order.payment].prepay_id}",
        "signType": "RSA",
    }
    assert (row["number"], row["state"], row["method"]) == (order.payment, "pending", "wechat")
    assert (asked["amount"]["total"], asked["attach"]) == (12800, str(row["id"]))
    assert asked["payer"] == {"openid": row["payer"]}


async def test_payer_without_wechat_scans_a_code(shop: Shop) -> None:
    """Who signed in by phone is told so for `wechat`, and pays by QR code."""
    order = await shop.order(owner=await shop.hub.person())
    refused = await shop.start(order, status=400)
    shown = await shop.start(order, "wechat_native")

    assert refused["fields"] == {"method": "请在微信小程序内登录后支付，或使用扫码支付"}
    assert shown["codeUrl"] == f"weixin://wxpay/bizpayurl?pr={shop.pay.trades[order.payment].prepay_id}"
    assert set(shown) == {"orderNo", "paymentId", "amount", "expiresAt", "codeUrl"}
    assert [row["number"] for row in await shop.payments(order)] == [order.payment]


async def test_asking_again_is_the_same_payment(shop: Shop) -> None:
    """As often as somebody presses the button, also at once: one row, one number, one prepayment."""
    order = await shop.order()
    shown = [await shop.start(order)]
    shown += await asyncio.gather(*(shop.start(order) for _ in range(8)))

    assert len({each["paymentId"] for each in shown}) == len({each["package"] for each in shown}) == 1
    assert len({each["nonceStr"] for each in shown}) == 9
    assert shop.pay.count("prepare") == 1


async def test_many_who_ask_at_once_make_one_payment(shop: Shop) -> None:
    """The first request of several devices: the provider may be asked more than once, under the one number."""
    order = await shop.order()
    shown = await asyncio.gather(*(shop.start(order) for _ in range(8)))

    assert len({each["package"] for each in shown}) == 1
    assert list(shop.pay.trades) == [order.payment]
    assert len(await shop.payments(order)) == 1


# Another way to pay


async def test_another_method_ends_the_payment_before(shop: Shop) -> None:
    """Nobody can pay the same order in two ways: the first is closed at the provider before the second is there."""
    order = await shop.waiting()
    first = shop.pay.trades[order.payment]
    shown = await shop.start(order, "wechat_native")

    assert first.state == "CLOSED"
    assert shown["codeUrl"]
    assert [(row["number"][-2:], row["state"]) for row in await shop.payments(order)] == [
        ("-1", "closed"),
        ("-2", "pending"),
    ]


async def test_another_method_finds_the_order_paid_when_the_first_was(shop: Shop) -> None:
    """The notification is on its way, and somebody presses another button: what was paid is applied at once."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    refused = await shop.start(order, "wechat_native", status=409)

    assert (refused["type"], refused["fields"]) == ("conflict", {"status": "paid"})
    assert await shop.state(order) == "paid"
    assert await shop.events(order) == ["OrderPaid"]


async def test_another_method_waits_until_the_first_is_surely_ended(shop: Shop) -> None:
    """While the provider does not say how the first stands, there is no second; 503, and later it works."""
    order = await shop.waiting()
    shop.pay.moods["close"] = "lost"
    refused = await shop.start(order, "wechat_native", status=503)
    shop.pay.moods.clear()
    await shop.start(order, "wechat_native")

    assert refused["type"] == "unavailable"
    assert [row["number"][-2:] for row in await shop.payments(order)] == ["-1", "-2"]


async def test_changing_to_and_fro_has_an_end(shop: Shop) -> None:
    """Numbers are not endless: after twenty the order must be paid as it is, or ordered anew."""
    order = await shop.order()
    for number in range(20):
        await shop.start(order, ("wechat", "wechat_native")[number % 2])
    refused = await shop.start(order, "wechat", status=409)

    assert refused["fields"] == {"status": "pending"}
    assert len(await shop.payments(order)) == 20


# A provider in trouble


@pytest.mark.parametrize("mood", ["cut", "lost", "busy", "forged", "garbage"])
async def test_number_is_written_before_the_provider_is_asked(shop: Shop, mood: str) -> None:
    """Whatever becomes of the answer, the row knows the number; the next try is the same payment."""
    order = await shop.order()
    shop.pay.moods["prepare"] = mood
    refused = await shop.start(order, status=503)
    (before,) = await shop.payments(order)
    shop.pay.moods.clear()
    shown = await shop.start(order)
    (after,) = await shop.payments(order)

    assert refused["type"] == "unavailable"
    assert (before["number"], before["state"], before["prepay_id"]) == (order.payment, "created", None)
    assert before["due_at"] is not None
    assert (after["id"], after["state"]) == (before["id"], "pending")
    assert shown["package"] == f"prepay_id={shop.pay.trades[order.payment].prepay_id}"
    assert await shop.state(order) == "pending"


async def test_refused_number_is_not_used_again(shop: Shop) -> None:
    """What the provider refuses for good ends; the next try takes another number."""
    order = await shop.order()
    shop.pay.moods["prepare"] = "RULE_LIMIT"
    refused = await shop.start(order, status=503)
    shop.pay.moods.clear()
    await shop.start(order)

    assert refused["type"] == "unavailable"
    assert [row["state"] for row in await shop.payments(order)] == ["closed", "pending"]


async def test_payment_that_was_made_already_is_applied(shop: Shop) -> None:
    """The answer was lost, the payer paid by it elsewhere, and presses the button again."""
    order = await shop.order()
    shop.pay.moods["prepare"] = "lost"
    await shop.start(order, status=503)
    shop.pay.moods.clear()
    shop.pay.pay(order.payment)
    refused = await shop.start(order, status=409)

    assert refused["fields"] == {"status": "paid"}
    assert await shop.state(order) == "paid"


# Who, and when


async def test_only_who_may_act_for_the_person_pays(shop: Shop) -> None:
    """A stranger finds no such order; staff and who serves see it, and do not pay it."""
    order = await shop.order()
    stranger, staff = await shop.customer(), await shop.hub.person("staff", "客服小王")
    body: Any = {"json": {"method": "wechat"}}
    path = f"/orders/{order.id}/pay"

    assert (await shop.hub.call(stranger, "POST", path, 404, **body))["type"] == "not_found"
    assert (await shop.hub.call(staff, "POST", path, 403, **body))["type"] == "forbidden"
    assert (await shop.hub.call(None, "POST", path, 401, **body))["type"] == "unauthorized"
    assert await shop.payments(order) == []


@pytest.mark.parametrize(
    "order_id", ["nothing", "01890000-0000-7000-8000-000000000000", "%00", "..%2F..", "'; DROP TABLE orders; --"]
)
async def test_order_that_is_not_there_is_not_found(shop: Shop, order_id: str) -> None:
    """Whatever stands in the path."""
    payer = await shop.customer()

    assert await shop.hub.call(payer, "POST", f"/orders/{order_id}/pay", 404, json={"method": "wechat"})
    assert await shop.hub.call(payer, "GET", f"/orders/{order_id}/payments", 404)


@pytest.mark.parametrize("state", ["paid", "confirmed", "in_progress", "completed", "cancelled", "refunded"])
async def test_order_that_does_not_wait_is_not_paid(shop: Shop, state: str) -> None:
    """409 names the state, and nothing changes."""
    order = await shop.order()
    await shop.run("UPDATE orders SET state = :state WHERE id = :id", id=order.id, state=state)
    refused = await shop.start(order, status=409)

    assert refused["fields"] == {"status": state}
    assert await shop.payments(order) == []


async def test_order_is_not_paid_after_its_end(shop: Shop) -> None:
    """Up to the last second it is; then not, even before anybody has cancelled it."""
    last, late = await shop.order(), await shop.order()
    await shop.hub.clock.advance(UNPAID_S - 1)
    await shop.start(last)
    await shop.hub.clock.advance(1)
    refused = await shop.start(late, status=409)

    assert (refused["type"], refused["fields"]) == ("too_late", {"status": "pending"})
    # WeChat Pay takes no end within a minute: it was 09:14:59.
    assert shop.pay.trades[last.payment].asked["time_expire"].endswith("T09:16:00+08:00")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"method"}),
        ({"method": "alipay"}, {"method"}),
        ({"method": None}, {"method"}),
        ({"method": "wechat", "amount": "0.01"}, {"amount"}),
        ([], {"body"}),
    ],
)
async def test_bad_body_names_its_field(shop: Shop, body: Any, fields: set[str]) -> None:
    """The amount is the order's, never the client's."""
    refused = await shop.start(await shop.order(), status=400, json=body)

    assert set(refused["fields"]) == fields


# Without a merchant


async def test_nobody_pays_where_no_merchant_is_configured(
    database: Database, redis_url: str, pay: WechatPayStandin
) -> None:
    """503 says so; there is no row, and a notification is not believed."""
    real = msgspec.structs.replace(settings.Accounts(), sms_sender="aliyun")
    async with open_core(database, redis_url, Settings(accounts=real)) as hub:
        shop = Shop(hub, pay)
        order = await shop.order()
        refused = await shop.start(order, status=503)
        status, _ = await shop.tell(pay.notification("TRANSACTION.SUCCESS", {}))

        assert refused["type"] == "unavailable"
        assert status == 503
        assert await shop.payments(order) == []


async def test_development_order_is_paid_by_asking(database: Database, redis_url: str, pay: WechatPayStandin) -> None:
    """The demo: shown as to the mini-program, and five seconds later paid."""
    async with open_core(database, redis_url) as hub:
        shop = Shop(hub, pay)
        order = await shop.order(owner=await hub.person())
        shown = await shop.start(order)
        await shop.after(5)

        assert {"timeStamp", "nonceStr", "package", "signType", "paySign"} <= set(shown)
        assert await shop.state(order) == "paid"


# Looking how it stands


async def test_payments_and_refunds_of_an_order_are_shown(shop: Shop) -> None:
    """To the owner the way of the money; to staff also the provider's word for what went wrong; to nobody else."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    await shop.tell(shop.pay.paid(order.payment))
    await shop.cancel(order)
    shop.pay.moods["refund"] = "NOT_ENOUGH"
    await shop.work()
    staff, stranger = await shop.hub.person("staff"), await shop.customer()
    path = f"/orders/{order.id}/payments"
    own = await shop.hub.call(order.owner, "GET", path)
    seen = await shop.hub.call(staff, "GET", path)

    (item,) = own["items"]
    now = shop.hub.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    refund = item.pop("refund")
    paid = {"method": "wechat", "amount": "128.00", "status": "succeeded", "createdAt": now, "succeededAt": now}
    back = {"amount": "128.00", "status": "pending", "createdAt": now, "succeededAt": None}
    assert (len(item.pop("id")), item) == (36, paid)
    assert (len(refund.pop("id")), refund) == (36, back)
    assert seen["items"][0]["refund"]["error"] == "NOT_ENOUGH"
    assert (await shop.hub.call(stranger, "GET", path, 404))["type"] == "not_found"


async def test_looking_costs_the_same_for_many_payments(shop: Shop, database: Database) -> None:
    """The order, who asks, payments, refunds: no statement per payment."""
    order = await shop.waiting()
    await shop.start(order, "wechat_native")
    with Scene(shop.hub.ground.database).statements() as said:
        await shop.hub.call(order.owner, "GET", f"/orders/{order.id}/payments")
    few = len(said)
    await shop.start(order, "wechat")
    with Scene(shop.hub.ground.database).statements() as said:
        await shop.hub.call(order.owner, "GET", f"/orders/{order.id}/payments")

    assert len(said) == few <= 4
