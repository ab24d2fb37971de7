"""E-mail over SMTP: one letter for one person, in plain text. What the server's replies mean is in `email_reply`."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr

import aiosmtplib

from channels.email_reply import RETRY_S, Step, judge
from channels.port import Bucket, Channel, Message, Outcome, Verdict
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.settings import BadSettings

CONNECTIONS = 8  # at the same time; mail services refuse more than some from one client
GOODBYE_S = 1.0
START_INPUT = 354
# Narrower than RFC 5321 allows: nothing that is special in a header or a command, and no SMTPUTF8.
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")

DECLINED = Outcome(verdict=Verdict.GONE, code="address_invalid", detail="not an e-mail address")


class _Handed:
    """How far one letter came: what is known when the answer is lost depends on it."""

    step = Step.CONNECT
    is_complete = False
    """Whether the dot that ends the letter may have left: from then on the server may have taken it."""


class Email:
    """Open it with `open_email`."""

    name = "email"
    provider = "smtp"
    receipt_s = 0.0

    def __init__(self, chosen: settings.Email, clock: Clock) -> None:
        self._settings = chosen
        self._clock = clock
        self._sender = _sender_of(chosen)
        self._bucket = Bucket("email", chosen.per_s)
        self._places = asyncio.Semaphore(CONNECTIONS)
        # Once: it reads all the authorities' certificates.
        self._tls = None if chosen.security == "none" else ssl.create_default_context()

    def may_repeat(self, message: Message) -> bool:
        """Never: few mail programs hide a second letter with the same Message-ID."""
        return False

    def bucket(self, message: Message) -> Bucket:
        return self._bucket

    async def send(self, message: Message) -> Outcome:
        """One connection for one letter. Lost before the final dot it was not taken (RFC 5321, section 4.2.5), after it nobody knows."""
        if not ADDRESS.fullmatch(message.address.value):
            return DECLINED
        letter = compose(message, self._sender, self._clock.now())
        handed = _Handed()
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._places:
                return await self._deliver(message.address.value, letter, handed)
        except aiosmtplib.SMTPResponseException as error:
            # After the dot a reply is not raised but returned: this was none that can be read.
            return _lost(error, handed) if handed.is_complete else judge(handed.step, error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _lost(error, handed)

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        return False

    async def _deliver(self, recipient: str, letter: bytes, handed: _Handed) -> Outcome:
        client = self._client()
        try:
            await client.connect()
            if self._settings.user:
                handed.step = Step.SIGN_IN
                await client.login(self._settings.user, self._settings.password)
            handed.step = Step.SENDER
            await client.mail(self._sender.addr_spec)
            handed.step = Step.RECIPIENT
            await client.rcpt(recipient)
            handed.step = Step.DATA
            outcome = await _hand_over(client, letter, handed)
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await client.quit()
            return outcome
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        chosen = self._settings
        return aiosmtplib.SMTP(
            hostname=chosen.host,
            port=chosen.port,
            timeout=chosen.timeout_s,
            use_tls=chosen.security == "tls",
            start_tls=chosen.security == "starttls",
            tls_context=self._tls,
            local_hostname=self._sender.domain,  # looking up our own name could take seconds
        )


async def _hand_over(client: aiosmtplib.SMTP, letter: bytes, handed: _Handed) -> Outcome:
    """DATA in two steps, unlike the library's own, which does not tell before from after the final dot."""
    reply = await client.execute_command(b"DATA")
    protocol = client.protocol
    if reply.code != START_INPUT or protocol is None:
        return judge(Step.DATA, reply.code, reply.message)
    handed.is_complete = True
    protocol.write(letter + b".\r\n")
    reply = await protocol.read_response()
    if reply.code // 100 != 2:
        return judge(Step.DATA, reply.code, reply.message)
    return Outcome(verdict=Verdict.ACCEPTED)


def _lost(error: Exception, handed: _Handed) -> Outcome:
    """What is known when there was no reply. Its text may hold an address: only its type is kept."""
    code = type(error).__name__
    if handed.is_complete:
        return Outcome(verdict=Verdict.UNKNOWN, code=code)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        detail = "the server's certificate is not trusted, or it does not speak TLS"
        return Outcome(verdict=Verdict.RETRY, code="tls", detail=detail, retry_after_s=RETRY_S, alarm=True)
    if type(error) in (aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported):
        # STARTTLS or a way to sign in that the server does not offer.
        return Outcome(verdict=Verdict.DEAD, code="unsupported", detail=handed.step, alarm=True)
    return Outcome(verdict=Verdict.RETRY, code=code, detail=handed.step, retry_after_s=RETRY_S)


def compose(message: Message, sender: Mailbox, now: datetime) -> bytes:
    """The letter, as it goes over the wire. A repetition bears the same Message-ID.

    base64, so that it holds neither long lines nor a line that begins with a dot, and every server takes it.
    """
    content = message.content
    letter = EmailMessage(policy=SMTP_POLICY)
    letter["From"] = sender
    letter["To"] = Mailbox(addr_spec=message.address.value)
    letter["Subject"] = CONTROL.sub(" ", content.title).strip()
    letter["Date"] = now
    letter["Message-ID"] = f"<{message.key}@{sender.domain}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5: nobody's holiday answers it
    text = "\n\n".join(part for part in (content.body, content.url) if part)
    letter.set_content(text.encode("utf-8", "replace").decode(), subtype="plain", charset="utf-8", cte="base64")
    return letter.as_bytes()


def _sender_of(chosen: settings.Email) -> Mailbox:
    name, address = parseaddr(chosen.sender)
    if not ADDRESS.fullmatch(address):
        raise BadSettings("email.sender: needed because email.host is set, e.g. 健康服务 <notice@example.com>")
    return Mailbox(display_name=CONTROL.sub(" ", name), addr_spec=address)


@asynccontextmanager
async def open_email(chosen: settings.Email, clock: Clock) -> AsyncIterator[Channel | None]:
    """None where no server is configured. Raises `BadSettings` for a sender that is none, or a password in the clear."""
    if not chosen.host:
        yield None
        return
    if chosen.user and chosen.security == "none":
        raise BadSettings("email.security: a password is sent over tls or starttls only")
    yield Email(chosen, clock)
