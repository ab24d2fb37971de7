"""Signing in by SMS code and by WeChat: codes are single-use and limited, refusals are clear, and the first sign-in registers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
import pytest_asyncio
import sqlalchemy as sa
from structlog.testing import capture_logs

from hub.accounts.actions import ensure_user, people
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.accounts_app import Hub, open_hub
from tests.standins.wechat import WechatStandin

_phones = count(13900000000)


@pytest.fixture
def phone() -> str:
    return str(next(_phones))


@pytest.fixture
def wechat() -> Iterator[WechatStandin]:
    with WechatStandin() as running:
        yield running


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str, wechat: WechatStandin) -> AsyncIterator[Hub]:
    async with open_hub(database, redis_url, wechat.url) as opened:
        yield opened


async def ask(hub: Hub, phone: str, scene: str = "login") -> str:
    sent = await hub.call("POST", "/auth/sms-code", json={"phone": phone, "scene": scene})
    code: str = sent["devCode"]
    return code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_the_first_sign_in_registers_a_patient(hub: Hub, phone: str) -> None:
    """The answer has the contract's fields, the token works, and a second sign-in is the same person."""
    sent = await hub.call("POST", "/auth/sms-code", json={"phone": phone, "scene": "register"})
    login = await hub.call("POST", "/users/register", json={"phone": phone, "code": sent["devCode"]})

    assert set(login) == {"token", "refreshToken", "expiresIn", "user"}
    assert (sent["expiresIn"], login["expiresIn"]) == (300, 7200)
    user = login["user"]
    assert set(user) == {"id", "name", "phone", "avatar", "role", "membershipLevel"}
    assert (user["phone"], user["role"], user["membershipLevel"]) == (phone, "patient", "basic")
    assert await hub.call("GET", "/users/me", token=login["token"]) == user
    assert (await hub.login(phone))["user"] == user


async def test_a_code_is_good_once(hub: Hub, phone: str) -> None:
    """Two who present it at the same time are one sign-in and one refusal."""
    login = {"phone": phone, "code": await ask(hub, phone)}
    responses = await asyncio.gather(*(hub.client.post("/api/v1/users/login", json=login) for _ in range(4)))

    assert sorted(response.status_code for response in responses) == [200, 401, 401, 401]
    assert (await hub.call("POST", "/auth/login", 401, json=login))["type"] == "code_wrong"


async def test_a_code_is_void_after_too_many_guesses(hub: Hub, phone: str) -> None:
    """Five wrong tries, and the right one no longer helps."""
    code = await ask(hub, phone)
    for _ in range(5):
        refused = await hub.call("POST", "/auth/login", 401, json={"phone": phone, "code": wrong(code)})
        assert refused["fields"] == {"code": "验证码错误或已失效"}

    await hub.call("POST", "/auth/login", 401, json={"phone": phone, "code": code})


async def test_a_code_is_void_after_its_time_and_after_a_newer_one(hub: Hub, phone: str) -> None:
    """Only the newest code counts, for five minutes."""
    first, second = await ask(hub, phone), await ask(hub, phone)
    if first != second:
        await hub.call("POST", "/auth/login", 401, json={"phone": phone, "code": first})
    await hub.clock.advance(300)

    await hub.call("POST", "/auth/login", 401, json={"phone": phone, "code": second})


async def test_a_code_for_another_scene_does_not_sign_in(hub: Hub, phone: str) -> None:
    """A code sent for a reset proves nothing else."""
    code = await ask(hub, phone, "reset")

    await hub.call("POST", "/auth/login", 401, json={"phone": phone, "code": code})


async def test_codes_are_stored_hashed(hub: Hub, phone: str, database: Database) -> None:
    """Who reads the table cannot sign in with what is there."""
    code = await ask(hub, phone)
    row = await database.log.fetchrow("SELECT * FROM sms_codes WHERE phone = $1", phone)

    assert row is not None
    assert code not in str(dict(row))
    assert len(row["code_hash"]) == 32


async def test_codes_for_one_phone_are_limited_by_minute_and_hour(hub: Hub, phone: str) -> None:
    """Three in a minute, six in an hour; the refusal says when to come back, and then it works again."""
    for _ in range(3):
        await ask(hub, phone)
    response = await hub.client.post("/api/v1/auth/sms-code", json={"phone": phone, "scene": "login"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")
    await hub.clock.advance(60)
    for _ in range(3):
        await ask(hub, phone)
    await hub.clock.advance(60)
    response = await hub.client.post("/api/v1/auth/sms-code", json={"phone": phone, "scene": "login"})

    assert (response.status_code, response.headers["retry-after"]) == (429, str(3600 - 120))
    await hub.clock.advance(3600 - 120)
    await ask(hub, phone)


async def test_the_limit_holds_for_requests_at_the_same_time(hub: Hub, phone: str) -> None:
    """Two nodes cannot both send the last allowed code."""
    wanted = {"phone": phone, "scene": "login"}
    responses = await asyncio.gather(*(hub.client.post("/api/v1/auth/sms-code", json=wanted) for _ in range(8)))

    assert sorted(response.status_code for response in responses) == [200] * 3 + [429] * 5


async def test_codes_from_one_address_are_limited(database: Database, redis_url: str) -> None:
    """One address cannot text the whole town."""
    chosen = settings.Accounts(codes_per_address_hour=2)
    await database.log.execute("DELETE FROM sms_codes")
    async with open_hub(database, redis_url, chosen=chosen) as hub:
        for _ in range(2):
            await ask(hub, str(next(_phones)))
        refused = await hub.call("POST", "/auth/sms-code", 429, json={"phone": str(next(_phones)), "scene": "login"})

    assert refused["type"] == "rate_limited"
    await database.log.execute("DELETE FROM sms_codes")


@pytest.mark.parametrize(
    ("path", "sent", "field"),
    [
        ("/auth/sms-code", {"phone": "12345", "scene": "login"}, "phone"),
        ("/auth/sms-code", {"phone": "13800138000", "scene": "pay"}, "scene"),
        ("/auth/sms-code", {"phone": "13800138000"}, "scene"),
        ("/auth/sms-code", {"phone": 13800138000, "scene": "login"}, "phone"),
        ("/auth/login", {"phone": "13800138000", "code": "12345"}, "code"),
        ("/auth/login", {"phone": "13800138000", "code": "123456", "role": "admin"}, "role"),
        ("/auth/refresh", {"refreshToken": ""}, "refreshToken"),
        ("/auth/wechat", {}, "code"),
    ],
)
async def test_bad_input_is_refused_naming_the_field(hub: Hub, path: str, sent: dict[str, object], field: str) -> None:
    """400, and which field it was (P14)."""
    refused = await hub.call("POST", path, 400, json=sent)

    assert list(refused["fields"]) == [field]


async def test_a_suspended_person_cannot_sign_in(hub: Hub, phone: str, database: Database) -> None:
    """The refusal says why; the code is kept, so that it still works when the mistake is corrected."""
    await hub.login(phone)
    code = await ask(hub, phone)
    await database.log.execute("UPDATE users SET status = 'suspended' WHERE phone = $1", phone)
    refused = await hub.call("POST", "/auth/login", 403, json={"phone": phone, "code": code})
    assert refused["type"] == "forbidden"
    await database.log.execute("UPDATE users SET status = 'active' WHERE phone = $1", phone)

    await hub.call("POST", "/auth/login", json={"phone": phone, "code": code})


async def test_a_person_from_wechat_is_the_same_at_each_sign_in(hub: Hub, wechat: WechatStandin) -> None:
    """Known by openid, without a phone; a used code is refused."""
    openid = new_id()
    code = wechat.code_for(openid)
    first = await hub.call("POST", "/auth/wechat", json={"code": code})
    second = await hub.call("POST", "/auth/wechat", json={"code": wechat.code_for(openid)})

    assert first["user"] == second["user"]
    assert first["user"]["phone"] is None
    assert (await hub.call("POST", "/auth/wechat", 401, json={"code": code}))["type"] == "code_wrong"
    wechat.mood = "busy"
    assert (await hub.call("POST", "/auth/wechat", 502, json={"code": "x"}))["type"] == "upstream"


async def test_oneself_can_be_changed(hub: Hub, phone: str) -> None:
    """Name and avatar, each alone; a role cannot be given to oneself."""
    token = (await hub.login(phone))["token"]

    assert (await hub.call("PATCH", "/users/me", token=token, json={"name": "张三"}))["name"] == "张三"
    changed = await hub.call("PATCH", "/users/me", token=token, json={"avatar": "https://a.example/b.png"})
    assert (changed["name"], changed["avatar"]) == ("张三", "https://a.example/b.png")
    assert await hub.call("PATCH", "/users/me", token=token, json={}) == changed
    refused = await hub.call("PATCH", "/users/me", 400, token=token, json={"role": "admin"})
    assert list(refused["fields"]) == ["role"]
    refused = await hub.call("PATCH", "/users/me", 400, token=token, json={"name": ""})
    assert list(refused["fields"]) == ["name"]


async def test_signing_in_leaves_no_phone_in_the_log(hub: Hub, phone: str) -> None:
    """Not even in development, where the code is printed."""
    with capture_logs() as logs:
        await hub.login(phone)

    assert phone not in str(logs)


async def test_a_seeded_person_keeps_the_name_and_gets_the_role(database: Database, phone: str) -> None:
    """Seeding twice changes nothing; who is asked for is described to others."""
    async with database.transaction() as connection:
        first = await ensure_user(connection, phone=phone, name="李医生", role="doctor")
        second = await ensure_user(connection, phone=phone, name="Other", role="staff")
        found = await people(connection, [first, new_id()])

    assert first == second
    assert [(person.name, person.role) for person in found.values()] == [("李医生", "staff")]
    assert list(found) == [first]


async def test_people_of_nobody_are_nobody(database: Database) -> None:
    """An empty question costs nothing and answers nothing."""
    async with database.transaction() as connection:
        assert await people(connection, []) == {}
        assert await connection.scalar(sa.text("SELECT 1")) == 1
