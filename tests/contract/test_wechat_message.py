"""WeChat subscribe messages against the stand-in: what each answer means, and what is known when there is none."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from redis.asyncio import Redis

from channels.port import Address, Channel, Content, Message, Outcome, Scope, Verdict
from channels.wechat import open_wechat_messages
from channels.wechat_api import seconds_to_midnight
from channels.wechat_crypto import MessageCrypt
from channels.wechat_event import Accepted, Rejected, Sent, decode
from channels.wechat_token import Shelf
from hub.platform import settings
from hub.platform.settings import Settings
from tests.fake_clock import FakeClock
from tests.standins.tencent_server import listening
from tests.standins.weixin import APP_ID, TEMPLATE, Weixin

OPENID = "o7esq5OI1Uej6Xixw1lA2H7XDVbc"
SECRET = "李小明的预约"
SHELF_SECRET = b"s" * 32


@pytest_asyncio.fixture
async def weixin() -> AsyncIterator[Weixin]:
    async with Weixin() as running:
        running.grant(OPENID, TEMPLATE, 5)
        yield running


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, socket_timeout=2.0) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 25, 15, 0, tzinfo=UTC))  # 23:00 in Shanghai


def chosen(weixin: Weixin, timeout_s: float = 5.0, **wechat: str) -> Settings:
    return Settings(
        redis=settings.Redis(prefix=f"test-{os.urandom(6).hex()}"),
        wechat=settings.Wechat(**(weixin.settings() | wechat)),
        wechat_message=settings.WechatMessage(long_term_templates="tpl-long tpl-longer", timeout_s=timeout_s, per_s=7),
    )


@pytest_asyncio.fixture
async def channel(weixin: Weixin, redis: Redis, clock: FakeClock) -> AsyncIterator[Channel]:
    async with open_wechat_messages(chosen(weixin), Shelf(redis, SHELF_SECRET), clock) as opened:
        assert opened is not None
        yield opened


@pytest_asyncio.fixture
async def hasty(weixin: Weixin, clock: FakeClock) -> AsyncIterator[Channel]:
    """The same with little patience."""
    async with open_wechat_messages(chosen(weixin, 0.3), None, clock) as opened:
        assert opened is not None
        yield opened


def message(openid: str = OPENID, template: str = TEMPLATE, page: str = "pages/inbox/index", **fields: str) -> Message:
    shown = fields or {"thing1": "您有一项预约提醒", "time2": "2026年11月23日 09:30"}
    content = Content(title="预约提醒", body="请查看", url=page, template=template, fields=shown)
    return Message(
        key=os.urandom(16).hex(), tag="t", attempt="a1", address=Address(id="ad1", value=openid), content=content
    )


async def test_a_message_is_accepted_with_the_id_that_its_receipt_will_bear(channel: Channel, weixin: Weixin) -> None:
    """The provider's id is a text, whatever it is on the wire, and the wire is what WeChat documents."""
    outcome = await channel.send(message())

    assert outcome == Outcome(verdict=Verdict.ACCEPTED, provider_id=weixin.shown[0]["msgid"], code="0")
    sent = {name: weixin.received[0][name] for name in ("touser", "template_id", "page", "miniprogram_state", "lang")}
    assert sent == {
        "touser": OPENID,
        "template_id": TEMPLATE,
        "page": "pages/inbox/index",
        "miniprogram_state": "formal",
        "lang": "zh_CN",
    }
    assert list(weixin.received[0]["data"].items()) == [
        ("thing1", {"value": "您有一项预约提醒"}),
        ("time2", {"value": "2026年11月23日 09:30"}),
    ]


async def test_a_message_without_a_page_and_in_english_says_so(channel: Channel, weixin: Weixin) -> None:
    """An empty page would be an invalid one."""
    asked = message()
    await channel.send(
        msgspec.structs.replace(asked, content=msgspec.structs.replace(asked.content, url="", language="en"))
    )

    assert "page" not in weixin.received[0]
    assert weixin.received[0]["lang"] == "en_US"


async def test_the_last_subscription_is_used_up_and_then_refused(channel: Channel, weixin: Weixin) -> None:
    """43101 is the person's no: another channel may reach them, a repetition will not."""
    weixin.grant(OPENID, TEMPLATE, 1)
    first, second = await channel.send(message()), await channel.send(message())

    assert first.verdict == Verdict.ACCEPTED
    assert (second.verdict, second.code, second.pause, second.retry_after_s) == (Verdict.REFUSED, "43101", None, None)
    assert len(weixin.shown) == 1


async def test_one_of_two_at_the_same_time_to_one_person_is_to_be_repeated_soon(
    channel: Channel, weixin: Weixin
) -> None:
    """43108: it was not taken, and nothing is wrong."""
    weixin.latency_s = 0.2
    outcomes = await asyncio.gather(channel.send(message()), channel.send(message()))

    assert sorted(outcome.verdict for outcome in outcomes) == [Verdict.ACCEPTED, Verdict.RETRY]
    retry = next(outcome for outcome in outcomes if outcome.verdict == Verdict.RETRY)
    assert (retry.code, retry.retry_after_s, retry.pause) == ("43108", 2.0, None)


async def test_the_limit_of_the_day_pauses_all_until_midnight_in_shanghai(channel: Channel, weixin: Weixin) -> None:
    """45009 at 23:00: an hour."""
    weixin.daily_limit = 0
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.retry_after_s) == (Verdict.RETRY, "45009", 3600.0)
    assert outcome.pause is not None
    assert (outcome.pause.scope, outcome.pause.seconds) == (Scope.PROVIDER, 3600.0)


async def test_the_limit_of_the_minute_pauses_all_for_a_minute(channel: Channel, weixin: Weixin) -> None:
    """45011."""
    weixin.minute_limit = 1
    await channel.send(message())
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.retry_after_s) == (Verdict.RETRY, "45011", 60.0)
    assert outcome.pause is not None
    assert (outcome.pause.scope, outcome.pause.seconds) == (Scope.PROVIDER, 60.0)


async def test_a_banned_template_pauses_itself_and_calls_somebody(channel: Channel, weixin: Weixin) -> None:
    """43107: other templates go on."""
    weixin.banned = [TEMPLATE]
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "43107", True)
    assert outcome.pause is not None
    assert outcome.pause.scope == Scope.TEMPLATE


async def test_an_openid_that_does_not_exist_is_gone(channel: Channel, weixin: Weixin) -> None:
    """40003: the address is to be forgotten."""
    weixin.gone = [OPENID]
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.GONE, "40003", False)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"thing1": "这是一个超过二十个字符限制的预约提醒内容文字"}, "thing1"),
        ({"thing1": ""}, "thing1"),
        ({"thing1": "预约", "phrase3": "ok"}, "phrase3"),
        ({"time2": "明天"}, "time2"),
    ],
)
async def test_a_field_that_is_not_valid_is_dead_and_named(
    channel: Channel, weixin: Weixin, fields: dict[str, str], field: str
) -> None:
    """47003: our mistake, so somebody is called; what the field held is not told."""
    outcome = await channel.send(message(**fields))

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "47003", True)
    assert field in outcome.detail
    assert not any(value in outcome.detail for value in fields.values() if value)


async def test_the_detail_holds_the_providers_request_id(channel: Channel, weixin: Weixin) -> None:
    """WeChat's support asks for it."""
    weixin.templates = {"other": []}
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "40037", True)
    assert outcome.detail.startswith("no such template (")


async def test_a_sensitive_word_is_dead(channel: Channel, weixin: Weixin) -> None:
    """45168: the text must be changed."""
    weixin.sensitive = ["预约"]
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code) == (Verdict.DEAD, "45168")


async def test_an_unknown_errcode_is_dead_and_called_about(
    channel: Channel, weixin: Weixin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what a repetition would do; nothing of the provider's text is believed."""
    monkeypatch.setattr(weixin, "_judged", lambda place, asked: {"errcode": 99999, "errmsg": f"{OPENID} {SECRET}"})
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.detail, outcome.alarm) == (
        Verdict.DEAD,
        "99999",
        "unknown errcode",
        True,
    )


@pytest.mark.parametrize("wrong", ["revoked", "expired"])
async def test_a_bad_token_is_replaced_once_and_the_message_arrives(
    channel: Channel, weixin: Weixin, wrong: str
) -> None:
    """40001, 42001: one more token, one more call, and never a forced token."""
    await channel.send(message())
    if wrong == "revoked":
        weixin.revoke()
    else:
        weixin.advance(7201)
    outcome = await channel.send(message())

    assert outcome.verdict == Verdict.ACCEPTED
    assert (weixin.calls["token"], weixin.calls["send"], weixin.calls["force_refresh"]) == (2, 3, 0)


async def test_a_fresh_token_that_is_refused_is_not_replaced_again(
    channel: Channel, weixin: Weixin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the two would go round for ever."""
    monkeypatch.setattr(weixin, "owner_of", lambda _: 40001)
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.RETRY, "40001", True)
    assert (weixin.calls["token"], weixin.calls["send"]) == (2, 2)


async def test_a_bad_token_that_is_learnt_of_late_is_left_to_the_next_attempt(
    channel: Channel, weixin: Weixin, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two slow calls would outlast the worker's patience; the message was certainly not taken."""

    def refuse_late(_: str) -> int:
        clock._elapsed += 2.5
        return 40001

    monkeypatch.setattr(weixin, "owner_of", refuse_late)
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, weixin.calls["send"]) == (Verdict.RETRY, "40001", 1)


async def test_a_token_is_used_by_both_until_the_old_one_ends(channel: Channel, weixin: Weixin) -> None:
    """In the last five minutes WeChat gives a new one, and the one that is in use stays good."""
    await channel.send(message())
    weixin.advance(6950)
    weixin.issue("wx-test")
    outcome = await channel.send(message())

    assert outcome.verdict == Verdict.ACCEPTED
    assert weixin.calls["token"] == 1


async def test_two_processes_share_one_token(weixin: Weixin, redis: Redis, clock: FakeClock) -> None:
    """And many messages at the same time cost one asking."""
    both = chosen(weixin)
    weixin.default_quota = 1
    async with (
        open_wechat_messages(both, Shelf(redis, SHELF_SECRET), clock) as one,
        open_wechat_messages(both, Shelf(redis, SHELF_SECRET), clock) as two,
    ):
        assert one is not None
        assert two is not None
        outcomes = await asyncio.gather(*(c.send(message(f"o-{i}-{c is one}")) for i in range(20) for c in (one, two)))

    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert weixin.calls["token"] == 1


@pytest.mark.parametrize(("changed", "code"), [({"app_secret": "other"}, "40125"), ({"app_id": "wx-other"}, "40013")])
async def test_wrong_credentials_call_somebody_and_pause_all(
    weixin: Weixin, clock: FakeClock, changed: dict[str, str], code: str
) -> None:
    """Every message would fail alike."""
    async with open_wechat_messages(chosen(weixin, **changed), None, clock) as channel:
        assert channel is not None
        outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, code, True)
    assert outcome.pause is not None
    assert outcome.pause.scope == Scope.PROVIDER
    assert weixin.calls["send"] == 0


@pytest.mark.parametrize(
    ("mood", "verdict", "code", "arrives"),
    [
        ("busy", Verdict.RETRY, "-1", False),
        ("http429", Verdict.RETRY, "http429", False),
        ("http500", Verdict.UNKNOWN, "http500", False),
        ("garbage", Verdict.UNKNOWN, "http200", True),
        ("timeout", Verdict.UNKNOWN, "", False),
        ("lost", Verdict.UNKNOWN, "", True),
        ("cut", Verdict.UNKNOWN, "", True),
    ],
)
async def test_trouble_is_told_by_what_is_known(
    hasty: Channel, weixin: Weixin, mood: str, verdict: Verdict, code: str, arrives: bool
) -> None:
    """An answer that was lost is unknown, because the message may have arrived; it is never repeated by the channel."""
    weixin.moods["send"] = mood
    outcome = await hasty.send(message())

    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert (len(weixin.shown), weixin.calls["send"]) == (int(arrives), 1)


@pytest.mark.parametrize("mood", ["busy", "http500", "garbage", "timeout", "cut"])
async def test_without_a_token_nothing_was_sent(hasty: Channel, weixin: Weixin, mood: str) -> None:
    """Whatever is wrong with the asking for a token, the message may be sent later."""
    weixin.moods["token"] = mood
    outcome = await hasty.send(message())

    assert outcome.verdict == Verdict.RETRY
    assert outcome.retry_after_s is not None
    assert weixin.calls["send"] == 0


async def test_a_provider_that_is_not_there_was_not_sent_to(clock: FakeClock) -> None:
    """No connection is no doubt."""
    async with Weixin() as gone:
        chosen_ = chosen(gone)
    async with open_wechat_messages(chosen_, None, clock) as channel:
        assert channel is not None
        outcome = await channel.send(message())

    assert outcome.verdict == Verdict.RETRY


async def test_it_works_while_redis_is_away(weixin: Weixin, clock: FakeClock) -> None:
    """Redis only saves askings (P6)."""
    async with (
        Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.25) as away,
        open_wechat_messages(chosen(weixin), Shelf(away, SHELF_SECRET), clock) as channel,
    ):
        assert channel is not None
        outcomes = [await channel.send(message()) for _ in range(3)]

    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert weixin.calls["token"] == 1


async def test_only_what_uses_up_a_subscription_may_be_repeated(channel: Channel) -> None:
    """A long-term template shows each repetition; of two subscriptions a repetition would use the second."""
    several = message()
    several = msgspec.structs.replace(
        several, address=msgspec.structs.replace(several.address, extra={"remaining": "2"})
    )

    assert channel.may_repeat(message())
    assert not channel.may_repeat(message(template="tpl-long"))
    assert not channel.may_repeat(several)


async def test_what_was_sent_stays_and_cannot_be_asked_about(channel: Channel, clock: FakeClock) -> None:
    """The receipt is the only news."""
    assert not await channel.withdraw(message(), "1")
    assert await channel.settle(message(), "1", clock.now()) is None
    assert (channel.name, channel.provider, channel.receipt_s) == ("wechat", "weixin", 600.0)
    assert (channel.bucket(message()).name, channel.bucket(message()).per_s) == ("weixin", 7.0)


@pytest.mark.parametrize("missing", ["app_id", "app_secret"])
async def test_without_credentials_there_is_no_channel(weixin: Weixin, clock: FakeClock, missing: str) -> None:
    """The channel is off."""
    async with open_wechat_messages(chosen(weixin, **{missing: ""}), None, clock) as channel:
        assert channel is None


async def test_no_secret_token_address_or_content_is_logged_or_told(
    hasty: Channel, weixin: Weixin, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happens."""
    caplog.set_level(logging.DEBUG)
    outcomes = []
    for mood in ("", "busy", "http500", "garbage", "cut", "timeout"):
        weixin.moods["send"] = mood
        outcomes.append(await hasty.send(message(thing1=SECRET)))
    weixin.revoke()
    weixin.moods = {"token": "http500"}
    outcomes.append(await hasty.send(message(thing1=SECRET)))
    told = caplog.text + "".join(map(repr, outcomes))

    for secret in (SECRET, OPENID, "app-secret", weixin._tokens[0].value):
        assert secret not in told


def test_midnight_is_shanghais() -> None:
    """16:00 UTC begins the day there."""
    assert seconds_to_midnight(datetime(2026, 11, 25, 15, 59, 30, tzinfo=UTC)) == 30.0
    assert seconds_to_midnight(datetime(2026, 11, 25, 16, 0, tzinfo=UTC)) == 86400.0


async def test_the_standin_is_controlled_from_outside(channel: Channel, weixin: Weixin) -> None:
    """As a process beside real hubs it is scripted and read over HTTP."""
    async with aiohttp.ClientSession(weixin.url) as session:
        ordered: dict[str, Any] = {"default_quota": 9, "moods": {"send": {"mood": "busy", "times": 1}}}
        ordered["quota"] = {"openid": OPENID, "template": TEMPLATE, "left": 1}
        async with session.post("/__ctl", json=ordered) as answer:
            assert answer.status == 200
        async with session.post("/__ctl", json={"unheard": 1}) as answer:
            assert answer.status == 400
        outcomes = [await channel.send(message()) for _ in range(3)]
        async with session.get("/__ctl/received?from=1") as answer:
            told = json.loads(await answer.read())

    assert [outcome.code for outcome in outcomes] == ["-1", "0", "43101"]
    assert (told["count"], [record["code"] for record in told["received"]]) == (2, [43101])


async def test_what_weixin_tells_can_be_opened_and_names_what_was_sent(channel: Channel, weixin: Weixin) -> None:
    """The whole way: acceptance in a pop-up, message, receipt; each posted signed and sealed to the callback address."""
    crypt, told, arrived = MessageCrypt(weixin.token, weixin.aes_key, APP_ID), list[Any](), asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        query, body = request.query, await request.read()
        content = crypt.open_body(query["msg_signature"], query["timestamp"], query["nonce"], body, weixin.now())
        told.extend(decode(content).events)
        if isinstance(told[-1], Sent):
            arrived.set()
        return web.Response(text="success")

    weixin.grant(OPENID, TEMPLATE, 0)
    async with listening(handle) as weixin.callback_url:
        await weixin.event("popup", OPENID, {TEMPLATE: "accept"})
        outcome = await channel.send(message())
        await asyncio.wait_for(arrived.wait(), 5)
        weixin.event_format = "json"
        await weixin.event("change", OPENID, {TEMPLATE: "reject"})

    receipt = Sent(OPENID, TEMPLATE, outcome.provider_id, 0, "success")
    assert told == [Accepted(OPENID, TEMPLATE), receipt, Rejected(OPENID, TEMPLATE)]
