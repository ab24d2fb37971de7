"""Who we are to a push service: keys and subjects as operators write them, and signatures that are kept."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from channels.webpush_vapid import DOUBTS, MOST_ORIGINS, RENEW, Signature, Vapid, load_vapid, public_key_of
from hub.platform.settings import BadSettings, Webpush
from tests.rfc8291 import base64url, point_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# Fixed: test ids are made of it, and every worker must make the same ones.
KEY = ec.derive_private_key(11, ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OLD_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
RAW = base64url(KEY.private_numbers().private_value.to_bytes(32))
CHOSEN = Webpush(private_key=RAW, subject="mailto:ops@hub.cn")
FCM = "https://fcm.googleapis.com"


def vapid() -> Vapid:
    return load_vapid(CHOSEN, NOW)


def claims(signature: Signature) -> dict[str, object]:
    token = signature.header.removeprefix("vapid t=").split(",")[0]
    checks = {"verify_exp": False, "verify_aud": False}
    found: dict[str, object] = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options=checks)
    return found


@pytest.mark.parametrize("key", [PEM, OLD_PEM, RAW, RAW + "=", f"  {PEM}\n"])
def test_a_key_is_read_in_each_form(key: str, tmp_path: Path) -> None:
    """PEM of either kind, base64url as web-push makes it, and a file with any of them."""
    file = tmp_path / "vapid.key"
    file.write_text(key)

    for value in (key, str(file)):
        assert public_key_of(msgspec.structs.replace(CHOSEN, private_key=value)) == base64url(point_of(KEY))


def test_there_is_no_public_key_when_web_push_is_off() -> None:
    assert public_key_of(Webpush()) == ""


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> str:
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


@pytest.mark.parametrize(
    "key",
    [
        "no-such-file",
        "bad\0name",
        "A" * 43,
        "_" * 43,
        PEM[:60],
        RAW[:-3],
        pytest.param(pem(ec.generate_private_key(ec.SECP384R1())), id="P-384"),
        pytest.param(pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), id="RSA"),
        pytest.param(pem(KEY, b"secret"), id="encrypted"),
    ],
)
def test_a_key_is_refused_by_its_name_and_without_its_value(key: str) -> None:
    """Nothing is made up where a file is missing, as py_vapid would, and no secret is in the text."""
    with pytest.raises(BadSettings) as caught:
        load_vapid(msgspec.structs.replace(CHOSEN, private_key=key), NOW)

    assert str(caught.value).startswith("webpush.private_key: ")
    assert key not in str(caught.value)
    assert not Path("no-such-file").exists()


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "ops@hub.cn",
        "http://hub.cn",
        "mailto:",
        "mailto:ops",
        "mailto:ops@localhost",
        "mailto:ops@hub.local",
        "mailto:ops@hub.invalid",
        "https://localhost",
        "https://localhost:8000/x",
        "https://hub.cn/contact",
    ],
)
def test_a_subject_is_refused_at_the_start_when_a_push_service_would_refuse_it(subject: str) -> None:
    """Apple answers 403 to each message otherwise, and py_vapid raises at each."""
    with pytest.raises(BadSettings, match=r"^webpush\.subject: "):
        load_vapid(msgspec.structs.replace(CHOSEN, subject=subject), NOW)


@pytest.mark.parametrize("subject", ["mailto:ops@hub.cn", "mailto:ops@example.com", "https://hub.cn"])
def test_a_subject_is_taken_when_it_can_be_reached(subject: str) -> None:
    signed = load_vapid(msgspec.structs.replace(CHOSEN, subject=subject), NOW).signature(FCM, NOW)

    assert claims(signed)["sub"] == subject


def test_each_origin_is_signed_for_itself() -> None:
    """Claims used twice would keep the first service's audience."""
    signer = vapid()
    origins = [FCM, "https://web.push.apple.com", "http://127.0.0.1:9001"]

    assert [claims(signer.signature(origin, NOW))["aud"] for origin in origins] == origins


def test_a_signature_is_kept_and_renewed_before_it_ends() -> None:
    """RFC 8292, section 2: at most 24 hours; signed again long before, and when the clock was put back."""
    signer = vapid()
    first = signer.signature(FCM, NOW)
    late = NOW + RENEW

    assert signer.signature(FCM, late - timedelta(seconds=1)) is first
    assert int(str(claims(first)["exp"])) <= NOW.timestamp() + 86400
    renewed = signer.signature(FCM, late)
    assert int(str(claims(renewed)["exp"])) == int((late + timedelta(hours=20)).timestamp())
    assert signer.signature(FCM, NOW) is not renewed


def test_signatures_do_not_pile_up() -> None:
    """Somebody who names ever new hosts costs no memory."""
    signer = vapid()
    first = signer.signature(FCM, NOW)
    for number in range(MOST_ORIGINS):
        signer.signature(f"https://a{number}.push.apple.com", NOW)

    assert len(signer._signatures) == MOST_ORIGINS
    assert signer.signature(FCM, NOW) is not first


def test_a_success_ends_all_doubts() -> None:
    """Refusals of a day are not added up: when the signature is renewed, and so unproven again, they count from none."""
    signs = vapid()
    before = [signs.doubt(FCM, f"{FCM}/{number}") for number in range(DOUBTS - 1)]
    signs.trust(FCM, NOW)
    renewed = signs.signature(FCM, NOW + RENEW)
    after = [signs.doubt(FCM, f"{FCM}/later-{number}") for number in range(DOUBTS)]

    assert not renewed.is_proven
    assert before + after == [False] * (DOUBTS * 2 - 2) + [True]


def test_doubts_of_invented_services_are_bounded() -> None:
    signs = vapid()
    for number in range(MOST_ORIGINS + 5):
        signs.doubt(f"https://host-{number}.cn", "1")

    assert len(signs._doubts) == MOST_ORIGINS
