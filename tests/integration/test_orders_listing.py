"""Lists of orders and appointments: whose they are, what they refuse, and what they cost."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def test_lists_show_what_is_ones_own(clinic: Clinic) -> None:
    """The patient's and those of whom they act for; what a provider does; everything for staff, masked."""
    mother, daughter = await clinic.hub.person(name="张桂兰"), await clinic.hub.person(name="张小红")
    provider, staff = await clinic.provider(), await clinic.hub.person("staff")
    service = await clinic.service(provider)
    await clinic.relate(mother, daughter)
    hers = await clinic.book(mother, service, "09:00")
    await clinic.hub.clock.advance(1)
    own = await clinic.book(daughter, service, "10:00")
    stranger = await clinic.book(await clinic.hub.person(), await clinic.service(await clinic.provider()), "09:00")

    async def ids(who: Caller, path: str = "/orders", **query: Any) -> list[str]:
        page = await clinic.hub.call(who, "GET", path, params=query)
        assert page["total"] == len(page["items"])
        return [each["id"] for each in page["items"]]

    assert await ids(mother) == [hers["orderId"]]
    assert await ids(daughter) == [own["orderId"], hers["orderId"]]
    assert await ids(daughter, sort="createdAt", status="pending") == [hers["orderId"], own["orderId"]]
    assert await ids(daughter, status="paid") == []
    assert await ids(provider) == [own["orderId"], hers["orderId"]]
    assert await ids(provider, role="owner") == []
    assert await ids(mother, role="provider") == []
    assert await ids(staff, role="coordinator") == []
    assert {hers["orderId"], own["orderId"], stranger["orderId"]} <= set(await ids(staff, pageSize=100))
    assert await ids(daughter, "/appointments") == [own["appointmentId"], hers["appointmentId"]]
    assert await ids(provider, "/appointments", sort="scheduledTime") == [hers["appointmentId"], own["appointmentId"]]
    everything = await clinic.hub.call(staff, "GET", "/appointments", params={"pageSize": 100})
    assert {each["userName"] for each in everything["items"] if each["id"] == own["appointmentId"]} == {"张*红"}


async def test_lists_refuse_what_they_do_not_know(clinic: Clinic) -> None:
    """Everything is for staff only; a bad value is named."""
    patient = await clinic.hub.person()
    for path in ("/orders", "/appointments"):
        await clinic.hub.call(patient, "GET", path, 403, params={"role": "all"})
        cases = {"role": "boss", "status": "lost", "sort": "notes", "page": "0", "pageSize": "101"}
        for name, value in cases.items():
            refused = await clinic.hub.call(patient, "GET", path, 400, params={name: value})
            assert set(refused["fields"]) == {name}


@pytest.mark.parametrize("path", ["/orders", "/appointments"])
async def test_a_list_costs_the_same_however_long_it_is(clinic: Clinic, path: str) -> None:
    """Whom one acts for, the count, the page, and three for what is shown: six statements for one row or for many."""
    patient = await clinic.hub.person()
    service = await clinic.service(await clinic.provider(slot=60))
    counts = []
    for clock in ("09:00", "10:00", "11:00"):
        await clinic.book(patient, service, clock)
        with clinic.statements() as said:
            page = await clinic.hub.call(patient, "GET", path)
        counts.append((len(page["items"]), len(said)))

    assert counts == [(1, 6), (2, 6), (3, 6)]
