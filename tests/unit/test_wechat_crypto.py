"""Callbacks of WeChat and WeCom: only theirs, only for us, only fresh; the provider's own examples are the oracle."""

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from channels.wechat_crypto import Forged, MessageCrypt, sealed_of
from channels.wechat_xml import Unreadable, read_xml, text_of
from tests.standins.tencent_server import AES_KEY, seal, signature

# developer.work.weixin.qq.com, "加解密方案说明" and the sample code that goes with it.
SAMPLE = MessageCrypt("QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "wx5823bf96d3bd56c7")
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
HELLO = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXx"
    "accAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqAT"
    "P7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4X"
    "XZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
)

TOKEN, APP, NOW, NONCE = "push-token", "wx-test", 1_764_108_000, "n0nce"
STAMP = str(NOW)
CRYPT = MessageCrypt(TOKEN, AES_KEY, APP)


def reason(crypt: MessageCrypt = CRYPT, **changed: Any) -> str:
    """Why this callback, good but for what was changed, is refused."""
    sealed = changed.get("sealed", seal("你好".encode(), AES_KEY, APP))
    stamp, nonce = changed.get("stamp", STAMP), changed.get("nonce", NONCE)
    signed = changed.get("signature", signature(TOKEN, changed.get("signed_stamp", stamp), NONCE, sealed))
    with pytest.raises(Forged) as caught:
        crypt.open(signed, stamp, nonce, sealed, float(changed.get("now", NOW)))
    return str(caught.value)


def sealed_raw(plain: bytes) -> str:
    """Sealed as it is, with whatever padding it has."""
    key = b64decode(AES_KEY + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def test_the_providers_own_example_of_an_address_check_is_opened() -> None:
    """The echo is what is to be answered."""
    signed = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"

    assert SAMPLE.open(signed, "1409659589", "263014780", ECHO, 1409659589) == b"1616140317555161061"


def test_the_providers_own_example_of_a_message_is_opened() -> None:
    """From its posted body."""
    body = f"<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA[{HELLO}]]></Encrypt></xml>"
    signed = "477715d11cdb4164915debcba66cb864d751f3e6"
    content = SAMPLE.open_body(signed, "1409659813", "1372623149", body.encode(), 1409659813)

    assert text_of(read_xml(content), "Content") == "hello"


@given(st.binary(max_size=300))
def test_what_is_sealed_can_be_opened(content: bytes) -> None:
    """Of any length, also by the other side's own way of sealing."""
    sealed, signed = CRYPT.seal(content, STAMP, NONCE)
    theirs = seal(content, AES_KEY, APP)

    assert CRYPT.open(signed, STAMP, NONCE, sealed, NOW) == content
    assert CRYPT.open(signature(TOKEN, STAMP, NONCE, theirs), STAMP, NONCE, theirs, NOW) == content


def test_a_sealed_reply_is_an_envelope_that_opens() -> None:
    """XML with the four elements that the provider reads."""
    tree = read_xml(CRYPT.seal_reply(b"<xml/>", STAMP, NONCE))
    opened = CRYPT.open(text_of(tree, "MsgSignature"), STAMP, NONCE, text_of(tree, "Encrypt"), NOW)

    assert opened == b"<xml/>"
    assert (text_of(tree, "TimeStamp"), text_of(tree, "Nonce")) == (STAMP, NONCE)


def test_two_sealings_of_the_same_differ() -> None:
    """Each has its own random beginning."""
    assert CRYPT.seal(b"x", STAMP, NONCE) != CRYPT.seal(b"x", STAMP, NONCE)


def test_plain_mode_is_checked_by_its_own_signature() -> None:
    """Signature of token, time and nonce."""
    CRYPT.check(signature(TOKEN, STAMP, NONCE), STAMP, NONCE, NOW)
    for changed in ((signature("other", STAMP, NONCE), STAMP, NOW), (signature(TOKEN, STAMP, NONCE), STAMP, NOW + 301)):
        signed, stamp, now = changed
        with pytest.raises(Forged):
            CRYPT.check(signed, stamp, NONCE, now)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"signature": ""}, "signature"),
        ({"signature": "签名"}, "signature"),
        ({"signature": "\udcff"}, "signature"),
        ({"signed_stamp": str(NOW - 1)}, "signature"),
        ({"nonce": "other"}, "signature"),
        ({"nonce": "\udcff"}, "signature"),
        ({"now": NOW + 301}, "stale"),
        ({"now": NOW - 301}, "stale"),
        ({"stamp": "soon"}, "stale"),
        ({"stamp": ""}, "stale"),
        ({"stamp": STAMP.translate({ord("0") + n: 0x0660 + n for n in range(10)})}, "stale"),
        ({"stamp": "9" * 400}, "stale"),
        ({"sealed": "签名"}, "base64"),
        ({"sealed": "===="}, "base64"),
        ({"sealed": ""}, "length"),
        ({"sealed": b64encode(b"x" * 17).decode()}, "length"),
        ({"sealed": b64encode(b"x" * 70_000).decode()}, "length"),
        ({"sealed": sealed_raw(bytes(32))}, "padding"),
        ({"sealed": sealed_raw(bytes(31) + b"\x21")}, "padding"),
        ({"sealed": sealed_raw(bytes(30) + b"\x01\x02")}, "padding"),
        ({"sealed": sealed_raw(b"\x30" * 48)}, "padding"),
        ({"sealed": sealed_raw(b"\x20" * 32)}, "receiver"),
        ({"sealed": sealed_raw(bytes(16) + b"\xff\xff\xff\xff" + bytes(11) + b"\x01")}, "length"),
        ({"sealed": seal(b"x", AES_KEY, "wx-other")}, "receiver"),
        ({"sealed": seal(b"x", AES_KEY, "")}, "receiver"),
    ],
)
def test_a_callback_is_refused_for_anything_that_is_wrong_with_it(changed: dict[str, Any], said: str) -> None:
    """One error for all, with one word for the log."""
    assert reason(**changed) == said


def test_a_callback_is_taken_at_the_edge_of_the_window() -> None:
    """Five minutes either way; narrower if it is set so."""
    sealed, signed = CRYPT.seal(b"x", STAMP, NONCE)

    assert CRYPT.open(signed, STAMP, NONCE, sealed, NOW + 300) == CRYPT.open(signed, STAMP, NONCE, sealed, NOW - 300)
    assert reason(MessageCrypt(TOKEN, AES_KEY, APP, 60), now=NOW + 61) == "stale"


def test_an_envelope_is_read_in_both_formats() -> None:
    """The console of a mini-program offers XML and JSON."""
    assert sealed_of(b"<xml><Encrypt><![CDATA[abc=]]></Encrypt></xml>") == "abc="
    assert sealed_of(json.dumps({"ToUserName": "gh_1", "Encrypt": "abc="}).encode()) == "abc="


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>'
BAD_BODIES = {
    "empty": b"",
    "no envelope": b"<xml/>",
    "no text": b"<xml><Encrypt><a/></Encrypt></xml>",
    "open": b"<xml><Encrypt>abc",
    "another encoding": b'<?xml version="1.0" encoding="nonsense"?><xml><Encrypt>a</Encrypt></xml>',
    "a document type": b"<!DOCTYPE xml><xml><Encrypt>abc</Encrypt></xml>",
    "an entity": BOMB,
    "an outer entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><xml><Encrypt>&a;</Encrypt></xml>',
    "deep": b"<a>" * 5000,
    "wide": b"<xml>" + b"<a/>" * 501 + b"<Encrypt>x</Encrypt></xml>",
    "long": b"<xml><Encrypt>" + b"x" * 70_000 + b"</Encrypt></xml>",
    "bytes": b"\xff\xfe\x00",
    "json without it": b"{}",
    "json of another type": b'{"Encrypt": 1}',
    "deep json": b'{"Encrypt": ' + b"[" * 50_000,
    "json bytes": b'{"Encrypt": "\xff"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_no_envelope_is_forged(body: bytes) -> None:
    """Entities and document types are refused before they cost anything."""
    with pytest.raises(Forged) as caught:
        sealed_of(body)
    assert str(caught.value) in ("envelope", "length")


@pytest.mark.parametrize("body", [BOMB, b"<!DOCTYPE xml><xml/>"])
def test_a_document_type_is_refused_as_such(body: bytes) -> None:
    """Not because something else in it went wrong."""
    with pytest.raises(Unreadable, match="document type"):
        read_xml(body)


def test_repeated_elements_become_a_list() -> None:
    """Two, three, and text as it stands."""
    tree = read_xml("<xml><a>一</a><a>二</a><a><b> 三 </b></a><c/></xml>".encode())

    assert tree == {"a": ["一", "二", {"b": "三"}], "c": ""}


@pytest.mark.parametrize("key", ["", "short", AES_KEY + "A", AES_KEY[:-1] + "!", "密" * 43])
def test_a_key_that_is_none_does_not_start(key: str) -> None:
    """The text does not hold it."""
    with pytest.raises(ValueError, match="EncodingAESKey") as caught:
        MessageCrypt(TOKEN, key, APP)
    assert not key or key not in str(caught.value)
