"""What a strict push service demands of a request, checked with other libraries than the hub signs with."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from tests.rfc8291 import from_base64url

MOST_BYTES = 4096  # RFC 8030, section 7.2
MOST_TTL_S = 2592000
MOST_VALID_S = 86400

_CREDENTIALS = re.compile(r"vapid t=([\w-]+\.[\w-]+\.[\w-]+), ?k=([\w-]+)")
_SUBJECT = re.compile(r"mailto:[^@]+@[^@]+\.\w+|https://[\w.-]+\.\w+.*")


class Refused(Exception):
    """With autopush's numbers (docs/src/errors.md there)."""

    def __init__(self, status: int, errno: int) -> None:
        super().__init__(f"{status}/{errno}")
        self.status = status
        self.errno = errno


def check_request(headers: Mapping[str, str], body: bytes) -> None:
    """Raises `Refused` for what RFC 8030 or Mozilla does not take."""
    if len(body) > MOST_BYTES:
        raise Refused(413, 104)
    ttl = headers.get("TTL", "")
    if not (ttl.isascii() and ttl.isdigit() and int(ttl) <= MOST_TTL_S):
        raise Refused(400, 112)
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", headers.get("Topic", "0")):
        raise Refused(400, 113)
    is_urgent = headers.get("Urgency", "normal") in ("very-low", "low", "normal", "high")
    if headers.get("Content-Encoding") != "aes128gcm" or not is_urgent or len(body) < 104:
        raise Refused(400, 110)


def check_vapid(authorization: str, origin: str, now: float, expected_key: str) -> None:
    """RFC 8292, sections 2 to 4; `expected_key` is the one the browser subscribed with, if it named one."""
    match = _CREDENTIALS.fullmatch(authorization)
    if match is None:
        raise Refused(401, 109)
    claims = _claims(match[1], match[2])
    is_current = isinstance(claims.get("exp"), int) and now < claims["exp"] <= now + MOST_VALID_S
    is_ours = claims.get("aud") == origin and expected_key in ("", match[2])
    if not (is_current and is_ours and _SUBJECT.fullmatch(str(claims.get("sub", "")))):
        raise Refused(403, 109)


@lru_cache(maxsize=64)
def _claims(token: str, key: str) -> dict[str, Any]:
    try:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), from_base64url(key))
        # What the claims say is judged by the caller, whose clock may be another.
        checks = {"verify_exp": False, "verify_aud": False, "verify_sub": False}
        return jwt.decode(token, public, algorithms=["ES256"], options=checks)
    except (jwt.PyJWTError, ValueError):
        raise Refused(403, 109) from None
