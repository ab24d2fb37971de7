"""Services: what is offered, found by its properties, defined by staff; a list is read from the cache until it changes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic

FIELDS = {
    "id", "name", "category", "description", "price", "durationMinutes", "city", "departmentId", "isActive",
    "sortOrder", "createdAt", "updatedAt",
}  # fmt: skip


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        await opened.run("UPDATE services SET is_active = false")  # each test sees its own
        yield opened


async def names(clinic: Clinic, path: str = "/services", who: Caller | None = None, **query: Any) -> list[str]:
    page = await clinic.hub.call(who or await clinic.hub.person(), "GET", path, params=query)
    return [each["name"] for each in page["items"]]


async def test_services_are_shown_with_their_price_and_rating(clinic: Clinic) -> None:
    """Money is a string with two places; what nobody reviewed has no average."""
    service = await clinic.service(name="门诊陪诊", price="128.5", description="半天“陪同”😀", city="北京", sortOrder=3)
    page = await clinic.hub.call(await clinic.hub.person(), "GET", "/services")
    shown = page["items"][0]

    assert (page["total"], set(shown)) == (1, FIELDS | {"ratingAverage", "ratingCount"})
    assert (shown["id"], shown["price"], shown["durationMinutes"]) == (service, "128.50", 60)
    assert (shown["description"], shown["city"], shown["sortOrder"]) == ("半天“陪同”😀", "北京", 3)
    assert (shown["ratingAverage"], shown["ratingCount"]) == (None, 0)
    assert await clinic.hub.call(await clinic.hub.person(), "GET", f"/services/{service}") == shown


async def test_services_are_found_by_their_properties(clinic: Clinic) -> None:
    """Category and city exactly, where one without a city is everywhere; words as they stand, wildcards included."""
    _, doctor = await clinic.doctor()
    department = str((await clinic.row("doctors", doctor))["department_id"])
    await clinic.service(name="甲 100%", sortOrder=1, city="北京")
    await clinic.service(name="乙", sortOrder=2, category="consultation", description="专家问诊 ABC")
    await clinic.service(name="丙_", sortOrder=3, city="上海", departmentId=department)

    assert await names(clinic) == ["甲 100%", "乙", "丙_"]
    assert await names(clinic, category="consultation") == ["乙"]
    assert await names(clinic, city="北京") == ["甲 100%", "乙"]
    assert await names(clinic, department=department) == ["丙_"]
    assert await names(clinic, department=new_id()) == []
    assert [await names(clinic, q=word) for word in ("abc", "%", "_", "' OR 1=1", "没有")] == [
        ["乙"], ["甲 100%"], ["丙_"], [], [],
    ]  # fmt: skip
    assert await names(clinic, sort="-sortOrder", pageSize=2) == ["丙_", "乙"]
    assert await names(clinic, sort="sortOrder", pageSize=2, page=2) == ["丙_"]


async def test_bad_filters_are_refused_by_name(clinic: Clinic) -> None:
    """Too long, a NUL, no id, no such order."""
    patient = await clinic.hub.person()
    cases = {"q": "长" * 51, "city": "北\x00京", "department": "心内科", "sort": "rating", "pageSize": "0", "page": "x"}
    for name, value in cases.items():
        refused = await clinic.hub.call(patient, "GET", "/services", 400, params={name: value})
        assert set(refused["fields"]) == {name}


async def test_a_list_costs_three_statements_and_then_none(clinic: Clinic) -> None:
    """However many services: the count, the page, the ratings; who asks the same within a minute costs nothing."""
    patient = await clinic.hub.person()
    counts = []
    for number in range(3):
        await clinic.service(name=f"服务{number}")
        for _ in range(2):
            with clinic.statements() as said:
                page = await clinic.hub.call(patient, "GET", "/services")
            counts.append((len(page["items"]), len(said)))

    assert counts == [(1, 3), (1, 0), (2, 3), (2, 0), (3, 3), (3, 0)]


async def test_a_search_is_not_kept(clinic: Clinic) -> None:
    """There are too many of them."""
    await clinic.service(name="护理")
    for _ in range(2):
        with clinic.statements() as said:
            assert await names(clinic, q="护理") == ["护理"]
        assert len([each for each in said if "services" in each]) == 2


async def test_what_changes_shows_at_once(clinic: Clinic) -> None:
    """Copies are dropped after the commit, of lists and of single ones."""
    staff, patient = await clinic.hub.person("staff"), await clinic.hub.person()
    service = await clinic.service(name="旧名")
    await names(clinic)
    await clinic.hub.call(patient, "GET", f"/services/{service}")
    await clinic.hub.call(staff, "PATCH", f"/admin/services/{service}", json={"name": "新名", "price": "1"})
    assert await names(clinic) == ["新名"]
    assert (await clinic.hub.call(patient, "GET", f"/services/{service}"))["price"] == "1.00"
    await clinic.hub.call(staff, "DELETE", f"/admin/services/{service}")

    assert await names(clinic) == []
    await clinic.hub.call(patient, "GET", f"/services/{service}", 404)


async def test_staff_define_who_does_it(clinic: Clinic) -> None:
    """Doctors and companions; given anew they replace each other, left out they stay."""
    staff, companion, (doctor, _) = await clinic.hub.person("staff"), await clinic.provider(), await clinic.doctor()
    body = {"name": "套餐", "category": "package", "price": "0", "durationMinutes": 30}
    made = await clinic.hub.call(staff, "POST", "/admin/services", json=body | {"providers": [companion.id, doctor.id]})
    path = f"/admin/services/{made['id']}"
    renamed = await clinic.hub.call(staff, "PATCH", path, json={"name": "新套餐"})
    fewer = await clinic.hub.call(staff, "PATCH", path, json={"providers": [doctor.id, doctor.id]})

    assert set(made) == FIELDS | {"providers", "reminderMinutes"}
    assert made["providers"] == renamed["providers"] == sorted([companion.id, doctor.id])
    assert fewer["providers"] == [doctor.id]
    assert await clinic.hub.call(staff, "GET", path) == fewer


async def test_providers_must_be_people_who_provide(clinic: Clinic) -> None:
    """The refusal names each that is none; nothing of the request is kept."""
    staff, companion, patient = await clinic.hub.person("staff"), await clinic.provider(), await clinic.hub.person()
    service = await clinic.service(companion, name="原名")
    body = {"name": "改名", "providers": [companion.id, patient.id, new_id(), "x"]}
    refused = await clinic.hub.call(staff, "PATCH", f"/admin/services/{service}", 400, json=body)
    kept = await clinic.hub.call(staff, "GET", f"/admin/services/{service}")

    assert set(refused["fields"]) == {"providers[1]", "providers[2]", "providers[3]"}
    assert (kept["name"], kept["providers"]) == ("原名", [companion.id])


async def test_a_department_is_one_that_exists(clinic: Clinic) -> None:
    """Unknown ones are not found; null takes it away."""
    staff = await clinic.hub.person("admin")
    _, doctor = await clinic.doctor()
    department = str((await clinic.row("doctors", doctor))["department_id"])
    service = await clinic.service(departmentId=department)
    path = f"/admin/services/{service}"
    for unknown in (new_id(), "心内科", ""):
        refused = await clinic.hub.call(staff, "PATCH", path, 404, json={"departmentId": unknown})
        assert refused["fields"] == {"departmentId": "没有这个科室"}

    assert (await clinic.hub.call(staff, "GET", path))["departmentId"] == department
    assert (await clinic.hub.call(staff, "PATCH", path, json={"departmentId": None}))["departmentId"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "-1"),
        ("price", "1.234"),
        ("price", "100000000"),
        ("price", "1e3"),
        ("price", "NaN"),
        ("price", "1\n"),
        ("price", 1),
        ("durationMinutes", 4),
        ("durationMinutes", 1441),
        ("name", " "),
        ("name", "长" * 101),
        ("name", "名\x00"),
        ("category", ""),
        ("sortOrder", 2**31),
        ("isActive", "maybe"),
        ("rating", 5),
    ],
)
async def test_a_bad_definition_is_refused_by_field(clinic: Clinic, field: str, value: object) -> None:
    """The same for something new and for a change."""
    staff = await clinic.hub.person("staff")
    body = {"name": "套餐", "category": "package", "price": "1", "durationMinutes": 30}
    new = await clinic.hub.call(staff, "POST", "/admin/services", 400, json=body | {field: value})
    service = await clinic.service()
    change = await clinic.hub.call(staff, "PATCH", f"/admin/services/{service}", 400, json={field: value})

    assert list(new["fields"]) == list(change["fields"]) == [field]


async def test_defining_is_for_staff(clinic: Clinic) -> None:
    """Others are refused before anything is looked up; staff see what is withdrawn."""
    service = await clinic.service(name="下架", isActive=False)
    body = {"name": "套餐", "category": "package", "price": "1", "durationMinutes": 30}
    for role in ("patient", "companion", "doctor"):
        who = await clinic.hub.person(role)
        for method, path, content in (
            ("GET", "/admin/services", None),
            ("POST", "/admin/services", body),
            ("GET", f"/admin/services/{service}", None),
            ("PATCH", f"/admin/services/{service}", {"name": "x"}),
            ("DELETE", f"/admin/services/{service}", None),
        ):
            await clinic.hub.call(who, method, path, 403, json=content)
    staff = await clinic.hub.person("staff")

    assert "下架" in await names(clinic, "/admin/services", staff, pageSize=100)
    for unknown in (new_id(), "x"):
        for method, content in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            await clinic.hub.call(staff, method, f"/admin/services/{unknown}", 404, json=content)


async def test_an_order_keeps_the_price_it_was_placed_with(clinic: Clinic) -> None:
    """A later price is for later orders; what is withdrawn is still shown with its orders."""
    patient, staff = await clinic.hub.person(), await clinic.hub.person("staff")
    service = await clinic.service(price="10.00", name="护理")
    order = await clinic.place(patient, service)
    await clinic.hub.call(staff, "PATCH", f"/admin/services/{service}", json={"price": "20.00", "isActive": False})
    shown = await clinic.hub.call(patient, "GET", f"/orders/{order['id']}")

    assert (shown["amount"], shown["serviceName"]) == ("10.00", "护理")
