"""A mail server as aiosmtpd has it, with replies to order and the failures that matter: before and after the final dot."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from hub.platform import settings

USER, PASSWORD = "notice@example.com", "授权码-1"


@dataclass
class SmtpStandin:
    """Open it with `open_smtp`. `replies[step]`, for step mail, rcpt or data: the whole line, e.g. `550 5.1.1 no such user`.

    `mood`: refuse (421 in place of a greeting), cut (hangs up at DATA, before the letter), lost (takes the letter and hangs
    up), silent (takes it and says nothing).
    """

    replies: dict[str, str] = field(default_factory=dict)
    mood: str = ""
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    was_encrypted: list[bool] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    transports: set[asyncio.Transport] = field(default_factory=set)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def settings(self, **changed: Any) -> settings.Email:
        """What a hub needs to talk to this server."""
        known = {"host": "localhost", "port": self.port, "security": "none", "sender": "健康服务 <notice@example.com>"}
        return settings.Email(**(known | {"timeout_s": 5.0} | changed))

    # aiosmtpd calls these

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if "mail" not in self.replies:
            envelope.mail_from = address
        return self.replies.get("mail", "250 OK")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if "rcpt" not in self.replies:
            envelope.rcpt_tos.append(address)
        return self.replies.get("rcpt", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "data" in self.replies:
            return self.replies["data"]
        letter = message_from_bytes(envelope.original_content, policy=policy.default)
        self.received.append(letter)
        self.recipients.extend(envelope.rcpt_tos)
        self.was_encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        if self.mood == "silent":
            await self.released.wait()
        if self.mood in ("lost", "silent"):
            server.transport.abort()
        return "250 OK queued"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        fits = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if fits:
            self.signed_in.append(mechanism)
        return AuthResult(success=fits, handled=False)


class _Server(SMTP):
    standin: SmtpStandin

    def connection_made(self, transport: Any) -> None:
        self.standin.connections += 1
        self.standin.transports.add(transport)
        if self.standin.mood == "refuse":
            transport.write(b"421 4.3.2 too busy\r\n")
            transport.close()
            return
        super().connection_made(transport)
        if self._handler_coroutine not in self.standin.tasks:  # STARTTLS makes the connection a second time
            self.standin.tasks.append(self._handler_coroutine)

    def connection_lost(self, error: Exception | None) -> None:
        if self.session is not None:  # not with a connection that was refused
            super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:
        if self.standin.mood == "cut":
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


@asynccontextmanager
async def open_smtp(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, **chosen: Any
) -> AsyncIterator[SmtpStandin]:
    """The server on a free port of this machine. With `tls` it speaks TLS from the start; `chosen` goes to aiosmtpd."""
    standin = SmtpStandin()

    def build() -> _Server:
        server = _Server(
            standin, hostname="mx.test", tls_context=starttls, authenticator=standin.authenticate, **chosen
        )
        server.standin = standin
        return server

    listening = await asyncio.get_running_loop().create_server(build, "127.0.0.1", 0, ssl=tls)
    standin.port = listening.sockets[0].getsockname()[1]
    try:
        yield standin
    finally:
        standin.released.set()
        listening.close()
        for transport in standin.transports:
            transport.abort()
        for task in standin.tasks:  # aiosmtpd leaves one behind when a handshake was broken off
            task.cancel()
        await asyncio.gather(*standin.tasks, return_exceptions=True)
        await listening.wait_closed()
