"""What somebody is to an order decides what they see and do."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from msgspec.structs import replace

from hub.orders.model import Order, State, Trigger
from hub.orders.standing import MAY, Standing, check_refund_time, permit, permit_decide, permit_staff
from hub.platform.error import ErrorCode, Refusal

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ORDER = Order(
    id="o", order_no="ORDER2026030200000001", user_id="张三", actor_id="张三", service_id="s", provider="王医生",
    coordinator="客服", quantity=1, amount=Decimal("128.00"), state=State.PENDING, details=b"", reason=None, key_id="k",
    client_digest=None, conversation=None, expires_at=NOW, paid_at=None, confirmed_at=None, started_at=None,
    completed_at=None, cancelled_at=None, refunded_at=None, closes_at=None, closed_at=None, created_at=NOW,
    updated_at=NOW,
)  # fmt: skip

OWNER, PROVIDER = Standing(owner=True), Standing(provider=True)
COORDINATOR, STAFF, STRANGER = Standing(coordinator=True, staff=True), Standing(staff=True), Standing()


@pytest.mark.parametrize(
    ("standing", "before", "during", "after"),
    [
        (OWNER, True, True, True),
        (PROVIDER, False, True, False),
        (COORDINATOR, False, True, False),
        (STAFF, False, False, False),
        (STRANGER, False, False, False),
    ],
)
def test_details_are_for_the_owner_and_for_who_serves_while_it_lasts(
    standing: Standing, before: bool, during: bool, after: bool
) -> None:
    """From payment until the order closes; staff who do not look after it never see them."""
    paid = replace(ORDER, paid_at=NOW)

    assert standing.sees_details(ORDER, NOW) == before
    assert standing.sees_details(paid, NOW) == during
    assert standing.sees_details(replace(paid, closes_at=NOW + DAY), NOW) == during
    assert standing.sees_details(replace(paid, closes_at=NOW), NOW) == after
    assert standing.sees == (standing != STRANGER)


def test_each_step_is_for_whom_it_is_for() -> None:
    """The provider does the service, the owner decides about it, staff may do both; payments are nobody's."""
    everybody = {"owner": OWNER, "provider": PROVIDER, "staff": STAFF, "coordinator": Standing(coordinator=True)}
    allowed = {(name, trigger) for (name, each), trigger in product(everybody.items(), MAY) if allows(each, trigger)}

    serving = (Trigger.CONFIRM, Trigger.START_SERVICE, Trigger.COMPLETE_SERVICE)
    deciding = (Trigger.CANCEL, Trigger.REFUND)
    assert set(MAY) == {*serving, *deciding}
    assert allowed == {
        *product(("provider", "staff"), serving),
        *product(("owner", "staff"), deciding),
    }


def allows(standing: Standing, trigger: Trigger) -> bool:
    try:
        permit(standing, trigger)
    except Refusal as refusal:
        return refusal.code is not ErrorCode.FORBIDDEN
    return True


def test_times_are_the_owners_and_staffs_and_handing_over_is_staffs() -> None:
    """Others who see the order are refused, not sent away."""
    permit_decide(OWNER)
    permit_decide(STAFF)
    permit_staff(STAFF)
    for refused, check in ((PROVIDER, permit_decide), (OWNER, permit_staff), (PROVIDER, permit_staff)):
        with pytest.raises(Refusal):
            check(refused)


def test_the_owner_asks_for_money_in_time_and_staff_at_any() -> None:
    """To the moment, seven days after completion; before completion it is the state that refuses, not the time."""
    done = replace(ORDER, state=State.COMPLETED, completed_at=NOW - 7 * DAY)
    late = replace(done, completed_at=NOW - 7 * DAY - timedelta(microseconds=1))

    check_refund_time(OWNER, done, NOW, 7)
    check_refund_time(STAFF, late, NOW, 7)
    check_refund_time(Standing(owner=True, staff=True), late, NOW, 7)
    with pytest.raises(Refusal) as refused:
        check_refund_time(OWNER, late, NOW, 7)
    assert (refused.value.code, refused.value.text) == (ErrorCode.TOO_LATE, "refund_late")
