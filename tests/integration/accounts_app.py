"""A small application with accounts only, on the real database, with a clock that tests move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.di import Provide

from hub.accounts.actions import Accounts
from hub.accounts.api import handlers
from hub.accounts.guard import Gate, build_guard, principal_of
from hub.accounts.sms import DevelopmentSender
from hub.accounts.wechat import open_wechat
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring
from hub.security.ratelimit import open_rate_limits
from hub.security.token import RevokedSessions
from tests.fake_clock import FakeClock
from tests.standins.wechat import APP_ID, APP_SECRET

ACCOUNTS = settings.Accounts(codes_per_phone_hour=6, codes_per_address_hour=1000)


@dataclass
class Hub:
    """One node, as a client and from inside."""

    client: httpx.AsyncClient
    accounts: Accounts
    gate: Gate
    revoked: RevokedSessions
    clock: FakeClock

    async def call(self, method: str, path: str, status: int = 200, token: str = "", **request: Any) -> Any:
        """`data` of the answer, or the error with its fields, after the status was found as expected."""
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        response = await self.client.request(method, f"/api/v1{path}", headers=headers, **request)
        assert response.status_code == status, response.text
        body = response.json()
        return body["data"] if body["success"] else body["error"]

    async def login(self, phone: str, **request: Any) -> Any:
        sent = await self.call("POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
        login = {"phone": phone, "code": sent["devCode"]}
        return await self.call("POST", "/auth/login", json=login, **request)


@asynccontextmanager
async def open_hub(
    database: Database, redis_url: str, wechat_url: str = "", chosen: settings.Accounts = ACCOUNTS
) -> AsyncIterator[Hub]:
    clock, keyring = FakeClock(), Keyring({"k": b"m" * 32}, b"s" * 32)
    revoked = RevokedSessions(chosen.access_token_s)
    wechat_settings = settings.Wechat(app_id=APP_ID, app_secret=APP_SECRET, base_url=wechat_url)
    redis = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    async with open_rate_limits(redis) as limits, open_wechat(wechat_settings) as wechat:
        gate = Gate(keyring, revoked, limits, clock)
        accounts = Accounts(database, keyring, chosen, DevelopmentSender(), wechat, revoked, clock)
        transport = httpx.ASGITransport(_app(accounts, gate))  # in this loop, where the database's connections live
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
            yield Hub(client, accounts, gate, revoked, clock)


def _app(accounts: Accounts, gate: Gate) -> Any:  # Any: Litestar's and httpx's idea of an ASGI scope differ
    router = Router(
        "/api/v1",
        route_handlers=handlers,
        guards=[build_guard(gate)],
        dependencies={
            "accounts": Provide(lambda: accounts, sync_to_thread=False),
            "principal": Provide(principal_of, sync_to_thread=False),
        },
    )
    return Litestar(
        [router],
        exception_handlers=exception_handlers,
        middleware=[RequestContext()],
        before_send=[echo_request_id],
        logging_config=None,
    )
