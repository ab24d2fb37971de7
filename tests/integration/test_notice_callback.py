"""Callbacks: only what a provider signed, freshly, for us is taken; once, however often it comes; and nothing bad is a fault of ours."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import structlog
from limits import RateLimitItemPerMinute

from channels.sms_receipt import callback_token
from channels.wechat_crypto import MessageCrypt
from hub.notices import callback_api
from hub.notices.callback import Callbacks, addresses
from hub.notices.callback_store import forget_callbacks
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import BadSettings, Settings
from tests.integration.callback_scene import CONFIGURED, SMS_KEY, TEMPLATE, WECHAT, WECOM, Line, open_line
from tests.standins.qyapi import CORP_ID
from tests.standins.tencent_server import AES_KEY, PUSH_TOKEN, seal, signature
from tests.standins.weixin import APP_ID

PLAIN = msgspec.structs.replace(
    CONFIGURED, wechat_message=msgspec.structs.replace(CONFIGURED.wechat_message, aes_key="")
)


@pytest_asyncio.fixture
async def line(database: Database, redis_url: str) -> AsyncIterator[Line]:
    async with open_line(database, redis_url) as opened:
        yield opened


def accepted(line: Line, openid: str) -> bytes:
    return line.weixin.content(
        "subscribe_msg_popup_event", openid, [{"TemplateId": TEMPLATE, "SubscribeStatusString": "accept"}]
    )


def signed(line: Line, **changed: str) -> dict[str, str]:
    """The query of plain mode."""
    stamp, nonce = str(int(line.clock.now().timestamp())), secrets.token_hex(8)
    query = {"timestamp": stamp, "nonce": nonce, "signature": signature(PUSH_TOKEN, stamp, nonce)}
    return query | changed


# The console's question


async def test_wechat_is_answered_with_what_it_asks(line: Line) -> None:
    """`echostr` comes back when the signature fits, and nothing when it does not, or when it could be a page."""
    true = await line.client.get(WECHAT, params=signed(line) | {"echostr": "7298374982374"})
    false = await line.client.get(WECHAT, params=signed(line, signature="0" * 40) | {"echostr": "7298374982374"})
    page = await line.client.get(WECHAT, params=signed(line) | {"echostr": "<script>"})

    assert (true.status_code, true.text) == (200, "7298374982374")
    assert true.headers["content-type"].startswith("text/plain")
    assert (false.status_code, false.text) == (401, "unauthorized")
    assert (page.status_code, page.text) == (400, "malformed")


async def test_wecom_is_answered_with_what_it_sealed(line: Line) -> None:
    """WeCom seals its question; what is sealed for another corporation is not answered."""
    stamp, nonce = str(int(line.clock.now().timestamp())), "n1"
    answers = []
    for receiver in (CORP_ID, "ww-other"):
        sealed = seal(b"1616140317555161061", AES_KEY, receiver)
        query = {"timestamp": stamp, "nonce": nonce, "echostr": sealed}
        query["msg_signature"] = signature(PUSH_TOKEN, stamp, nonce, sealed)
        answer = await line.client.get(WECOM, params=query)
        answers.append((answer.status_code, answer.text))

    assert answers == [(200, "1616140317555161061"), (403, "forbidden")]


# Taken once


@pytest.mark.parametrize("form", ["xml", "json"])
async def test_event_counts_once_however_often_it_comes(line: Line, form: str) -> None:
    """At once, again, and sealed anew: each time it is taken, and counted once."""
    line.weixin.event_format = form
    openid = new_id()
    content = accepted(line, openid)
    query, body = line.weixin.callback(content)
    answers = await asyncio.gather(*(line.post(WECHAT, query, body) for _ in range(5)))
    again = await line.tell(WECHAT, content)

    assert {*answers, again} == {(200, "success")}
    assert await line.quota(openid) == 1


async def test_what_is_not_sealed_is_refused(line: Line) -> None:
    """A signature of plain mode says nothing of the body."""
    openid = new_id()
    status, _ = await line.post(WECHAT, signed(line), accepted(line, openid))

    assert status in (400, 401)
    assert await line.quota(openid) is None


# Refused


def _sealed(line: Line, content: bytes, receiver: str = "", **changed: str) -> tuple[dict[str, str], bytes]:
    stamp, nonce = changed.get("timestamp", str(int(line.clock.now().timestamp()))), "n" + secrets.token_hex(4)
    sealed = seal(content, AES_KEY, receiver or line.receiver)
    query = {"timestamp": stamp, "nonce": nonce, "msg_signature": signature(PUSH_TOKEN, stamp, nonce, sealed)}
    return query | changed, f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode()


def _at(line: Line, seconds: int) -> str:
    return str(int(line.clock.now().timestamp()) + seconds)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>'
DEEP = b'{"a":' * 9000 + b"1" + b"}" * 9000
HOSTILE: dict[str, tuple[int, Callable[[Line, bytes], tuple[dict[str, str], bytes]]]] = {
    "another token": (401, lambda line, c: _sealed(line, c, msg_signature="f" * 40)),
    "no signature": (401, lambda line, c: _sealed(line, c, msg_signature="")),
    "not ASCII": (401, lambda line, c: _sealed(line, c, msg_signature="签名")),
    "another nonce": (401, lambda line, c: _sealed(line, c, nonce="x")),
    "stale": (401, lambda line, c: _sealed(line, c, timestamp=_at(line, -301))),
    "from the future": (401, lambda line, c: _sealed(line, c, timestamp=_at(line, 301))),
    "no time": (401, lambda line, c: _sealed(line, c, timestamp="昨天")),
    "another app": (403, lambda line, c: _sealed(line, c, receiver="wx-other")),
    "no body": (400, lambda line, c: (_sealed(line, c)[0], b"")),
    "not XML": (400, lambda line, c: (_sealed(line, c)[0], b"\xff\xfe")),
    "a bomb": (400, lambda line, c: (_sealed(line, c)[0], BOMB)),
    "a deep one": (400, lambda line, c: (_sealed(line, c)[0], DEEP[:60_000])),
    "a bomb inside": (400, lambda line, c: _sealed(line, BOMB)),
    "an external entity inside": (400, lambda line, c: _sealed(line, b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>')),
    "depth inside": (400, lambda line, c: _sealed(line, DEEP[:40_000])),
    "nobody's": (400, lambda line, c: _sealed(line, b"<xml><Event>a</Event></xml>")),
    "a NUL inside": (
        400,
        lambda line, c: _sealed(
            line,
            b'{"FromUserName":"o\\u0000","Event":"subscribe_msg_popup_event",'
            b'"List":{"TemplateId":"t","SubscribeStatusString":"accept"}}',
        ),
    ),
    "an endless number": (
        400,
        lambda line, c: _sealed(
            line, f"<xml><FromUserName>o</FromUserName><CreateTime>{'9' * 5000}</CreateTime></xml>".encode()
        ),
    ),
    "too large": (413, lambda line, c: (_sealed(line, c)[0], b"<xml>" + b"a" * 65_536)),
}


# To WeCom these are events that do not concern us.
EVERYWHERE = [(path, name) for path in (WECHAT, WECOM) for name in HOSTILE]
TRIED = [each for each in EVERYWHERE if each not in ((WECOM, "nobody's"), (WECOM, "an endless number"))]


@pytest.mark.parametrize(("path", "name"), TRIED, ids=lambda each: each.rsplit("/", 1)[-1])
async def test_callback_that_does_not_fit_changes_nothing(line: Line, path: str, name: str) -> None:
    """Refused in one word, not a row touched, and what came is not in the log."""
    status, send = HOSTILE[name]
    line.receiver = APP_ID if path == WECHAT else CORP_ID
    openid = new_id()
    before = await line.everything()
    query, body = send(line, accepted(line, openid))
    with structlog.testing.capture_logs() as logged:
        found, word = await line.post(path, query, body)

    assert found == status
    assert re.fullmatch("[a-z_]{5,20}", word)
    assert await line.everything() == before
    assert openid not in str(logged)
    assert [(each["event"], each["log_level"]) for each in logged] == (
        [("callback refused", "info")] if status != 413 else []
    )


async def test_unconfigured_callbacks_are_not_there(database: Database, redis_url: str) -> None:
    """Without token and key there is nobody whom to believe."""
    async with open_line(database, redis_url, Settings()) as line:
        answers = [
            (await line.client.request(method, path)).status_code
            for path in (WECHAT, WECOM)
            for method in ("GET", "POST")
        ]
        sms = await line.sms("aliyun", [])

        assert answers == [404] * 4
        assert sms[0] == 404


@pytest.mark.parametrize("section", ["wechat_message", "wecom"])
def test_key_that_opens_nothing_stops_the_start(database: Database, section: str) -> None:
    """And names itself, but not its value."""
    broken = msgspec.structs.replace(getattr(CONFIGURED, section), aes_key="太短的密钥")
    chosen = msgspec.structs.replace(CONFIGURED, **{section: broken})
    with pytest.raises(BadSettings, match=f"{section}.aes_key") as raised:
        Callbacks(chosen, database, None, None)  # type: ignore[arg-type]  # never asked

    assert "太短" not in str(raised.value)


async def test_flood_of_callbacks_is_refused(
    database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with the time to come back, in the providers' form."""
    monkeypatch.setitem(callback_api.tell_wechat.opt, "limit", RateLimitItemPerMinute(2, namespace="provider-callback"))
    async with open_line(database, redis_url) as line:
        answers = [await line.post(WECHAT, {}, b"") for _ in range(3)]

        assert answers[2] == (429, "rate_limited")


@pytest.mark.parametrize("kind", ["wechat", "wecom", "sms"])
async def test_database_that_is_away_is_told_as_such(line: Line, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """503, so that the provider tells again; then it is taken, as if nothing had been."""
    openid = new_id()
    content = {"wechat": accepted(line, openid), "wecom": pressed_xml("T", "zhangsan")}.get(kind, b"")

    async def tell() -> tuple[int, Any]:
        if kind == "sms":
            return await line.sms("aliyun", [{"success": True, "err_code": "DELIVERED", "biz_id": "1"}])
        return await line.tell(WECHAT if kind == "wechat" else WECOM, content)

    def away(*_: Any) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as broken:
        broken.setattr(type(line.engine), "begin", away)
        status, word = await tell()

    assert (status, word) == (503, "unavailable")
    assert (await tell())[0] == 200
    assert await line.quota(openid) == (1 if kind == "wechat" else None)


def pressed_xml(task: str, user: str, button: str = "acknowledge") -> bytes:
    return (
        f"<xml><ToUserName>{CORP_ID}</ToUserName><FromUserName>{user}</FromUserName><CreateTime>1</CreateTime>"
        f"<MsgType>event</MsgType><Event>template_card_event</Event><EventKey>{button}</EventKey><TaskId>{task}</TaskId></xml>"
    ).encode()


# SMS


@pytest.mark.parametrize(
    ("provider", "token", "status"),
    [
        ("aliyun", "x", 401),
        ("aliyun", "签名", 401),
        ("aliyun", callback_token(SMS_KEY, "tencent"), 401),
        ("tencent", callback_token("另一个密钥", "tencent"), 401),
        ("smtp", "x", 404),
    ],
)
async def test_receipts_are_taken_at_their_own_address_only(line: Line, provider: str, token: str, status: int) -> None:
    """Neither provider signs: the address is what only it knows."""
    answer = await line.client.post(f"/api/v1/callbacks/sms/{provider}/{token}", json=[])

    assert answer.status_code == status


BAD = [
    b"",
    b"{}",
    b"null",
    b'[{"success":1}]',
    b"[" * 5000,
    b'["x"]',
    b'[{"success":true}',
    b"\xff",
    b"[" + b"{}," * 2000 + b"{}]",
]


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
async def test_malformed_receipts_are_refused(line: Line, provider: str, body: bytes) -> None:
    """Never a fault of ours."""
    path = f"/api/v1/callbacks/sms/{provider}/{callback_token(SMS_KEY, provider)}"
    answer = await line.client.post(path, content=body)

    # One that lacks what it need not have is a receipt of nothing.
    assert answer.status_code == (200 if body == BAD[3] and provider == "aliyun" else 400)


async def test_large_receipts_are_refused_and_hostile_ids_are_nobodys(line: Line) -> None:
    """Half a megabyte is more than a thousand receipts."""
    path = f"/api/v1/callbacks/sms/aliyun/{callback_token(SMS_KEY, 'aliyun')}"
    large = await line.client.post(path, content=b" " * 524_289)
    report = {"success": True, "err_code": "\x00签", "biz_id": "\x00", "out_id": "' OR 1=1 --"}

    assert large.status_code == 413
    assert await line.sms("aliyun", [report]) == (200, {"code": 0, "msg": "OK"})


async def test_each_provider_hears_what_it_wants(line: Line) -> None:
    """Anything else, and it would tell again for ever."""
    assert await line.sms("aliyun", []) == (200, {"code": 0, "msg": "OK"})
    assert await line.sms("tencent", []) == (200, {"result": 0, "errmsg": "OK"})


# Forgetting


async def test_what_was_told_long_ago_is_forgotten(line: Line, database: Database) -> None:
    """After a week; what is younger stays, so that it cannot be told twice."""
    await line.pool.execute("DELETE FROM provider_callbacks")
    await line.pool.execute(
        """INSERT INTO provider_callbacks (provider, key, received_at)
           SELECT 'weixin', n::text, now() - interval '8 days' FROM generate_series(1, 2500) n"""
    )
    openid = new_id()
    await line.popup(openid)

    assert await forget_callbacks(database) == 2500
    assert await forget_callbacks(database) == 0
    assert await line.pool.fetchval("SELECT count(*) FROM provider_callbacks") == 1


def test_own_crypto_and_the_stand_ins_agree() -> None:
    """Two hands wrote it: what one seals the other opens."""
    crypt = MessageCrypt(PUSH_TOKEN, AES_KEY, APP_ID)
    sealed = seal("您好".encode(), AES_KEY, APP_ID)

    assert crypt.open(signature(PUSH_TOKEN, "1", "n", sealed), "1", "n", sealed, 1.0) == "您好".encode()


def test_token_without_a_key_stops_the_start(database: Database) -> None:
    """Plain mode is not taken by leaving the key out."""
    bare = msgspec.structs.replace(CONFIGURED.wechat_message, aes_key="")
    chosen = msgspec.structs.replace(CONFIGURED, wechat_message=bare)
    with pytest.raises(BadSettings, match=r"wechat_message\.aes_key"):
        Callbacks(chosen, database, None, None)  # type: ignore[arg-type]  # never asked


async def test_a_short_key_for_receipts_stops_the_start(database: Database) -> None:
    """It alone says who may tell of text messages: one that can be guessed is none. Its value is not told."""
    chosen = msgspec.structs.replace(CONFIGURED, sms=msgspec.structs.replace(CONFIGURED.sms, callback_key="短" * 31))
    with pytest.raises(BadSettings, match=r"sms\.callback_key") as raised:
        Callbacks(chosen, database, None, None)  # type: ignore[arg-type]  # never asked
    with pytest.raises(BadSettings, match=r"sms\.callback_key"):
        addresses(chosen)

    assert "短" not in str(raised.value)
