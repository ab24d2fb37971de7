"""Reading the audit over HTTP: everybody what was done with their own data, admins all of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.token import Principal
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

Json = dict[str, Any]


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def record(hub: CoreHub, who: Caller, person: Caller, action: str = "health.read", subject: str = "") -> None:
    principal = Principal(who.id, new_id(), "doctor", 0.0)
    async with hub.ground.database.transaction() as connection:
        await hub.ground.audit.record(connection, principal, person.id, action, subject)


async def walk(hub: CoreHub, who: Caller, path: str, **query: Any) -> list[list[Json]]:
    """Every stretch, to the end."""
    stretches, before = [], None
    while True:
        page = await hub.call(who, "GET", path, params=query | ({"before": before} if before else {}))
        assert page.keys() == {"items", "nextCursor"}
        stretches.append(page["items"])
        before = page["nextCursor"]
        if before is None:
            return stretches


async def test_people_see_who_looked_at_their_data(hub: CoreHub) -> None:
    """The newest first; names are masked but one's own; what was done with others' data is not shown."""
    person, doctor, other = await hub.person(name="张三丰"), await hub.person("doctor", "李时珍"), await hub.person()
    await record(hub, person, person)
    await hub.clock.advance(1)
    await record(hub, doctor, person, "health.write", "blood_pressure")
    await record(hub, person, other)
    ((latest, first),) = await walk(hub, person, "/users/me/audit")

    assert latest.keys() == {"id", "at", "name", "role", "oneself", "action", "subject"}
    assert (latest["name"], latest["role"], latest["oneself"]) == ("李*珍", "doctor", False)
    assert (latest["action"], latest["subject"]) == ("health.write", "blood_pressure")
    assert (first["name"], first["oneself"], first["action"]) == ("张三丰", True, "health.read")
    assert first["at"] < latest["at"]
    assert await walk(hub, doctor, "/users/me/audit") == [[]]


async def test_a_long_audit_is_read_in_stretches(hub: CoreHub) -> None:
    """Each row once, whatever comes in meanwhile."""
    person, admin = await hub.person(), await hub.person("admin")
    for number in range(5):
        await record(hub, person, person, f"health.read {number}")
        await hub.clock.advance(1)  # rows of one moment have no order among them
    for who, path, query in (
        (person, "/users/me/audit", {}),
        (admin, "/admin/audit", {"person": person.id}),
        (admin, "/admin/audit", {"actor": person.id}),
    ):
        stretches = await walk(hub, who, path, limit=2, **query)

        assert [[each["action"][-1] for each in stretch] for stretch in stretches] == [["4", "3"], ["2", "1"], ["0"]]


async def test_an_admin_asks_by_person_and_by_actor(hub: CoreHub) -> None:
    """Together, alone, or for everything; with names and the request each belongs to."""
    admin, doctor = await hub.person("admin", "王管理"), await hub.person("doctor", "李时珍")
    one, other = await hub.person(name="张三丰"), await hub.person()
    await record(hub, doctor, one)
    await record(hub, doctor, other)
    headers = {"X-Request-ID": "req_from_the_console"}
    await hub.call(admin, "PATCH", f"/admin/users/{one.id}", json={"membershipLevel": "premium"}, headers=headers)

    ((changed, read),) = await walk(hub, admin, "/admin/audit", person=one.id)
    assert changed["actor"] == {"id": admin.id, "name": "王管理", "role": "admin"}
    assert changed["person"] == {"id": one.id, "name": "张三丰", "role": "patient"}
    assert (changed["action"], changed["requestId"]) == ("user.changed", "req_from_the_console")
    assert read["actor"]["id"] == doctor.id
    ((by_doctor, _),) = await walk(hub, admin, "/admin/audit", actor=doctor.id)
    assert by_doctor["person"]["id"] == other.id
    assert await walk(hub, admin, "/admin/audit", actor=doctor.id, person=one.id) == [[read]]
    newest = await hub.call(admin, "GET", "/admin/audit", params={"limit": 1})
    assert newest["items"] == [changed]
    assert await walk(hub, admin, "/admin/audit", person=new_id()) == [[]]


async def test_the_audit_outlives_the_account(hub: CoreHub) -> None:
    """What is left is the id."""
    admin, gone = await hub.person("admin"), await hub.person()
    await record(hub, gone, gone)
    await hub.ground.database.log.execute("DELETE FROM users WHERE id = $1", gone.id)
    ((left,),) = await walk(hub, admin, "/admin/audit", person=gone.id)

    assert left["person"] == {"id": gone.id, "name": "", "role": None}


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff"])
async def test_only_admins_read_what_is_not_theirs(hub: CoreHub, role: str) -> None:
    """Also about themselves they ask the other way."""
    who = await hub.person(role)

    assert (await hub.call(who, "GET", "/admin/audit", 403, params={"person": who.id}))["type"] == "forbidden"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before": "x"}, "before"),
        ({"before": "0" * 65}, "before"),
        ({"person": "张三"}, "person"),
        ({"actor": "' OR 1=1"}, "actor"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "viele"}, "limit"),
    ],
)
async def test_bad_queries_are_refused_naming_the_field(hub: CoreHub, query: Json, field: str) -> None:
    """400, before anything is read."""
    refused = await hub.call(await hub.person("admin"), "GET", "/admin/audit", 400, params=query)

    assert list(refused["fields"]) == [field]


async def test_a_stretch_costs_two_statements(hub: CoreHub) -> None:
    """The rows, and the people in them."""
    person, admin = await hub.person(), await hub.person("admin")
    for _ in range(3):
        await record(hub, await hub.person("doctor"), person)
    for who, path in ((person, "/users/me/audit"), (admin, "/admin/audit")):
        with Scene(hub.ground.database).statements() as said:
            await hub.call(who, "GET", path)

        assert len(said) == 2
