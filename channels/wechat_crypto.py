"""WXBizMsgCrypt: the signature and sealing of callbacks, the same for WeChat and WeCom. Pure: the time is an argument.

developers.weixin.qq.com, "消息推送"; developer.work.weixin.qq.com, path/90968 ("加解密方案说明").
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from channels.wechat_xml import Unreadable, read_xml, text_of

BLOCK = 32  # PKCS#7 to 32 bytes, although AES knows 16
HEAD = 16  # random bytes before the length
MOST_BYTES = 65536


class Forged(Exception):
    """Not from WeChat, not for us, or not fresh. The text is one word for a log; it holds nothing of what came."""


class _Envelope(msgspec.Struct, frozen=True):
    Encrypt: str = ""


class MessageCrypt:
    """Opens and seals what is exchanged with one callback address.

    `receiver` is the app id of the mini-program, the corp id with WeCom. Raises `ValueError` where `aes_key` is not an EncodingAESKey.
    """

    def __init__(self, token: str, aes_key: str, receiver: str, window_s: int = 300) -> None:
        self._token = token
        self._receiver = receiver.encode()
        self._window_s = window_s
        self._key = _key_of(aes_key)

    def check(self, signature: str, timestamp: str, nonce: str, now: float) -> None:
        """Of plain mode, and of the question whether an address is ours. Raises `Forged`."""
        self._check(signature, timestamp, now, nonce)

    def open(self, signature: str, timestamp: str, nonce: str, sealed: str, now: float) -> bytes:
        """The content, of secure mode (`msg_signature`). Raises `Forged`."""
        self._check(signature, timestamp, now, nonce, sealed)
        plain = self._unpadded(sealed)
        length = int.from_bytes(plain[HEAD : HEAD + 4], "big")
        content, receiver = plain[HEAD + 4 : HEAD + 4 + length], plain[HEAD + 4 + length :]
        if len(content) != length:
            raise Forged("length")
        if not hmac.compare_digest(receiver, self._receiver):
            raise Forged("receiver")
        return content

    def open_body(self, signature: str, timestamp: str, nonce: str, body: bytes, now: float) -> bytes:
        """The content of a posted body in secure mode, whichever format the console was set to. Raises `Forged`."""
        return self.open(signature, timestamp, nonce, sealed_of(body), now)

    def seal(self, content: bytes, timestamp: str, nonce: str) -> tuple[str, str]:
        """The sealed content and its signature."""
        plain = secrets.token_bytes(HEAD) + len(content).to_bytes(4, "big") + content + self._receiver
        padding = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher().encryptor()
        sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
        text = b64encode(sealed).decode()
        return text, self.sign(timestamp, nonce, text)

    def seal_reply(self, content: bytes, timestamp: str, nonce: str) -> bytes:
        """What a callback is answered with where the answer says something."""
        sealed, signature = self.seal(content, timestamp, nonce)
        return (
            f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        ).encode()

    def sign(self, *parts: str) -> str:
        """SHA-1 over the sorted parts and the token: what the providers do, not what one would choose."""
        joined = "".join(sorted((self._token, *parts)))
        return hashlib.sha1(joined.encode(errors="replace"), usedforsecurity=False).hexdigest()

    def _check(self, signature: str, timestamp: str, now: float, *parts: str) -> None:
        expected = self.sign(timestamp, *parts)
        # Bytes, because `compare_digest` raises for text that is not ASCII.
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Forged("signature")
        if not _is_fresh(timestamp, now, self._window_s):
            raise Forged("stale")

    def _unpadded(self, sealed: str) -> bytes:
        try:
            raw = b64decode(sealed, validate=True)
        except (NotBase64, ValueError):
            raise Forged("base64") from None
        if not raw or len(raw) % 16 or len(raw) > MOST_BYTES:
            raise Forged("length")
        decryptor = self._cipher().decryptor()
        plain = decryptor.update(raw) + decryptor.finalize()
        padding = plain[-1]
        # Only who knows the token comes this far, so that this is no oracle for anybody else.
        if not 1 <= padding <= BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise Forged("padding")
        return plain[:-padding]

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16]))


def sealed_of(body: bytes) -> str:
    """What is in `Encrypt`, of XML or JSON. Raises `Forged`."""
    if len(body) > MOST_BYTES:
        raise Forged("length")
    try:
        is_json = body.lstrip()[:1] == b"{"
        found = msgspec.json.decode(body, type=_Envelope).Encrypt if is_json else text_of(read_xml(body), "Encrypt")
    except (msgspec.MsgspecError, Unreadable, UnicodeDecodeError, RecursionError):
        raise Forged("envelope") from None
    if not found:
        raise Forged("envelope")
    return found


def _key_of(aes_key: str) -> bytes:
    try:
        key = b64decode(aes_key + "=", validate=True)
    except (NotBase64, ValueError):
        key = b""
    if len(aes_key) != 43 or len(key) != 32:
        raise ValueError("not an EncodingAESKey: 43 letters and digits")
    return key


def _is_fresh(timestamp: str, now: float, window_s: int) -> bool:
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return is_number and abs(int(timestamp) - now) <= window_s
