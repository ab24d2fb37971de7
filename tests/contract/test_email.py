"""E-mail: what a letter looks like, and what is known of it after each thing that a mail server can do."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from channels.email import Email, compose, open_email
from channels.port import Address, Channel, Content, Message, Outcome, Verdict
from hub.platform import settings
from hub.platform.settings import BadSettings
from tests.fake_clock import FakeClock
from tests.standins.smtp import PASSWORD, USER, SmtpStandin, open_smtp

KEY = "0123456789abcdef0123456789abcdef"
TO = "zhang.san@example.org"
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"} | {
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
}


def letter(to: str = TO, title: str = "您有一条新消息", **content: Any) -> Message:
    shown = Content(title=title, body="请登录查看。", **({"url": "https://hub.test/n/1"} | content))
    address = Address(id="a1", value=to)
    return Message(key=KEY, tag="t1", attempt="attempt-1", address=address, content=shown)


@pytest_asyncio.fixture
async def smtp() -> AsyncIterator[SmtpStandin]:
    async with open_smtp() as standin:
        yield standin


@pytest_asyncio.fixture
async def email(smtp: SmtpStandin) -> AsyncIterator[Channel]:
    async with open_email(smtp.settings(), FakeClock()) as opened:
        assert opened is not None
        yield opened


async def sent(chosen: settings.Email, message: Message) -> Outcome:
    async with open_email(chosen, FakeClock()) as opened:
        assert opened is not None
        return await opened.send(message)


async def test_a_letter_arrives_as_it_was_written(email: Channel, smtp: SmtpStandin) -> None:
    """Chinese subject, text and sender; the link is in the text; nobody's holiday answers it (RFC 3834)."""
    outcome = await email.send(letter())

    assert outcome == Outcome(verdict=Verdict.ACCEPTED)
    assert smtp.recipients == [TO]
    (got,) = smtp.received
    assert got["Subject"] == "您有一条新消息"
    assert got["From"] == "健康服务 <notice@example.com>"
    assert got["To"] == TO
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"].datetime == FakeClock().now()
    assert got.get_content_type() == "text/plain"
    assert got.get_content().replace("\r\n", "\n") == "请登录查看。\n\nhttps://hub.test/n/1\n"


async def test_a_repetition_bears_the_same_message_id(email: Channel, smtp: SmtpStandin) -> None:
    """So that a mail program which looks at it can tell; the channel itself never promises that."""
    await email.send(letter())
    await email.send(letter())

    assert {got["Message-ID"] for got in smtp.received} == {f"<{KEY}@example.com>"}
    assert not email.may_repeat(letter())


@pytest.mark.parametrize(
    "title", ["通知\r\nBcc: evil@example.org", "通知\nX: y", "通知\u2028Bcc: a@b.c", "通知\x00\x0b"]
)
async def test_a_title_cannot_add_a_header(email: Channel, smtp: SmtpStandin, title: str) -> None:
    """Line breaks of every kind become spaces."""
    outcome = await email.send(letter(title=title))

    assert outcome.verdict is Verdict.ACCEPTED
    assert smtp.recipients == [TO]
    assert set(smtp.received[0].keys()) == HEADERS
    assert smtp.received[0]["Subject"].startswith("通知")


async def test_a_body_cannot_end_the_letter(email: Channel, smtp: SmtpStandin) -> None:
    """A line with a dot only ends a letter (RFC 5321, section 4.5.2); half a surrogate pair does not stop it either."""
    message = letter()
    body = "一\n.\r\nRSET\r\n二\ud83d"
    outcome = await email.send(replace(message, content=replace(message.content, body=body, url="")))

    assert outcome.verdict is Verdict.ACCEPTED
    assert smtp.received[0].get_content().splitlines() == ["一", ".", "RSET", "二?"]


@pytest.mark.parametrize(
    "to", ["", "zhang", "a@b\r\nRCPT TO:<x@y.z>", "a@b> SIZE=1", "甲@example.org", "a b@example.org", f"{'a' * 65}@b.c"]
)
async def test_what_is_no_address_is_never_sent(email: Channel, smtp: SmtpStandin, to: str) -> None:
    """It is gone without anybody being asked."""
    assert (await email.send(letter(to))).verdict is Verdict.GONE
    assert smtp.connections == 0


@pytest.mark.parametrize(
    ("step", "reply", "verdict", "code"),
    [
        ("mail", "451 4.3.0 later", Verdict.RETRY, "451/4.3.0"),
        ("mail", "550 5.7.1 not you", Verdict.DEAD, "550/5.7.1"),
        ("rcpt", "450 4.2.0 greylisted", Verdict.RETRY, "450/4.2.0"),
        ("rcpt", "550 5.1.1 no such user", Verdict.GONE, "550/5.1.1"),
        ("rcpt", "550 unknown", Verdict.GONE, "550"),
        ("rcpt", "551 moved", Verdict.GONE, "551"),
        ("rcpt", "553 not a name", Verdict.GONE, "553"),
        ("rcpt", "550 5.2.1 disabled", Verdict.GONE, "550/5.2.1"),
        ("rcpt", "552 5.2.2 full", Verdict.REFUSED, "552/5.2.2"),
        ("rcpt", "550 5.7.1 blocked by policy", Verdict.DEAD, "550/5.7.1"),
        ("rcpt", "554 no", Verdict.DEAD, "554"),
        ("data", "452 4.3.1 no space", Verdict.RETRY, "452/4.3.1"),
        ("data", "554 5.6.0 spam", Verdict.DEAD, "554/5.6.0"),
    ],
)
async def test_each_reply_says_what_became_of_the_letter(
    email: Channel, smtp: SmtpStandin, step: str, reply: str, verdict: Verdict, code: str
) -> None:
    """4xx is later; 5xx is never, and with the recipient whether the mailbox is gone (RFC 3463, section 3)."""
    smtp.replies[step] = reply
    outcome = await email.send(letter())

    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert (outcome.retry_after_s is not None) == (verdict is Verdict.RETRY)
    assert outcome.alarm == (verdict is Verdict.DEAD and code != "554")
    assert TO not in repr(outcome)


@pytest.mark.parametrize(
    ("mood", "verdict", "taken"),
    [
        ("refuse", Verdict.RETRY, 0),
        ("cut", Verdict.RETRY, 0),
        ("lost", Verdict.UNKNOWN, 1),
        ("silent", Verdict.UNKNOWN, 1),
    ],
)
async def test_the_final_dot_decides_what_a_lost_answer_means(
    smtp: SmtpStandin, mood: str, verdict: Verdict, taken: int
) -> None:
    """Before it nothing was taken and it may be tried again; after it nobody knows, and it is never repeated."""
    smtp.mood = mood
    outcome = await sent(smtp.settings(timeout_s=0.3 if mood == "silent" else 5.0), letter())

    assert outcome.verdict is verdict
    assert len(smtp.received) == taken
    assert smtp.connections == 1


async def test_a_server_that_is_not_there_is_tried_later() -> None:
    """No connection, nothing sent."""
    async with open_smtp() as gone:
        chosen = gone.settings()
    outcome = await sent(chosen, letter())

    assert outcome.verdict is Verdict.RETRY
    assert not outcome.alarm


@dataclass(frozen=True)
class Certificate:
    server: ssl.SSLContext
    path: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of localhost, signed by itself."""
    folder, key = tmp_path_factory.mktemp("smtp"), ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    encoding, shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(made.public_bytes(encoding) + key.private_bytes(encoding, shape, serialization.NoEncryption()))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    return Certificate(server, path)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_password_and_letter_go_over_tls(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    """From the start or after STARTTLS, with a certificate that is checked; then the sign-in, then the letter."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    way: dict[str, Any] = {security: certificate.server}
    if security == "tls":
        way["auth_require_tls"] = False  # aiosmtpd does not see that the listener speaks TLS
    async with open_smtp(**way) as smtp:
        chosen = smtp.settings(security=security, user=USER, password=PASSWORD)
        outcome = await sent(chosen, letter())

    assert outcome.verdict is Verdict.ACCEPTED
    assert smtp.was_encrypted == [True]
    assert len(smtp.signed_in) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_certificate_nobody_vouches_for_stops_the_letter(certificate: Certificate, security: str) -> None:
    """Nothing is said to a stranger; somebody has to look, and the letter can wait."""
    way: dict[str, Any] = {security: certificate.server}
    async with open_smtp(**way) as smtp:
        outcome = await sent(smtp.settings(security=security, user=USER, password=PASSWORD), letter())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.RETRY, "tls", True)
    assert smtp.received == []
    assert smtp.signed_in == []


async def test_a_server_without_starttls_gets_neither_password_nor_letter() -> None:
    """Somebody on the way could have removed the offer."""
    async with open_smtp(auth_require_tls=False) as smtp:
        outcome = await sent(smtp.settings(security="starttls", user=USER, password=PASSWORD), letter())

    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "unsupported", True)
    assert (smtp.received, smtp.signed_in) == ([], [])


async def test_a_wrong_password_is_an_alarm(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other letter would end the same way; a person has to change it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    async with open_smtp(starttls=certificate.server) as smtp:
        outcome = await sent(smtp.settings(security="starttls", user=USER, password="错"), letter())

    assert (outcome.verdict, outcome.code[:3], outcome.alarm) == (Verdict.DEAD, "535", True)
    assert smtp.received == []


async def test_without_a_server_there_is_no_channel() -> None:
    """An empty host is e-mail switched off."""
    async with open_email(settings.Email(), FakeClock()) as opened:
        assert opened is None


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"sender": ""}, "email.sender"),
        ({"sender": "健康服务"}, "email.sender"),
        ({"user": USER, "security": "none"}, "email.security"),
    ],
)
async def test_settings_that_cannot_work_stop_the_start(changed: dict[str, str], key: str) -> None:
    """The text names the key."""
    known = {"host": "localhost", "sender": "健康服务 <notice@example.com>"}
    with pytest.raises(BadSettings, match=key.replace(".", r"\.")):
        async with open_email(settings.Email(**(known | changed)), FakeClock()):  # type: ignore[arg-type]
            """Not reached."""


async def test_what_no_mail_server_can_do_is_said(email: Channel) -> None:
    """No receipt, no question, no taking back."""
    assert isinstance(email, Email)
    assert email.receipt_s == 0
    assert await email.settle(letter(), "", FakeClock().now()) is None
    assert not await email.withdraw(letter(), "")
    assert email.bucket(letter()).per_s == 20


def test_a_letter_has_short_lines_in_ascii_only() -> None:
    """Every server takes it (RFC 5321, section 4.5.3.1.6), without 8BITMIME too."""
    raw = compose(letter(title="长" * 500), Mailbox("健康服务", addr_spec="notice@example.com"), FakeClock().now())

    assert raw.isascii()
    assert all(len(line) <= 998 and not line.startswith(b".") for line in raw.split(b"\r\n"))
    assert raw.endswith(b"\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
