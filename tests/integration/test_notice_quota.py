"""WeChat's quotas follow the events and nothing else; people read what is left of theirs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from channels.wechat_event import Accepted, Rejected
from hub.notices.quota import changes
from hub.notices.quota_store import Change
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.callback_scene import TEMPLATE, WECHAT, Line, open_line, token_of

PATH = "/api/v1/users/me/wechat-subscriptions"


@pytest_asyncio.fixture
async def line(database: Database, redis_url: str) -> AsyncIterator[Line]:
    async with open_line(database, redis_url) as opened:
        yield opened


def accepted(line: Line, openid: str, count: int) -> list[bytes]:
    """What is told of so many acceptances, each at a second of its own."""
    items = [{"TemplateId": TEMPLATE, "SubscribeStatusString": "accept"}]
    told = []
    for _ in range(count):
        line.weixin.advance(2)
        told.append(line.weixin.content("subscribe_msg_popup_event", openid, items))
    return told


async def test_each_acceptance_is_one_message_more(line: Line) -> None:
    """Twenty, many at once and half of them twice, while messages are sent: none is lost, and none counts twice."""
    openid = new_id()
    await line.popup(openid, template="other")
    told = accepted(line, openid, 20)
    spend = "UPDATE wechat_quotas SET remaining = greatest(remaining - 1, 0) WHERE openid = $1 AND template = $2"
    await asyncio.gather(*(line.tell(WECHAT, each) for each in told[:10]))
    await asyncio.gather(
        *(line.tell(WECHAT, each) for each in told),
        *(line.pool.execute(spend, openid, TEMPLATE) for _ in range(5)),
    )

    assert await line.quota(openid) == 15
    assert await line.quota(openid, "other") == 1


@pytest.mark.parametrize("kind", ["popup", "change"])
async def test_rejection_leaves_none(line: Line, kind: str) -> None:
    """In the pop-up or in the settings; of this template alone, and of this person alone."""
    openid, other = new_id(), new_id()
    for each in (openid, other):
        await line.popup(each)
    await line.popup(openid, template="other")
    answer = await line.event(kind, openid, {"TemplateId": TEMPLATE, "SubscribeStatusString": "reject"})

    assert answer == (200, "success")
    assert [await line.quota(openid), await line.quota(openid, "other"), await line.quota(other)] == [0, 1, 1]


async def test_acceptance_after_a_rejection_is_one(line: Line) -> None:
    """What was agreed to before is forgotten."""
    openid = new_id()
    *before, after = accepted(line, openid, 4)
    for each in before:
        await line.tell(WECHAT, each)
    await line.popup(openid, "reject")
    await line.tell(WECHAT, after)

    assert await line.quota(openid) == 1


async def test_several_templates_of_one_question_are_counted_each(line: Line) -> None:
    """The pop-up asks for three at once."""
    openid = new_id()
    items = [{"TemplateId": f"t{n}", "SubscribeStatusString": "accept" if n else "reject"} for n in range(3)]
    await line.event("popup", openid, *items)

    assert [await line.quota(openid, f"t{n}") for n in range(3)] == [0, 1, 1]


def test_order_of_events_decides() -> None:
    """Rejected and then accepted is one, the other way round none."""
    yes, no = Accepted("o", "t"), Rejected("o", "t")

    assert changes([yes, yes]) == {("o", "t"): Change(False, 2)}
    assert changes([yes, no, yes]) == {("o", "t"): Change(True, 1)}
    assert changes([yes, no]) == {("o", "t"): Change(True, 0)}


async def test_person_reads_what_is_left_of_theirs(line: Line) -> None:
    """By our code with WeChat's id, those that they never agreed to with nothing left; a client cannot raise it."""
    openid = new_id()
    user = await line.person(openid)
    await line.popup(openid)
    await line.popup(new_id())
    headers = {"Authorization": f"Bearer {token_of(user, line.clock)}"}
    answer = await line.client.get(PATH, headers=headers)
    posted = await line.client.post(PATH, headers=headers, json={"accepted": [TEMPLATE], "rejected": []})
    found = {each["template"]: each for each in answer.json()["data"]["templates"]}

    assert found["chat"] == {"template": "chat", "templateId": TEMPLATE, "remaining": 1, "longTerm": False}
    assert found["order"] == {"template": "order", "templateId": "wechat-order", "remaining": 0, "longTerm": False}
    assert found["plan"]["longTerm"]
    assert posted.status_code == 405
    assert await line.quota(openid) == 1


async def test_person_without_wechat_has_nothing_left(line: Line) -> None:
    """And somebody who is not signed in is told nothing."""
    headers = {"Authorization": f"Bearer {token_of(await line.person(), line.clock)}"}
    answer = await line.client.get(PATH, headers=headers)

    assert {each["remaining"] for each in answer.json()["data"]["templates"]} == {0}
    assert (await line.client.get(PATH)).status_code == 401
