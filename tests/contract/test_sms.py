"""Every SMS provider: what it is sent, what each of its answers means, and what becomes of a message whose answer was lost."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from channels.port import Address, Channel, Content, Message, Scope, Verdict
from channels.sms import open_sms
from channels.sms_receipt import TAKEN, Receipt, callback_token, decode_receipts, is_callback
from channels.sms_rule import template_of
from hub.platform import settings
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import BadSettings
from tests.fake_clock import FakeClock
from tests.standins.sms import SmsStandin, open_standin

PHONE = "13800138000"
NOW = datetime(2026, 11, 22, 8, 0, 30, tzinfo=UTC)
PROVIDERS = ("aliyun", "tencent")
QUERY = {"aliyun": "aliyun.QuerySendDetails", "tencent": "tencent.PullSmsSendStatusByPhoneNumber"}


def message(phone: str = PHONE, attempt: str = "attempt-1", template: str = "aliyun=SMS_1 tencent=2") -> Message:
    fields = {"name": '张三+李四&1=2, "复诊"', "time": "下午 3:00"}
    content = Content(title="提醒", body="您有一项预约提醒", template=template, fields=fields)
    return Message(key="0" * 32, tag="t", attempt=attempt, address=Address(id="a1", value=phone), content=content)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest_asyncio.fixture
async def standin(clock: FakeClock) -> AsyncIterator[SmsStandin]:
    async with open_standin() as running:
        running.now = lambda: clock.now().timestamp()
        yield running


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def sms(standin: SmsStandin, clock: FakeClock, provider: str) -> AsyncIterator[Channel]:
    async with open_one(standin, clock, provider) as opened:
        yield opened


@asynccontextmanager
async def open_one(
    standin: SmsStandin, clock: FakeClock, provider: str, timeout_s: float = 5.0, **changed: Any
) -> AsyncIterator[Channel]:
    chosen = msgspec.structs.replace(standin.settings(provider, timeout_s), **changed)
    async with open_sms(chosen, clock) as (opened,):
        yield opened


async def test_a_message_is_taken_as_it_was_written(sms: Channel, standin: SmsStandin) -> None:
    """Signed as the provider wants it, with the fields in their order and the attempt for the receipt."""
    outcome = await sms.send(message())

    (taken,) = standin.received
    fields = message().content.fields
    assert (outcome.verdict, outcome.provider_id) == (Verdict.ACCEPTED, taken.provider_id)
    assert (taken.provider, taken.phone, taken.attempt) == (sms.provider, PHONE, "attempt-1")
    assert taken.template == {"aliyun": "SMS_1", "tencent": "2"}[sms.provider]
    assert taken.fields == (fields if sms.provider == "aliyun" else list(fields.values()))
    assert list(taken.fields) == list(fields if sms.provider == "aliyun" else fields.values())
    assert (sms.name, sms.receipt_s, sms.bucket(message()).per_s) == ("sms", 600, 200)
    assert sms.bucket(message()).name == f"sms:{sms.provider}"


REFUSALS = [
    ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", Verdict.REFUSED, False),
    ("aliyun", "isv.MOBILE_NUMBER_ILLEGAL", Verdict.GONE, False),
    ("aliyun", "isv.SMS_TEMPLATE_ILLEGAL", Verdict.DEAD, True),
    ("aliyun", "isv.SMS_SIGNATURE_ILLEGAL", Verdict.DEAD, True),
    ("aliyun", "isv.AMOUNT_NOT_ENOUGH", Verdict.DEAD, True),
    ("aliyun", "isv.OUT_OF_SERVICE", Verdict.DEAD, True),
    ("aliyun", "isv.DAY_LIMIT_CONTROL", Verdict.DEAD, True),
    ("aliyun", "isv.PARAM_NOT_SUPPORT_URL", Verdict.DEAD, False),
    ("aliyun", "isv.BLACK_KEY_CONTROL_LIMIT", Verdict.DEAD, False),
    ("aliyun", "isp.SYSTEM_ERROR", Verdict.UNKNOWN, False),
    ("aliyun", "SignatureNonceUsed", Verdict.UNKNOWN, False),
    ("aliyun", "Throttling.User", Verdict.RETRY, False),
    ("aliyun", "Forbidden.RAM", Verdict.DEAD, True),
    ("aliyun", "isv.NEVER_HEARD_OF", Verdict.DEAD, True),
    ("tencent", "LimitExceeded.PhoneNumberThirtySecondLimit", Verdict.REFUSED, False),
    ("tencent", "LimitExceeded.PhoneNumberOneHourLimit", Verdict.REFUSED, False),
    ("tencent", "LimitExceeded.PhoneNumberDailyLimit", Verdict.REFUSED, False),
    ("tencent", "LimitExceeded.PhoneNumberSameContentDailyLimit", Verdict.REFUSED, False),
    ("tencent", "LimitExceeded.DeliveryFrequencyLimit", Verdict.REFUSED, False),
    ("tencent", "LimitExceeded.AppDailyLimit", Verdict.DEAD, True),
    ("tencent", "LimitExceeded.NewOne", Verdict.RETRY, False),
    ("tencent", "RequestLimitExceeded", Verdict.RETRY, False),
    ("tencent", "RequestLimitExceeded.IPLimitExceeded", Verdict.RETRY, False),
    ("tencent", "FailedOperation.PhoneNumberInBlacklist", Verdict.REFUSED, False),
    ("tencent", "InvalidParameterValue.IncorrectPhoneNumber", Verdict.GONE, False),
    ("tencent", "FailedOperation.ContainSensitiveWord", Verdict.DEAD, False),
    ("tencent", "FailedOperation.SignatureIncorrectOrUnapproved", Verdict.DEAD, True),
    ("tencent", "FailedOperation.TemplateIncorrectOrUnapproved", Verdict.DEAD, True),
    ("tencent", "FailedOperation.InsufficientBalanceInSmsPackage", Verdict.DEAD, True),
    ("tencent", "UnauthorizedOperation.ServiceSuspendDueToArrears", Verdict.DEAD, True),
    ("tencent", "InternalError.Timeout", Verdict.UNKNOWN, False),
    ("tencent", "InternalError.SigVerificationFail", Verdict.DEAD, True),
    ("tencent", "NeverHeard.Of", Verdict.DEAD, True),
]


@pytest.mark.parametrize(("named", "code", "verdict", "alarm"), REFUSALS)
async def test_each_code_of_a_provider_has_one_meaning(
    standin: SmsStandin, clock: FakeClock, named: str, code: str, verdict: Verdict, alarm: bool
) -> None:
    """The table of errors; whatever the code, the phone is not in the answer, and a code that nobody knows is kept."""
    standin.codes[PHONE] = code
    async with open_one(standin, clock, named) as sms:
        outcome = await sms.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (verdict, code, alarm)
    assert (outcome.retry_after_s is not None) == (verdict is Verdict.RETRY)
    assert PHONE not in repr(outcome)
    assert standin.received == []


@pytest.mark.parametrize(
    ("mood", "verdict", "taken"),
    [
        ("throttled", Verdict.RETRY, 0),
        ("too_many", Verdict.RETRY, 0),
        ("busy", Verdict.UNKNOWN, 0),
        ("torn", Verdict.UNKNOWN, 1),
        ("cut", Verdict.UNKNOWN, 0),
        ("lost", Verdict.UNKNOWN, 1),
        ("garbage", Verdict.UNKNOWN, 0),
        ("mute", Verdict.UNKNOWN, 0),
        ("silent", Verdict.UNKNOWN, 1),
    ],
)
async def test_a_provider_in_trouble_is_asked_once(
    standin: SmsStandin, clock: FakeClock, provider: str, mood: str, verdict: Verdict, taken: int
) -> None:
    """What may have gone out is unknown, whether it did or not: a person would get a repetition as another message."""
    standin.moods[provider] = mood
    timeout_s = 0.3 if mood in ("mute", "silent") else 5.0
    async with open_one(standin, clock, provider, timeout_s) as sms:
        outcome = await sms.send(message())

        assert not sms.may_repeat(message())
    assert outcome.verdict is verdict
    assert len(standin.received) == taken
    assert standin.asked[f"{provider}.SendSms"] == 1


async def test_a_throttled_provider_says_for_how_long(sms: Channel, standin: SmsStandin) -> None:
    """All its messages wait; the header of a 429 is obeyed."""
    standin.moods[sms.provider] = "too_many"
    too_many = await sms.send(message())
    standin.moods[sms.provider] = "throttled"
    throttled = await sms.send(message())

    assert too_many.retry_after_s == 7
    for outcome in (too_many, throttled):
        assert outcome.pause is not None
        assert (outcome.pause.scope, outcome.pause.seconds) == (Scope.PROVIDER, outcome.retry_after_s)


async def test_a_provider_that_is_not_there_is_tried_later(clock: FakeClock, provider: str) -> None:
    """Without a connection nothing was taken."""
    async with open_standin() as gone:
        pass
    async with open_one(gone, clock, provider) as sms:
        outcome = await sms.send(message())

    assert outcome.verdict is Verdict.RETRY
    assert outcome.retry_after_s


@pytest.mark.parametrize(
    "phone", ["", "1380013800", "+8613800138000", "23800138000", "１３８００１３８０００", "13800138000,139"]
)
async def test_what_is_no_phone_is_never_sent(sms: Channel, standin: SmsStandin, phone: str) -> None:
    """It is gone without anybody being asked; several numbers in one would all be sent to."""
    assert (await sms.send(message(phone))).verdict is Verdict.GONE
    assert await sms.settle(message(phone), "", NOW) is None
    assert not standin.asked


async def test_a_notice_without_a_template_here_goes_to_the_next_provider(sms: Channel, standin: SmsStandin) -> None:
    """A definite no, and an alarm: somebody has to name it."""
    outcome = await sms.send(message(template="other=1"))

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "template_missing", True)
    assert not standin.asked


@pytest.mark.parametrize(
    ("template", "aliyun", "tencent"),
    [
        ("aliyun=SMS_1 tencent=2", "SMS_1", "2"),
        (" tencent=2 ", "", "2"),
        ("SMS_1", "SMS_1", "SMS_1"),
        ("", "", ""),
    ],
)
def test_a_template_is_named_for_each_provider_or_for_all(template: str, aliyun: str, tencent: str) -> None:
    """One id, or words that say whose each is."""
    assert (template_of(template, "aliyun"), template_of(template, "tencent")) == (aliyun, tencent)


@pytest.mark.parametrize(
    ("named", "changed", "code"),
    [
        ("aliyun", {"aliyun_key_id": "other"}, "InvalidAccessKeyId.NotFound"),
        ("aliyun", {"aliyun_key_secret": "other"}, "SignatureDoesNotMatch"),
        ("tencent", {"tencent_secret_id": "other"}, "AuthFailure.SecretIdNotFound"),
        ("tencent", {"tencent_secret_key": "other"}, "AuthFailure.SignatureFailure"),
        ("tencent", {"tencent_app_id": "other"}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
    ],
)
async def test_wrong_credentials_are_an_alarm(
    standin: SmsStandin, clock: FakeClock, named: str, changed: dict[str, str], code: str
) -> None:
    """A definite no: the next provider may be asked, and a person has to look."""
    async with open_one(standin, clock, named, **changed) as sms:
        outcome = await sms.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, code, True)


@pytest.mark.parametrize(
    ("named", "wrong_s", "code"),
    [("aliyun", 901, "InvalidTimeStamp.Expired"), ("tencent", 301, "AuthFailure.SignatureExpire")],
)
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_wrong_clock_is_an_alarm(
    standin: SmsStandin, clock: FakeClock, named: str, wrong_s: int, code: str, sign: int
) -> None:
    """A little is borne: 15 minutes by Aliyun, 5 by Tencent."""
    async with open_one(standin, clock, named) as sms:
        standin.now = lambda: NOW.timestamp() + sign * wrong_s
        outcome = await sms.send(message())
        standin.now = lambda: NOW.timestamp() + sign * (wrong_s - 2)
        good = await sms.send(message())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, code, True)
    assert good.verdict is Verdict.ACCEPTED


# What became of it


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("report", "verdict"), [("DELIVERED", Verdict.DELIVERED), ("MK:0001", Verdict.DEAD)])
async def test_a_question_settles_what_was_taken(
    sms: Channel, standin: SmsStandin, is_known: bool, report: str, verdict: Verdict
) -> None:
    """By the provider's id, or by the attempt when the answer was lost with it; before the carrier answered nothing is known."""
    await sms.send(message(attempt="earlier"))
    standin.reports[PHONE] = report
    standin.moods[sms.provider] = "" if is_known else "lost"
    outcome = await sms.send(message())
    before = await sms.settle(message(), outcome.provider_id, NOW)
    await standin.deliver()
    after = await sms.settle(message(), outcome.provider_id, NOW)

    assert bool(outcome.provider_id) == is_known
    assert before is None
    assert after is not None
    assert after.verdict is verdict
    assert after.code in (report, "DELIVRD")


async def test_what_was_never_taken_stays_unknown(sms: Channel, standin: SmsStandin) -> None:
    """Another message to the same phone is not mistaken for it."""
    await sms.send(message(attempt="other"))
    await standin.deliver()
    standin.moods[sms.provider] = "cut"
    await sms.send(message())

    assert await sms.settle(message(), "", NOW) is None


@pytest.mark.parametrize("mood", ["busy", "garbage", "cut", "throttled"])
async def test_a_question_nobody_answers_says_nothing(sms: Channel, standin: SmsStandin, mood: str) -> None:
    """It may be asked again."""
    outcome = await sms.send(message())
    await standin.deliver()
    standin.moods[QUERY[sms.provider]] = mood

    assert await sms.settle(message(), outcome.provider_id, NOW) is None


@pytest.mark.parametrize("ours", [-30, 30])
async def test_a_message_of_midnight_is_found(standin: SmsStandin, clock: FakeClock, provider: str, ours: int) -> None:
    """Aliyun asks for the day, in China, and its clock may have been on the other side."""
    midnight = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
    standin.now = lambda: (midnight - timedelta(seconds=ours / 2)).timestamp()
    there = FakeClock(midnight)
    async with open_one(standin, there, provider) as sms:
        outcome = await sms.send(message())
        await standin.deliver()
        found = await sms.settle(message(), outcome.provider_id, midnight + timedelta(seconds=ours / 2))

    assert found is not None
    assert found.verdict is Verdict.DELIVERED


async def test_a_message_cannot_be_taken_back(sms: Channel) -> None:
    """It rings at once."""
    assert not await sms.withdraw(message(), "1")


# Receipts


@asynccontextmanager
async def open_callback(bodies: list[bytes], provider: str) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(body=TAKEN[provider], content_type="application/json")

    app = web.Application()
    app.router.add_post("/callback", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    finally:
        await runner.cleanup()


async def test_receipts_tell_which_messages_arrived(sms: Channel, standin: SmsStandin) -> None:
    """By the id that the sending gave; Aliyun gives the attempt back, too, so that a lost answer does not matter."""
    bodies: list[bytes] = []
    standin.reports["13900139000"] = "IS_CLOSED"
    sent = [await sms.send(message(phone)) for phone in (PHONE, "13900139000")]
    async with open_callback(bodies, sms.provider) as address:
        standin.callbacks[sms.provider] = address
        await standin.deliver()

    first, second = decode_receipts(sms.provider, bodies[0])
    attempt = "attempt-1" if sms.provider == "aliyun" else None
    good = "DELIVERED" if sms.provider == "aliyun" else "DELIVRD"
    known = {"provider": sms.provider, "attempt": attempt}
    assert first == Receipt(provider_id=sent[0].provider_id, delivered=True, code=good, **known)
    assert second == Receipt(provider_id=sent[1].provider_id, delivered=False, code="IS_CLOSED", **known)
    assert PHONE not in repr(first)
    assert standin.told == [(sms.provider, 200)]


def test_tencent_s_receipt_may_bear_the_attempt() -> None:
    """Where Tencent switched it on."""
    pushed = {
        "sid": "1",
        "report_status": "SUCCESS",
        "errmsg": "DELIVRD",
        "mobile": PHONE,
        "session_context": "attempt-1",
    }
    (receipt,) = decode_receipts("tencent", json.dumps([pushed]).encode())

    assert receipt.attempt == "attempt-1"


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"err_code":"x"}]', b"\xff", b"[" + b"{}," * 2000 + b"{}]"])
def test_what_is_no_receipt_is_refused(provider: str, body: bytes) -> None:
    """Without quoting it."""
    with pytest.raises(Refusal) as caught:
        decode_receipts(provider, body)

    assert caught.value.code is ErrorCode.MALFORMED
    assert caught.value.__suppress_context__


def test_more_receipts_than_any_provider_sends_are_refused() -> None:
    """However well they are formed."""
    with pytest.raises(Refusal):
        decode_receipts("aliyun", json.dumps([{"success": True}] * 1001).encode())
    assert len(decode_receipts("aliyun", json.dumps([{"success": True}] * 1000).encode())) == 1000


def test_receipts_of_a_stranger_are_not_found() -> None:
    """There are only the two."""
    with pytest.raises(Refusal) as caught:
        decode_receipts("twilio", b"[]")
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_only_the_provider_knows_its_address(provider: str) -> None:
    """One key, an address for each; without a key there is none."""
    token = callback_token("密钥", provider)
    other = next(name for name in PROVIDERS if name != provider)

    assert len(token) == 43
    assert is_callback("密钥", provider, token)
    assert not is_callback("密钥", other, token)
    assert not is_callback("别的", provider, token)
    assert not is_callback("密钥", provider, token[:-1] + "é")
    assert not is_callback("", provider, callback_token("", provider))
    assert not is_callback("密钥", "twilio", callback_token("密钥", "twilio"))


# Opening


async def test_providers_are_opened_in_their_order(standin: SmsStandin, clock: FakeClock) -> None:
    """The first is asked first; twice the same is once."""
    async with open_sms(standin.settings("tencent aliyun tencent"), clock) as opened:
        assert [sms.provider for sms in opened] == ["tencent", "aliyun"]
    async with open_sms(settings.Sms(), clock) as opened:
        assert opened == []


@pytest.mark.parametrize(
    ("providers", "empty", "key"),
    [
        ("twilio", "", "sms.providers"),
        ("aliyun", "sign_name", "sms.sign_name"),
        ("aliyun", "aliyun_key_id", "sms.aliyun_key_id"),
        ("aliyun", "aliyun_key_secret", "sms.aliyun_key_secret"),
        ("aliyun tencent", "tencent_secret_id", "sms.tencent_secret_id"),
        ("tencent", "tencent_secret_key", "sms.tencent_secret_key"),
        ("tencent", "tencent_app_id", "sms.tencent_app_id"),
    ],
)
async def test_a_provider_that_cannot_send_stops_the_start(
    standin: SmsStandin, clock: FakeClock, providers: str, empty: str, key: str
) -> None:
    """The text names the key."""
    chosen = msgspec.structs.replace(standin.settings(providers), **({empty: ""} if empty else {}))
    with pytest.raises(BadSettings, match=key.replace(".", r"\.")):
        async with open_sms(chosen, clock):
            """Not reached."""


async def test_the_standin_is_steered_from_outside(standin: SmsStandin, clock: FakeClock, sms: Channel) -> None:
    """As a process of its own it is asked over HTTP what it took, and how often for one attempt."""
    async with aiohttp.ClientSession(standin.url) as session:
        async with session.post("/__ctl", json={"codes": {PHONE: ""}, "latency_s": 0.001}) as answer:
            assert answer.status == 200
        await sms.send(message())
        await sms.send(message())
        async with session.post("/__ctl", json={"mode": {}}) as answer:
            assert answer.status == 400
        async with session.get("/__ctl/received") as answer:
            shown = await answer.json()

    assert (shown["total"], shown["duplicates"], len(shown["received"])) == (2, {"attempt-1": 2}, 2)
