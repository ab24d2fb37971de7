"""Thousands of people whose phones are away, every provider as a process of its own that misbehaves, and workers that are killed."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from hub.messaging.model import Kind
from hub.notices.notice_class import CLASSES, Step
from hub.notices.template_default import DEFAULTS
from hub.platform import settings
from hub.platform.embedded import Servers
from hub.platform.identifier import new_id
from hub.security import token
from hub.security.keyring import create_key_file, load_keyring
from tests.hub_process import ROOT, Helper, HubProcess
from tests.rfc8291 import base64url
from tests.standins import sms_aliyun, sms_tencent
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN
from tests.standins.weixin import APP_ID, APP_SECRET

ROOM = 50
CALLBACK_KEY = "短信回执的密钥-0123456789abcdef0123456789abcdef"
WECHAT_TEMPLATE = "chat-wechat"
SMS_TEMPLATE = "aliyun=SMS_1 tencent=2"

# Every hundredth answer is lost after the message was taken, every twentieth says no for now.
WEBPUSH_MOODS = [
    {"kind": "status", "status": 429, "retry_after": "1", "share": 0.02},
    {"kind": "status", "status": 503, "share": 0.03},
    {"kind": "mute", "share": 0.01},
    {"kind": "lost", "share": 0.01},
    {"kind": "silent", "share": 0.005},
]
WEIXIN_RATES = {"send": {"busy": 0.03, "http500": 0.01, "lost": 0.01, "cut": 0.01, "timeout": 0.005}}
SMS_CHANCES = {"throttled": 0.02, "busy": 0.01, "silent": 0.01, "lost": 0.01, "mute": 0.005}

_USERS = """
INSERT INTO users (id, phone, role, wechat_openid)
SELECT t.id, t.phone, 'patient', 'o-' || t.id FROM unnest($1::uuid[], $2::text[]) AS t(id, phone)
"""
_ADDRESSES = """
INSERT INTO notice_addresses (id, user_id, channel, value, extra)
SELECT gen_random_uuid(), t.user_id, 'webpush', t.endpoint, t.extra::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t(user_id, endpoint, extra)
"""
_QUOTAS = (
    "INSERT INTO wechat_quotas (openid, template, remaining) SELECT 'o-' || id, $2, 1 FROM unnest($1::uuid[]) AS id"
)
_ROOM = "INSERT INTO conversations (id, kind, created_by) VALUES ($1, $2, $3)"
_MEMBERS = "INSERT INTO members (conversation, user_id, role) SELECT $1, unnest($2::uuid[]), 'member'"
_CLASS = "INSERT INTO notice_classes (code, value, changed_by) VALUES ('chat', $1::jsonb, gen_random_uuid())"
_TEMPLATE = """
INSERT INTO notice_templates (code, channel, language, value, changed_by) VALUES ('chat', $1, 'zh', $2::jsonb, gen_random_uuid())
"""


@dataclass
class PushWorld:
    """The installation and its providers. `rooms`: conversation → its members, the doctor apart."""

    servers: Servers
    server: HubProcess
    workers: list[Helper]
    scheduler: Helper
    database: asyncpg.Pool
    http: httpx.AsyncClient
    standins: dict[str, str]
    chosen: settings.Settings
    doctor: str
    people: list[str]
    rooms: dict[str, list[str]] = field(default_factory=dict)

    def token(self, user: str, role: str) -> str:
        key = load_keyring(self.chosen).derive(token.PURPOSE)
        return token.issue(key, user=user, session=new_id(), role=role, now=datetime.now(UTC), life_s=7200)

    async def call(self, who: str, role: str, path: str, body: object) -> int:
        """Posted until the server has answered: what it says is committed."""
        headers = {"Authorization": f"Bearer {self.token(who, role)}"}
        answer = await self.http.post(f"{self.server.url}/api/v1{path}", json=body, headers=headers)
        return answer.status_code

    async def write(self, conversation: str) -> None:
        """The doctor says something in a room; the client id makes repeating it safe."""
        body = {"clientMsgId": f"chaos-{conversation}", "type": "text", "body": {"text": "请按时复诊"}}
        assert await self.call(self.doctor, "doctor", f"/conversations/{conversation}/entries", body) in (200, 201)

    async def read(self, conversation: str, user: str) -> None:
        """Somebody opens the conversation on another device."""
        assert await self.call(user, "patient", f"/conversations/{conversation}/read", {"seq": 1}) == 200

    async def received(self, name: str) -> list[dict[str, Any]]:
        """All that this provider has taken."""
        answer = (await self.http.get(f"{self.standins[name]}/__ctl/received")).json()
        return answer if isinstance(answer, list) else answer["received"]

    async def control(self, name: str, order: object) -> Any:
        return (await self.http.post(f"{self.standins[name]}/__ctl", json=order)).json()


@asynccontextmanager
async def open_push_world(folder: Path, servers: Servers, count: int, workers: int = 2) -> AsyncIterator[PushWorld]:
    """Everything running, `count` people in rooms, and nobody has said anything yet. The database is migrated."""
    create_key_file(folder / "keys.json")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        standins = {
            name: await stack.enter_async_context(_standin(module))
            for name, module in (("webpush", "webpush"), ("weixin", "weixin"), ("sms", "sms"))
        }
        environment = _environment(folder, servers, standins)
        database = await stack.enter_async_context(asyncpg.create_pool(servers.database_url, min_size=1, max_size=4))
        server = HubProcess(folder / "server.log", environment)
        stack.push_async_callback(server.kill)
        helpers = [Helper("work", folder / f"work-{number}.log", environment) for number in range(workers)]
        scheduler = Helper("schedule", folder / "schedule.log", environment)
        for helper in (*helpers, scheduler):
            stack.push_async_callback(helper.end)
        chosen = settings.load(None, environment)
        world = PushWorld(servers, server, helpers, scheduler, database, http, standins, chosen, new_id(), [])
        await _fill(world, count)
        await server.start()
        await server.until("/readyz")
        for helper in (*helpers, scheduler):
            await helper.start()
        await _misbehave(world)
        yield world


async def _misbehave(world: PushWorld) -> None:
    base = f"{world.server.url}/api/v1/callbacks"
    from channels.sms_receipt import callback_token

    callbacks = {name: f"{base}/sms/{name}/{callback_token(CALLBACK_KEY, name)}" for name in ("aliyun", "tencent")}
    await world.control("webpush", {"moods": WEBPUSH_MOODS, "latency_s": 0.03})
    wechat = {"rates": WEIXIN_RATES, "latency_s": 0.03, "default_quota": 1, "callback_url": f"{base}/wechat"}
    await world.control("weixin", wechat)
    sms = {"chances": SMS_CHANCES, "latency_s": 0.03, "receipt_s": 1.0, "callbacks": callbacks}
    await world.control("sms", sms)


async def _fill(world: PushWorld, count: int) -> None:
    pool = world.database
    world.people = [new_id() for _ in range(count)]
    subscriptions: list[dict[str, Any]] = []
    while len(subscriptions) < count:
        part = min(2000, count - len(subscriptions))
        answer = await world.http.post(f"{world.standins['webpush']}/__ctl/subscribe", params={"count": part})
        subscriptions += answer.json()
    first = 13_000_000_000 + secrets.randbelow(10**8)
    await pool.execute(_USERS, world.people, [str(first + number) for number in range(count)])
    await pool.execute("INSERT INTO users (id, role) VALUES ($1, 'doctor')", world.doctor)
    keys = [json.dumps({"p256dh": each["p256dh"], "auth": each["auth"]}) for each in subscriptions]
    await pool.execute(_ADDRESSES, world.people, [each["endpoint"] for each in subscriptions], keys)
    await pool.execute(_QUOTAS, world.people, WECHAT_TEMPLATE)
    for start in range(0, count, ROOM):
        room, members = new_id(), world.people[start : start + ROOM]
        await pool.execute(_ROOM, room, Kind.GROUP, world.doctor)
        await pool.execute(_MEMBERS, room, [world.doctor, *members])
        world.rooms[room] = members
    await _define(pool, 75 + count // 20)


async def _define(pool: asyncpg.Pool, expires_s: int) -> None:
    """A ladder whose steps come within seconds, and templates that the providers know."""
    ladder = [Step("webpush"), Step("wechat", after_s=3, unless="read"), Step("sms", after_s=8, unless="read")]
    chat = msgspec.structs.replace(
        CLASSES["chat"], grace_s=1, ladder=ladder, quiet="ignore", digest_s=0, expires_s=expires_s
    )
    await pool.execute(_CLASS, msgspec.json.encode(chat).decode())
    for channel, template in (("wechat", WECHAT_TEMPLATE), ("sms", SMS_TEMPLATE)):
        defined = msgspec.structs.replace(DEFAULTS["chat", channel, "zh"], provider_template=template)
        await pool.execute(_TEMPLATE, channel, msgspec.json.encode(defined).decode())


@asynccontextmanager
async def _standin(module: str) -> AsyncIterator[str]:
    """A provider as a process; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.standins.{module}",
        "--port",
        "0",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


def _environment(folder: Path, servers: Servers, standins: dict[str, str]) -> dict[str, str]:
    chosen = {
        "DATA__DIR": str(folder),
        "DATABASE__URL": servers.database_url,
        "REDIS__URL": servers.redis_url,
        "REDIS__PREFIX": folder.name,
        "NOTICES__SWEEP_S": "0.5",
        "NOTICES__LEASE_S": "6",
        "WEBPUSH__PRIVATE_KEY": base64url(b"\1" * 32),
        "WEBPUSH__SUBJECT": "mailto:ops@hub.health",
        "WEBPUSH__HOSTS": standins["webpush"],
        "WEBPUSH__TIMEOUT_S": "2",
        "WECHAT__APP_ID": APP_ID,
        "WECHAT__APP_SECRET": APP_SECRET,
        "WECHAT__BASE_URL": standins["weixin"],
        "WECHAT_MESSAGE__TOKEN": PUSH_TOKEN,
        "WECHAT_MESSAGE__AES_KEY": AES_KEY,
        "WECHAT_MESSAGE__TIMEOUT_S": "2",
        "ACCOUNTS__SMS_SENDER": "sms",
        "ACCOUNTS__SMS_TEMPLATE": SMS_TEMPLATE,
        "SMS__PROVIDERS": "aliyun tencent",
        "SMS__SIGN_NAME": sms_aliyun.SIGN_NAME,
        "SMS__TIMEOUT_S": "2",
        "SMS__ALIYUN_KEY_ID": sms_aliyun.KEY_ID,
        "SMS__ALIYUN_KEY_SECRET": sms_aliyun.KEY_SECRET,
        "SMS__ALIYUN_BASE_URL": standins["sms"],
        "SMS__TENCENT_SECRET_ID": sms_tencent.SECRET_ID,
        "SMS__TENCENT_SECRET_KEY": sms_tencent.SECRET_KEY,
        "SMS__TENCENT_APP_ID": sms_tencent.APP_ID,
        "SMS__TENCENT_BASE_URL": standins["sms"],
        "SMS__CALLBACK_KEY": CALLBACK_KEY,
        "SMS__PER_S": "2000",
    }
    return {f"HUB__{name}": value for name, value in chosen.items()}
