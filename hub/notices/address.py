"""Where people are reached beside their phone and WeChat: what is taken as an address, how it is masked, codes by e-mail. Pure."""

import hmac
import re
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from hub.platform.error import ErrorCode, Refusal
from hub.security.masking import mask_phone

Kind = Literal["webpush", "wecom", "email", "sms", "wechat"]

PUSH_MOST = 20  # subscriptions of one person
CODE_DIGITS = 6
CODE_LIFE = timedelta(minutes=10)
CODE_TRIES = 5
# Codes that one person may ask for; to one mailbox; that it is sent by whomever; and from one address of the network.
# Several people together stay below what a mailbox is sent, or they would lock its owner out.
CODES_PER_PERSON_HOUR = 6
CODES_PER_MINUTE = 2
CODES_PER_PAIR_HOUR = 4
CODES_PER_EMAIL_HOUR = 30
CODES_PER_ADDRESS_HOUR = 60  # which may be a whole hospital

Counted = Literal["user", "pair", "email", "address"]

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
LIMITS: tuple[tuple[Counted, int, timedelta], ...] = (
    ("user", CODES_PER_PERSON_HOUR, _HOUR),
    ("user", CODES_PER_MINUTE, _MINUTE),
    ("pair", CODES_PER_PAIR_HOUR, _HOUR),
    ("email", CODES_PER_EMAIL_HOUR, _HOUR),
    ("address", CODES_PER_ADDRESS_HOUR, _HOUR),
)

EMAIL_CHARS = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
# RFC 5321's Dot-string at a name with a dot in it: no quotes, nothing that is special in a header or a command.
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+", re.ASCII)
# developer.work.weixin.qq.com, path/90195: letters, digits and four signs, the first a letter or digit; case does not matter.
_WECOM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_@.-]{0,63}", re.ASCII)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A way to reach somebody. `id` is empty for what belongs to the account; `session` only push subscriptions have."""

    id: str
    channel: Kind
    value: str
    session: str | None
    created_at: datetime | None


class Asking(msgspec.Struct, frozen=True):
    """Who asks for a code to which mailbox, and from which address of the network."""

    user: str
    email: str
    address: str


class EmailCode(msgspec.Struct, frozen=True):
    """A code that was sent; only its hash is known."""

    id: str
    email: str
    code_hash: bytes
    attempts: int
    expires_at: datetime


def checked_email(email: str) -> str:
    """In lower case, because mailboxes that differ in case only are one; or a refusal."""
    lowered = email.strip().lower()
    if len(lowered) > EMAIL_CHARS or not _EMAIL.fullmatch(lowered):
        raise Refusal(ErrorCode.INVALID, fields={"email": "email_invalid"})
    return lowered


def checked_wecom(user_id: str) -> str:
    """A member's account at WeCom, or a refusal."""
    if not _WECOM.fullmatch(user_id):
        raise Refusal(ErrorCode.INVALID, fields={"userId": "wecom_user_invalid"})
    return user_id


def masked(held: Held) -> str:
    """Enough for the owner to tell it."""
    match held.channel:
        case "sms":
            return mask_phone(held.value)
        case "email":
            name, _, host = held.value.partition("@")
            return f"{name[0]}***@{host}"
        case "webpush":
            return held.value.split("/")[2]  # the push service; the rest of the address is a secret
        case _:
            return f"{held.value[0]}***{held.value[-1]}"


def code_hash(key: bytes, user: str, email: str, code: str) -> bytes:
    """Keyed, because a million codes are soon tried; bound to the person and the mailbox."""
    return hmac.digest(key, f"{user}|{email}|{code}".encode(), "sha256")


def code_fits(stored: EmailCode, key: bytes, user: str, code: str, now: datetime) -> bool:
    """Whether this is the code that was sent, in time, and not guessed at too often."""
    expected = code_hash(key, user, stored.email, code)
    is_usable = stored.expires_at > now and stored.attempts < CODE_TRIES
    return hmac.compare_digest(expected, stored.code_hash) and is_usable
