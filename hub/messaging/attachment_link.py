"""Links to an attachment's content: for one person, one variant and a short time, and impossible to alter. No I/O."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import msgspec

from hub.messaging.attachment import Variant
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a link allows. `expires` is in seconds since the epoch."""

    attachment: str
    variant: Variant
    user: str
    expires: int


def path_of(key: bytes, grant: Grant) -> str:
    """The path and query that open this and nothing else. Keep it out of logs: who has it can read."""
    query = {
        "variant": grant.variant.value,
        "user": grant.user,
        "expires": grant.expires,
        "signature": _sign(key, grant),
    }
    return f"/api/v1/attachments/{grant.attachment}/content?{urlencode(query)}"


def check(key: bytes, grant: Grant, signature: str, now: float) -> None:
    """Raises `Refusal` for a signature that is not ours, and for a link whose time is over."""
    # Ids in canonical form hold no separator, so no two grants share a text to sign.
    shaped = is_id(grant.attachment) and is_id(grant.user)
    if not (shaped and hmac.compare_digest(_sign(key, grant).encode(), signature.encode(errors="replace"))):
        raise Refusal(ErrorCode.FORBIDDEN, fields={"signature": "link_invalid"})
    if now >= grant.expires:
        raise Refusal(ErrorCode.FORBIDDEN, fields={"expires": "link_expired"})


def _sign(key: bytes, grant: Grant) -> str:
    claim = f"{grant.attachment}|{grant.variant.value}|{grant.user}|{grant.expires}"
    return base64.urlsafe_b64encode(hmac.digest(key, claim.encode(), hashlib.sha256)).rstrip(b"=").decode()
