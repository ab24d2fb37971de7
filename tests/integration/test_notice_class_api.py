"""Classes of notices over HTTP: staff see them, admins change them, and what makes no sense is named."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.notices.book import FRESH_S
from hub.notices.class_book import ClassBook
from hub.notices.notice_class import CLASSES
from hub.platform.database import Database
from tests.integration.core_app import Caller, CoreHub, open_core

Json = dict[str, Any]
PATH = "/admin/notice-classes"
STEPS = [
    {"channel": "webpush", "afterS": 0, "unless": "delivered"},
    {"channel": "sms", "afterS": 900, "unless": "read"},
]


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened
        async with database.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM notice_classes")


async def shown(hub: CoreHub, who: Caller, code: str = "chat") -> Json:
    found: Json = await hub.call(who, "GET", f"{PATH}/{code}")
    return found


async def replace(hub: CoreHub, who: Caller, code: str = "chat", status: int = 200, **changed: Any) -> Any:
    """The class as it is, with some fields changed."""
    seen = await shown(hub, who, code)
    body = {name: value for name, value in seen.items() if name not in ("code", "changed")}
    return await hub.call(who, "PUT", f"{PATH}/{code}", status, json=body | changed)


async def audited(hub: CoreHub, who: Caller) -> list[tuple[str, str]]:
    rows = await hub.ground.database.log.fetch(
        "SELECT action, subject FROM audit_log WHERE person = $1 AND actor = $1 ORDER BY number", who.id
    )
    return [tuple(row) for row in rows]


async def test_staff_see_every_class_as_it_holds(hub: CoreHub) -> None:
    """With its version, 0 for what the code has."""
    staff = await hub.person("staff")
    found = await hub.call(staff, "GET", PATH)

    assert [each["code"] for each in found] == list(CLASSES)
    assert {(each["version"], each["changed"]) for each in found} == {(0, False)}
    assert found[0]["ladder"][3] == {"channel": "sms", "afterS": 1800, "unless": "delivered"}
    assert await shown(hub, staff, "chat") == found[0]


@pytest.mark.parametrize(
    ("role", "may_read"), [("patient", False), ("companion", False), ("doctor", False), ("staff", True)]
)
async def test_only_admins_change_a_class(hub: CoreHub, role: str, may_read: bool) -> None:
    """Staff look; nobody else does even that."""
    who, admin = await hub.person(role), await hub.person("admin")
    body = {name: value for name, value in (await shown(hub, admin)).items() if name not in ("code", "changed")}
    await hub.call(who, "GET", PATH, 200 if may_read else 403)
    await hub.call(who, "GET", f"{PATH}/chat", 200 if may_read else 403)
    await hub.call(who, "PUT", f"{PATH}/chat", 403, json=body)
    await hub.call(who, "DELETE", f"{PATH}/chat", 403)

    assert (await shown(hub, admin))["version"] == 0


async def test_a_change_holds_soon_and_is_audited(hub: CoreHub) -> None:
    """The audit says from what to what; sending the same again changes and says nothing."""
    admin = await hub.person("admin")
    book = ClassBook(hub.ground.database, hub.clock)
    before = await book.of("chat")
    changed = await replace(hub, admin, ladder=STEPS, graceS=20)
    again = await replace(hub, admin)
    await hub.clock.advance(FRESH_S + 0.1)
    after = await book.of("chat")

    assert (before.grace_s, after.grace_s, after.ladder[1].after_s) == (10, 20, 900)
    assert changed == again == await shown(hub, admin)
    assert changed["changed"]
    assert changed["version"] > 0
    ((action, said),) = await audited(hub, admin)
    assert action == "notice_class.changed"
    assert said.startswith('chat: graceS 10 -> 20, ladder [{"channel":"webpush","afterS":0,')


async def test_a_class_goes_back_to_what_the_code_has(hub: CoreHub) -> None:
    """As often as one likes; and a later change gets a number that was never there."""
    admin = await hub.person("admin")
    first = await replace(hub, admin, graceS=20)
    back = await hub.call(admin, "DELETE", f"{PATH}/chat")
    again = await hub.call(admin, "DELETE", f"{PATH}/chat")
    second = await replace(hub, admin, graceS=30)

    assert (back["graceS"], back["version"], back["changed"]) == (10, 0, False)
    assert again == back
    assert second["version"] > first["version"]
    assert [subject for _, subject in await audited(hub, admin)] == [
        "chat: graceS 10 -> 20",
        "chat: graceS 20 -> 10",
        "chat: graceS 10 -> 30",
    ]


async def test_who_was_slower_hears_it(hub: CoreHub) -> None:
    """Two who saw the same version: one changes it, the other gets a conflict that names it."""
    admin = await hub.person("admin")
    body = {name: value for name, value in (await shown(hub, admin)).items() if name not in ("code", "changed")}
    request = {"json": body | {"graceS": 25}}
    stale = {"json": body | {"graceS": 26}}
    headers = {"Authorization": f"Bearer {admin.token}"}
    answers = await asyncio.gather(
        *(hub.client.put(f"/api/v1{PATH}/chat", headers=headers, **each) for each in (request, stale))
    )
    late = await hub.call(admin, "PUT", f"{PATH}/chat", 409, json=body)

    assert sorted(each.status_code for each in answers) == [200, 409]
    assert late["type"] == "conflict"
    assert late["fields"].keys() == {"version"}


@pytest.mark.parametrize(
    ("code", "changed", "fields"),
    [
        ("chat", {"ladder": [{"channel": "fax"}]}, {"ladder[0].channel"}),
        ("chat", {"ladder": [{"channel": "sms", "afterS": 60}, {"channel": "email"}]}, {"ladder[1].afterS"}),
        ("chat", {"expiresS": 1800}, {"expiresS"}),
        ("chat", {"expiresS": 59}, {"expiresS"}),
        ("chat", {"template": "nowhere"}, {"template"}),
        ("chat", {"titleZh": " ", "titleEn": "a\u0000"}, {"titleZh", "titleEn"}),
        ("chat", {"graceS": -1}, {"graceS"}),
        ("chat", {"colour": "red"}, {"colour"}),
        ("chat", {"lane": "express"}, {"lane"}),
        ("health_alert", {"ladder": []}, {"ladder"}),
        ("health_alert", {"mandatory": False}, {"mandatory"}),
        ("health_alert", {"quiet": "own"}, {"quiet"}),
        ("marketing", {"consent": None}, {"consent"}),
        ("marketing", {"mandatory": True, "quiet": "ignore"}, {"mandatory", "quiet"}),
    ],
)
async def test_what_makes_no_sense_is_named(hub: CoreHub, code: str, changed: Json, fields: set[str]) -> None:
    """And changes nothing."""
    admin = await hub.person("admin")
    refused = await replace(hub, admin, code, 400, **changed)

    assert refused["fields"].keys() == fields
    assert (await shown(hub, admin, code))["version"] == 0


async def test_nothing_may_be_left_out(hub: CoreHub) -> None:
    """A replacement that forgets the ladder would silence a class."""
    admin = await hub.person("admin")
    body = {
        name: value for name, value in (await shown(hub, admin)).items() if name not in ("code", "changed", "ladder")
    }

    assert (await hub.call(admin, "PUT", f"{PATH}/chat", 400, json=body))["fields"].keys() == {"ladder"}


async def test_an_unknown_class_is_not_found(hub: CoreHub) -> None:
    """Whatever is wanted of it."""
    admin = await hub.person("admin")
    body = {name: value for name, value in (await shown(hub, admin)).items() if name not in ("code", "changed")}
    for method, request in (("GET", {}), ("DELETE", {}), ("PUT", {"json": body})):
        assert (await hub.call(admin, method, f"{PATH}/nope", 404, **request))["fields"].keys() == {"code"}
