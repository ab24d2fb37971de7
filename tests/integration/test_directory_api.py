"""The directory over HTTP: hospitals, departments, doctors and their days."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def reader(hub: CoreHub) -> Caller:
    return await hub.person()


async def place(hub: CoreHub, city: str, name: str = "清河医院") -> tuple[str, str, str]:
    """A hospital with one department and one doctor who works every day from nine to ten."""
    hospital, department, doctor = new_id(), new_id(), new_id()
    user = (await hub.person("doctor", "王医生")).id
    statements = (
        ("INSERT INTO hospitals (id, name, city, level) VALUES (:h, :name, :city, '三级甲等')"),
        ("INSERT INTO departments (id, hospital_id, name) VALUES (:d, :h, '消化内科')"),
        (
            "INSERT INTO doctors (id, user_id, department_id, name, title, specialties, fee) "
            "VALUES (:doctor, :user, :d, '王医生', '主任医师', '{胃病}', 128)"
        ),
        (
            "INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from) "
            "SELECT gen_random_uuid(), :user, n, '09:00', '10:00', 30, 1, '2020-01-01' FROM generate_series(1, 7) n"
        ),
    )
    values = {"h": hospital, "d": department, "doctor": doctor, "user": user, "name": name, "city": city}
    async with hub.ground.database.transaction() as connection:
        for statement in statements:
            used = {key: value for key, value in values.items() if f":{key}" in statement}
            await connection.execute(text(statement), used)
    return hospital, department, doctor


async def test_lists_are_pages_narrowed_by_city_and_words(hub: CoreHub, reader: Caller) -> None:
    """The contract's page, with the wanted hospitals only; wildcards are ordinary characters."""
    city = f"城{new_id()[-6:]}"
    hospital, department, doctor = await place(hub, city)
    found = await hub.call(reader, "GET", f"/hospitals?city={city}")

    assert (found["page"], found["pageSize"], found["total"]) == (1, 20, 1)
    assert found["items"][0]["id"] == hospital
    assert set(found["items"][0]) >= {"id", "name", "city", "level", "address", "phone"}
    departments = await hub.call(reader, "GET", f"/hospitals/{hospital}/departments")
    assert [each["id"] for each in departments["items"]] == [department]
    doctors = await hub.call(reader, "GET", f"/doctors?city={city}&department={department}&q=胃病")
    assert [(each["id"], each["fee"]) for each in doctors["items"]] == [(doctor, "128.00")]
    assert (await hub.call(reader, "GET", f"/hospitals?city={city}&q=%25"))["total"] == 0


async def test_days_tell_windows_in_shanghai_time(hub: CoreHub, reader: Caller) -> None:
    """One item for each day that was asked for."""
    _, _, doctor = await place(hub, "北京")
    first = f"{hub.clock.now() + timedelta(days=1):%Y-%m-%d}"
    days = await hub.call(reader, "GET", f"/doctors/{doctor}/schedule?from={first}&days=3")

    assert days["total"] == 3
    assert days["items"][0] == {
        "date": first,
        "weekday": days["items"][0]["weekday"],
        "windows": [{"starts": "09:00", "ends": "10:00", "slotMinutes": 30, "capacity": 1}],
        "off": [],
    }


@pytest.mark.parametrize("path", ["/hospitals/{id}", "/hospitals/{id}/departments", "/doctors/{id}/schedule"])
@pytest.mark.parametrize("unknown", ["x", "01890000-0000-7000-8000-000000000000"])
async def test_unknown_places_are_not_found(hub: CoreHub, reader: Caller, path: str, unknown: str) -> None:
    """A malformed id is as unknown as a strange one."""
    await hub.call(reader, "GET", path.format(id=unknown), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/hospitals?sort=beds", "sort"),
        ("/hospitals?pageSize=101", "pageSize"),
        ("/hospitals?level=五星", "level"),
        ("/doctors?page=0", "page"),
    ],
)
async def test_bad_queries_are_refused_naming_the_field(hub: CoreHub, reader: Caller, query: str, field: str) -> None:
    error = await hub.call(reader, "GET", query, 400)

    assert list(error["fields"]) == [field]


async def test_nobody_reads_without_signing_in(hub: CoreHub) -> None:
    await hub.call(None, "GET", "/hospitals", 401)
