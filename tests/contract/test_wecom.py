"""WeCom application messages against the stand-in: cards, the button, taking back, and what each answer means."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from redis.asyncio import Redis

from channels.port import Address, Channel, Content, Message, Outcome, Scope, Verdict
from channels.wechat_crypto import MessageCrypt
from channels.wechat_token import Shelf
from channels.wecom import open_wecom
from channels.wecom_event import answer, decode
from hub.platform import settings
from tests.fake_clock import FakeClock
from tests.standins.qyapi import AGENT_ID, CORP_ID, Qyapi
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN, listening

USER = "ZhangHushi"
SECRET = "李小明的预约"
SHELF_SECRET = b"s" * 32


@pytest_asyncio.fixture
async def qyapi() -> AsyncIterator[Qyapi]:
    async with Qyapi() as running:
        yield running


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, socket_timeout=2.0) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def chosen(qyapi: Qyapi, timeout_s: float = 5.0, **changed: Any) -> settings.Wecom:
    return settings.Wecom(**(qyapi.settings() | {"timeout_s": timeout_s, "per_s": 9} | changed))


@pytest_asyncio.fixture
async def channel(qyapi: Qyapi, redis: Redis, clock: FakeClock) -> AsyncIterator[Channel]:
    async with open_wecom(
        chosen(qyapi), Shelf(redis, SHELF_SECRET), clock, prefix=f"test-{os.urandom(6).hex()}"
    ) as opened:
        assert opened is not None
        yield opened


@pytest_asyncio.fixture
async def hasty(qyapi: Qyapi, clock: FakeClock) -> AsyncIterator[Channel]:
    """The same with little patience."""
    async with open_wecom(chosen(qyapi, 0.3), None, clock) as opened:
        assert opened is not None
        yield opened


def message(user: str = USER, url: str = "https://hub.example.com/console/notices/1", **content: Any) -> Message:
    shown = Content(title="新的咨询", **({"body": "有一位患者在等待回复", "url": url} | content))
    return Message(
        key=os.urandom(16).hex(), tag="t", attempt="a1", address=Address(id="ad1", value=user), content=shown
    )


async def test_a_message_is_a_card_that_opens_the_notice(channel: Channel, qyapi: Qyapi) -> None:
    """The wire is what WeCom documents, with the check of duplicates on."""
    asked = message()
    outcome = await channel.send(asked)

    assert outcome == Outcome(verdict=Verdict.ACCEPTED, provider_id=qyapi.shown[0]["msgid"], code="0")
    sent = {name: value for name, value in qyapi.received[0].items() if name not in ("at", "code")}
    assert sent == {
        "touser": USER,
        "msgtype": "textcard",
        "agentid": AGENT_ID,
        "textcard": {
            "title": "新的咨询",
            "description": "有一位患者在等待回复",
            "url": f"https://hub.example.com/console/notices/1#{asked.key}",
            "btntxt": "查看",
        },
        "enable_duplicate_check": 1,
        "duplicate_check_interval": 1800,
    }


async def test_a_message_that_needs_an_answer_is_a_card_with_a_button(channel: Channel, qyapi: Qyapi) -> None:
    """Its task_id is the message's key, and the code that changes it later is part of the id."""
    asked = message(needs_answer=True)
    outcome = await channel.send(asked)

    card = qyapi.received[0]["template_card"]
    assert (card["card_type"], card["task_id"]) == ("button_interaction", asked.key)
    assert card["button_list"] == [{"text": "我已知晓", "style": 1, "key": "acknowledge"}]
    msgid, code = outcome.provider_id.split("|")
    assert (msgid, bool(code)) == (qyapi.shown[0]["msgid"], True)


async def test_a_card_speaks_english_to_who_reads_english(channel: Channel, qyapi: Qyapi) -> None:
    """Its own words, that is."""
    await channel.send(message(needs_answer=True, language="en"))
    await channel.send(message(language="en"))

    assert qyapi.received[0]["template_card"]["button_list"][0]["text"] == "I have it"
    assert qyapi.received[1]["textcard"]["btntxt"] == "Open"


async def test_a_message_without_an_address_to_open_is_text(channel: Channel, qyapi: Qyapi) -> None:
    """A text card without one would be refused; a button needs none."""
    plain, button = await channel.send(message(url="")), await channel.send(message(url="", needs_answer=True))

    assert {plain.verdict, button.verdict} == {Verdict.ACCEPTED}
    assert qyapi.received[0]["text"] == {"content": "新的咨询\n有一位患者在等待回复"}


async def test_a_repetition_is_shown_once_and_another_notice_that_reads_the_same_is_shown(
    channel: Channel, qyapi: Qyapi
) -> None:
    """The same bytes are a repetition, also with a button; another key makes other bytes."""
    for asked in (message(), message(needs_answer=True)):
        again = msgspec.structs.replace(asked, attempt="a2")
        other = msgspec.structs.replace(asked, key=os.urandom(16).hex())
        qyapi.shown.clear()
        outcomes = [await channel.send(each) for each in (asked, again, other)]

        assert channel.may_repeat(asked)
        assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
        assert len(qyapi.shown) == 2


async def test_content_that_is_too_long_is_shortened_visibly(channel: Channel, qyapi: Qyapi) -> None:
    """WeCom counts bytes, and would cut in silence."""
    await channel.send(message(body="好" * 400))

    shown = qyapi.received[0]["textcard"]["description"]
    assert shown == "好" * 169 + "…"
    assert len(shown.encode()) <= 512


@pytest.mark.parametrize(("members", "code"), [(["LiYisheng"], "81013"), ([USER], "0")])
async def test_a_member_out_of_reach_is_refused_and_not_forgotten(
    channel: Channel, qyapi: Qyapi, members: list[str], code: str
) -> None:
    """81013: none of the receivers exists, or the application's reach was narrowed, which staff put right."""
    qyapi.members = members
    outcome = await channel.send(message())

    assert outcome.code == code
    assert outcome.verdict == (Verdict.ACCEPTED if code == "0" else Verdict.REFUSED)
    assert outcome.alarm == (code != "0")


async def test_an_invalid_member_in_a_good_answer_is_gone(
    channel: Channel, qyapi: Qyapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """errcode 0 is not enough; the list is in lower case."""
    monkeypatch.setattr(
        qyapi, "_judged", lambda asked, body: {"errcode": 0, "errmsg": "ok", "invaliduser": "u3|zhanghushi"}
    )
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code) == (Verdict.GONE, "invaliduser")


async def test_a_member_without_a_licence_is_refused_and_called_about(channel: Channel, qyapi: Qyapi) -> None:
    """Another channel may reach them, and somebody should buy one."""
    qyapi.unlicensed = [USER]
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.alarm) == (Verdict.REFUSED, True)


async def test_a_limit_pauses_all(channel: Channel, qyapi: Qyapi) -> None:
    """45009."""
    qyapi.limit = 0
    outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.retry_after_s) == (Verdict.RETRY, "45009", 60.0)
    assert outcome.pause is not None
    assert outcome.pause.scope == Scope.PROVIDER
    assert outcome.detail == "a limit (1764108000123456789012345)"


async def test_a_secret_of_another_application_calls_somebody(qyapi: Qyapi, clock: FakeClock) -> None:
    """301002: the agent and the secret do not go together."""
    async with open_wecom(chosen(qyapi, corp_secret="other-secret"), None, clock) as channel:
        assert channel is not None
        outcome = await channel.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "301002", True)


@pytest.mark.parametrize("changed", [{"corp_secret": "wrong"}, {"corp_id": "ww-other"}])
async def test_wrong_credentials_call_somebody_and_pause_all(
    qyapi: Qyapi, clock: FakeClock, changed: dict[str, str]
) -> None:
    """WeCom says 40001 of a wrong secret, too, which is not a bad token here."""
    async with open_wecom(chosen(qyapi, **changed), None, clock) as channel:
        assert channel is not None
        outcome = await channel.send(message())

    assert (outcome.verdict, outcome.alarm) == (Verdict.DEAD, True)
    assert outcome.pause is not None
    assert (qyapi.calls["token"], qyapi.calls["send"]) == (1, 0)


@pytest.mark.parametrize("wrong", ["revoked", "expired"])
async def test_a_bad_token_is_replaced_once_and_the_message_arrives(channel: Channel, qyapi: Qyapi, wrong: str) -> None:
    """40014, 42001."""
    await channel.send(message())
    if wrong == "revoked":
        qyapi.revoke()
    else:
        qyapi.advance(7201)
    outcome = await channel.send(message())

    assert outcome.verdict == Verdict.ACCEPTED
    assert (qyapi.calls["token"], qyapi.calls["send"]) == (2, 3)


async def test_two_processes_share_one_token(qyapi: Qyapi, redis: Redis, clock: FakeClock) -> None:
    """And each application has its own."""
    prefix = f"test-{os.urandom(6).hex()}"
    both, other = chosen(qyapi), chosen(qyapi, corp_secret="other-secret", agent_id=1000003)
    async with (
        open_wecom(both, Shelf(redis, SHELF_SECRET), clock, prefix) as one,
        open_wecom(both, Shelf(redis, SHELF_SECRET), clock, prefix) as two,
        open_wecom(other, Shelf(redis, SHELF_SECRET), clock, prefix) as three,
    ):
        assert None not in (one, two, three)
        outcomes = await asyncio.gather(*(c.send(message(f"u{i}")) for i in range(10) for c in (one, two, three) if c))

    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert qyapi.calls["token"] == 2


@pytest.mark.parametrize(
    ("mood", "verdict", "arrives"),
    [
        ("busy", Verdict.RETRY, False),
        ("http500", Verdict.UNKNOWN, False),
        ("garbage", Verdict.UNKNOWN, True),
        ("timeout", Verdict.UNKNOWN, False),
        ("lost", Verdict.UNKNOWN, True),
        ("cut", Verdict.UNKNOWN, True),
    ],
)
async def test_trouble_is_told_by_what_is_known_and_a_repetition_is_shown_once(
    hasty: Channel, qyapi: Qyapi, mood: str, verdict: Verdict, arrives: bool
) -> None:
    """The channel never repeats by itself; who does repeat an unknown one shows it once."""
    qyapi.moods["send"] = {"mood": mood, "times": 1}
    asked = message()
    outcome = await hasty.send(asked)

    assert (outcome.verdict, len(qyapi.shown), qyapi.calls["send"]) == (verdict, int(arrives), 1)
    assert (await hasty.send(asked)).verdict == Verdict.ACCEPTED
    assert len(qyapi.shown) == 1


async def test_what_was_seen_elsewhere_is_taken_back(channel: Channel, qyapi: Qyapi) -> None:
    """A button says so and can no longer be pressed; a plain card goes."""
    asked, plain = message(needs_answer=True), message()
    with_button, without = await channel.send(asked), await channel.send(plain)
    taken = [
        await channel.withdraw(asked, with_button.provider_id),
        await channel.withdraw(plain, without.provider_id),
    ]

    assert taken == [True, True]
    assert [(card["state"], card["button"]) for card in qyapi.shown] == [("updated", "已在别处查看"), ("recalled", "")]


async def test_what_cannot_be_taken_back_is_said_so(channel: Channel, qyapi: Qyapi) -> None:
    """A code is good once, and for three days; a message can be recalled for one."""
    asked = message(needs_answer=True)
    first = (await channel.send(asked)).provider_id
    await channel.withdraw(asked, first)
    late = (await channel.send(message(needs_answer=True))).provider_id
    plain = (await channel.send(message())).provider_id
    qyapi.advance(72 * 3600 + 1)

    assert [await channel.withdraw(asked, each) for each in (first, late, plain, "", "nonsense")] == [False] * 5


async def test_trouble_while_taking_back_is_no_exception(hasty: Channel, qyapi: Qyapi) -> None:
    """It stays, that is all."""
    sent = (await hasty.send(message())).provider_id
    qyapi.moods["recall"] = "cut"

    assert await hasty.withdraw(message(), sent) is False


async def test_a_flood_to_one_member_is_dropped_in_silence(channel: Channel, qyapi: Qyapi) -> None:
    """30 a minute: WeCom says that all is well, and so do we; who sends must stay below."""
    outcomes = [await channel.send(message()) for _ in range(31)]

    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert (len(qyapi.shown), len(qyapi.dropped)) == (30, 1)


async def test_the_button_comes_back_signed_and_sealed_and_is_answered(channel: Channel, qyapi: Qyapi) -> None:
    """The whole way: card, press, callback, and an answer that changes the button."""
    crypt, pressed = MessageCrypt(PUSH_TOKEN, AES_KEY, CORP_ID), []

    async def handle(request: web.Request) -> web.StreamResponse:
        query = request.query
        signed, stamp, nonce = query["msg_signature"], query["timestamp"], query["nonce"]
        press = decode(crypt.open_body(signed, stamp, nonce, await request.read(), qyapi.now()))
        assert press is not None
        pressed.append(press)
        return web.Response(body=crypt.seal_reply(answer(press, "已知晓", qyapi.now()), stamp, nonce))

    asked = message(needs_answer=True)
    await channel.send(asked)
    async with listening(handle) as qyapi.callback_url:
        status = await qyapi.press(asked.key)

    assert status == 200
    assert [(press.user, press.key, press.button) for press in pressed] == [(USER, asked.key, "acknowledge")]
    assert b"<Encrypt>" in qyapi.answers[0]


async def test_there_is_nothing_to_ask_later(channel: Channel, clock: FakeClock) -> None:
    """WeCom sends no receipts."""
    assert await channel.settle(message(), "m", clock.now()) is None
    assert (channel.name, channel.provider, channel.receipt_s) == ("wecom", "qyapi", 0.0)
    assert (channel.bucket(message()).name, channel.bucket(message()).per_s) == ("qyapi", 9.0)


@pytest.mark.parametrize("missing", [{"corp_id": ""}, {"corp_secret": ""}, {"agent_id": 0}])
async def test_without_credentials_there_is_no_channel(qyapi: Qyapi, clock: FakeClock, missing: dict[str, Any]) -> None:
    """The channel is off."""
    async with open_wecom(chosen(qyapi, **missing), None, clock) as channel:
        assert channel is None


async def test_no_secret_token_address_or_content_is_logged_or_told(
    hasty: Channel, qyapi: Qyapi, caplog: pytest.LogCaptureFixture
) -> None:
    """Here the secret is even in an address."""
    caplog.set_level(logging.DEBUG)
    outcomes = []
    for mood in ("", "busy", "http500", "garbage", "cut"):
        qyapi.moods = {"send": mood, "token": mood}
        outcomes.append(await hasty.send(message(body=SECRET)))
        qyapi.revoke()
    told = caplog.text + json.dumps([repr(outcome) for outcome in outcomes], ensure_ascii=False)

    for secret in (SECRET, USER, "corp-secret", qyapi._tokens[0].value):
        assert secret not in told
