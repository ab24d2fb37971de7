"""What people want of notices, over HTTP: read, replaced as a whole, and refused by name."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from hub.notices.notice_class import CLASSES
from hub.platform.database import Database
from tests.integration.core_app import CoreHub, open_core

Json = dict[str, Any]
PATH = "/users/me/notice-preferences"
WANTED: Json = {
    "language": "en",
    "timezone": "Europe/Berlin",
    "quiet": {"on": True, "from": "23:00", "to": "06:30"},
    "classes": {"chat": {"off": False, "channelsOff": ["sms"]}, "plan": {"off": True, "channelsOff": []}},
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def test_who_never_said_anything_has_the_defaults(hub: CoreHub) -> None:
    """And sees what there is to choose among, in the language that is asked for."""
    who = await hub.person()
    found = await hub.call(who, "GET", PATH)
    english = await hub.call(who, "GET", PATH, headers={"Accept-Language": "en"})
    offered = {each["code"]: each for each in found.pop("offered")}

    assert found == {"language": "zh", "timezone": "Asia/Shanghai", "quiet": None, "classes": {}}
    assert offered.keys() == CLASSES.keys()
    assert [code for code, each in offered.items() if each["mandatory"]] == ["health_alert"]
    assert offered["chat"]["channels"] == ["webpush", "wechat", "wecom", "sms"]
    assert (offered["chat"]["title"], english["offered"][0]["title"]) == ("聊天消息", "Messages")


async def test_what_was_said_is_kept(hub: CoreHub) -> None:
    """For this person only, as a whole: what is left out is the default again."""
    who, other = await hub.person(), await hub.person()
    said = await hub.call(who, "PUT", PATH, json=WANTED)
    read = await hub.call(who, "GET", PATH)
    others = await hub.call(other, "GET", PATH)
    emptied = await hub.call(who, "PUT", PATH, json={"quiet": {"on": False}})

    assert {name: read[name] for name in WANTED} == WANTED
    assert said == read
    assert (others["language"], others["classes"]) == ("zh", {})
    assert (emptied["language"], emptied["timezone"], emptied["classes"]) == ("zh", "Asia/Shanghai", {})
    assert emptied["quiet"] == {"on": False, "from": "22:00", "to": "07:00"}


async def test_the_clinical_class_cannot_be_switched_off(hub: CoreHub) -> None:
    """The refusal names it, and nothing of the request is kept."""
    who = await hub.person()
    refused = await hub.call(who, "PUT", PATH, 400, json=WANTED | {"classes": {"health_alert": {"off": True}}})

    assert refused["fields"] == {"classes.health_alert": "重要通知不能关闭"}
    assert (await hub.call(who, "GET", PATH))["language"] == "zh"


async def test_bad_input_is_named(hub: CoreHub) -> None:
    """Zone, times, classes, channels, and what does not belong there."""
    who = await hub.person()
    for changed, fields in (
        ({"timezone": "Mars/Olympus"}, {"timezone"}),
        ({"quiet": {"from": "24:00", "to": "7"}}, {"quiet.from", "quiet.to"}),
        ({"quiet": {"from": "08:00", "to": "08:00"}}, {"quiet.to"}),
        ({"quiet": {"until": "08:00"}}, {"quiet.until"}),
        ({"classes": {"nope": {"off": True}}}, {"classes.nope"}),
        ({"classes": {"chat": {"channelsOff": ["fax"]}}}, {"classes.chat.channelsOff"}),
        ({"language": "fr"}, {"language"}),
        ({"colour": "red"}, {"colour"}),
    ):
        refused = await hub.call(who, "PUT", PATH, 400, json=WANTED | changed)
        assert refused["fields"].keys() == fields


async def test_who_is_not_signed_in_has_none(hub: CoreHub) -> None:
    """Neither to read nor to write."""
    await hub.call(None, "GET", PATH, 401)
    await hub.call(None, "PUT", PATH, 401, json=WANTED)
