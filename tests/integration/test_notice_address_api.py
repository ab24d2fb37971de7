"""Where people are reached, over HTTP: browsers, WeCom and mailboxes; nobody is reached where somebody else is."""

import asyncio
import base64
import io
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.port import Bucket, Message, Outcome, Verdict
from hub.notices.address import (
    CODE_LIFE,
    CODE_TRIES,
    CODES_PER_ADDRESS_HOUR,
    CODES_PER_EMAIL_HOUR,
    CODES_PER_PAIR_HOUR,
    PUSH_MOST,
)
from hub.notices.email_code import build_email_codes
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

Json = dict[str, Any]
PUSH, EMAIL, MINE = "/users/me/push-subscriptions", "/users/me/email", "/users/me/notice-addresses"
RAW_KEY = base64.urlsafe_b64encode((7).to_bytes(32, "big")).decode().rstrip("=")


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    chosen = settings.Settings(webpush=settings.Webpush(private_key=RAW_KEY, subject="mailto:ops@hub.example.com"))
    async with open_core(database, redis_url, chosen) as opened:
        yield opened


def keys() -> Json:
    """As a browser makes them."""
    point = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"p256dh": _encoded(point), "auth": _encoded(secrets.token_bytes(16))}


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def endpoint() -> str:
    return f"https://fcm.googleapis.com/fcm/send/{secrets.token_urlsafe(12)}"


async def sign_in(hub: CoreHub, phone: str | None = None) -> tuple[Caller, str]:
    """Somebody through the front door, so that there is a session; and its refresh token."""
    phone = phone or f"137{secrets.randbelow(10**8):08d}"
    sent = await hub.call(None, "POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
    found = await hub.call(None, "POST", "/auth/login", json={"phone": phone, "code": sent["devCode"]})
    return Caller(found["user"]["id"], found["token"], phone), found["refreshToken"]


async def subscribe(hub: CoreHub, who: Caller, at: str, status: int = 200, **changed: Any) -> Any:
    return await hub.call(who, "POST", PUSH, status, json={"endpoint": at, "keys": keys()} | changed)


async def mine(hub: CoreHub, who: Caller, channel: str) -> list[Json]:
    return [each for each in await hub.call(who, "GET", MINE) if each["channel"] == channel]


async def rows(hub: CoreHub, value: str) -> list[tuple[str, str | None]]:
    """Who had it, and why no more, in the order of time."""
    found = await hub.ground.database.log.fetch(
        "SELECT user_id::text, gone_why FROM notice_addresses WHERE value = $1 ORDER BY id", value
    )
    return [tuple(row) for row in found]


async def test_a_browser_is_pushed_to_while_it_is_signed_in(hub: CoreHub) -> None:
    """It sees itself in the list, without its secret address; after signing out it is not there any more."""
    who, refresh = await sign_in(hub)
    same, _ = await sign_in(hub, who.phone)
    at = endpoint()
    await subscribe(hub, who, at)
    seen, elsewhere = await mine(hub, who, "webpush"), await mine(hub, same, "webpush")
    await hub.call(None, "POST", "/auth/logout", json={"refreshToken": refresh})

    assert [(each["value"], each["current"]) for each in seen] == [("fcm.googleapis.com", True)]
    assert [each["current"] for each in elsewhere] == [False]
    assert await mine(hub, same, "webpush") == []
    assert (await subscribe(hub, who, at, 401))["type"] == "unauthorized"


async def test_registering_again_renews_it(hub: CoreHub) -> None:
    """With the keys and the session of the last time; it stays one."""
    who, _ = await sign_in(hub)
    at, fresh = endpoint(), keys()
    await subscribe(hub, who, at)
    first = await mine(hub, who, "webpush")
    later, _ = await sign_in(hub, who.phone)
    await subscribe(hub, later, at, keys=fresh, expirationTime=None)
    kept = await hub.ground.database.log.fetchval("SELECT extra FROM notice_addresses WHERE value = $1", at)

    assert [each["id"] for each in await mine(hub, later, "webpush")] == [first[0]["id"]]
    assert (await mine(hub, later, "webpush"))[0]["current"]
    assert kept == fresh


async def test_the_newest_person_has_a_browser_alone(hub: CoreHub) -> None:
    """A shared device: what is meant for who used it before does not appear on it."""
    before, _ = await sign_in(hub)
    after, _ = await sign_in(hub)
    at, browser = endpoint(), keys()
    await subscribe(hub, before, at, keys=browser)
    await subscribe(hub, after, at, keys=browser)
    await hub.call(before, "DELETE", PUSH, json={"endpoint": at})

    assert await rows(hub, at) == [(before.id, "rebound"), (after.id, None)]
    assert await mine(hub, before, "webpush") == []
    assert len(await mine(hub, after, "webpush")) == 1


async def test_one_browser_registered_by_many_at_once_is_one_persons(hub: CoreHub) -> None:
    """Whoever came last; nobody is refused."""
    people = [(await sign_in(hub))[0] for _ in range(5)]
    at, browser = endpoint(), keys()
    await asyncio.gather(*(subscribe(hub, who, at, keys=browser) for who in people for _ in range(2)))

    assert [why for _, why in await rows(hub, at)].count(None) == 1
    assert len([each for who in people for each in await mine(hub, who, "webpush")]) == 1


async def test_an_endpoint_without_its_browser_takes_nothing_from_anybody(hub: CoreHub) -> None:
    """Another person on the same browser brings its keys; who only knows the endpoint cannot."""
    owner, other = (await sign_in(hub))[0], (await sign_in(hub))[0]
    at, browser = endpoint(), keys()
    await subscribe(hub, owner, at, keys=browser)
    for forged in (keys(), browser | {"auth": keys()["auth"]}, browser | {"p256dh": keys()["p256dh"]}):
        refused = await subscribe(hub, other, at, 409, keys=forged)
        assert refused["fields"] == {"endpoint": "此浏览器已由他人登记"}
    kept = await hub.ground.database.log.fetchval("SELECT extra FROM notice_addresses WHERE value = $1", at)

    assert await rows(hub, at) == [(owner.id, None)]
    assert kept == browser


async def test_a_session_that_expired_has_ended(hub: CoreHub) -> None:
    """As one that was signed out: its browsers are not listed, it registers none, and of too many they go first."""
    who, _ = await sign_in(hub)
    expired, _ = await sign_in(hub, who.phone)
    places = [endpoint() for _ in range(PUSH_MOST + 1)]
    for at in places[:-2]:
        await subscribe(hub, who, at)
    await subscribe(hub, expired, places[-2])
    await expire_session(hub, places[-2])
    seen = await mine(hub, who, "webpush")
    refused = await subscribe(hub, expired, endpoint(), 401)
    await subscribe(hub, who, places[-1])

    assert len(seen) == PUSH_MOST - 1
    assert refused["type"] == "unauthorized"
    assert await rows(hub, places[-2]) == [(who.id, "crowded")]
    assert await rows(hub, places[0]) == [(who.id, None)]


async def expire_session(hub: CoreHub, at: str) -> None:
    """Of whoever registered this browser."""
    await hub.ground.database.log.execute(
        "UPDATE sessions SET expires_at = clock_timestamp() - interval '1 second'"
        " WHERE id = (SELECT session_id FROM notice_addresses WHERE value = $1)",
        at,
    )


async def test_a_browser_may_be_taken_away_again(hub: CoreHub) -> None:
    """Twice is as good as once."""
    who, _ = await sign_in(hub)
    at = endpoint()
    await subscribe(hub, who, at)
    await hub.call(who, "DELETE", PUSH, json={"endpoint": at})
    await hub.call(who, "DELETE", PUSH, json={"endpoint": at})

    assert await rows(hub, at) == [(who.id, "removed")]


async def test_of_too_many_browsers_the_oldest_goes(hub: CoreHub) -> None:
    """Twenty are kept, the newest among them."""
    who, _ = await sign_in(hub)
    places = [endpoint() for _ in range(PUSH_MOST + 1)]
    for at in places:
        await subscribe(hub, who, at)

    assert len(await mine(hub, who, "webpush")) == PUSH_MOST
    assert await rows(hub, places[0]) == [(who.id, "crowded")]
    assert await rows(hub, places[-1]) == [(who.id, None)]


@pytest.mark.parametrize(
    "at",
    [
        "https://127.0.0.1/push",
        "http://fcm.googleapis.com/fcm/send/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://169.254.169.254/latest/meta-data",
        "https://fcm.googleapis.com@localhost/x",
        "file:///etc/passwd",
        "",
    ],
)
async def test_an_endpoint_that_points_elsewhere_is_refused(hub: CoreHub, at: str) -> None:
    """Only the push services of the settings are ever asked, or anybody could make the hub call inside."""
    who, _ = await sign_in(hub)

    assert (await subscribe(hub, who, at, 400))["fields"].keys() == {"endpoint"}
    assert await rows(hub, at) == []


async def test_keys_that_no_browser_makes_are_refused(hub: CoreHub) -> None:
    """A point of P-256 in 65 bytes, and 16 bytes; nothing could be encrypted with others."""
    who, _ = await sign_in(hub)
    for changed, field in (
        ({"p256dh": _encoded(b"\x04" + b"\x00" * 64)}, "keys.p256dh"),
        ({"p256dh": _encoded(b"\x02" * 33)}, "keys.p256dh"),
        ({"auth": _encoded(b"1" * 15)}, "keys.auth"),
        ({"auth": "中文"}, "keys.auth"),
        ({"more": "x"}, "keys.more"),
    ):
        refused = await subscribe(hub, who, endpoint(), 400, keys=keys() | changed)
        assert refused["fields"].keys() == {field}


async def test_everybody_may_have_the_public_key(hub: CoreHub, database: Database, redis_url: str) -> None:
    """Derived from the private one; where there is none, web push is said to be off."""
    found = await hub.call(None, "GET", "/webpush/key")
    point = base64.urlsafe_b64decode(found["publicKey"] + "=")
    async with open_core(database, redis_url) as off:
        assert (await off.call(None, "GET", "/webpush/key", 404))["type"] == "not_found"

    assert (len(point), point[0]) == (65, 4)


async def bind(hub: CoreHub, who: Caller, person: Caller, name: str, status: int = 200) -> Any:
    return await hub.call(who, "PUT", f"/admin/users/{person.id}/wecom", status, json={"userId": name})


async def test_admins_say_who_is_who_at_wecom(hub: CoreHub) -> None:
    """Masked for the person, audited for them without the account; another one replaces it, in whatever case."""
    admin, person = await hub.person("admin"), await hub.person("doctor")
    name = f"Zhang{secrets.token_hex(4)}x"
    for each in ("LiSi" + name, name.upper(), name):
        await bind(hub, admin, person, each)
    seen = await mine(hub, person, "wecom")
    for _ in range(2):
        await hub.call(admin, "DELETE", f"/admin/users/{person.id}/wecom")

    assert [each["value"] for each in seen] == ["Z***x"]
    assert await mine(hub, person, "wecom") == []
    assert await rows(hub, "LiSi" + name) == await rows(hub, name.upper()) == [(person.id, "replaced")]
    assert await rows(hub, name) == [(person.id, "removed")]
    assert sorted(await audited(hub, admin)) == [(person.id, "wecom bound")] * 3 + [(person.id, "wecom removed")]


async def audited(hub: CoreHub, actor: Caller) -> list[tuple[str, str]]:
    """Whose addresses they changed, and how."""
    found = await hub.ground.database.log.fetch(
        "SELECT person::text, subject FROM audit_log WHERE actor = $1 AND action = 'notice_address.changed'", actor.id
    )
    return [tuple(row) for row in found]


async def test_an_account_at_wecom_is_taken_from_nobody(hub: CoreHub) -> None:
    """Whoever holds it loses it first, and that is audited for them; in another case it is the same account."""
    admin, holder, other = await hub.person("admin"), await hub.person("doctor"), await hub.person("doctor")
    name, before = f"Zhang{secrets.token_hex(4)}", f"LiSi{secrets.token_hex(4)}"
    await bind(hub, admin, holder, name)
    await bind(hub, admin, other, before)
    for same in (name, name.upper()):
        refused = await bind(hub, admin, other, same, 409)
        assert refused["fields"] == {"userId": "此企业微信账号已绑定他人，请先解除原绑定"}
    kept = [await rows(hub, name), await rows(hub, before)]
    await hub.call(admin, "DELETE", f"/admin/users/{holder.id}/wecom")
    await bind(hub, admin, other, name)

    assert kept == [[(holder.id, None)], [(other.id, None)]]
    assert await rows(hub, name) == [(holder.id, "removed"), (other.id, None)]
    assert sorted(await audited(hub, admin)) == sorted(
        [(holder.id, "wecom bound"), (holder.id, "wecom removed")] + [(other.id, "wecom bound")] * 2
    )


async def test_an_account_at_wecom_bound_by_many_at_once_is_one_persons(hub: CoreHub) -> None:
    """The first; the others are refused."""
    admin, name = await hub.person("admin"), f"Zhang{secrets.token_hex(4)}"
    paths = [f"/admin/users/{(await hub.person('doctor')).id}/wecom" for _ in range(5)]
    headers = {"Authorization": f"Bearer {admin.token}"}
    answers = await asyncio.gather(
        *(hub.client.put(f"/api/v1{path}", json={"userId": name}, headers=headers) for path in paths)
    )

    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize("role", ["staff", "doctor", "companion", "patient"])
async def test_others_bind_nobody_at_wecom(hub: CoreHub, role: str) -> None:
    """Nor staff: with their own account bound to a doctor they would get the doctor's alerts, and answer them."""
    doctor, who, admin = await hub.person("doctor"), await hub.person(role), await hub.person("admin")
    name = f"Zhang{secrets.token_hex(4)}"
    await bind(hub, admin, doctor, name)
    await bind(hub, who, doctor, f"Wang{secrets.token_hex(4)}", 403)
    await hub.call(who, "DELETE", f"/admin/users/{doctor.id}/wecom", 403)

    assert await rows(hub, name) == [(doctor.id, None)]
    assert await audited(hub, who) == []


async def test_what_is_nobody_or_no_account_is_not_bound_at_wecom(hub: CoreHub) -> None:
    """There is nothing to bind to a person who does not exist, or with a name that is none."""
    admin, doctor = await hub.person("admin"), await hub.person("doctor")
    await hub.call(admin, "PUT", f"/admin/users/{new_id()}/wecom", 404, json={"userId": "zhangsan"})
    await hub.call(admin, "DELETE", "/admin/users/nobody/wecom", 404)

    assert (await bind(hub, admin, doctor, "a|b", 400))["fields"].keys() == {"userId"}


async def ask(hub: CoreHub, who: Caller, email: str, status: int = 200) -> Any:
    return await hub.call(who, "POST", EMAIL, status, json={"email": email})


async def confirm(hub: CoreHub, who: Caller, code: str, status: int = 200) -> Any:
    return await hub.call(who, "POST", f"{EMAIL}/confirm", status, json={"code": code})


def mailbox() -> str:
    return f"li{secrets.token_hex(4)}@example.com"


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_a_mailbox_is_reached_once_its_code_came_back(hub: CoreHub) -> None:
    """Not before: nobody is written to because somebody else named them."""
    who, email = await hub.person(), mailbox()
    sent = await ask(hub, who, email.upper())
    unproven = await mine(hub, who, "email")
    await confirm(hub, who, sent["devCode"])
    proven = await mine(hub, who, "email")
    await confirm(hub, who, sent["devCode"], 400)
    await hub.call(who, "DELETE", EMAIL)

    assert (unproven, sent["expiresIn"]) == ([], 600)
    assert [each["value"] for each in proven] == ["l***@example.com"]
    assert await rows(hub, email) == [(who.id, "removed")]


async def test_a_mailbox_is_the_last_persons_who_proved_it(hub: CoreHub) -> None:
    """And a person has one."""
    before, after, email, second = await hub.person(), await hub.person(), mailbox(), mailbox()
    for who, address in ((before, email), (after, email), (after, second)):
        await confirm(hub, who, (await ask(hub, who, address))["devCode"])
        await hub.clock.advance(60)

    assert await rows(hub, email) == [(before.id, "rebound"), (after.id, "replaced")]
    assert await rows(hub, second) == [(after.id, None)]


async def test_a_code_is_good_for_its_person_for_a_while_and_a_few_tries(hub: CoreHub) -> None:
    """And a newer one voids it."""
    who, other = await hub.person(), await hub.person()
    first = (await ask(hub, who, mailbox()))["devCode"]
    await confirm(hub, other, first, 400)
    second = (await ask(hub, who, mailbox()))["devCode"]
    if first != second:
        await confirm(hub, who, first, 400)
    await hub.clock.advance(CODE_LIFE.total_seconds())
    late = await confirm(hub, who, second, 400)
    third = (await ask(hub, who, mailbox()))["devCode"]
    for _ in range(CODE_TRIES):
        await confirm(hub, who, other_than(third), 400)
    await confirm(hub, who, third, 400)

    assert late["fields"] == {"code": "验证码错误或已失效"}
    assert await mine(hub, who, "email") == []


async def test_codes_are_not_sent_without_end(hub: CoreHub) -> None:
    """By one person: neither at once nor in an hour, and fewer to the same mailbox."""
    who, email = await hub.person(), mailbox()
    for _ in range(2):
        await ask(hub, who, email)
    at_once = await ask(hub, who, mailbox(), 429)
    for _ in range(CODES_PER_PAIR_HOUR - 2):
        await hub.clock.advance(61)
        await ask(hub, who, email)
    await hub.clock.advance(61)
    again = await ask(hub, who, email, 429)
    for _ in range(6 - CODES_PER_PAIR_HOUR):
        await hub.clock.advance(61)
        await ask(hub, who, mailbox())
    await hub.clock.advance(61)
    hourly = await ask(hub, who, mailbox(), 429)

    assert {each["type"] for each in (at_once, again, hourly)} == {"rate_limited"}


async def test_a_few_who_ask_for_a_mailbox_do_not_lock_its_owner_out(hub: CoreHub) -> None:
    """But there is an end to what one mailbox is sent: it may be somebody's who knows nothing of this."""
    owner, email = await hub.person(), mailbox()
    for _ in range(CODES_PER_EMAIL_HOUR - 1):
        await ask(hub, await hub.person(), email)
    await confirm(hub, owner, (await ask(hub, owner, email))["devCode"])

    assert CODES_PER_EMAIL_HOUR >= 4 * 6
    assert len(await mine(hub, owner, "email")) == 1
    assert (await ask(hub, await hub.person(), email, 429))["type"] == "rate_limited"


async def test_many_accounts_at_one_place_ask_for_few_codes(hub: CoreHub, database: Database, redis_url: str) -> None:
    """Accounts are free; an address is not. Elsewhere people go on, and here after an hour."""
    for _ in range(CODES_PER_ADDRESS_HOUR):
        await ask(hub, await hub.person(), mailbox())
    refused = await ask(hub, await hub.person(), mailbox(), 429)
    async with open_core(database, redis_url) as elsewhere:
        await ask(elsewhere, await elsewhere.person(), mailbox())
    await hub.clock.advance(3601)
    await ask(hub, await hub.person(), mailbox())

    assert refused["type"] == "rate_limited"


@pytest.mark.parametrize(
    "email",
    [
        "",
        "李@example.com",
        "a@b",
        "a@@example.com",
        "a b@example.com",
        "a@example.com\nBcc: b@example.com",
        "a" * 65 + "@example.com",
    ],
)
async def test_what_is_no_mailbox_is_refused(hub: CoreHub, email: str) -> None:
    """A line break would be another header of the letter."""
    assert (await ask(hub, await hub.person(), email, 400))["fields"].keys() == {"email"}


class Mail:
    """A channel that keeps what it is given, and answers as it is told."""

    name = "email"
    provider = "smtp"
    receipt_s = 0.0

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.outcome = Outcome(verdict=Verdict.ACCEPTED)

    def bucket(self, message: Message) -> Bucket:
        return Bucket("email", 1)

    def may_repeat(self, message: Message) -> bool:
        return False

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        return self.outcome

    async def settle(self, message: Message, provider_id: str, sent_at: Any) -> None:
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        return False


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(verdict=Verdict.ACCEPTED),
        Outcome(verdict=Verdict.UNKNOWN, code="TimeoutError"),
        Outcome(verdict=Verdict.GONE, code="550 5.1.1"),
        Outcome(verdict=Verdict.GONE, code="address_invalid"),
        Outcome(verdict=Verdict.REFUSED, code="552 5.2.2"),
        Outcome(verdict=Verdict.DEAD, code="550 5.7.1", alarm=True),
        Outcome(verdict=Verdict.RETRY, code="450 4.2.1"),
        Outcome(verdict=Verdict.RETRY, code="452 4.2.2"),
    ],
    ids=lambda outcome: f"{outcome.verdict.value} {outcome.code}",
)
async def test_what_a_mail_server_says_of_a_mailbox_is_not_told(outcome: Outcome) -> None:
    """Who asks hears the same whether there is such a mailbox or not, or anybody could find out."""
    mail = Mail()
    mail.outcome = outcome
    sender = build_email_codes(mail, configured=True, development=False)

    assert await sender.send_code("wang@example.com", "123456", "zh") is None
    assert len(mail.sent) == 1


async def test_mail_that_cannot_be_sent_is_said() -> None:
    """The server is away, whoever is written to; and where there is no server in earnest, there is no mail."""
    mail = Mail()
    mail.outcome = Outcome(verdict=Verdict.RETRY, code="SMTPConnectError")
    with pytest.raises(Refusal) as refused:
        await build_email_codes(mail, configured=True, development=False).send_code("wang@example.com", "123456", "zh")
    with pytest.raises(Refusal) as off:
        await build_email_codes(None, configured=True, development=True).send_code("wang@example.com", "123456", "zh")

    assert (refused.value.code, refused.value.text, refused.value.fields) == (ErrorCode.UPSTREAM, "email_failed", {})
    assert off.value.text == "email_unconfigured"


async def test_with_a_mail_server_the_code_goes_by_mail_only(journal: io.StringIO) -> None:
    """Never in the answer, never in the log."""
    mail = Mail()
    sender = build_email_codes(mail, configured=True, development=True)
    shown = await sender.send_code("wang@example.com", "123456", "zh")

    assert shown is None
    assert mail.sent[0].address.value == "wang@example.com"
    assert "123456" in mail.sent[0].content.body
    assert mail.sent[0].key.isalnum()
    assert "123456" not in journal.getvalue()


async def test_everything_by_which_one_is_reached_is_listed_masked(hub: CoreHub) -> None:
    """The phone and WeChat of the account, too; to oneself only."""
    who, _ = await sign_in(hub)
    async with hub.ground.database.transaction() as connection:
        await connection.exec_driver_sql(
            "UPDATE users SET wechat_openid = $1 WHERE id = $2", (f"oABC{secrets.token_hex(8)}z", who.id)
        )
    found = await hub.call(who, "GET", MINE)

    assert [(each["channel"], each["id"], each["current"]) for each in found] == [
        ("sms", None, False),
        ("wechat", None, False),
    ]
    assert [each["value"] for each in found] == [f"{who.phone[:3]}****{who.phone[-4:]}", "o***z"]
    await hub.call(None, "GET", MINE, 401)
