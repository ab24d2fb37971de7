"""The end of orders: when their conversation closes and access to health data ends."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio

from hub.orders.closing import close_due
from hub.platform.database import Database
from tests.integration.orders_scene import Clinic, open_clinic

WEEK = timedelta(days=7).total_seconds()


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        await opened.run("UPDATE users SET role = 'patient' WHERE role = 'staff'")  # each test has its own
        await opened.run("UPDATE orders SET closed_at = now() WHERE closes_at IS NOT NULL")
        yield opened


async def conversation(clinic: Clinic, booked: Any) -> str:
    return str((await clinic.row("orders", booked["orderId"]))["conversation"])


async def close(clinic: Clinic) -> int:
    closed = await close_due(clinic.hub.ground.database, clinic.hub.clock.now(), 100)
    await clinic.settle()
    return closed


async def read_only(clinic: Clinic, room: str) -> bool:
    return bool((await clinic.row("conversations", room))["state"] == "read_only")


async def test_an_order_closes_a_week_after_completion(clinic: Clinic) -> None:
    """Then nobody writes any more and access ends; until then both last. Closing twice is closing once."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.completed(patient, provider, await clinic.service(provider))
    room = await conversation(clinic, booked)
    await clinic.hub.clock.advance(WEEK - 1)
    assert await close(clinic) == 0
    assert (await clinic.grants(booked["orderId"]))[provider.id] == ("service", True)
    await clinic.hub.clock.advance(1)

    assert [await close(clinic), await close(clinic)] == [1, 0]
    assert await read_only(clinic, room)
    assert (await clinic.grants(booked["orderId"]))[provider.id] == ("service", False)
    shown = await clinic.hub.call(provider, "GET", f"/orders/{booked['orderId']}")
    assert shown["contactInfo"]["phone"] == "139****1111"


async def test_money_that_goes_back_later_is_said_all_the_same(clinic: Clinic) -> None:
    """The conversation is read-only for people, not for the hub."""
    staff, patient, provider = await clinic.hub.person("staff"), await clinic.hub.person(), await clinic.provider()
    booked = await clinic.completed(patient, provider, await clinic.service(provider))
    await clinic.hub.clock.advance(2 * WEEK)
    await close(clinic)
    await clinic.move(staff, booked["orderId"], "refund")
    await clinic.settle()

    assert (await clinic.cards(patient, await conversation(clinic, booked)))[-1] == "退款已受理"


async def test_a_paid_order_that_is_cancelled_closes_at_once(clinic: Clinic) -> None:
    """It is said, and with the next beat nobody writes or sees anything any more."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    await clinic.move(patient, booked["orderId"], "cancel")
    await clinic.settle()
    room = await conversation(clinic, booked)

    assert await close(clinic) == 1
    assert (await clinic.cards(patient, room))[-1] == "订单已取消"
    assert await read_only(clinic, room)
    assert (await clinic.grants(booked["orderId"]))[provider.id] == ("service", False)


async def test_who_cancels_before_payment_was_handled_gets_no_conversation(clinic: Clinic) -> None:
    """Paid and cancelled in one breath: nothing is opened or granted, the patient is told, and closing works."""
    patient = await clinic.hub.person()
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()))
    await clinic.advance(booked["orderId"], "pay_success")
    await clinic.move(patient, booked["orderId"], "cancel")
    await clinic.settle()

    assert (await clinic.row("orders", booked["orderId"]))["conversation"] is None
    assert await clinic.grants(booked["orderId"]) == {}
    assert await clinic.inbox(patient) == ["订单已取消"]
    assert await close(clinic) == 1


async def test_a_missed_appointment_is_said_and_nothing_of_a_service(clinic: Clinic) -> None:
    """No card says that something began or was done; the order closes like any other."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    await clinic.hub.clock.advance(timedelta(days=1).total_seconds())
    await clinic.hub.call(provider, "POST", f"/appointments/{booked['appointmentId']}/no-show")
    await clinic.settle()
    assert await clinic.cards(patient, await conversation(clinic, booked)) == ["订单已支付", "已登记为未到诊"]
    await clinic.hub.clock.advance(WEEK)

    assert await close(clinic) == 1
