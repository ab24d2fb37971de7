"""Sending a sign-in code: the port, and the sender for development."""

from typing import Protocol

import structlog

from hub.platform.settings import BadSettings
from hub.security.masking import mask_phone

log = structlog.get_logger("hub.sms")


class SmsSender(Protocol):
    """Raises `Refusal` (upstream) when the provider did not take the message; the code may arrive all the same."""

    async def send_code(self, phone: str, code: str) -> str | None:
        """Send the code to the phone. The answer is what the asker may see at once: nothing, except in development."""


class DevelopmentSender:
    """Prints the code and shows it to the asker: whoever knows a number can sign in with it."""

    async def send_code(self, phone: str, code: str) -> str | None:
        log.info("sms_code", phone=mask_phone(phone), code=code)
        return code


def build_sender(name: str) -> SmsSender:
    """The sender that `accounts.sms_sender` names."""
    if name != "development":
        raise BadSettings(f"accounts.sms_sender: there is no sender named {name}; known: development")
    log.warning("development_sms_sender", meaning="codes are shown to whoever asks; not for real users")
    return DevelopmentSender()
