"""People, their sessions and codes: the structs, and the rules that need neither database nor clock."""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

import msgspec

from hub.platform.error import ErrorCode, Refusal

Role = Literal["patient", "companion", "doctor", "staff", "admin"]
Scene = Literal["login", "register", "reset"]

LOGIN_SCENES: tuple[Scene, ...] = ("login", "register")  # the first login registers, so either code signs in
CODE_DIGITS = 6
USED_TOKEN_KEPT = timedelta(days=7)  # a refresh token that comes back within this is recognised as stolen

_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)


class User(msgspec.Struct, frozen=True):
    id: str
    phone: str | None
    name: str
    avatar: str
    role: Role
    membership_level: str
    status: str


class Person(msgspec.Struct, frozen=True):
    """What others see of somebody."""

    id: str
    name: str
    avatar: str
    role: Role


class Device(msgspec.Struct, frozen=True):
    """Where a sign-in came from, as far as the request tells."""

    name: str
    user_agent: str
    address: str


class Session(msgspec.Struct, frozen=True):
    """One signed-in device."""

    id: str
    user: str
    device: str
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime


class Code(msgspec.Struct, frozen=True):
    """An SMS code that was sent; only its hash is known."""

    id: str
    scene: Scene
    code_hash: bytes
    attempts: int
    expires_at: datetime
    consumed_at: datetime | None


class RefreshToken(msgspec.Struct, frozen=True):
    session: str
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None  # of its session


class Verdict(Enum):
    FRESH = "fresh"
    REPEATED = "repeated"
    REUSED = "reused"
    EXPIRED = "expired"
    REVOKED = "revoked"


def judge(token: RefreshToken, now: datetime, grace_s: float) -> Verdict:
    """What a refresh token means when it comes. REPEATED: the first answer was lost; REUSED: somebody has a copy."""
    if token.revoked_at is not None:
        return Verdict.REVOKED
    if token.used_at is not None:
        return Verdict.REPEATED if now - token.used_at <= timedelta(seconds=grace_s) else Verdict.REUSED
    return Verdict.EXPIRED if token.expires_at <= now else Verdict.FRESH


def code_hash(key: bytes, phone: str, scene: Scene, code: str) -> bytes:
    """Keyed, because a million codes are soon tried; bound to phone and scene, so that it proves nothing else."""
    return hmac.digest(key, f"{phone}|{scene}|{code}".encode(), "sha256")


def code_fits(stored: Code, key: bytes, phone: str, code: str, now: datetime, attempts: int) -> bool:
    """Whether this is the code that was sent, in time, unused, and not guessed at too often."""
    expected = code_hash(key, phone, stored.scene, code)
    usable = stored.consumed_at is None and stored.expires_at > now and stored.attempts < attempts
    return hmac.compare_digest(expected, stored.code_hash) and usable


def secret_hash(secret: str) -> bytes:
    """How refresh tokens and tickets are stored: they are random, so a plain hash cannot be reversed."""
    return hashlib.sha256(secret.encode()).digest()


def sign_ticket(key: bytes, ticket: str) -> str:
    """Signed, so that a made-up ticket is refused without a look into the database."""
    return f"{ticket}.{_ticket_signature(key, ticket)}"


def is_signed_ticket(key: bytes, ticket: str) -> bool:
    unsigned, _, signature = ticket.rpartition(".")
    return hmac.compare_digest(signature.encode(), _ticket_signature(key, unsigned).encode())


def _ticket_signature(key: bytes, ticket: str) -> str:
    return hmac.digest(key, ticket.encode(), "sha256")[:16].hex()


def checked_phone(phone: str, field: str = "phone") -> str:
    """A mobile number of mainland China, or a refusal naming the field."""
    if not _MOBILE.fullmatch(phone):
        raise Refusal(ErrorCode.INVALID, fields={field: "phone_invalid"})
    return phone


def checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 50 or not name.isprintable():
        raise Refusal(ErrorCode.INVALID, fields={"name": "name_invalid"})
    return name


def checked_avatar(avatar: str) -> str:
    """An https address, or nothing: another scheme could run script in a console."""
    if avatar and (not avatar.startswith("https://") or len(avatar) > 500 or not avatar.isprintable()):
        raise Refusal(ErrorCode.INVALID, fields={"avatar": "avatar_invalid"})
    return avatar


def check_active(user: User) -> None:
    if user.status != "active":
        raise Refusal(ErrorCode.FORBIDDEN, f"account_{user.status}")
