"""Who we are to a push service: the VAPID key, and a signature for each of them (RFC 8292)."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from py_vapid import Vapid02, VapidException
from py_vapid.utils import b64urlencode

from hub.platform import settings
from hub.platform.settings import BadSettings

# RFC 8292, section 2: at most 24 hours. The rest is for clocks that differ, theirs and ours.
VALID = timedelta(hours=20)
RENEW = timedelta(hours=10)
DOUBTS = 5  # subscriptions for which an unproven signature is refused, before it is taken to be the signature
MOST_ORIGINS = 1000  # Microsoft and Mozilla have dozens; people could make up more

_RAW_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")
# Apple answers BadJwtToken to these (web-push-libs/web-push#947), and nobody can be reached there (RFC 2606, RFC 6762).
_NOWHERE = re.compile(r"(?:^|[@./])(?:localhost|local|invalid|test|example)(?::\d+)?(?:/.*)?$", re.IGNORECASE)


@dataclass(slots=True)
class Signature:
    """An Authorization header for one origin. `is_proven` once it was accepted, so that a refusal is not about it."""

    header: str
    signed_at: datetime
    is_proven: bool = False


class Vapid:
    """Signs, and keeps what it signed: 50 µs of a core are worth it for one origin, not for each message."""

    def __init__(self, key: Vapid02, subject: str) -> None:
        self._key = key
        self._subject = subject
        self._signatures: dict[str, Signature] = {}
        self._doubts: dict[str, set[bytes]] = {}

    def signature(self, origin: str, now: datetime) -> Signature:
        known = self._signatures.get(origin)
        if known and timedelta(0) <= now - known.signed_at < RENEW:
            return known
        self.forget(origin)
        if len(self._signatures) >= MOST_ORIGINS:
            self.forget(next(iter(self._signatures)))
        self._signatures[origin] = signed = Signature(self._sign(origin, now), now)
        return signed

    def trust(self, origin: str, now: datetime) -> None:
        """The service has taken it."""
        self.signature(origin, now).is_proven = True
        self._doubts.pop(origin, None)

    def doubt(self, origin: str, address: str) -> bool:
        """The service refused it for this address, and the next is signed anew. True when it refused so many that it is not about them.

        One alone proves nothing: anybody can subscribe with another site's key.
        """
        self.forget(origin)
        if origin not in self._doubts and len(self._doubts) >= MOST_ORIGINS:
            del self._doubts[next(iter(self._doubts))]
        doubts = self._doubts.setdefault(origin, set())
        if len(doubts) < DOUBTS:
            doubts.add(hashlib.sha256(address.encode()).digest())
        return len(doubts) >= DOUBTS

    def forget(self, origin: str) -> None:
        self._signatures.pop(origin, None)

    def _sign(self, origin: str, now: datetime) -> str:
        # A dict of its own each time: claims that are used again keep the first service's `aud` (pywebpush#79).
        claims = {"aud": origin, "exp": int((now + VALID).timestamp()), "sub": self._subject}
        return str(self._key.sign(claims)["Authorization"])


def public_key_of(chosen: settings.Webpush) -> str:
    """The `applicationServerKey` that a browser subscribes with, in base64url; empty where web push is off."""
    if not chosen.private_key:
        return ""
    public = _load(chosen.private_key).public_key
    return str(b64urlencode(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)))


def load_vapid(chosen: settings.Webpush, now: datetime) -> Vapid:
    """Raises `BadSettings` for a key or a subject that no push service would take."""
    if not chosen.subject.startswith(("mailto:", "https://")) or _NOWHERE.search(chosen.subject):
        raise BadSettings("webpush.subject: must be mailto: or https: with an address on the internet")
    vapid = Vapid(_load(chosen.private_key), chosen.subject)
    try:
        vapid.signature("https://push.example.com", now)
    except VapidException:
        raise BadSettings("webpush.subject: must be mailto:name@host, or https://host without a path") from None
    return vapid


def _load(value: str) -> Vapid02:
    try:
        # Not py_vapid's own reading: it makes a new key where a file is missing, and looks at no curve.
        text = _text(value.strip())
        if _RAW_KEY.fullmatch(text):
            return Vapid02.from_raw(text.encode())
        key = load_pem_private_key(text.encode(), password=None)
    except (OSError, ValueError, TypeError):  # TypeError: it is encrypted
        raise BadSettings("webpush.private_key: no PEM, no base64url and no file with one of them") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise BadSettings("webpush.private_key: must be a key of the curve P-256")
    return Vapid02(key)


def _text(value: str) -> str:
    """The key's text itself, or what is in the file that is named."""
    if value.startswith("-----BEGIN") or _RAW_KEY.fullmatch(value):
        return value
    return Path(value).read_text(encoding="ascii").strip()
