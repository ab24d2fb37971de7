"""A browser's side of RFC 8291 and RFC 8188, written from the RFCs alone: what we send must open here too."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def opened(body: bytes, key: EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """The plain text; ValueError or InvalidTag for anything that is not one whole record for this browser."""
    salt, record_size, id_length = body[:16], int.from_bytes(body[16:20]), body[20]
    sender, sealed = body[21 : 21 + id_length], body[21 + id_length :]
    if id_length != 65 or len(sealed) > record_size:  # RFC 8291, section 4: a single record
        raise ValueError("not one record")
    shared = key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), sender))
    material = _derived(auth, shared, b"WebPush: info\0" + point_of(key) + sender, 32)
    content_key = _derived(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, material, b"Content-Encoding: nonce\0", 12)
    padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\0")
    if padded[-1:] != b"\2":  # RFC 8188, section 2: the delimiter of the last record
        raise ValueError("not the last record")
    return padded[:-1]


def _derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    """HKDF of RFC 5869 for at most one block."""
    return hmac.digest(hmac.digest(salt, material, "sha256"), info + b"\1", "sha256")[:length]


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
