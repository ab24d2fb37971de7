"""Signing in and other HTTP calls of a client: the one wrapper is taken off here, and a refusal becomes `Refused`."""

import asyncio
from typing import Any, Self

import httpx

from hub.platform.text import text

TIMEOUT_S = 15.0


class Refused(Exception):
    """The hub said no. `retry_after_ms` is None when trying again cannot help."""

    def __init__(
        self, code: str, message: str = "", fields: dict[str, str] | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message} {fields or ''}".rstrip())
        self.code = code
        self.message = message
        self.fields = fields or {}
        self.retry_after_ms = retry_after_ms


class Account:
    """One signed-in person on one device. `url` may be pointed at another node at any time."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/")
        self.user: dict[str, Any] = {}
        self.token = ""
        self._refresh_token = ""
        self._http = http
        self._refreshing = asyncio.Lock()

    @classmethod
    async def sign_in(cls, http: httpx.AsyncClient, url: str, phone: str, code: str | None = None) -> Self:
        """With an SMS code; without one, ask for it and use the `devCode` of a development server. Raises `Refused`."""
        account = cls(url, http)
        if code is None:
            code = await account.ask_code(phone)
            if code is None:
                raise Refused("code_wrong", text("code_needed"))
        account._hold(await account.call("POST", "/auth/login", {"phone": phone, "code": code}))
        return account

    async def ask_code(self, phone: str) -> str | None:
        """Have an SMS code sent; a development server tells it at once."""
        answer = await self.call("POST", "/auth/sms-code", {"phone": phone, "scene": "login"})
        code: str | None = answer.get("devCode")
        return code

    async def refresh(self, spent: str) -> None:
        """Exchange the refresh token, unless another call replaced the `spent` access token already. Raises `Refused`."""
        async with self._refreshing:
            if self.token == spent:
                self._hold(await self.call("POST", "/auth/refresh", {"refreshToken": self._refresh_token}))

    def _hold(self, answer: dict[str, Any]) -> None:
        self.token, self._refresh_token = answer["token"], answer["refreshToken"]
        self.user = answer.get("user") or self.user

    async def get(self, path: str) -> Any:
        return await self.signed("GET", path)

    async def post(self, path: str, body: object) -> Any:
        return await self.signed("POST", path, body)

    async def signed(self, method: str, path: str, body: object = None) -> Any:
        """Call as this person; an expired token is exchanged once. Raises `Refused` and `httpx.HTTPError`."""
        token = self.token
        try:
            return await self.call(method, path, body, token)
        except Refused as refused:
            if refused.code != "unauthorized":
                raise
        await self.refresh(token)
        return await self.call(method, path, body, self.token)

    async def call(self, method: str, path: str, body: object = None, token: str = "") -> Any:
        """The `data` of an answer. Raises `Refused` and `httpx.HTTPError`."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.url}/api/v1{path}"
        response = await self._http.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
        try:
            answer = response.json()
        except ValueError:
            raise Refused("upstream", text("not_the_hub", status=response.status_code)) from None
        if answer.get("success"):
            return answer["data"]
        error = answer.get("error") or {}
        wait = response.headers.get("Retry-After", "")
        raise Refused(
            error.get("type", "internal"),
            answer.get("message", ""),
            error.get("fields"),
            int(wait) * 1000 if wait.isdecimal() else None,
        )
