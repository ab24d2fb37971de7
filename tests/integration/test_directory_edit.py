"""Staff keep the directory: what they change is there at once, and what is wrong is refused naming the field."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def staff(hub: CoreHub) -> Caller:
    return await hub.person("staff")


async def department(hub: CoreHub, staff: Caller, city: str = "北京") -> tuple[str, str]:
    """A new hospital and its department."""
    hospital = await hub.call(staff, "POST", "/admin/hospitals", json={"name": "清河医院", "city": city})
    body = {"hospitalId": hospital["id"], "name": "消化内科", "location": "门诊楼 2 层"}
    return hospital["id"], (await hub.call(staff, "POST", "/admin/departments", json=body))["id"]


async def doctor(hub: CoreHub, staff: Caller, place: str) -> dict[str, Any]:
    phone = (await hub.person()).phone
    body = {"name": "王建国", "departmentId": place, "phone": phone, "title": "主任医师", "fee": "128"}
    added: dict[str, Any] = await hub.call(staff, "POST", "/admin/doctors", json=body)
    return added


async def test_change_is_seen_at_once(hub: CoreHub, staff: Caller) -> None:
    """A copy that was kept for many readers is gone with the commit."""
    city = f"城{new_id()[-6:]}"
    hospital, place = await department(hub, staff, city)
    reader = await hub.person()
    assert (await hub.call(reader, "GET", f"/hospitals?city={city}"))["items"][0]["name"] == "清河医院"
    await hub.call(staff, "PATCH", f"/admin/hospitals/{hospital}", json={"name": "清河中心医院"})

    assert (await hub.call(reader, "GET", f"/hospitals?city={city}"))["items"][0]["name"] == "清河中心医院"
    added = await doctor(hub, staff, place)
    assert added["fee"] == "128.00"
    await hub.call(staff, "PATCH", f"/admin/hospitals/{hospital}", json={"isActive": False})
    await hub.call(reader, "GET", f"/hospitals/{hospital}", 404)
    await hub.call(reader, "GET", f"/doctors/{added['id']}", 404)


async def test_working_hours_are_seen_at_once(hub: CoreHub, staff: Caller) -> None:
    """Rules, and days off that come and go: nobody is shown the copy of before."""
    _, place = await department(hub, staff)
    added = await doctor(hub, staff, place)
    path, day = f"/admin/schedules/{added['userId']}", f"{hub.clock.now() + timedelta(days=2):%Y-%m-%d}"
    rules = [{"weekday": n, "starts": "09:00", "ends": "12:00", "slotMinutes": 30} for n in range(1, 8)]

    async def windows() -> int:
        days = await hub.call(staff, "GET", f"/doctors/{added['id']}/schedule?from={day}&days=1")
        return len(days["items"][0]["windows"])

    assert await windows() == 0
    await hub.call(staff, "PUT", path, json={"rules": rules})
    assert await windows() == 1
    off = await hub.call(staff, "POST", f"{path}/exceptions", json={"day": day, "kind": "off"})
    assert await windows() == 0
    await hub.call(staff, "DELETE", f"{path}/exceptions/{off['id']}")
    assert await windows() == 1


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_others_than_staff_may_not_edit(hub: CoreHub, role: str) -> None:
    """Nor look behind the counter."""
    who = await hub.person(role)
    await hub.call(who, "POST", "/admin/hospitals", 403, json={"name": "清河医院", "city": "北京"})
    await hub.call(who, "POST", "/admin/departments", 403, json={"name": "内科", "hospitalId": new_id()})
    await hub.call(
        who, "POST", "/admin/doctors", 403, json={"name": "王", "departmentId": new_id(), "phone": "13800138000"}
    )
    for kind in ("hospitals", "departments", "doctors"):
        await hub.call(who, "PATCH", f"/admin/{kind}/{new_id()}", 403, json={"isActive": False})
        await hub.call(who, "GET", f"/admin/{kind}", 403)


async def test_second_of_a_kind_is_a_conflict(hub: CoreHub, staff: Caller) -> None:
    """Two departments of one name in a hospital, two hospitals of one code, two entries of one doctor."""
    hospital, place = await department(hub, staff)
    code = f"H{new_id()[-8:]}"
    await hub.call(staff, "PATCH", f"/admin/hospitals/{hospital}", json={"code": code})
    again = {"name": "另一家", "city": "北京", "code": code}
    assert list((await hub.call(staff, "POST", "/admin/hospitals", 409, json=again))["fields"]) == ["code"]
    same = {"hospitalId": hospital, "name": "消化内科"}
    assert list((await hub.call(staff, "POST", "/admin/departments", 409, json=same))["fields"]) == ["name"]
    added = await doctor(hub, staff, place)
    twice = {"name": "王建国", "departmentId": place, "phone": added["phone"]}
    assert list((await hub.call(staff, "POST", "/admin/doctors", 409, json=twice))["fields"]) == ["phone"]


async def test_entries_are_answered_as_stored(hub: CoreHub, staff: Caller) -> None:
    """Every field; text as it was written, money with two places; what a change does not name stays."""
    said = "“清河” 😀 ' OR 1=1 -- \u202e"
    body = {
        "name": said, "city": "北京市", "code": f"H{new_id()[-8:]}", "district": "海淀区", "address": said,
        "level": "三级甲等", "phone": "010-6290 0000 转 8", "introduction": f"第一行\n{said}", "isActive": True,
    }  # fmt: skip
    hospital = await hub.call(staff, "POST", "/admin/hospitals", json=body)
    changed = await hub.call(staff, "PATCH", f"/admin/hospitals/{hospital['id']}", json={"code": None})
    same = await hub.call(staff, "PATCH", f"/admin/hospitals/{hospital['id']}", json={})

    assert {name: hospital[name] for name in body} == body
    assert set(hospital) == {*body, "id", "createdAt", "updatedAt"}
    assert changed == hospital | {"code": None, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > hospital["updatedAt"]
    assert same == changed


async def test_doctor_is_changed_and_moved(hub: CoreHub, staff: Caller) -> None:
    """To another department, which may be of another hospital; the account's own name stays."""
    _, place = await department(hub, staff)
    other, there = await department(hub, staff)
    added = await doctor(hub, staff, place)
    change = {"departmentId": there, "fee": "9.9", "specialties": ["胃病", "CT 读片"], "sortOrder": 3, "name": "王建军"}
    changed = await hub.call(staff, "PATCH", f"/admin/doctors/{added['id']}", json=change)
    own = Caller(added["userId"], hub.token_of(added["userId"], "doctor"), "")

    assert changed["hospitalId"] == other
    assert [changed[name] for name in ("fee", "specialties", "sortOrder", "name", "phone")] == [
        "9.90",
        ["胃病", "CT 读片"],
        3,
        "王建军",
        added["phone"],
    ]
    assert (await hub.call(own, "GET", "/users/me"))["name"] == "张三丰"


async def test_somebody_new_becomes_a_doctor(hub: CoreHub, staff: Caller) -> None:
    """With an account of the phone, whose name is the doctor's."""
    _, place = await department(hub, staff)
    phone = f"137{int(new_id()[-7:], 16) % 10**8:08d}"
    body = {"name": "王建国", "departmentId": place, "phone": phone}
    added = await hub.call(staff, "POST", "/admin/doctors", json=body)
    own = Caller(added["userId"], hub.token_of(added["userId"], "doctor"), phone)

    shown = await hub.call(own, "GET", "/users/me")
    assert (shown["name"], shown["phone"], shown["role"]) == ("王建国", phone, "doctor")
    assert added["fee"] == "0.00"


@pytest.mark.parametrize("role", ["companion", "staff", "admin"])
async def test_nobody_loses_another_role(hub: CoreHub, staff: Caller, role: str) -> None:
    """A mistyped phone does not make an administrator a doctor."""
    _, place = await department(hub, staff)
    other = await hub.person(role)
    body = {"name": "王建国", "departmentId": place, "phone": other.phone}
    error = await hub.call(staff, "POST", "/admin/doctors", 409, json=body)

    assert list(error["fields"]) == ["phone"]
    assert (await hub.call(other, "GET", "/users/me"))["role"] == role


async def test_lists_of_staff_show_what_is_inactive(hub: CoreHub, staff: Caller) -> None:
    """Or only that; with the account's phone, and whether the doctor is offered."""
    hospital, place = await department(hub, staff)
    added = await doctor(hub, staff, place)
    await hub.call(staff, "PATCH", f"/admin/departments/{place}", json={"isActive": False})
    path = f"hospitalId={hospital}"

    departments = (await hub.call(staff, "GET", f"/admin/departments?{path}&isActive=false"))["items"]
    assert [each["id"] for each in departments] == [place]
    assert (await hub.call(staff, "GET", f"/admin/departments?{path}&isActive=true"))["total"] == 0
    doctors = (await hub.call(staff, "GET", f"/admin/doctors?{path}&isActive=true&q=主任"))["items"]
    assert [(each["phone"], each["isActive"], each["isOpen"]) for each in doctors] == [(added["phone"], True, False)]


@pytest.mark.parametrize("kind", ["hospitals", "departments", "doctors"])
async def test_closing_tells_who_keeps_bookings(hub: CoreHub, staff: Caller, kind: str) -> None:
    """Once for each doctor it concerns, and once more when it opens again; other changes are nobody's matter."""
    hospital, place = await department(hub, staff)
    added = await doctor(hub, staff, place)
    row = {"hospitals": hospital, "departments": place, "doctors": added["id"]}[kind]
    for change in ({"isActive": False}, {"isActive": False}, {"introduction": "简介"}, {"isActive": True}):
        await hub.call(staff, "PATCH", f"/admin/{kind}/{row}", json=change)
    statement = text("SELECT kind FROM events WHERE subject = :id ORDER BY number")
    async with hub.ground.database.transaction() as connection:
        told = list((await connection.execute(statement, {"id": added["userId"]})).scalars())

    assert told == ["ScheduleChanged"] * 2


async def test_two_of_one_code_at_the_same_moment_are_one(hub: CoreHub, staff: Caller) -> None:
    """The table decides, and the others hear which field it was."""
    body = {"name": "清河医院", "city": "北京", "code": f"H{new_id()[-8:]}"}
    headers = {"Authorization": f"Bearer {staff.token}"}
    responses = await asyncio.gather(
        *(hub.client.post("/api/v1/admin/hospitals", json=body, headers=headers) for _ in range(4))
    )

    assert sorted(response.status_code for response in responses) == [200, 409, 409, 409]


NOWHERE = "01890000-0000-7000-8000-000000000000"
HOSPITAL = {"name": "清河医院", "city": "北京"}
DOCTOR = {"name": "王建国", "phone": "13700137000"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("hospitals", {"name": "清河医院"}, "city"),
        ("hospitals", HOSPITAL | {"name": ""}, "name"),
        ("hospitals", HOSPITAL | {"name": " \u3000"}, "name"),
        ("hospitals", HOSPITAL | {"name": "两\n行"}, "name"),
        ("hospitals", HOSPITAL | {"name": "长" * 101}, "name"),
        ("hospitals", HOSPITAL | {"name": None}, "name"),
        ("hospitals", HOSPITAL | {"introduction": "a\x00b"}, "introduction"),
        ("hospitals", HOSPITAL | {"introduction": "长" * 2001}, "introduction"),
        ("hospitals", HOSPITAL | {"level": "五星"}, "level"),
        ("hospitals", HOSPITAL | {"code": "医院"}, "code"),
        ("hospitals", HOSPITAL | {"code": ""}, "code"),
        ("hospitals", HOSPITAL | {"isActive": "maybe"}, "isActive"),
        ("hospitals", HOSPITAL | {"beds": 900}, "beds"),
        ("departments", {"name": "内科", "hospitalId": "x"}, "hospitalId"),
        ("departments", {"name": "内科", "hospitalId": NOWHERE}, "hospitalId"),
        ("departments", {"name": "内科"}, "hospitalId"),
        ("departments", {"name": "内科", "hospitalId": NOWHERE, "sortOrder": -1}, "sortOrder"),
        ("departments", {"name": "内科", "hospitalId": NOWHERE, "sortOrder": 2**40}, "sortOrder"),
        ("doctors", DOCTOR | {"departmentId": "x"}, "departmentId"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE}, "departmentId"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "phone": "12345"}, "phone"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "name": "名" * 51}, "name"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "fee": "-1"}, "fee"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "fee": "1.234"}, "fee"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "fee": "NaN"}, "fee"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "fee": 128}, "fee"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "specialties": ["病"] * 21}, "specialties"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "specialties": [""]}, "specialties[0]"),
        ("doctors", DOCTOR | {"departmentId": NOWHERE, "userId": NOWHERE}, "userId"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
async def test_bad_entry_is_refused_by_name(
    hub: CoreHub, staff: Caller, path: str, body: dict[str, Any], field: str
) -> None:
    """And nothing is stored of it, an account included."""
    error = await hub.call(staff, "POST", f"/admin/{path}", 400, json=body)

    assert list(error["fields"]) == [field]
    async with hub.ground.database.transaction() as connection:
        made = text("SELECT count(*) FROM users WHERE phone = '13700137000'")
        assert await connection.scalar(made) == 0


@pytest.mark.parametrize("kind", ["hospitals", "departments", "doctors"])
@pytest.mark.parametrize("row", ["x", NOWHERE])
async def test_change_of_nothing_is_not_found(hub: CoreHub, staff: Caller, kind: str, row: str) -> None:
    """Malformed or strange."""
    await hub.call(staff, "PATCH", f"/admin/{kind}/{row}", 404, json={"isActive": False})


async def test_change_to_what_is_taken_is_a_conflict(hub: CoreHub, staff: Caller) -> None:
    """And leaves both as they were."""
    hospital, place = await department(hub, staff)
    body = {"hospitalId": hospital, "name": "外科"}
    other = await hub.call(staff, "POST", "/admin/departments", json=body)
    error = await hub.call(staff, "PATCH", f"/admin/departments/{place}", 409, json={"name": "外科", "isActive": False})
    names = (await hub.call(staff, "GET", f"/admin/departments?hospitalId={hospital}&isActive=true"))["items"]

    assert error["fields"] == {"name": "该医院已有同名科室"}
    assert {each["name"] for each in names} == {"消化内科", other["name"]}


async def test_lists_of_staff_cost_a_fixed_number_of_statements(hub: CoreHub, staff: Caller) -> None:
    """However many rows; one more for the phones of doctors."""
    hospital, place = await department(hub, staff)
    for _ in range(3):
        await doctor(hub, staff, place)
    scene = Scene(hub.ground.database)
    for kind, cost in (("hospitals", 2), ("departments", 2), ("doctors", 3)):
        with scene.statements() as said:
            query = "" if kind == "hospitals" else f"?hospitalId={hospital}"
            await hub.call(staff, "GET", f"/admin/{kind}{query}")
        assert len(said) == cost, kind
