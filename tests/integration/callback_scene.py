"""A hub that providers can call back, over HTTP, and the rows that their words are about."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import msgspec
from litestar import Litestar, Router
from litestar.di import Provide

from channels.sms_receipt import callback_token
from hub.accounts.guard import Gate, build_guard, principal_of
from hub.notices import callback_api, quota_api
from hub.notices.callback import Callbacks
from hub.notices.quota import WechatSubscriptions
from hub.notices.template import Template
from hub.notices.template_default import DEFAULTS
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.security import token
from hub.security.ratelimit import open_rate_limits
from hub.security.token import RevokedSessions
from tests.fake_clock import FakeClock
from tests.integration.core_app import KEYRING
from tests.standins import qyapi, weixin
from tests.standins.qyapi import Qyapi
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN
from tests.standins.weixin import Weixin

SMS_KEY = "短信回执的密钥-0123456789abcdef0123456789abcdef"
TEMPLATE = "wechat-chat"
WECHAT, WECOM = "/api/v1/callbacks/wechat", "/api/v1/callbacks/wecom"
CONFIGURED = Settings(
    wechat=settings.Wechat(app_id=weixin.APP_ID),
    wechat_message=settings.WechatMessage(token=PUSH_TOKEN, aes_key=AES_KEY, long_term_templates="wechat-plan"),
    wecom=settings.Wecom(corp_id=qyapi.CORP_ID, token=PUSH_TOKEN, aes_key=AES_KEY),
    sms=settings.Sms(callback_key=SMS_KEY),
)


class Templates:
    """The default templates, with ids at the providers."""

    async def all(self, connection: object = None) -> dict[Any, Template]:  # Any: the key, whose parts are literals
        return {
            key: msgspec.structs.replace(each, provider_template=f"{key[1]}-{key[0]}") for key, each in DEFAULTS.items()
        }


class Line:
    """The hub as providers see it. The stand-ins only write what they would send; `client` posts it."""

    def __init__(self, client: httpx.AsyncClient, database: Database, clock: FakeClock) -> None:
        self.client = client
        self.pool = database.log
        self.engine = database.engine
        self.receiver = weixin.APP_ID
        self.clock = clock
        self.weixin, self.qyapi = Weixin(), Qyapi()
        self.weixin.offset_s = self.qyapi.offset_s = clock.now().timestamp() - datetime.now(UTC).timestamp()

    async def tell(self, path: str, content: bytes) -> tuple[int, str]:
        """Signed and sealed, as the provider of this path does it."""
        standin = self.weixin if path == WECHAT else self.qyapi
        return await self.post(path, *standin.callback(content))

    async def post(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, str]:
        answer = await self.client.post(path, params=query, content=body)
        return answer.status_code, answer.text

    async def event(self, kind: str, openid: str, *items: dict[str, str]) -> tuple[int, str]:
        return await self.tell(WECHAT, self.weixin.content(f"subscribe_msg_{kind}_event", openid, list(items)))

    async def popup(self, openid: str, status: str = "accept", template: str = TEMPLATE) -> tuple[int, str]:
        return await self.event("popup", openid, {"TemplateId": template, "SubscribeStatusString": status})

    async def sent(self, openid: str, msgid: str, status: str = "success", code: str = "0") -> tuple[int, str]:
        item = {"TemplateId": TEMPLATE, "MsgID": msgid, "ErrorCode": code, "ErrorStatus": status}
        return await self.event("sent", openid, item)

    async def sms(self, provider: str, reports: Any) -> tuple[int, Any]:  # Any: a provider's JSON
        path = f"/api/v1/callbacks/sms/{provider}/{callback_token(SMS_KEY, provider)}"
        answer = await self.client.post(path, json=reports)
        is_json = answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json() if is_json else answer.text

    # What is in the database

    async def person(self, openid: str | None = None) -> str:
        user = new_id()
        phone = f"138{secrets.randbelow(10**8):08d}"
        await self.pool.execute(
            "INSERT INTO users (id, name, role, phone, wechat_openid) VALUES ($1, '张三丰', 'patient', $2, $3)",
            user,
            phone,
            openid,
        )
        return user

    async def notice(self, user: str, state: str = "open", *, lease: str | None = None, template: str = "chat") -> str:
        """One that waits for a receipt for some minutes, or that has ended."""
        notice = new_id()
        await self.pool.execute(
            """INSERT INTO notices (id, user_id, class, lane, shard, template, dedupe_key, state, lease, begins_at, expires_at,
                 next_at, ended_at, seen_at)
               VALUES ($1::uuid, $2, 'health_alert', 'urgent', 0, $5, $1::uuid::text, $3, $4, now(), now() + interval '1 hour',
                 CASE WHEN $3 = 'open' THEN now() + interval '10 minutes' END, CASE WHEN $3 <> 'open' THEN now() END,
                 CASE WHEN $3 = 'seen' THEN now() END)""",
            notice,
            user,
            state,
            lease,
            template,
        )
        return notice

    async def attempt(self, notice: str, provider: str, state: str, provider_id: str = "", **more: Any) -> str:
        attempt = new_id()
        channel = {"weixin": "wechat", "qyapi": "wecom", "webpush": "webpush"}.get(provider, "sms")
        values = {"address": "phone", "number": 1, "step": 1} | more
        await self.pool.execute(
            """INSERT INTO notice_attempts (id, notice, step, channel, provider, address, number, state, provider_id, sent_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())""",
            attempt,
            notice,
            values["step"],
            channel,
            provider,
            values["address"],
            values["number"],
            state,
            provider_id,
        )
        return attempt

    async def row(self, table: str, id_: str) -> asyncpg.Record:
        found = await self.pool.fetchrow(f"SELECT *, next_at <= now() AS due FROM {table} WHERE id = $1", id_)  # noqa: S608
        assert found is not None
        return found

    async def quota(self, openid: str, template: str = TEMPLATE) -> int | None:
        left: int | None = await self.pool.fetchval(
            "SELECT remaining FROM wechat_quotas WHERE openid = $1 AND template = $2", openid, template
        )
        return left

    async def everything(self) -> list[Any]:
        """All rows that a callback could change."""
        tables = ("notices", "notice_attempts", "wechat_quotas", "provider_callbacks")
        return [[*map(tuple, await self.pool.fetch(f"SELECT * FROM {t} ORDER BY 1, 2"))] for t in tables]  # noqa: S608


@asynccontextmanager
async def open_line(database: Database, redis_url: str, chosen: Settings = CONFIGURED) -> AsyncIterator[Line]:
    clock = FakeClock(datetime.now(UTC))
    templates: Any = Templates()  # Any: a book of another hand
    parts = {
        "callbacks": Callbacks(chosen, database, templates, clock),
        "wechat_subscriptions": WechatSubscriptions(
            database, templates, frozenset(chosen.wechat_message.long_term_templates.split())
        ),
    }
    async with open_rate_limits(settings.Redis(url=redis_url, prefix=f"test-{new_id()}")) as limits:
        app: Any = _app(parts, Gate(KEYRING, RevokedSessions(7200), limits, clock))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
            yield Line(client, database, clock)


def token_of(user: str, clock: FakeClock) -> str:
    key = KEYRING.derive(token.PURPOSE)
    return token.issue(key, user=user, session=new_id(), role="patient", now=clock.now(), life_s=86400)


def _app(parts: dict[str, object], gate: Gate) -> Litestar:
    def provide(part: object) -> Provide:
        return Provide(lambda: part, sync_to_thread=False)

    router = Router(
        "/api/v1",
        route_handlers=[*callback_api.handlers, *quota_api.handlers],
        guards=[build_guard(gate)],
        dependencies={
            **{name: provide(part) for name, part in parts.items()},
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
