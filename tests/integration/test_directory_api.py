"""The directory over HTTP: hospitals, departments, doctors and their days."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

NOWHERE = "01890000-0000-7000-8000-000000000000"


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
@pytest.mark.parametrize("unknown", ["x", NOWHERE])
async def test_unknown_places_are_not_found(hub: CoreHub, reader: Caller, path: str, unknown: str) -> None:
    """A malformed id is as unknown as a strange one."""
    await hub.call(reader, "GET", path.format(id=unknown), 404)


async def run(hub: CoreHub, statement: str, **values: Any) -> None:
    async with hub.ground.database.transaction() as connection:
        await connection.execute(text(statement), values)


async def test_shapes_hold_nothing_that_only_staff_see(hub: CoreHub, reader: Caller) -> None:
    """Exactly these fields; no phone of an account, no marks."""
    hospital, _, doctor = await place(hub, "北京")
    shown = await hub.call(reader, "GET", f"/hospitals/{hospital}")
    departments = (await hub.call(reader, "GET", f"/hospitals/{hospital}/departments"))["items"]

    assert set(shown) == {
        "id", "code", "name", "city", "district", "address", "level", "phone", "introduction"
    }  # fmt: skip
    assert set(departments[0]) == {
        "id", "hospitalId", "hospitalName", "name", "category", "location", "introduction", "sortOrder"
    }  # fmt: skip
    assert set(await hub.call(reader, "GET", f"/doctors/{doctor}")) == {
        "id", "userId", "hospitalId", "hospitalName", "city", "departmentId", "departmentName", "name", "title",
        "specialties", "introduction", "fee", "sortOrder",
    }  # fmt: skip


async def test_city_is_found_with_and_without_its_suffix(hub: CoreHub, reader: Caller) -> None:
    """Whichever was written, and whichever is asked for."""
    city = f"城{new_id()[-6:]}"
    await place(hub, city)
    await place(hub, f"{city}市")

    for asked in (city, f"{city}市"):
        assert (await hub.call(reader, "GET", f"/hospitals?city={asked}"))["total"] == 2
        assert (await hub.call(reader, "GET", f"/doctors?city={asked}"))["total"] == 2


async def test_doctors_are_narrowed_by_place_and_words(hub: CoreHub, reader: Caller) -> None:
    """By hospital, by department (id or name), and by a part of name, title or specialty in any case of letters."""
    hospital, department, doctor = await place(hub, "北京")
    await run(hub, "UPDATE doctors SET specialties = '{CT 读片,胃病}', title = '50%_医师' WHERE id = :id", id=doctor)
    within = f"/doctors?hospitalId={hospital}"
    queries = [
        f"department={department}",
        "department=消化内科",
        "q=王医",
        "q=ct",
        "q=50%25_",
        "q=胃病",
        "q=消化",
        "city=北京",
    ]
    for query in queries:
        found = await hub.call(reader, "GET", f"{within}&{query}")
        assert [each["id"] for each in found["items"]] == [doctor], query

    for query in (f"department={new_id()}", "department=内科", "q=5%25", "q=医_", "q=%25%25", "q=\\", "city=上海"):
        assert (await hub.call(reader, "GET", f"{within}&{query}"))["items"] == [], query
    assert (await hub.call(reader, "GET", f"/doctors?hospitalId={new_id()}"))["total"] == 0


async def test_lists_are_sorted_and_paged_without_repetition(hub: CoreHub, reader: Caller) -> None:
    """Names in the order of pinyin; equal values by a second order, so that no page repeats a row."""
    city = f"城{new_id()[-6:]}"
    for name in ("中山医院", "安贞医院", "北大医院", "安贞医院"):
        await place(hub, city, name)

    async def names(sort: str) -> list[str]:
        pages = [
            await hub.call(reader, "GET", f"/hospitals?city={city}&sort={sort}&pageSize=1&page={n}")
            for n in range(1, 5)
        ]
        assert {page["total"] for page in pages} == {4}
        assert len({page["items"][0]["id"] for page in pages}) == 4
        return [page["items"][0]["name"] for page in pages]

    assert await names("name") == ["安贞医院", "安贞医院", "北大医院", "中山医院"]
    assert await names("-name") == ["中山医院", "北大医院", "安贞医院", "安贞医院"]
    assert await names("level") == ["安贞医院", "安贞医院", "北大医院", "中山医院"]


async def test_fees_sort_as_numbers(hub: CoreHub, reader: Caller) -> None:
    """9 is less than 128, and is written with two places."""
    city = f"城{new_id()[-6:]}"
    for fee in (128, 9, 50.5):
        _, _, doctor = await place(hub, city)
        await run(hub, "UPDATE doctors SET fee = :fee WHERE id = :id", fee=Decimal(fee), id=doctor)
    found = await hub.call(reader, "GET", f"/doctors?city={city}&sort=-fee")

    assert [each["fee"] for each in found["items"]] == ["128.00", "50.50", "9.00"]


@pytest.mark.parametrize("table", ["hospitals", "departments", "doctors"])
async def test_what_is_inactive_is_not_offered(hub: CoreHub, reader: Caller, table: str) -> None:
    """Nor is what belongs to it."""
    city = f"城{new_id()[-6:]}"
    hospital, department, doctor = await place(hub, city)
    row = {"hospitals": hospital, "departments": department, "doctors": doctor}[table]
    await run(hub, f"UPDATE {table} SET is_active = false WHERE id = :id", id=row)  # noqa: S608 - a name of ours

    assert (await hub.call(reader, "GET", f"/doctors?city={city}"))["total"] == 0
    await hub.call(reader, "GET", f"/doctors/{doctor}", 404)
    await hub.call(reader, "GET", f"/doctors/{doctor}/schedule", 404)
    if table == "hospitals":
        assert (await hub.call(reader, "GET", f"/hospitals?city={city}"))["total"] == 0
        await hub.call(reader, "GET", f"/hospitals/{hospital}/departments", 404)
    elif table == "departments":
        assert (await hub.call(reader, "GET", f"/hospitals/{hospital}/departments"))["total"] == 0


async def test_schedule_begins_today_in_shanghai(hub: CoreHub, reader: Caller) -> None:
    """Seven days, unless something else is asked for; after 16:00 UTC it is tomorrow there."""
    _, _, doctor = await place(hub, "北京")
    today = hub.clock.now().date()
    first = await hub.call(reader, "GET", f"/doctors/{doctor}/schedule")
    await hub.clock.advance(15 * 3600)
    later = await hub.call(reader, "GET", f"/doctors/{doctor}/schedule?days=31")

    assert (len(first["items"]), first["items"][0]["date"]) == (7, f"{today}")
    assert (later["page"], later["pageSize"], later["total"]) == (1, 31, 31)
    assert later["items"][0]["date"] == f"{today + timedelta(days=1)}"


async def test_schedule_tells_days_off_with_their_reason(hub: CoreHub, reader: Caller) -> None:
    """Whole days and parts of them."""
    _, _, doctor = await place(hub, "北京")
    insert = """INSERT INTO schedule_exceptions (id, provider, day, kind, starts, ends, reason)
                SELECT :id, user_id, '2026-12-24', 'off', '09:30', '23:59', '停诊' FROM doctors WHERE id = :doctor"""
    await run(hub, insert, id=new_id(), doctor=doctor)
    days = await hub.call(reader, "GET", f"/doctors/{doctor}/schedule?from=2026-12-24&days=1")

    assert days["items"] == [
        {
            "date": "2026-12-24",
            "weekday": 4,
            "windows": [{"starts": "09:00", "ends": "09:30", "slotMinutes": 30, "capacity": 1}],
            "off": [{"starts": "09:30", "ends": "23:59", "reason": "停诊"}],
        }
    ]


@pytest.mark.parametrize(("first", "days"), [("0001-01-01", 31), ("9999-12-31", 1), ("9999-12-20", 12)])
async def test_schedule_ends_with_the_calendar(hub: CoreHub, reader: Caller, first: str, days: int) -> None:
    """Any day may be asked for."""
    _, _, doctor = await place(hub, "北京")

    assert (await hub.call(reader, "GET", f"/doctors/{doctor}/schedule?from={first}&days=31"))["total"] == days


async def test_doctor_whose_account_is_suspended_offers_nothing(hub: CoreHub, reader: Caller) -> None:
    """The entry stays, the windows go."""
    _, _, doctor = await place(hub, "北京")
    await run(
        hub,
        "UPDATE users SET status = 'suspended' WHERE id = (SELECT user_id FROM doctors WHERE id = :id)",
        id=doctor,
    )
    days = await hub.call(reader, "GET", f"/doctors/{doctor}/schedule")

    assert all(each["windows"] == [] for each in days["items"])


async def test_reads_cost_a_fixed_number_of_statements_and_none_while_kept(hub: CoreHub, reader: Caller) -> None:
    """However many rows; what somebody typed is not kept."""
    city = f"城{new_id()[-6:]}"
    hospital, _, doctor = await place(hub, city)
    await place(hub, city)
    costs = {
        f"/hospitals?city={city}": (2, 0),
        f"/hospitals/{hospital}/departments": (3, 0),
        f"/doctors?city={city}": (2, 0),
        f"/doctors/{doctor}/schedule?days=31": (3, 0),
        f"/doctors?city={city}&q=王": (2, 2),
    }
    scene = Scene(hub.ground.database)
    for path, cost in costs.items():
        said = []
        for _ in cost:
            with scene.statements() as statements:
                await hub.call(reader, "GET", path)
            said.append(len(statements))
        assert tuple(said) == cost, path


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/hospitals?sort=beds", "sort"),
        ("/hospitals?pageSize=101", "pageSize"),
        ("/hospitals?level=五星", "level"),
        ("/doctors?page=0", "page"),
        ("/doctors?hospitalId=x", "hospitalId"),
        ("/doctors?q=a%00b", "q"),
        ("/doctors?q=" + "长" * 51, "q"),
        ("/doctors?department=%00", "department"),
        ("/doctors?sort=phone", "sort"),
        ("/hospitals?city=", "city"),
        ("/hospitals?city=%0A", "city"),
        (f"/doctors/{NOWHERE}/schedule?days=0", "days"),
        (f"/doctors/{NOWHERE}/schedule?days=32", "days"),
        (f"/doctors/{NOWHERE}/schedule?from=2026-02-30", "from"),
        (f"/doctors/{NOWHERE}/schedule?from=tomorrow", "from"),
    ],
    ids=lambda value: value if value.isalpha() else "",
)
async def test_bad_queries_are_refused_naming_the_field(hub: CoreHub, reader: Caller, query: str, field: str) -> None:
    """Rather than answered with something else than was asked for."""
    error = await hub.call(reader, "GET", query, 400)

    assert list(error["fields"]) == [field]


@pytest.mark.parametrize("path", ["/hospitals", "/doctors", "/admin/hospitals", "/admin/import/doctors/template"])
async def test_nobody_reads_without_signing_in(hub: CoreHub, path: str) -> None:
    """The directory is for those who have an account."""
    await hub.call(None, "GET", path, 401)
