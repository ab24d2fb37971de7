"""Sending the code that proves a mailbox to be somebody's: the port, the sender for development, and the one that sends."""

import hashlib
from typing import Protocol

import structlog

from channels.port import Address, Channel, Content, Message, Outcome, Urgency, Verdict
from channels.word import code_of
from hub.notices.address import CODE_LIFE
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.text import Language, text

log = structlog.get_logger("hub.notices")

_TAKEN = (Verdict.ACCEPTED, Verdict.DELIVERED, Verdict.UNKNOWN)  # unknown: it may arrive, and then it works


class EmailCodeSender(Protocol):
    """Raises `Refusal` where no mail can be sent now, whoever to."""

    async def send_code(self, email: str, code: str, language: Language) -> str | None:
        """Send the code. The answer is what the asker may see at once: nothing, except in development."""


class DevelopmentEmailCodes:
    """Shows the code to the asker: whoever names a mailbox can have it."""

    async def send_code(self, email: str, code: str, language: Language) -> str | None:
        log.info("email_code", code=code)
        return code


class NoEmailCodes:
    """Where no mail can be sent."""

    async def send_code(self, email: str, code: str, language: Language) -> str | None:
        raise Refusal(ErrorCode.NOT_FOUND, "email_unconfigured")


class ChannelEmailCodes:
    """Through the channel that notices take.

    What the server replies is logged and not told to the asker: anybody may name any mailbox, and would learn if it exists.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def send_code(self, email: str, code: str, language: Language) -> str | None:
        attempt = new_id()
        key = hashlib.sha256(attempt.encode()).hexdigest()[:32]
        content = Content(
            title=text("email_code_title", language),
            body=text("email_code_body", language, code=code),
            urgency=Urgency.HIGH,
            ttl_s=int(CODE_LIFE.total_seconds()),
            language=language,
        )
        address = Address(id="email", value=email)
        outcome = await self._channel.send(Message(key=key, tag=key, attempt=attempt, address=address, content=content))
        if outcome.verdict not in _TAKEN:
            log.warning("email_code_not_taken", verdict=outcome.verdict.value, code=code_of(outcome.code))
            if outcome.verdict is Verdict.RETRY and not _is_reply(outcome):
                raise Refusal(ErrorCode.UPSTREAM, "email_failed")
        return None


def _is_reply(outcome: Outcome) -> bool:
    """Whether a server said it: replies are numbers (RFC 5321, section 4.2), what went wrong before has a name."""
    return outcome.code[:1].isdigit()


def build_email_codes(channel: Channel | None, *, configured: bool, development: bool) -> EmailCodeSender:
    """The open channel's; without a mail server the development sender, and in earnest none."""
    if channel is not None:
        return ChannelEmailCodes(channel)
    return DevelopmentEmailCodes() if development and not configured else NoEmailCodes()
