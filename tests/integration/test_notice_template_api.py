"""Templates over HTTP: staff see and try them, admins change them, and what is not sound is refused when it is defined."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.notices.book import FRESH_S
from hub.notices.notice_class import CHANNELS
from hub.notices.template_book import TemplateBook
from hub.notices.template_default import DEFAULTS
from hub.platform import settings
from hub.platform.database import Database
from tests.integration.core_app import Caller, CoreHub, open_core

Json = dict[str, Any]
PATH = "/admin/notice-templates"
CHAT = "chat/sms/zh"
WANTED = {
    "title": "新消息",
    "body": "您有 {count} 条新消息",
    "params": ["count"],
    "providerTemplate": "SMS_1",
    "fields": {"zeta": "{count}", "a": "条"},
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    chosen = settings.Settings(notices=settings.Notices(public_url="https://hub.example.com"))
    async with open_core(database, redis_url, chosen) as opened:
        yield opened
        async with database.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM notice_templates")
            await connection.exec_driver_sql("DELETE FROM notice_classes")


async def shown(hub: CoreHub, who: Caller, **query: str) -> list[Json]:
    found: list[Json] = await hub.call(who, "GET", PATH, params=query)
    return found


async def define(
    hub: CoreHub, who: Caller, place: str = CHAT, status: int = 200, version: int = 0, **changed: Any
) -> Any:
    return await hub.call(who, "PUT", f"{PATH}/{place}", status, json=WANTED | {"version": version} | changed)


async def audited(hub: CoreHub, who: Caller) -> list[tuple[str, str]]:
    rows = await hub.ground.database.log.fetch(
        "SELECT action, subject FROM audit_log WHERE person = $1 ORDER BY number", who.id
    )
    return [tuple(row) for row in rows]


async def test_staff_see_all_templates_or_some(hub: CoreHub) -> None:
    """Those of WeChat and SMS say that they are off until the provider's id is known."""
    staff = await hub.person("staff")
    found = await shown(hub, staff)
    some = await shown(hub, staff, code="chat", language="en")
    one = await shown(hub, staff, code="chat", channel="sms", language="zh")

    assert len(found) == len(DEFAULTS)
    assert {each["channel"] for each in found if each["off"]} == {"wechat", "sms"}
    assert sorted(each["channel"] for each in some) == sorted(CHANNELS)
    assert (one[0]["body"], one[0]["version"], one[0]["changed"]) == ("您有 {count} 条新消息，请登录查看。", 0, False)


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff"])
async def test_only_admins_change_a_template(hub: CoreHub, role: str) -> None:
    """Staff look and try; nobody else does even that."""
    who = await hub.person(role)
    expected = 200 if role == "staff" else 403
    await hub.call(who, "GET", PATH, expected)
    await hub.call(who, "POST", f"{PATH}/{CHAT}/preview", expected)
    await define(hub, who, status=403)
    await hub.call(who, "DELETE", f"{PATH}/{CHAT}", 403)


async def test_a_change_holds_soon_and_is_audited(hub: CoreHub) -> None:
    """With its fields in the order in which they were given: a provider may know them by nothing else."""
    admin = await hub.person("admin")
    book = TemplateBook(hub.ground.database, hub.clock)
    before = (await book.all())["chat", "sms", "zh"]
    changed = await define(hub, admin)
    await hub.clock.advance(FRESH_S + 0.1)
    after = (await book.all())["chat", "sms", "zh"]

    assert (before.provider_template, after.provider_template) == ("", "SMS_1")
    assert list(after.fields) == list(changed["fields"]) == ["zeta", "a"]
    assert (changed["off"], changed["changed"]) == (False, True)
    assert (await shown(hub, admin, code="chat", channel="sms", language="zh")) == [changed]
    ((action, said),) = await audited(hub, admin)
    assert action == "notice_template.changed"
    assert said.startswith("chat/sms/zh: body ")
    assert 'providerTemplate "" -> "SMS_1"' in said


async def test_the_order_of_fields_is_a_change(hub: CoreHub) -> None:
    """Nothing else differs, and yet another text would be sent. The same once more is none."""
    admin = await hub.person("admin")
    first = await define(hub, admin)
    same = await define(hub, admin, version=first["version"])
    turned = await define(hub, admin, version=first["version"], fields={"a": "条", "zeta": "{count}"})

    assert same == first
    assert turned["version"] > first["version"]
    assert list(turned["fields"]) == ["a", "zeta"]


async def test_who_was_slower_hears_it(hub: CoreHub) -> None:
    """A version that is not the current one is a conflict, named."""
    admin = await hub.person("admin")
    await define(hub, admin)

    assert (await define(hub, admin, status=409))["fields"].keys() == {"version"}


async def test_what_is_not_sound_is_refused_when_it_is_defined(hub: CoreHub) -> None:
    """With every fault by its name, in the language that is asked for."""
    admin = await hub.person("admin")
    refused = await define(hub, admin, "chat/wechat/zh", 400, title=" ", body="{diagnosis}", url="//evil.example")
    strange = await define(hub, admin, "chat/fax/zh", 400)
    coloured = await define(hub, admin, status=400, colour="red")

    assert refused["fields"] == {
        "title": "不能为空，也不能含有控制字符",
        "body": "使用了未声明的占位符",
        "url": "应为站内相对路径，例如 /orders",
        "fields.zeta": "未知的字段类型",
        "fields.a": "未知的字段类型",
    }
    assert strange["fields"].keys() == {"channel"}
    assert coloured["fields"].keys() == {"colour"}


async def test_a_template_goes_back_to_what_the_code_has(hub: CoreHub) -> None:
    """As often as one likes."""
    admin = await hub.person("admin")
    await define(hub, admin)
    back = await hub.call(admin, "DELETE", f"{PATH}/{CHAT}")
    again = await hub.call(admin, "DELETE", f"{PATH}/{CHAT}")

    assert (back["version"], back["changed"], back["off"]) == (0, False, True)
    assert again == back
    assert len(await audited(hub, admin)) == 2


async def test_a_new_code_is_there_in_english_too_and_goes_when_no_class_needs_it(hub: CoreHub) -> None:
    """A broadcast or a class may want a text of its own; taking it away from a class is refused."""
    admin = await hub.person("admin")
    place = "spring_fair/email/zh"
    added = await define(
        hub, admin, place, title="春季活动", body="欢迎参加", params=[], providerTemplate="", fields={}
    )
    templates = await TemplateBook(hub.ground.database, hub.clock).all()
    seen = await hub.call(admin, "GET", "/admin/notice-classes/marketing")
    body = {name: value for name, value in seen.items() if name not in ("code", "changed")} | {
        "template": "spring_fair"
    }
    await hub.call(admin, "PUT", "/admin/notice-classes/marketing", json=body)
    used = await hub.call(admin, "DELETE", f"{PATH}/{place}", 409)
    await hub.call(admin, "DELETE", "/admin/notice-classes/marketing")
    gone = await hub.call(admin, "DELETE", f"{PATH}/{place}")

    assert (added["changed"], gone) == (True, None)
    assert templates["spring_fair", "email", "en"] == templates["spring_fair", "email", "zh"]
    assert ("spring_fair", "sms", "en") not in templates
    assert used["fields"].keys() == {"code"}
    made, taken = [subject for _, subject in await audited(hub, admin)][::3]
    assert made.startswith('spring_fair/email/zh: code null -> "spring_fair", ')
    assert 'title "春季活动" -> null' in taken
    await hub.call(admin, "DELETE", f"{PATH}/{place}", 404)
    await hub.call(admin, "DELETE", f"{PATH}/Bad-Code/email/zh", 404)


async def test_a_preview_shows_what_a_person_would_see(hub: CoreHub) -> None:
    """With samples, or the values that are given."""
    staff = await hub.person("staff")
    sample = await hub.call(staff, "POST", f"{PATH}/appointment/email/zh/preview")
    chosen = {"values": {"time": "明天上午"}, "count": 7}
    given = await hub.call(staff, "POST", f"{PATH}/appointment/email/zh/preview", json=chosen)

    assert sample["body"] == "您有一项预约提醒，时间：2026年1月31日 09:00。详情请登录查看。"
    assert sample["url"] == "https://hub.example.com/appointments"
    assert given["body"] == "您有一项预约提醒，时间：明天上午。详情请登录查看。"
    await hub.call(staff, "POST", f"{PATH}/nope/email/zh/preview", 404)


async def test_a_row_that_cannot_be_read_leaves_the_default(hub: CoreHub) -> None:
    """One broken template must not silence all the others."""
    async with hub.ground.database.transaction() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO notice_templates (code, channel, language, value, changed_by) "
            "VALUES ('chat', 'sms', 'zh', '{\"old\": 1}', gen_random_uuid())"
        )
    templates = await TemplateBook(hub.ground.database, hub.clock).all()

    assert templates["chat", "sms", "zh"] == DEFAULTS["chat", "sms", "zh"]
