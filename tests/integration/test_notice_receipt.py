"""What a provider says afterwards settles the attempt and its notice, in whatever order it comes, and takes nothing back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from channels.port import Message, Outcome
from hub.notices.model import AttemptState
from hub.notices.receipt import DETAILS
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.callback_scene import Line, open_line
from tests.integration.notice_scene import Post, ScriptedChannel, open_post


@pytest_asyncio.fixture
async def line(database: Database, redis_url: str) -> AsyncIterator[Line]:
    async with open_line(database, redis_url) as opened:
        await opened.pool.execute("DELETE FROM notices")
        yield opened


def aliyun(attempt: str | None, delivered: bool, biz_id: str = "900^0") -> list[dict[str, Any]]:
    code = "DELIVERED" if delivered else "UNDELIV"
    return [
        {"phone_number": "13800000001", "success": delivered, "err_code": code, "biz_id": biz_id, "out_id": attempt}
    ]


def tencent(sid: str, delivered: bool) -> list[dict[str, Any]]:
    status = "SUCCESS" if delivered else "FAIL"
    return [
        {
            "mobile": "13800000001",
            "nationcode": "86",
            "report_status": status,
            "errmsg": "DELIVRD" if delivered else "MK:1008",
            "sid": sid,
        }
    ]


STATES = {  # state before → after a failure, after a delivery
    "leased": ("dead", "delivered"),
    "accepted": ("dead", "delivered"),
    "unknown": ("dead", "delivered"),
    "retry": ("retry", "delivered"),
    "dead": ("dead", "delivered"),
    "refused": ("refused", "delivered"),
    "delivered": ("delivered", "delivered"),
}


@pytest.mark.parametrize(("before", "delivered"), [(state, each) for state in STATES for each in (False, True)])
async def test_receipt_moves_an_attempt_forward_only(line: Line, before: str, delivered: bool) -> None:
    """By the attempt's own id; told twice it is the same."""
    notice = await line.notice(await line.person())
    attempt = await line.attempt(notice, "aliyun", before)
    first = await line.sms("aliyun", aliyun(attempt, delivered))
    once, row = await line.everything(), await line.row("notice_attempts", attempt)
    again = await line.sms("aliyun", aliyun(attempt, delivered))

    assert first == again == (200, {"code": 0, "msg": "OK"})
    assert row["state"] == STATES[before][delivered]
    assert await line.everything() == once
    changed = row["state"] != before
    assert (row["settled_at"] is not None) == changed
    assert row["code"] == (("DELIVERED" if delivered else "UNDELIV") if changed else "")
    assert (await line.row("notices", notice))["due"] == changed


@pytest.mark.parametrize(
    ("state", "delivered", "after"),
    [
        ("open", True, "open"),
        ("open", False, "open"),
        ("unconfirmed", True, "delivered"),
        ("unconfirmed", False, "failed"),
        ("failed", True, "delivered"),
        ("failed", False, "failed"),
        ("delivered", False, "delivered"),
        ("seen", True, "seen"),
        ("seen", False, "seen"),
        ("superseded", True, "superseded"),
    ],
)
async def test_receipt_says_what_a_notice_ended_as(line: Line, state: str, delivered: bool, after: str) -> None:
    """An open one is looked at at once; one that ended in doubt ends in what is known; one that was seen stays as it is."""
    notice = await line.notice(await line.person(), state)
    attempt = await line.attempt(notice, "aliyun", "accepted")
    before = await line.row("notices", notice)
    await line.sms("aliyun", aliyun(attempt, delivered))
    row = await line.row("notices", notice)

    assert row["state"] == after
    assert (row["delivered_at"] is not None) == (delivered and after in ("open", "delivered"))
    assert row["due"] == (True if state == "open" else None)
    assert row["ended_at"] == before["ended_at"]
    if state in ("seen", "superseded", "delivered"):
        assert row == before
    if after == "failed" and state == "unconfirmed":
        assert row["reason"] == "UNDELIV"


async def test_failure_leaves_a_notice_in_doubt_while_another_may_arrive(line: Line) -> None:
    """Two were sent; one did not arrive."""
    notice = await line.notice(await line.person(), "unconfirmed")
    first = await line.attempt(notice, "aliyun", "accepted")
    await line.attempt(notice, "tencent", "unknown")
    await line.sms("aliyun", aliyun(first, False))

    assert (await line.row("notices", notice))["state"] == "unconfirmed"


async def test_late_delivery_overrules_a_failure_but_not_the_other_way(line: Line) -> None:
    """Carriers say both, in either order, sometimes in one call: what arrived has arrived."""
    notice = await line.notice(await line.person())
    attempts = [await line.attempt(notice, "aliyun", "accepted", address=str(n)) for n in range(3)]
    yes, no = [aliyun(each, True)[0] for each in attempts], [aliyun(each, False)[0] for each in attempts]
    await line.sms("aliyun", [yes[0]])
    await line.sms("aliyun", [no[0], no[1], yes[2], no[2]])
    await line.sms("aliyun", [yes[1]])

    assert [(await line.row("notice_attempts", each))["state"] for each in attempts] == ["delivered"] * 3


async def test_receipt_of_another_provider_is_nobodys(line: Line) -> None:
    """Tencent's word is not Aliyun's."""
    notice = await line.notice(await line.person())
    attempt = await line.attempt(notice, "aliyun", "accepted", "900^0")
    await line.sms("tencent", [tencent("900^0", True)[0] | {"session_context": attempt}])

    assert (await line.row("notice_attempts", attempt))["state"] == "accepted"


async def test_receipt_is_found_by_the_providers_id(line: Line) -> None:
    """Where the provider does not give our own back."""
    notice = await line.notice(await line.person())
    sid = f"2028:{new_id()}"
    attempt = await line.attempt(notice, "tencent", "accepted", sid)

    assert await line.sms("tencent", tencent(sid, False)) == (200, {"result": 0, "errmsg": "OK"})
    row = await line.row("notice_attempts", attempt)
    assert (row["state"], row["code"]) == ("dead", "MK:1008")


async def test_receipt_before_its_id_is_known_is_asked_for_again(line: Line) -> None:
    """503 while some call has no answer yet; what was told with it is taken. When the id is known, so is the receipt."""
    notice = await line.notice(await line.person())
    early, known = f"2028:{new_id()}", f"2028:{new_id()}"
    other = await line.attempt(notice, "tencent", "accepted", known, address="另一个")
    attempt = await line.attempt(notice, "tencent", "leased")
    both = tencent(early, True) + tencent(known, True)
    first = await line.sms("tencent", both)
    state = (await line.row("notice_attempts", other))["state"]
    await line.pool.execute(
        "UPDATE notice_attempts SET state = 'accepted', provider_id = $2 WHERE id = $1", attempt, early
    )

    assert first == (503, "unavailable")
    assert state == "delivered"
    assert await line.sms("tencent", both) == (200, {"result": 0, "errmsg": "OK"})
    assert (await line.row("notice_attempts", attempt))["state"] == "delivered"


async def test_receipt_of_what_is_not_a_notice_is_taken(line: Line) -> None:
    """Codes for signing in go the same way, and nobody waits for theirs; a call that is under way long since is not waited for."""
    notice = await line.notice(await line.person())
    attempt = await line.attempt(notice, "aliyun", "leased")
    unknown = await line.sms("aliyun", aliyun(new_id(), True))
    await line.pool.execute("DELETE FROM notice_attempts WHERE id = $1", attempt)

    assert unknown[0] == 200
    assert (await line.sms("tencent", tencent("9:9", True)))[0] == 200


async def test_notice_that_a_worker_holds_is_left_to_it(line: Line) -> None:
    """Its lease and its time are the worker's; that there is news is written beside them."""
    notice = await line.notice(await line.person(), lease=new_id())
    attempt = await line.attempt(notice, "aliyun", "leased")
    before = await line.row("notices", notice)
    await line.sms("aliyun", aliyun(attempt, True))
    row = await line.row("notices", notice)

    assert (row["lease"], row["next_at"], row["state"]) == (before["lease"], before["next_at"], "open")
    assert row["heard_at"] is not None


# WeChat


async def test_wechats_event_is_found_by_its_id(line: Line) -> None:
    """The id that the sending was answered with."""
    openid, msgid = new_id(), new_id()
    notice = await line.notice(await line.person(openid))
    attempt = await line.attempt(notice, "weixin", "accepted", msgid)
    await line.attempt(notice, "weixin", "leased", number=2)

    assert await line.sent(openid, msgid) == (200, "success")
    assert (await line.row("notice_attempts", attempt))["state"] == "delivered"


@pytest.mark.parametrize("state", ["leased", "unknown", "accepted"])
async def test_wechats_event_before_the_answer_finds_the_newest_message(line: Line, state: str) -> None:
    """By person and template, within the time in which a receipt may come; another event never moves the same one."""
    openid = new_id()
    user = await line.person(openid)
    notice, other = await line.notice(user), await line.notice(user, template="order")
    old = await line.attempt(notice, "weixin", state)
    new = await line.attempt(notice, "weixin", state, number=2)
    strange = await line.attempt(other, "weixin", state)
    await line.pool.execute("UPDATE notice_attempts SET sent_at = now() - interval '11 minutes' WHERE id = $1", old)
    for msgid in ("111", "111", "222"):
        await line.sent(openid, msgid)

    rows = [await line.row("notice_attempts", each) for each in (old, new, strange)]
    assert [(row["state"], row["provider_id"]) for row in rows] == [(state, ""), ("delivered", "111"), (state, "")]


@pytest.mark.parametrize(
    ("status", "code", "state", "left"),
    [
        ("failed:user block", "1", "refused", 0),
        ("user refuse", "43101", "refused", 0),
        ("failed:system failed", "2", "dead", 3),
    ],
)
async def test_wechats_event_of_a_failure_says_why(line: Line, status: str, code: str, state: str, left: int) -> None:
    """Who blocks us has no message left; another failure leaves the count as it is."""
    openid, msgid = new_id(), new_id()
    notice = await line.notice(await line.person(openid))
    attempt = await line.attempt(notice, "weixin", "accepted", msgid)
    await line.pool.execute("INSERT INTO wechat_quotas VALUES ($1, 'wechat-chat', 3)", openid)
    await line.sent(openid, msgid, status, code)

    row = await line.row("notice_attempts", attempt)
    assert (row["state"], row["code"], row["detail"]) == (state, code, DETAILS[AttemptState(state)])
    assert await line.quota(openid) == left


async def test_wechats_event_of_nobody_changes_nothing(line: Line) -> None:
    """Somebody whom we do not know, or a message that was not ours."""
    openid = new_id()
    notice = await line.notice(await line.person(openid))
    await line.attempt(notice, "weixin", "accepted", "1")
    before = await line.everything()

    assert await line.sent(new_id(), "2") == (200, "success")
    assert await line.sent(openid, "3") == (200, "success")
    assert await line.everything() == before


# Beside a worker


class Watched(ScriptedChannel):
    """Says when it is called, and answers with a code as the providers do."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.called = asyncio.Event()

    async def send(self, message: Message) -> Outcome:
        self.called.set()
        return msgspec.structs.replace(await super().send(message), code="OK")


@pytest_asyncio.fixture
async def post(database: Database, redis_url: str) -> AsyncIterator[tuple[Post, dict[str, Watched]]]:
    channels = {
        "weixin": Watched("wechat", "weixin", receipt_s=600),
        "aliyun": Watched("sms", "aliyun", repeats=False, receipt_s=600),
        "tencent": Watched("sms", "tencent", repeats=False, receipt_s=600),
    }
    async with open_post(database, redis_url, *channels.values()) as opened:
        yield opened, channels


Worker = tuple[Post, dict[str, Watched]]


async def begun(line: Line, post: Post, channel: Watched, notice: str) -> tuple[asyncio.Task[None], asyncio.Event]:
    """A worker that waits for the answer of this channel."""
    answer = asyncio.Event()
    channel.answers = [answer]
    await line.pool.execute(
        "UPDATE notices SET next_at = now(), begins_at = now() - interval '2 minutes', template = 'health_alert' WHERE id = $1",
        notice,
    )
    working = asyncio.create_task(post.deliver("urgent"))
    await channel.called.wait()
    return working, answer


@pytest.mark.parametrize("delivered", [True, False])
async def test_receipt_before_the_answer_of_the_call_is_kept(line: Line, post: Worker, delivered: bool) -> None:
    """The answer comes later and takes nothing back; the ladder goes on, or ends, at once and not when receipts are given up."""
    desk, channels = post
    user = await line.person()
    notice = await line.notice(user)
    working, answer = await begun(line, desk, channels["aliyun"], notice)
    await line.sms("aliyun", aliyun(channels["aliyun"].sent[0].attempt, delivered))
    answer.set()
    await working
    await desk.deliver("urgent")

    attempts = [each for each in await desk.attempts(user) if each[0] == "sms"]
    if delivered:
        assert attempts == [("sms", "delivered", "DELIVERED")]
        assert (await line.row("notices", notice))["state"] == "delivered"
    else:
        assert attempts == [("sms", "dead", "UNDELIV"), ("sms", "accepted", "OK")]
        assert len(channels["tencent"].sent) == 1


async def test_receipt_while_the_worker_is_at_another_call_is_not_lost(line: Line, post: Worker) -> None:
    """The worker does not know of it when it decides; it looks again instead of ending the notice in doubt."""
    desk, channels = post
    user = await line.person(new_id())
    notice = await line.notice(user)
    earlier = await line.attempt(notice, "weixin", "accepted", "77", step=2, address="openid")
    await line.pool.execute("UPDATE notice_attempts SET receipt_until = now() - interval '1 s' WHERE id = $1", earlier)
    channels["aliyun"].receipt_s = 0
    working, answer = await begun(line, desk, channels["aliyun"], notice)
    await line.sent("x", "77")
    answer.set()
    await working
    await desk.deliver("urgent")

    assert (await line.row("notice_attempts", earlier))["state"] == "delivered"
    assert (await line.row("notices", notice))["state"] == "delivered"
