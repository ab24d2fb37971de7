"""Webhooks on the real database: a desk, a receiver, notices, and the API of the area alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.di import Provide
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.transport import open_transport
from hub.accounts.guard import Gate, build_guard, principal_of
from hub.notices.class_book import ClassBook
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.security import token
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.ratelimit import open_rate_limits
from hub.security.sealing import Sealer
from hub.security.token import Principal, RevokedSessions
from hub.webhooks import api as webhook_api
from hub.webhooks.actions import Webhooks
from hub.webhooks.duty import WebhookDesk
from tests.fake_clock import FakeClock
from tests.standins.webhook import WebhookStandin

KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)
POST_S = 2.0

_NOTICE = text("""
INSERT INTO notices (id, user_id, class, lane, shard, template, values, subject, dedupe_key, begins_at, expires_at)
VALUES (:id, :user, :class, 'normal', 0, 'order', '{"service": "陪诊服务"}', '订单-1', :key, now(), now())
""")


@dataclass
class WebhookScene:
    """`webhooks` are the use cases; `desk` is a worker's."""

    database: Database
    webhooks: Webhooks
    desk: WebhookDesk
    clock: FakeClock
    receiver: WebhookStandin
    admin: Principal
    client: httpx.AsyncClient

    async def call(self, role: str, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """`data` of the answer, or the error with its fields, after the status was found as expected."""
        key, user = KEYRING.derive(token.PURPOSE), self.admin.user
        access = token.issue(key, user=user, session=new_id(), role=role, now=self.clock.now(), life_s=60)
        headers = {"Authorization": f"Bearer {access}"}
        response = await self.client.request(method, f"/api/v1{path}", headers=headers, **request)
        assert response.status_code == status, response.text
        body = response.json()
        return body["data"] if body["success"] else body["error"]

    async def listen(self, *classes: str, url: str = "") -> tuple[str, str]:
        """A webhook to the receiver: its id and its secret."""
        made, secret = await self.webhooks.create(self.admin, url or self.receiver.url, list(classes) or None)
        return made.id, secret

    async def execute(self, statement: str, **values: object) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(text(statement), values)

    async def row(self, statement: str, *values: object) -> Any:
        return await self.database.log.fetchrow(statement, *values)

    async def webhook(self, webhook: str) -> Any:
        return next(each for each in await self.webhooks.all(self.admin) if each.id == webhook)

    async def log(self, webhook: str) -> list[Any]:
        return list((await self.webhooks.deliveries(self.admin, webhook, None, 100)).items)


async def person(connection: AsyncConnection) -> str:
    user = new_id()
    await connection.execute(text("INSERT INTO users (id, name) VALUES (:id, '王小明')"), {"id": user})
    return user


async def notice(connection: AsyncConnection, user: str, code: str = "order") -> str:
    made = new_id()
    await connection.execute(_NOTICE, {"id": made, "user": user, "class": code, "key": made})
    return made


async def come_to(connection: AsyncConnection, made: str, state: str, reason: str = "") -> None:
    change = text("UPDATE notices SET state = :state, reason = :reason WHERE id = :id")
    await connection.execute(change, {"id": made, "state": state, "reason": reason})


@asynccontextmanager
async def open_webhook_scene(
    database: Database, redis_url: str, receiver: WebhookStandin, *, private: bool = True
) -> AsyncIterator[WebhookScene]:
    clock = FakeClock()
    chosen = settings.Notices(webhook_private=private)
    sealer, audit, classes = Sealer(KEYRING, database), Audit(KEYRING, clock), ClassBook(database, clock)
    webhooks = Webhooks(database, sealer, audit, classes, clock, chosen)
    admin = Principal(user=new_id(), session=new_id(), role="admin", expires_at=0)
    async with (
        open_transport(POST_S) as transport,
        open_rate_limits(settings.Redis(url=redis_url, prefix=f"test-{new_id()}")) as limits,
    ):
        app = _app(webhooks, Gate(KEYRING, RevokedSessions(60), limits, clock))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
            desk = WebhookDesk(database, sealer, transport, clock, private)
            yield WebhookScene(database, webhooks, desk, clock, receiver, admin, client)


def _app(webhooks: Webhooks, gate: Gate) -> Any:  # Any: Litestar's and httpx's idea of an ASGI scope differ
    router = Router(
        "/api/v1",
        route_handlers=webhook_api.handlers,
        guards=[build_guard(gate)],
        dependencies={
            "webhooks": Provide(lambda: webhooks, sync_to_thread=False),
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
