"""Reviews: one for each completed order, by its owner; everybody reads them, under a masked name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic

WORDS = "很耐心“谢谢”😀\u202e' OR 1=1 --"


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def test_a_completed_order_is_reviewed_and_shown_to_all(clinic: Clinic) -> None:
    """Words come back unchanged; of the author one sees a masked name and no id."""
    patient, provider = await clinic.hub.person(name="张三丰"), await clinic.provider()
    service = await clinic.service(provider)
    booked = await clinic.completed(patient, provider, service)
    said = await clinic.move(patient, booked["orderId"], "review", rating=5, content=WORDS)
    page = await clinic.hub.call(await clinic.hub.person(), "GET", f"/services/{service}/reviews")

    assert set(said) == {"id", "serviceId", "rating", "content", "author", "createdAt"}
    assert (said["rating"], said["content"], said["author"]) == (5, WORDS, "张*丰")
    assert page == {"items": [said], "page": 1, "pageSize": 20, "total": 1}


async def test_the_rating_shows_with_the_service_at_once(clinic: Clinic) -> None:
    """The average has one place; a copy that was kept is dropped."""
    provider = await clinic.provider()
    service = await clinic.service(provider, name="评分服务")

    async def rating() -> tuple[Any, Any]:
        found = await clinic.hub.call(await clinic.hub.person(), "GET", f"/services/{service}")
        return found["ratingAverage"], found["ratingCount"]

    assert await rating() == (None, 0)
    for clock, stars in (("09:00", 5), ("10:00", 4), ("11:00", 4)):
        patient = await clinic.hub.person()
        booked = await clinic.completed(patient, provider, service, clock)
        await clinic.move(patient, booked["orderId"], "review", rating=stars)

    assert await rating() == (4.3, 3)


async def test_an_order_is_reviewed_once(clinic: Clinic) -> None:
    """Also by many at the same time."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.completed(patient, provider, await clinic.service(provider))
    path, headers = f"/api/v1/orders/{booked['orderId']}/review", {"Authorization": f"Bearer {patient.token}"}
    answers = await asyncio.gather(
        *(clinic.hub.client.post(path, json={"rating": n}, headers=headers) for n in (1, 2, 3))
    )
    again = await clinic.move(patient, booked["orderId"], "review", 409, rating=5)

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert again["type"] == "conflict"


async def test_only_what_is_completed_is_reviewed_and_only_by_its_owner(clinic: Clinic) -> None:
    """409 naming the state; who may act for the patient is the owner, too; the provider is not."""
    patient, daughter, provider = (
        await clinic.hub.person(name="张三"),
        await clinic.hub.person(),
        await clinic.provider(),
    )
    service = await clinic.service(provider)
    await clinic.relate(patient, daughter)
    paid = await clinic.paid(patient, service)
    done = await clinic.completed(patient, provider, service, "10:00")
    back = await clinic.completed(patient, provider, service, "11:00")
    await clinic.move(patient, back["orderId"], "refund")
    for booked, state in ((paid, "paid"), (back, "refunded")):
        refused = await clinic.move(patient, booked["orderId"], "review", 409, rating=5)
        assert refused["fields"] == {"status": state}
    await clinic.move(provider, done["orderId"], "review", 403, rating=5)
    await clinic.move(await clinic.hub.person(), done["orderId"], "review", 404, rating=5)

    assert (await clinic.move(daughter, done["orderId"], "review", rating=5))["author"] == "张*"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rating": 0}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": 4.5}, "rating"),
        ({"content": "好"}, "rating"),
        ({"rating": 5, "content": "好" * 1001}, "content"),
        ({"rating": 5, "content": "好\x00"}, "content"),
        ({"rating": 5, "author": "张三"}, "author"),
    ],
)
async def test_a_bad_review_is_refused_by_field(clinic: Clinic, body: dict[str, object], field: str) -> None:
    """Before anything is looked up."""
    refused = await clinic.move(await clinic.hub.person(), new_id(), "review", 400, **body)

    assert list(refused["fields"]) == [field]


async def test_reviews_are_paged_in_four_statements(clinic: Clinic) -> None:
    """Newest first, or by rating; however many there are."""
    provider = await clinic.provider(slot=60)
    service = await clinic.service(provider)
    patient = await clinic.hub.person()
    for clock, stars in (("09:00", 5), ("10:00", 1), ("11:00", 3)):
        booked = await clinic.completed(patient, provider, service, clock)
        await clinic.move(patient, booked["orderId"], "review", rating=stars)
        await clinic.hub.clock.advance(1)
    path = f"/services/{service}/reviews"
    with clinic.statements() as said:
        newest = await clinic.hub.call(patient, "GET", path, params={"pageSize": 2})
    best = await clinic.hub.call(patient, "GET", path, params={"sort": "-rating"})

    assert ([each["rating"] for each in newest["items"]], newest["total"], len(said)) == ([3, 1], 3, 4)
    assert [each["rating"] for each in best["items"]] == [5, 3, 1]


async def test_reviews_of_nothing_are_not_found(clinic: Clinic) -> None:
    """Of a service without any there are none; without the service there is nothing. What is withdrawn keeps its own."""
    patient = await clinic.hub.person()
    for service in (new_id(), "x"):
        await clinic.hub.call(patient, "GET", f"/services/{service}/reviews", 404)
    withdrawn = await clinic.service(isActive=False)

    assert (await clinic.hub.call(patient, "GET", f"/services/{withdrawn}/reviews"))["total"] == 0
