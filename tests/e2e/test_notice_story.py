"""The story of a message that nobody sees in time: server, worker and scheduler as processes, push services as stand-ins (P8, P9)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from clients.terminal.account import Account
from clients.terminal.client import HubClient
from hub.security.keyring import create_key_file
from tests.hub_process import Helper, HubProcess
from tests.rfc8291 import base64url
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN
from tests.standins.webpush import WebpushStandin, open_webpush_standin
from tests.standins.weixin import Weixin

GRACE_S = 3
TEMPLATE = "chat-template"
ADMIN, DOCTOR, PATIENT = "13840000001", "13820000001", "13800000001"
WAIT_S = 30.0

_PEOPLE = "INSERT INTO users (id, phone, name, role, wechat_openid) VALUES (gen_random_uuid(), $1, $2, $3, $4)"


@dataclass
class House:
    """An installation with its push services."""

    server: HubProcess
    database: asyncpg.Pool
    webpush: WebpushStandin
    weixin: Weixin
    http: httpx.AsyncClient

    async def sign_in(self, phone: str) -> Account:
        return await Account.sign_in(self.http, self.server.url, phone)


@pytest_asyncio.fixture
async def house(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[House]:
    create_key_file(tmp_path / "keys.json")
    async with (
        open_webpush_standin() as webpush,
        Weixin() as weixin,
        asyncpg.create_pool(database_url, min_size=1, max_size=2) as database,
        httpx.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        await database.executemany(
            _PEOPLE,
            [
                (ADMIN, "王管理", "admin", None),
                (DOCTOR, "李医生", "doctor", None),
                (PATIENT, "张三丰", "patient", "o-patient"),
            ],
        )
        environment = _environment(tmp_path, database_url, redis_url, webpush, weixin)
        server = HubProcess(tmp_path / "server.log", environment)
        helpers = [Helper(name, tmp_path / f"{name}.log", environment) for name in ("work", "schedule")]
        try:
            await asyncio.gather(server.start(), *(helper.start() for helper in helpers))
            await server.until("/readyz")
            weixin.callback_url = f"{server.url}/api/v1/callbacks/wechat"
            yield House(server, database, webpush, weixin, http)
        finally:
            await asyncio.gather(server.kill(), *(helper.end() for helper in helpers))


def _environment(
    folder: Path, database_url: str, redis_url: str, webpush: WebpushStandin, weixin: Weixin
) -> dict[str, str]:
    wechat = weixin.settings()
    chosen = {
        "DATA__DIR": str(folder),
        "DATABASE__URL": database_url,
        "REDIS__URL": redis_url,
        "REDIS__PREFIX": folder.name,
        "NOTICES__SWEEP_S": "0.2",
        "WEBPUSH__PRIVATE_KEY": base64url(b"\1" * 32),
        "WEBPUSH__SUBJECT": "mailto:ops@hub.health",
        "WEBPUSH__HOSTS": webpush.url,
        "WECHAT__APP_ID": wechat["app_id"],
        "WECHAT__APP_SECRET": wechat["app_secret"],
        "WECHAT__BASE_URL": wechat["base_url"],
        "WECHAT_MESSAGE__TOKEN": PUSH_TOKEN,
        "WECHAT_MESSAGE__AES_KEY": AES_KEY,
    }
    return {f"HUB__{name}": value for name, value in chosen.items()}


async def until(find: Callable[[], Awaitable[Any]]) -> Any:
    """What is found, as soon as it is something."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await find()):  # noqa: ASYNC110  other processes change it: nothing wakes us
            await asyncio.sleep(0.05)
        return found


async def prepare(house: House) -> tuple[Account, Account, Account, str]:
    """Admin, doctor, patient, and the conversation of the latter two; the patient's phone takes web push and WeChat."""
    admin, doctor, patient = [await house.sign_in(phone) for phone in (ADMIN, DOCTOR, PATIENT)]
    chat = await admin.get("/admin/notice-classes/chat")
    await admin.signed("PUT", "/admin/notice-classes/chat", _wanted(chat, graceS=GRACE_S))
    [held] = await admin.get("/admin/notice-templates?code=chat&channel=wechat&language=zh")
    await admin.signed("PUT", "/admin/notice-templates/chat/wechat/zh", _wanted(held, providerTemplate=TEMPLATE))
    subscription = house.webpush.subscribe((await patient.get("/webpush/key"))["publicKey"])
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    await patient.post("/users/me/push-subscriptions", {"endpoint": subscription.endpoint, "keys": keys})
    assert await house.weixin.event("popup", "o-patient", {TEMPLATE: "accept"}) == 200
    created = await doctor.post("/conversations", {"kind": "direct", "members": [patient.user["id"]]})
    return admin, doctor, patient, str(created["id"])


@pytest.mark.timeout(120)
async def test_message_nobody_sees_reaches_push_and_wechat_and_is_withdrawn_when_it_is_read(house: House) -> None:
    """P8, P9: within the grace nothing; then both; the patient opens the console, and the rest of the ladder is cancelled."""
    admin, doctor, patient, conversation = await prepare(house)
    async with HubClient(doctor) as writer:
        ack = await writer.send(conversation, {"text": "血压偏高，请今晚再量一次"})
        await until(lambda: _count(house.webpush.received, 1))
        await until(lambda: _count(house.weixin.shown, 1))

    tag = conversation.replace("-", "")
    assert house.webpush.received[0].payload["tag"] == tag
    assert "血压" not in f"{house.webpush.received[0].payload} {house.weixin.shown}"
    late_s = house.webpush.received[0].at - _unix(ack.at)
    assert late_s >= GRACE_S
    [notice] = (await admin.get(f"/admin/notices?user={patient.user['id']}"))["items"]
    assert notice["state"] == "open"

    async with HubClient(patient) as console:
        await until(lambda: _held(console, conversation, ack.seq))
        await console.read(conversation)
        await until(lambda: _count(house.webpush.received, 2))
    story = await until(lambda: _story(admin, notice["id"], "seen"))

    assert house.webpush.received[1].payload == {"type": "withdraw", "tag": tag}
    states = {each["channel"]: [call["state"] for call in each["attempts"]] for each in story["steps"]}
    assert story["socket"]["state"] == "seen"
    assert states["webpush"] == ["accepted"]
    assert states["wechat"] in (["accepted"], ["delivered"])
    assert states["sms"] == []
    assert story["seen"]["at"] is not None
    assert await house.database.fetchval("SELECT next_at FROM notices WHERE id = $1", notice["id"]) is None


def _wanted(held: dict[str, Any], **changed: Any) -> dict[str, Any]:  # Any: JSON
    """What was shown, as it is sent back."""
    apart = ("code", "channel", "language", "changed", "off")
    return {name: value for name, value in held.items() if name not in apart} | changed


async def _count(found: list[Any], least: int) -> bool:
    return len(found) >= least


async def _held(console: HubClient, conversation: str, seq: int) -> bool:
    return console.view.log(conversation).cursor >= seq


async def _story(admin: Account, notice: str, state: str) -> Any:
    story = await admin.get(f"/admin/notices/{notice}")
    return story if story["notice"]["state"] == state else None


def _unix(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
