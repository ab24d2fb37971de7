"""Staff keep the directory: what they change is there at once, and what is wrong is refused naming the field."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core


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


async def test_rules_are_replaced_as_a_whole(hub: CoreHub, staff: Caller) -> None:
    """The new week holds from then on; a version that is not the current one is a conflict."""
    _, place = await department(hub, staff)
    added = await doctor(hub, staff, place)
    path = f"/admin/schedules/{added['userId']}"
    rules = [{"weekday": day, "starts": "09:00", "ends": "12:00", "slotMinutes": 30} for day in range(1, 8)]
    first = await hub.call(staff, "PUT", path, json={"rules": rules})
    again = await hub.call(staff, "PUT", path, json={"rules": rules[:5], "version": first["version"]})

    assert len(again["rules"]) == 5
    await hub.call(staff, "PUT", path, 409, json={"rules": rules, "version": first["version"]})
    assert (await hub.call(staff, "GET", path))["rules"] == again["rules"]


async def test_day_off_empties_a_day_and_may_be_taken_back(hub: CoreHub, staff: Caller) -> None:
    """By the doctor, too; a stranger finds nothing there."""
    _, place = await department(hub, staff)
    added = await doctor(hub, staff, place)
    path = f"/admin/schedules/{added['userId']}"
    rules = [{"weekday": day, "starts": "09:00", "ends": "12:00", "slotMinutes": 30} for day in range(1, 8)]
    await hub.call(staff, "PUT", path, json={"rules": rules})
    day = f"{hub.clock.now() + timedelta(days=2):%Y-%m-%d}"
    own = Caller(added["userId"], hub.token_of(added["userId"], "doctor"), "")
    await hub.call(await hub.person("doctor"), "POST", f"{path}/exceptions", 404, json={"day": day, "kind": "off"})
    off = await hub.call(own, "POST", f"{path}/exceptions", json={"day": day, "kind": "off", "reason": "学术会议"})

    shown = f"/doctors/{added['id']}/schedule?from={day}&days=1"
    assert (await hub.call(own, "GET", shown))["items"][0]["windows"] == []
    await hub.call(own, "DELETE", f"{path}/exceptions/{off['id']}")
    assert len((await hub.call(own, "GET", shown))["items"][0]["windows"]) == 1


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_others_than_staff_may_not_edit(hub: CoreHub, role: str) -> None:
    await hub.call(await hub.person(role), "POST", "/admin/hospitals", 403, json={"name": "清河医院", "city": "北京"})


@pytest.mark.parametrize(
    "rules",
    [
        [{"weekday": 1, "starts": "12:00", "ends": "09:00", "slotMinutes": 30}],
        [{"weekday": 1, "starts": "09:00", "ends": "09:20", "slotMinutes": 30}],
        [{"weekday": 1, "starts": "09:00", "ends": "12:00", "slotMinutes": 30, "capacity": 0}],
        [
            {"weekday": 1, "starts": "09:00", "ends": "12:00", "slotMinutes": 30},
            {"weekday": 1, "starts": "11:00", "ends": "13:00", "slotMinutes": 30},
        ],
    ],
    ids=["reversed", "shorter than a slot", "nobody", "overlapping"],
)
async def test_impossible_rules_are_refused(hub: CoreHub, staff: Caller, rules: list[dict[str, Any]]) -> None:
    """The reason names the rule; the week before stays."""
    _, place = await department(hub, staff)
    path = f"/admin/schedules/{(await doctor(hub, staff, place))['userId']}"
    error = await hub.call(staff, "PUT", path, 400, json={"rules": rules})

    assert all(field.startswith("rules[") for field in error["fields"])
    assert (await hub.call(staff, "GET", path))["rules"] == []


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
