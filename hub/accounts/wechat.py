"""Signing in from the mini-program: the code of `wx.login` becomes an openid."""

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn, Protocol

import httpx
import msgspec
import structlog

from hub.platform import settings
from hub.platform.error import ErrorCode, Refusal

log = structlog.get_logger("hub.wechat")

# errcode of code2session (developers.weixin.qq.com, user-login/api_code2session) → refusal, its text, seconds to wait
REFUSALS: dict[int, tuple[ErrorCode, str, float | None]] = {
    -1: (ErrorCode.UPSTREAM, "wechat_busy", None),
    40029: (ErrorCode.CODE_WRONG, "wechat_code_invalid", None),
    40163: (ErrorCode.CODE_WRONG, "wechat_code_invalid", None),  # used before
    40226: (ErrorCode.FORBIDDEN, "account_suspended", None),  # blocked by WeChat as high-risk
    45011: (ErrorCode.RATE_LIMITED, "wechat_busy", 60.0),  # 100 a minute for one person
}


class Code2Session(msgspec.Struct, frozen=True):
    openid: str = ""
    errcode: int = 0


class Openids(Protocol):
    """Raises `Refusal` when the code is not good or WeChat does not answer."""

    async def openid_of(self, code: str) -> str:
        """Who signed in with this code of `wx.login`."""


class Wechat:
    """code2session. Open it with `open_wechat`."""

    def __init__(self, chosen: settings.Wechat, client: httpx.AsyncClient) -> None:
        self._settings = chosen
        self._client = client

    async def openid_of(self, code: str) -> str:
        """Who signed in; asked once only, because a code is good for one call."""
        if not self._settings.app_id or not self._settings.app_secret:
            raise Refusal(ErrorCode.UPSTREAM, "wechat_unconfigured")
        try:
            response = await self._client.get("/sns/jscode2session", params=self._query(code))
            response.raise_for_status()
            answer = msgspec.json.decode(response.content, type=Code2Session)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            # The exception's text holds the address, and that the secret: only its type is logged.
            log.warning("code2session_failed", error=type(error).__name__)
            raise Refusal(ErrorCode.UPSTREAM, "wechat_failed") from None
        if answer.errcode or not answer.openid:
            _refuse(answer.errcode)
        return answer.openid

    def _query(self, code: str) -> dict[str, str]:
        chosen = self._settings
        return {
            "appid": chosen.app_id,
            "secret": chosen.app_secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }


class DevelopmentWechat:
    """Stands in where no mini-program is configured: every code signs in, the same code as the same person."""

    async def openid_of(self, code: str) -> str:
        return f"development-{hashlib.sha256(code.encode()).hexdigest()[:24]}"


def _refuse(errcode: int) -> NoReturn:
    log.info("code2session_refused", errcode=errcode)
    code, text, wait_s = REFUSALS.get(errcode, (ErrorCode.UPSTREAM, "wechat_failed", None))
    raise Refusal(code, text, retry_after_ms=int(wait_s * 1000) if wait_s else None)


@asynccontextmanager
async def open_wechat(chosen: settings.Wechat, *, development: bool = False) -> AsyncIterator[Openids]:
    """The real one, or in `development` without an `app_id` the one that lets everybody in."""
    if development and not chosen.app_id:
        log.warning("development_wechat", meaning="any code signs in; not for real users")
        yield DevelopmentWechat()
        return
    # At info httpx logs each address, here with the secret in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with httpx.AsyncClient(base_url=chosen.base_url, timeout=chosen.timeout_s) as client:
        yield Wechat(chosen, client)
