"""Sending a sign-in code: the port, the sender for development, and the one that asks the SMS providers."""

import secrets
from collections.abc import Sequence
from typing import Protocol

import structlog

from channels.port import Address, Channel, Content, Message, Outcome, Urgency, Verdict
from channels.word import code_of
from hub.platform import settings
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.settings import BadSettings
from hub.security.masking import mask_phone

log = structlog.get_logger("hub.sms")

# After an unknown outcome nobody else is asked: the code is probably on its way, and whoever gets none asks for another.
TAKEN = frozenset({Verdict.ACCEPTED, Verdict.DELIVERED, Verdict.UNKNOWN})


class SmsSender(Protocol):
    """Raises `Refusal` (upstream) when no provider took the message, or (invalid) when there is no such number."""

    async def send_code(self, phone: str, code: str) -> str | None:
        """Send the code to the phone. The answer is what the asker may see at once: nothing, except in development."""


class DevelopmentSender:
    """Prints the code and shows it to the asker: whoever knows a number can sign in with it."""

    async def send_code(self, phone: str, code: str) -> str | None:
        log.info("sms_code", phone=mask_phone(phone), code=code)
        return code


class ChannelSender:
    """Asks one provider after the other, each once, until one has taken the code or may have."""

    def __init__(self, channels: Sequence[Channel], template: str) -> None:
        self._channels = channels
        self._template = template

    async def send_code(self, phone: str, code: str) -> None:
        message = _message(phone, code, self._template)
        outcome: Outcome | None = None
        for channel in self._channels:
            outcome = await channel.send(message)
            _log(channel, outcome)
            if outcome.verdict in TAKEN:
                return
            if outcome.verdict is Verdict.GONE:
                raise Refusal(ErrorCode.INVALID, fields={"phone": "phone_invalid"})
        wait_s = outcome.retry_after_s if outcome else None
        raise Refusal(ErrorCode.UPSTREAM, "sms_failed", retry_after_ms=int(wait_s * 1000) if wait_s else None)


def _message(phone: str, code: str, template: str) -> Message:
    key = secrets.token_hex(16)
    shown = Content(title="", body="", template=template, fields={"code": code}, urgency=Urgency.HIGH)
    # Nobody keeps this attempt: no receipt of it is waited for.
    return Message(key=key, tag=key, attempt=new_id(), address=Address(id=key, value=phone), content=shown)


def _log(channel: Channel, outcome: Outcome) -> None:
    say = log.error if outcome.alarm else log.info
    say("sms_code_given", provider=channel.provider, verdict=outcome.verdict.value, code=code_of(outcome.code))


def build_sender(chosen: settings.Accounts, channels: Sequence[Channel]) -> SmsSender:
    """The sender that `accounts.sms_sender` names. Raises `BadSettings` where codes would be shown although they could be sent."""
    if chosen.sms_sender == "sms":
        if not channels:
            raise BadSettings("sms.providers: needed because accounts.sms_sender is sms")
        if not chosen.sms_template:
            raise BadSettings("accounts.sms_template: needed because accounts.sms_sender is sms")
        return ChannelSender(channels, chosen.sms_template)
    if chosen.sms_sender != "development":
        raise BadSettings(f"accounts.sms_sender: there is no sender named {chosen.sms_sender}; known: development, sms")
    if channels:
        raise BadSettings("accounts.sms_sender: must be sms because sms.providers is set; development shows every code")
    log.warning("development_sms_sender", meaning="codes are shown to whoever asks; not for real users")
    return DevelopmentSender()
