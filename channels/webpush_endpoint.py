"""Which subscriptions of a browser are taken: the address, which is somebody's input and must not point inside, and the keys."""

import re
from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from hub.platform.error import ErrorCode, Refusal

MOST_LENGTH = 2048  # of an address; push services use some 200 to 600
POINT_BYTES = 65  # RFC 8291, section 3.1: an uncompressed point of P-256
SECRET_BYTES = 16  # RFC 8291, section 3.2

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_NAME = re.compile(
    rf"{_HOST}\.[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?"
)  # ends in no digit, so it is no address of a machine
_ORIGIN = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?")

# Matched whole instead of parsed, because parsers differ about backslashes, tabs and '@', and what differs gets in.
_ENDPOINT = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?/[A-Za-z0-9._~:/?@!$&'()*+,;=%-]*", re.IGNORECASE
)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_PORTS = {"https": "443", "http": "80"}


def checked_endpoint(endpoint: str, hosts: str) -> str:
    """The origin of a push service's address; `Refusal` unless `hosts`, the setting, names it.

    An entry is a host, or `*.` and what a host ends with, for https on port 443; or an origin with its scheme, taken as it is.
    """
    match = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= MOST_LENGTH else None
    if match is None:
        raise Refusal(ErrorCode.INVALID, fields={"endpoint": "push_endpoint_refused"})
    scheme, host = match["scheme"].lower(), match["host"].lower()
    is_default = (match["port"] or _PORTS[scheme]) == _PORTS[scheme]
    origin = f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{match['port']}"
    may_be_named = scheme == "https" and is_default and _NAME.fullmatch(host) is not None
    if not any(origin == entry or (may_be_named and _names(entry, host)) for entry in hosts.lower().split()):
        raise Refusal(ErrorCode.INVALID, fields={"endpoint": "push_endpoint_refused"})
    return origin


def _names(entry: str, host: str) -> bool:
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry


def wrong_host(hosts: str) -> str | None:
    """The first entry of the setting that could never match, or would match too much; None if all are good."""
    for entry in hosts.lower().split():
        if not (_NAME.fullmatch(entry.removeprefix("*.")) or _ORIGIN.fullmatch(entry)):
            return entry
    return None


def checked_keys(p256dh: str, auth: str) -> EllipticCurvePublicKey:
    """The browser's public key; `Refusal` unless it is a point of P-256 and `auth` is 16 bytes, both in base64url.

    pywebpush checks neither: its test of the length asks for both faults at once, and its decoder skips strange characters.
    """
    point = _decoded(p256dh)
    if len(point) != POINT_BYTES:
        raise Refusal(ErrorCode.INVALID, fields={"p256dh": "push_key_invalid"})
    if len(_decoded(auth)) != SECRET_BYTES:
        raise Refusal(ErrorCode.INVALID, fields={"auth": "push_key_invalid"})
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        raise Refusal(ErrorCode.INVALID, fields={"p256dh": "push_key_invalid"}) from None


def _decoded(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        return b""
    bare = text.rstrip("=")
    try:
        return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return b""
