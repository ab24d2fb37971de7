"""Money that goes back: sent until it is known to have arrived, once, and its way can be seen."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from hub.messaging.history import History
from hub.orders import refund, refund_duty, store
from hub.platform.database import Database
from tests.integration.payment_scene import Ordered, Shop, open_shop, opened_standin
from tests.standins.wechatpay import WechatPayStandin

pay = pytest.fixture(opened_standin)


@pytest_asyncio.fixture
async def shop(database: Database, redis_url: str, pay: WechatPayStandin) -> AsyncIterator[Shop]:
    async with open_shop(database, redis_url, pay) as opened:
        yield opened


async def cancelled(shop: Shop) -> Ordered:
    """Paid, then cancelled."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    await shop.tell(shop.pay.paid(order.payment))
    await shop.cancel(order)
    return order


def number(order: Ordered) -> str:
    return f"{order.payment}-R"


async def told(shop: Shop, order: Ordered) -> list[str]:
    return [kind for kind in await shop.events(order) if kind.startswith("Refund")]


async def test_cancelled_order_gives_its_money_back(shop: Shop) -> None:
    """Started with the cancellation, sent at the next beat, known to have arrived when the provider says so."""
    order = await cancelled(shop)
    (started,) = await shop.refunds(order)
    await shop.work()
    (sent,) = await shop.refunds(order)
    shop.pay.finish_refund(number(order))
    await shop.after(5)
    (arrived,) = await shop.refunds(order)

    assert (started["number"], started["state"]) == (number(order), "pending")
    assert (sent["state"], sent["provider_id"]) == ("processing", shop.pay.refunds[number(order)]["refund_id"])
    assert (arrived["state"], arrived["due_at"]) == ("succeeded", None)
    assert arrived["succeeded_at"] == shop.hub.clock.now()
    assert shop.pay.refunds[number(order)]["amount"]["refund"] == 12800
    assert await shop.events(order) == ["OrderPaid", "OrderCancelled", "RefundSucceeded"]


async def test_start_is_once_and_only_for_what_was_paid(shop: Shop) -> None:
    """However often it is called in however many transactions; nothing for an order that nobody paid."""
    paid, unpaid = await cancelled(shop), await shop.waiting()

    async def start(order: Ordered) -> None:
        async with shop.hub.ground.database.transaction() as connection:
            locked = await store.order(connection, order.id, lock=True)
            assert locked is not None
            await refund.start(connection, locked, reason="用户取消订单", now=shop.hub.clock.now())

    await asyncio.gather(*(start(each) for each in (paid, unpaid) for _ in range(3)))

    assert len(await shop.refunds(paid)) == 1
    assert await shop.refunds(unpaid) == []


async def test_refund_that_arrives_at_once_is_done(shop: Shop) -> None:
    """To the payer's balance it is a matter of a moment."""
    shop.pay.refund_status = "SUCCESS"
    order = await cancelled(shop)
    await shop.work()

    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]
    assert await told(shop, order) == ["RefundSucceeded"]


@pytest.mark.parametrize("mood", ["busy", "cut", "lost", "forged", "garbage"])
async def test_refund_is_sent_again_under_its_number(shop: Shop, mood: str) -> None:
    """Whatever became of the first try, the money goes back once."""
    order = await cancelled(shop)
    shop.pay.moods["refund"] = mood
    await shop.work()
    (tried,) = await shop.refunds(order)
    shop.pay.moods.clear()
    await shop.after(5)
    shop.pay.finish_refund(number(order))
    await shop.after(30)

    assert (tried["state"], tried["attempts"]) == ("pending", 1)
    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]
    assert shop.pay.count("refund") == 2
    assert len(shop.pay.refunds) == 1


async def test_refund_is_asked_about_less_and_less_often(shop: Shop) -> None:
    """To a bank card it takes days: hourly in the end, and never given up."""
    order = await cancelled(shop)
    await shop.work()
    waits = []
    for _ in range(7):
        (row,) = await shop.refunds(order)
        waits.append((row["due_at"] - shop.hub.clock.now()).total_seconds())
        await shop.after(waits[-1])

    assert waits == [5, 30, 60, 300, 1800, 3600, 3600]
    assert shop.pay.count("refund") == 1


@pytest.mark.parametrize("code", ["USER_ACCOUNT_ABNORMAL", "INVALID_REQUEST", "PARAM_ERROR"])
async def test_refused_refund_is_kept_for_staff(shop: Shop, code: str) -> None:
    """A definite no ends it, with the provider's word; and it is told."""
    order = await cancelled(shop)
    shop.pay.moods["refund"] = code
    await shop.work()
    (row,) = await shop.refunds(order)

    assert (row["state"], row["error"], row["due_at"]) == ("failed", code, None)
    assert await told(shop, order) == ["RefundFailed"]
    assert await shop.after(3600) == 0


async def test_refund_waits_while_the_merchant_has_no_money(shop: Shop) -> None:
    """Somebody can put that right: it is sent on, and staff see why it waits."""
    order = await cancelled(shop)
    shop.pay.moods["refund"] = "NOT_ENOUGH"
    await shop.work()
    (waiting,) = await shop.refunds(order)
    shop.pay.moods.clear()
    shop.pay.refund_status = "SUCCESS"
    await shop.after(5)
    (row,) = await shop.refunds(order)

    assert (waiting["state"], waiting["error"]) == ("pending", "NOT_ENOUGH")
    assert (row["state"], row["error"]) == ("succeeded", None)


async def test_refund_that_was_done_before_is_not_taken_for_refused(shop: Shop) -> None:
    """Refused because it is there already: asked, and believed."""
    order = await cancelled(shop)
    shop.pay.moods["refund"] = "lost"
    await shop.work()
    shop.pay.moods["refund"] = "INVALID_REQUEST"
    shop.pay.finish_refund(number(order))
    await shop.after(5)

    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]


async def test_refund_that_the_provider_forgot_is_sent_again(shop: Shop) -> None:
    """It said that it was working on it, and knows nothing of it: the same number again is safe."""
    order = await cancelled(shop)
    await shop.work()
    shop.pay.refunds.clear()
    shop.pay.trades[order.payment].state = "SUCCESS"
    shop.pay.refund_status = "SUCCESS"
    await shop.after(5)

    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]


async def test_duty_run_twice_at_once_sends_once(shop: Shop) -> None:
    """Two workers get the same job."""
    order = await cancelled(shop)
    (row,) = await shop.refunds(order)
    await asyncio.gather(*(refund_duty.send(shop.till, str(row["id"])) for _ in range(4)))

    assert shop.pay.count("refund") == 1


# Notifications


async def test_notification_ends_a_refund_once(shop: Shop) -> None:
    """As often as it comes, also at once."""
    order = await cancelled(shop)
    await shop.work()
    shop.pay.finish_refund(number(order))
    sent = shop.pay.refunded(number(order))
    answers = await asyncio.gather(*(shop.tell(sent) for _ in range(6)))

    assert set(answers) == {(204, b"")}
    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]
    assert await told(shop, order) == ["RefundSucceeded"]
    assert await shop.after(3600) == 0


@pytest.mark.parametrize("status", ["ABNORMAL", "CLOSED"])
async def test_notification_of_a_failed_refund_is_kept_for_staff(shop: Shop, status: str) -> None:
    """The bank card is gone, or the refund was closed: people must see to it. If they do, that is known, too."""
    order = await cancelled(shop)
    await shop.work()
    shop.pay.finish_refund(number(order), status)
    await shop.tell(shop.pay.refunded(number(order)))
    (failed,) = await shop.refunds(order)
    shop.pay.finish_refund(number(order), "SUCCESS")
    await shop.tell(shop.pay.refunded(number(order)))
    (done,) = await shop.refunds(order)

    assert (failed["state"], failed["error"], failed["due_at"]) == ("failed", status, None)
    assert (done["state"], done["error"]) == ("succeeded", None)
    assert await told(shop, order) == ["RefundFailed", "RefundSucceeded"]


async def test_what_was_overtaken_does_not_undo_a_refund(shop: Shop) -> None:
    """ABNORMAL, repeated on its way, comes after SUCCESS."""
    order = await cancelled(shop)
    await shop.work()
    shop.pay.finish_refund(number(order), "ABNORMAL")
    early = shop.pay.refunded(number(order))
    shop.pay.finish_refund(number(order), "SUCCESS")
    await shop.tell(shop.pay.refunded(number(order)))
    status, _ = await shop.tell(early)

    assert status == 204
    assert [each["state"] for each in await shop.refunds(order)] == ["succeeded"]


async def test_refund_may_be_told_before_its_payment(shop: Shop) -> None:
    """Found paid by asking, cancelled and given back; the notification of the payment is the last to come."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    late = shop.pay.paid(order.payment)
    await shop.after(5)
    await shop.cancel(order)
    await shop.work()
    shop.pay.finish_refund(number(order))
    first = await shop.tell(shop.pay.refunded(number(order)))
    before = await shop.everything()
    second = await shop.tell(late)

    assert (first, second) == ((204, b""), (204, b""))
    assert await shop.everything() == before
    assert await shop.events(order) == ["OrderPaid", "OrderCancelled", "RefundSucceeded"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"mchid": "1900000002"}, 409),
        ({"amount": {"refund": 1}}, 409),
        ({"out_trade_no": "ORDER2026010299999999-1"}, 409),
        ({"out_refund_no": "ORDER2026010299999999-1-R"}, 404),
        ({"refund_status": "PROCESSING"}, 400),
        ({"amount": None}, 400),
    ],
)
async def test_refund_notification_changes_nothing_when_it_does_not_fit(
    shop: Shop, changed: dict[str, object], status: int
) -> None:
    """Merchant, amount, payment and number are those that we asked for."""
    order = await cancelled(shop)
    await shop.work()
    shop.pay.finish_refund(number(order))
    before = await shop.everything()
    found, _ = await shop.tell(shop.pay.refunded(number(order), **changed))

    assert found == status
    assert await shop.everything() == before


# What people hear


async def inbox(shop: Shop, user: str) -> list[tuple[str, str]]:
    """The cards in somebody's inbox: title and order."""
    log = shop.hub.ground.database.log
    rows = await shop.run(
        "SELECT c.id FROM conversations c JOIN members m ON m.conversation = c.id WHERE c.kind = 'inbox' AND m.user_id = :user",
        user=user,
    )
    history, cards = History(log, shop.hub.ground.sealer, 50), []
    for row in rows:
        page = await history.page(user, str(row["id"]), after=0, limit=100)
        cards += [msgspec.json.decode(entry.body) for entry in page.entries if entry.type == "card"]
    return [(card["title"], card["id"]) for card in cards]


async def test_patient_hears_that_the_money_arrived(shop: Shop) -> None:
    """Once, in the inbox, whatever was repeated on the way."""
    order = await cancelled(shop)
    shop.pay.refund_status = "SUCCESS"
    await shop.work()
    for _ in range(2):
        await shop.tell(shop.pay.refunded(number(order)))
    await shop.hub.ground.outbox.drain()

    assert ("退款已到账", order.id) in await inbox(shop, order.owner.id)
    assert [title for title, _ in await inbox(shop, order.owner.id)].count("退款已到账") == 1


async def test_staff_hear_of_a_refund_that_failed(shop: Shop) -> None:
    """Who looks after the order is asked to see to it; the patient knows that somebody will."""
    order = await cancelled(shop)
    staff = await shop.hub.person("staff", "客服小王")
    await shop.run("UPDATE orders SET coordinator = :staff WHERE id = :id", staff=staff.id, id=order.id)
    shop.pay.moods["refund"] = "USER_ACCOUNT_ABNORMAL"
    await shop.work()
    await shop.hub.ground.outbox.drain()

    assert ("退款失败，请处理", order.id) in await inbox(shop, staff.id)
    assert ("退款遇到问题，客服会与您联系", order.id) in await inbox(shop, order.owner.id)
