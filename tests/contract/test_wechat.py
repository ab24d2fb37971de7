"""code2session: an openid for a good code, and a clear refusal for everything else that WeChat can answer."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hub.accounts.wechat import Openids, open_wechat
from hub.platform import settings
from hub.platform.error import ErrorCode, Refusal
from tests.standins.wechat import APP_ID, APP_SECRET, WechatStandin


@pytest.fixture
def standin() -> Iterator[WechatStandin]:
    with WechatStandin() as running:
        yield running


@pytest_asyncio.fixture
async def wechat(standin: WechatStandin) -> AsyncIterator[Openids]:
    chosen = settings.Wechat(app_id=APP_ID, app_secret=APP_SECRET, base_url=standin.url, timeout_s=0.5)
    async with open_wechat(chosen) as opened:
        yield opened


async def refused(wechat: Openids, code: str) -> tuple[ErrorCode, str]:
    with pytest.raises(Refusal) as caught:
        await wechat.openid_of(code)
    return caught.value.code, caught.value.text


async def test_a_code_names_the_person_once(wechat: Openids, standin: WechatStandin) -> None:
    """A code is good for one sign-in; a second use and an invented one are refused alike."""
    code = standin.code_for("o-1")

    assert await wechat.openid_of(code) == "o-1"
    assert await refused(wechat, code) == (ErrorCode.CODE_WRONG, "wechat_code_invalid")
    assert await refused(wechat, "invented") == (ErrorCode.CODE_WRONG, "wechat_code_invalid")
    assert standin.queries[0]["grant_type"] == "authorization_code"


async def test_a_person_over_the_quota_is_told_when_to_return(wechat: Openids, standin: WechatStandin) -> None:
    """45011 becomes 429 with the minute that WeChat counts."""
    standin._calls["o-2"] = 100

    with pytest.raises(Refusal) as caught:
        await wechat.openid_of(standin.code_for("o-2"))
    assert (caught.value.code, caught.value.retry_after_ms) == (ErrorCode.RATE_LIMITED, 60_000)


@pytest.mark.parametrize(
    ("mood", "text"),
    [("busy", "wechat_busy"), ("broken", "wechat_failed"), ("garbage", "wechat_failed"), ("silent", "wechat_failed")],
)
async def test_a_wechat_in_trouble_is_an_upstream_failure(
    wechat: Openids, standin: WechatStandin, mood: str, text: str
) -> None:
    """A system error, an HTTP error, nonsense or silence: a clear 502, within the time-out, and asked once only."""
    standin.mood = mood

    assert await refused(wechat, standin.code_for("o-3")) == (ErrorCode.UPSTREAM, text)
    assert len(standin.queries) <= 1


async def test_wrong_credentials_are_an_upstream_failure(standin: WechatStandin) -> None:
    """A mistake of ours is not blamed on the person."""
    chosen = settings.Wechat(app_id=APP_ID, app_secret="other", base_url=standin.url)
    async with open_wechat(chosen) as wechat:
        assert await refused(wechat, standin.code_for("o-4")) == (ErrorCode.UPSTREAM, "wechat_failed")


async def test_a_wechat_that_is_not_there_is_an_upstream_failure() -> None:
    """A refused connection is told like silence."""
    with WechatStandin() as gone:
        url = gone.url
    async with open_wechat(settings.Wechat(app_id=APP_ID, app_secret=APP_SECRET, base_url=url)) as wechat:
        assert await refused(wechat, "code") == (ErrorCode.UPSTREAM, "wechat_failed")


async def test_without_credentials_nothing_is_asked(standin: WechatStandin) -> None:
    """An installation without WeChat says so."""
    async with open_wechat(settings.Wechat(base_url=standin.url)) as wechat:
        assert await refused(wechat, "code") == (ErrorCode.UPSTREAM, "wechat_unconfigured")
    assert standin.queries == []


async def test_the_secret_reaches_no_log(
    wechat: Openids, standin: WechatStandin, caplog: pytest.LogCaptureFixture
) -> None:
    """The address holds the secret, and HTTP clients like to log addresses."""
    caplog.set_level(logging.INFO)
    await wechat.openid_of(standin.code_for("o-5"))
    standin.mood = "broken"
    await refused(wechat, "code")

    assert APP_SECRET not in caplog.text


async def test_any_code_signs_in_the_same_person_when_nothing_is_configured_in_development() -> None:
    """Without a mini-program a developer can still walk the WeChat way; with one configured the stand-in is never used."""
    async with open_wechat(settings.Wechat(), development=True) as development:
        first, again, other = [await development.openid_of(code) for code in ("a", "a", "b")]
    async with open_wechat(settings.Wechat(app_id="wx1"), development=True) as real:
        with pytest.raises(Refusal):
            await real.openid_of("a")

    assert first == again
    assert first != other
