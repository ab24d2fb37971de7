"""Orders without an appointment: what is written, what it costs, and what is refused."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic

WORDS = "轮椅“一台”😀\u202e' OR 1=1 --"


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def test_an_order_without_an_appointment_is_shown_as_it_was_written(clinic: Clinic) -> None:
    """The amount is the price times the quantity; whatever people write comes back unchanged."""
    patient = await clinic.hub.person(name="张三丰")
    service = await clinic.service(price="99.90", name="上门护理")
    info = {"要求": WORDS, "层": 3, "价": 1.5, "急": True, "无": None}
    placed = await clinic.place(patient, service, quantity=3, serviceInfo=info)

    expected = {
        "status": "pending",
        "serviceId": service,
        "serviceName": "上门护理",
        "userId": patient.id,
        "userName": "张三丰",
        "actorId": patient.id,
        "providerId": None,
        "providerName": None,
        "coordinatorId": None,
        "quantity": 3,
        "amount": "299.70",
        "contactInfo": {"name": "李四", "phone": "13900001111"},
        "serviceInfo": info,
        "reason": None,
        "appointment": None,
        "conversation": None,
    }
    assert {name: placed[name] for name in expected} == expected
    assert placed["orderNo"].startswith("ORDER")
    assert await clinic.hub.call(patient, "GET", f"/orders/{placed['id']}") == placed


async def test_order_numbers_are_unique_and_of_the_day_in_shanghai(clinic: Clinic) -> None:
    """At half past midnight there, the date is already the new one; the part that runs keeps running."""
    patient, service = await clinic.hub.person(), await clinic.service()
    first = (await clinic.place(patient, service))["orderNo"]
    await clinic.hub.clock.advance(15.5 * 3600)
    second = (await clinic.place(patient, service))["orderNo"]

    assert (len(first), len(second)) == (21, 21)
    assert int(second[5:13]) > int(first[5:13])
    assert int(second[13:]) == int(first[13:]) + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": 100}, "quantity"),
        ({"quantity": 2**63}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"contactInfo": {"name": "李四"}}, "contactInfo.phone"),
        ({"contactInfo": {"name": "李四", "phone": "1"}}, "contactInfo.phone"),
        ({"contactInfo": {"name": " ", "phone": "13900001111"}}, "contactInfo.name"),
        ({"contactInfo": {"name": "李四", "phone": "13900001111", "id": "1"}}, "contactInfo.id"),
        ({"contactInfo": None}, "contactInfo"),
        ({"serviceInfo": [1]}, "serviceInfo"),
        ({"serviceInfo": {"a": "x\x00"}}, "serviceInfo"),
        ({"serviceInfo": {"a": {"b": 1}}}, "serviceInfo"),
        ({"price": "1"}, "price"),
    ],
)
async def test_a_bad_order_is_refused_by_field(clinic: Clinic, body: dict[str, object], field: str) -> None:
    """Nothing is written."""
    patient, service = await clinic.hub.person(), await clinic.service()
    refused = await clinic.place(patient, service, 400, **body)

    assert [each.partition("[")[0] for each in refused["fields"]] == [field]
    assert await clinic.run("SELECT id FROM orders WHERE user_id = :id", id=patient.id) == []


async def test_what_is_not_offered_cannot_be_ordered(clinic: Clinic) -> None:
    """Unknown, no id at all, or withdrawn."""
    patient, gone = await clinic.hub.person(), await clinic.service(isActive=False)
    for service in (new_id(), "x", gone):
        refused = await clinic.place(patient, service, 404)
        assert refused["fields"] == {"serviceId": "没有这项服务，或已下架"}


async def test_a_repeated_order_is_the_first_one(clinic: Clinic) -> None:
    """With the same key and content; other content is a conflict."""
    patient, service, key = await clinic.hub.person(), await clinic.service(), {"Idempotency-Key": new_id()}
    first = await clinic.place(patient, service, headers=key)

    assert await clinic.place(patient, service, headers=key) == first
    await clinic.place(patient, service, 409, headers=key, quantity=2)
