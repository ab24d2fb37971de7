"""What nobody told us is asked for: payments whose notification was lost, orders that nobody paid, providers that are silent."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.orders import payment_duty
from hub.orders.payment_provider import Standing, Transaction
from hub.orders.payment_settlement import apply
from hub.platform.database import Database
from tests.integration.payment_scene import UNPAID_S, Ordered, Shop, open_shop, opened_standin
from tests.standins.wechatpay import WechatPayStandin

pay = pytest.fixture(opened_standin)


@pytest_asyncio.fixture
async def shop(database: Database, redis_url: str, pay: WechatPayStandin) -> AsyncIterator[Shop]:
    async with open_shop(database, redis_url, pay) as opened:
        yield opened


async def due_after(shop: Shop, order: Ordered) -> float:
    (row,) = await shop.payments(order)
    return float((row["due_at"] - shop.hub.clock.now()).total_seconds())


async def test_payment_is_found_when_its_notification_was_lost(shop: Shop) -> None:
    """Five seconds after it was shown it is asked about, and applied as if it had been told."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    await shop.after(4)
    before = await shop.state(order)
    await shop.after(1)

    assert (before, await shop.state(order)) == ("pending", "paid")
    assert await shop.events(order) == ["OrderPaid"]
    assert await shop.work() == 0


async def test_asking_slows_down_until_the_end(shop: Shop) -> None:
    """At 5 s, then after 30 s, 1 min, 5 min, 5 min, and at the end; then the order is cancelled and asking is over."""
    order = await shop.waiting()
    waits = []
    while await shop.state(order) == "pending":
        waits.append(await due_after(shop, order))
        await shop.after(waits[-1])
    (row,) = await shop.payments(order)

    assert waits == [5, 30, 60, 300, 300, 205]
    assert sum(waits) == UNPAID_S
    assert (row["state"], row["due_at"]) == ("closed", None)
    assert shop.pay.trades[order.payment].state == "CLOSED"
    assert await shop.events(order) == ["OrderCancelled"]
    assert not await shop.holds_slot(order)
    assert await shop.work() == 0


async def test_order_that_was_never_to_be_paid_ends_in_time(shop: Shop) -> None:
    """Nobody pressed the button: no provider is asked, and not a second early."""
    order = await shop.order()
    await shop.after(UNPAID_S - 1)
    before = await shop.state(order)
    await shop.after(1)

    assert (before, await shop.state(order)) == ("pending", "cancelled")
    assert not await shop.holds_slot(order)
    assert shop.pay.asked == []


async def test_last_second_payment_counts(shop: Shop) -> None:
    """Paid before the end, asked at the end: first asked, then ended."""
    order = await shop.waiting()
    await shop.after(UNPAID_S - 1)
    shop.pay.pay(order.payment)
    await shop.after(1)

    assert await shop.state(order) == "paid"
    assert await shop.refunds(order) == []


async def test_payment_between_asking_and_closing_counts(shop: Shop) -> None:
    """The payer confirms just before we close: WeChat Pay refuses to, we ask again, and the order is paid."""
    order = await shop.waiting()
    shop.pay.on_request = lambda op, number: op == "close" and bool(shop.pay.pay(number))
    await shop.after(UNPAID_S)

    assert [op for op, _ in shop.pay.asked] == ["prepare", "query", "close", "query"]
    assert await shop.state(order) == "paid"


async def test_payment_of_a_cancelled_order_is_closed(shop: Shop) -> None:
    """The order is cancelled while the payer looks at it: soon it cannot be paid any more."""
    order = await shop.waiting()
    await shop.cancel(order)
    await shop.after(5)
    (row,) = await shop.payments(order)

    assert (row["state"], shop.pay.trades[order.payment].state) == ("closed", "CLOSED")
    assert await shop.events(order) == ["OrderCancelled"]


async def test_payment_that_the_provider_never_heard_of_ends_with_its_order(shop: Shop) -> None:
    """Our request was lost on its way, or we died before it: until the end it may come again, then it is over."""
    order = await shop.order()
    shop.pay.moods["prepare"] = "cut"
    await shop.start(order, status=503)
    await shop.after(5)
    (row,) = await shop.payments(order)
    await shop.after(UNPAID_S - 5)

    assert row["state"] == "created"
    assert await shop.state(order) == "cancelled"
    assert shop.pay.count("close") == 0


async def test_closed_payment_lets_the_order_be_paid_anew(shop: Shop) -> None:
    """Somebody closed it at the provider: the order waits on, under another number."""
    order = await shop.waiting()
    shop.pay.trades[order.payment].state = "CLOSED"
    await shop.after(5)
    before = await shop.state(order)
    await shop.start(order)

    assert before == "pending"
    assert [row["state"] for row in await shop.payments(order)] == ["closed", "pending"]


async def test_failed_payment_cancels_the_order(shop: Shop) -> None:
    """`pay_failed` of the contract: the provider says that it is not possible."""
    order = await shop.waiting()
    shop.pay.trades[order.payment].state = "PAYERROR"
    await shop.after(5)

    assert await shop.state(order) == "cancelled"
    assert not await shop.holds_slot(order)
    (event,) = await shop.run("SELECT payload FROM events WHERE subject = :id", id=order.id)
    assert event["payload"]["trigger"] == "pay_failed"


async def test_payment_given_back_at_the_provider_pays_for_nothing(shop: Shop) -> None:
    """Staff refunded it in the merchant's own console before we heard of it: the order is not paid."""
    order = await shop.waiting()
    shop.pay.trades[order.payment].state = "REFUND"
    await shop.after(5)

    assert await shop.state(order) == "pending"
    assert [row["state"] for row in await shop.payments(order)] == ["closed"]


@pytest.mark.parametrize("mood", ["busy", "cut", "garbage", "forged"])
async def test_order_waits_while_the_provider_does_not_say(shop: Shop, mood: str) -> None:
    """Past its end it is neither paid nor cancelled without knowing; asked at growing intervals, and then it is known."""
    order = await shop.waiting()
    shop.pay.moods["query"] = mood
    await shop.after(UNPAID_S)
    after_end = await due_after(shop, order)
    await shop.after(5)
    before = await shop.state(order)
    shop.pay.moods.clear()
    shop.pay.pay(order.payment)
    await shop.after(300)

    assert (after_end, before) == (5, "pending")
    assert await shop.state(order) == "paid"


async def test_slot_is_not_held_for_ever_by_a_silent_provider(shop: Shop) -> None:
    """An hour past the end the order is cancelled; asking goes on, and money that turns up goes back."""
    order = await shop.waiting()
    shop.pay.moods["query"] = "busy"
    for _ in range(7):
        await shop.after(UNPAID_S)
    cancelled = await shop.state(order)
    (row,) = await shop.payments(order)
    shop.pay.moods.clear()
    shop.pay.pay(order.payment)
    await shop.after(3600)

    assert (cancelled, row["state"]) == ("cancelled", "pending")
    assert not await shop.holds_slot(order)
    assert [each["reason"] for each in await shop.refunds(order)] == ["paid_late"]
    assert await shop.events(order) == ["OrderCancelled"]


@pytest.mark.parametrize("changed", [{"amount": {"total": 1, "currency": "CNY"}}, {"attach": "other"}])
async def test_answer_that_does_not_fit_is_not_applied(
    shop: Shop, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked in a notification is checked in an answer, too."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    answered = shop.pay._transaction(order.payment) | changed
    monkeypatch.setattr(shop.pay, "_transaction", lambda _number: answered)
    await shop.after(5)

    assert await shop.state(order) == "pending"
    assert await due_after(shop, order) == 30


async def test_duty_run_twice_at_once_asks_once(shop: Shop) -> None:
    """Two workers get the same job: one finds the row, the other nothing to do."""
    order = await shop.waiting()
    (row,) = await shop.payments(order)
    await shop.hub.clock.advance(5)
    await asyncio.gather(*(payment_duty.ask(shop.till, str(row["id"])) for _ in range(4)))
    await payment_duty.ask(shop.till, str(row["id"]))

    assert shop.pay.count("query") == 1


async def test_duty_that_died_is_taken_up_again(shop: Shop) -> None:
    """Killed while it waited for the answer: the row is due again by itself."""
    order = await shop.waiting()
    (row,) = await shop.payments(order)
    shop.pay.pay(order.payment)
    shop.pay.moods["query"] = "silent"
    await shop.hub.clock.advance(5)
    dying = asyncio.ensure_future(payment_duty.ask(shop.till, str(row["id"])))
    while not shop.pay.count("query"):  # noqa: ASYNC110  the stand-in has a thread of its own
        await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    shop.pay.moods.clear()
    await shop.after(30)

    assert await shop.state(order) == "paid"


async def test_order_is_not_ended_while_a_payment_may_turn_out_to_be_made(shop: Shop) -> None:
    """Whoever calls for its end: what is open is asked about first."""
    order = await shop.waiting()
    await shop.hub.clock.advance(UNPAID_S)
    await payment_duty.end_unpaid(shop.till, order.id)

    assert await shop.state(order) == "pending"


@pytest.mark.parametrize("standing", [Standing.CLOSED, Standing.RETURNED, Standing.FAILED, Standing.UNPAID])
async def test_answer_that_was_overtaken_does_not_undo_a_payment(shop: Shop, standing: Standing) -> None:
    """Asked before, answered slowly, applied after the notification; or asked about after the refund."""
    order = await shop.waiting()
    shop.pay.pay(order.payment)
    await shop.after(5)
    before = await shop.everything()
    await apply(shop.till, Transaction(number=order.payment, standing=standing))

    assert await shop.state(order) == "paid"
    assert await shop.everything() == before


async def test_unknown_rows_are_nothing_to_do(shop: Shop) -> None:
    """A job may outlive its row's reason."""
    order = await shop.waiting()
    await payment_duty.ask(shop.till, order.id)
    await payment_duty.end_unpaid(shop.till, order.id)

    assert await shop.state(order) == "pending"
