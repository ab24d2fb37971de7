"""The rules of payments: numbers, fen, when to ask again, and which word about a refund is the last."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.orders.payment import (
    LATE_ASK_DELAYS_S,
    Payment,
    RefundState,
    ends_at,
    fen,
    next_ask,
    next_send,
    payment_number,
    refund_after,
    refund_number,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAYMENT = Payment(
    id="p",
    order_id="o",
    number="ORDER2026010200000001-1",
    method="wechat",
    amount=Decimal("128.00"),
    state="pending",
    payer="o-1",
    prepay_id="wx1",
    transaction_id=None,
    attempts=0,
    created_at=NOW,
    succeeded_at=None,
)

amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal("9999999999.99"), places=2)


@given(amounts)
def test_fen_are_exact_for_every_amount(amount: Decimal) -> None:
    """No float on the way: what is asked for is what the order costs."""
    assert Decimal(fen(amount)) / 100 == amount


def test_numbers_fit_what_wechat_pay_takes() -> None:
    """At most 32 letters, digits, `_-|*`, for the last of many payments of a number that has grown."""
    numbers = [payment_number("ORDER20260102123456789", earlier) for earlier in range(20)]

    assert numbers[0] == "ORDER20260102123456789-1"
    assert len(set(numbers)) == 20
    assert all(6 <= len(each) <= 32 and each.replace("-", "").isalnum() for each in numbers)
    assert refund_number(numbers[0]) == "ORDER20260102123456789-1-R"


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 5), (1, 30), (2, 60), (3, 300), (50, 300)])
def test_asking_slows_down_while_it_may_be_paid(attempts: int, seconds: int) -> None:
    """Soon at first, then every five minutes."""
    assert next_ask(attempts, NOW, NOW + timedelta(hours=1)) == NOW + timedelta(seconds=seconds)


def test_asking_happens_at_the_very_end() -> None:
    """The slot of an order that nobody paid is free at its end, not minutes later."""
    end = NOW + timedelta(seconds=100)

    assert next_ask(3, NOW, end) == end


@given(st.integers(0, 10**6), st.integers(0, 10**7))
def test_asking_never_stops(attempts: int, late_s: int) -> None:
    """Always later than now, and within the hour, however late it is."""
    wait_s = (next_ask(attempts, NOW, NOW - timedelta(seconds=late_s)) - NOW).total_seconds()

    assert LATE_ASK_DELAYS_S[0] <= wait_s <= LATE_ASK_DELAYS_S[1]
    assert wait_s <= max(late_s, LATE_ASK_DELAYS_S[0])


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 5), (4, 1800), (5, 3600), (99, 3600)])
def test_refunds_are_sent_again_at_least_hourly(attempts: int, seconds: int) -> None:
    """A refund is never given up by time."""
    assert next_send(attempts, NOW) == NOW + timedelta(seconds=seconds)


def test_end_at_the_provider_is_the_orders_but_never_too_near() -> None:
    """WeChat Pay takes no end within a minute; it is the same each time, or the number would be refused."""
    assert ends_at(PAYMENT, NOW + timedelta(minutes=15)) == NOW + timedelta(minutes=15)
    assert ends_at(PAYMENT, NOW + timedelta(seconds=10)) == NOW + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("state", "told", "after"),
    [
        ("pending", "processing", "processing"),
        ("processing", "succeeded", "succeeded"),
        ("pending", "failed", "failed"),
        ("failed", "succeeded", "succeeded"),  # staff sent the money by another way
        ("failed", "processing", "failed"),
        ("succeeded", "failed", "succeeded"),
        ("succeeded", "processing", "succeeded"),
    ],
)
def test_what_arrives_late_does_not_undo_a_refund(state: RefundState, told: RefundState, after: RefundState) -> None:
    """In whatever order the provider's words come, money that has gone back stays so."""
    assert refund_after(state, told) == after


def test_payment_is_open_until_its_end() -> None:
    """Asked for, or shown to the payer."""
    states = ("created", "pending", "succeeded", "closed")

    assert [msgspec.structs.replace(PAYMENT, state=each).is_open for each in states] == [True, True, False, False]
