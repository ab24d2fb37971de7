"""Every SMS sender: takes a code, shows it to nobody who should not see it, and logs no full phone number."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from channels.sms import open_sms
from hub.accounts.sms import SmsSender, build_sender
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import BadSettings
from tests.standins.sms import SmsStandin, open_standin

PHONE = "13800138000"
DEVELOPMENT = settings.Accounts()
REAL = settings.Accounts(sms_sender="sms", sms_template="aliyun=SMS_9 tencent=9")


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[SmsStandin]:
    async with open_standin() as running:
        yield running


@asynccontextmanager
async def open_sender(standin: SmsStandin, providers: str = "aliyun tencent") -> AsyncIterator[SmsSender]:
    async with open_sms(standin.settings(providers), SystemClock()) as channels:
        yield build_sender(REAL, channels)


@pytest_asyncio.fixture(params=["development", "sms"])
async def sender(request: pytest.FixtureRequest, standin: SmsStandin) -> AsyncIterator[SmsSender]:
    if request.param == "development":
        yield build_sender(DEVELOPMENT, ())
        return
    async with open_sender(standin) as opened:
        yield opened


async def test_a_code_is_taken_and_the_phone_stays_out_of_the_log(sender: SmsSender) -> None:
    """Whatever the sender does, a full number is nowhere in the log."""
    with capture_logs() as logs:
        shown = await sender.send_code(PHONE, "123456")

    assert shown in (None, "123456")
    assert PHONE not in str(logs)


async def test_the_development_sender_shows_the_code() -> None:
    """In development the code is in the log and in the answer."""
    with capture_logs() as logs:
        shown = await build_sender(DEVELOPMENT, ()).send_code(PHONE, "123456")

    assert shown == "123456"
    assert {"development_sms_sender", "sms_code"} == {entry["event"] for entry in logs}
    assert logs[1]["code"] == "123456"
    assert logs[1]["phone"] == "138****8000"


async def test_a_real_sender_shows_the_code_to_the_phone_only(standin: SmsStandin) -> None:
    """It is neither in the answer nor in the log; the template has one field, the code."""
    async with open_sender(standin) as sender:
        with capture_logs() as logs:
            shown = await sender.send_code(PHONE, "123456")

    (taken,) = standin.received
    assert shown is None
    assert "123456" not in str(logs)
    assert (taken.provider, taken.phone, taken.template, taken.fields) == ("aliyun", PHONE, "SMS_9", {"code": "123456"})


@pytest.mark.parametrize(
    "code", ["isv.AMOUNT_NOT_ENOUGH", "isv.BUSINESS_LIMIT_CONTROL", "isv.SMS_TEMPLATE_ILLEGAL", "Throttling.User"]
)
async def test_the_next_provider_is_asked_when_the_first_has_not_taken_it(standin: SmsStandin, code: str) -> None:
    """Whatever its reason, as long as it is definite."""
    standin.codes[f"aliyun:{PHONE}"] = code
    async with open_sender(standin) as sender:
        await sender.send_code(PHONE, "123456")

    assert [(taken.provider, taken.fields) for taken in standin.received] == [("tencent", ["123456"])]


@pytest.mark.parametrize("mood", ["lost", "cut", "torn", "busy"])
async def test_nobody_gets_two_codes_when_an_answer_is_lost(standin: SmsStandin, mood: str) -> None:
    """An unknown outcome counts as sent."""
    standin.moods["aliyun"] = mood
    async with open_sender(standin) as sender:
        assert await sender.send_code(PHONE, "123456") is None

    assert standin.asked == {"aliyun.SendSms": 1}


async def test_a_code_that_nobody_took_is_an_upstream_failure(standin: SmsStandin) -> None:
    """With the time after which it may go better, where the last one named it; each was asked once."""
    standin.moods |= {"aliyun": "throttled", "tencent": "throttled"}
    async with open_sender(standin) as sender:
        with pytest.raises(Refusal) as caught:
            await sender.send_code(PHONE, "123456")

    assert (caught.value.code, caught.value.text) == (ErrorCode.UPSTREAM, "sms_failed")
    assert caught.value.retry_after_ms == 5000
    assert standin.asked == {"aliyun.SendSms": 1, "tencent.SendSms": 1}


async def test_a_number_that_does_not_exist_is_the_asker_s_mistake(standin: SmsStandin) -> None:
    """The next provider would say the same."""
    standin.codes[PHONE] = "isv.MOBILE_NUMBER_ILLEGAL"
    async with open_sender(standin) as sender:
        with pytest.raises(Refusal) as caught:
            await sender.send_code(PHONE, "123456")

    assert (caught.value.code, caught.value.fields) == (ErrorCode.INVALID, {"phone": "phone_invalid"})
    assert standin.asked == {"aliyun.SendSms": 1}


async def test_codes_are_not_shown_where_they_can_be_sent(standin: SmsStandin) -> None:
    """Providers and the development sender together stop the start (contract, section 8)."""
    async with open_sms(standin.settings("tencent"), SystemClock()) as channels:
        with pytest.raises(BadSettings, match=r"accounts\.sms_sender"):
            build_sender(DEVELOPMENT, channels)


async def test_a_sender_that_cannot_send_stops_the_start(standin: SmsStandin) -> None:
    """Without a provider, or without the template of a code."""
    with pytest.raises(BadSettings, match=r"sms\.providers"):
        build_sender(REAL, ())
    async with open_sms(standin.settings("tencent"), SystemClock()) as channels:
        with pytest.raises(BadSettings, match=r"accounts\.sms_template"):
            build_sender(settings.Accounts(sms_sender="sms"), channels)


def test_an_unknown_sender_stops_the_start() -> None:
    """A misspelt name must not fall back to showing codes to everybody."""
    with pytest.raises(BadSettings, match=r"accounts\.sms_sender.*aliyun"):
        build_sender(settings.Accounts(sms_sender="aliyun"), ())  # type: ignore[arg-type]
