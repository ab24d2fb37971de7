"""Which subscriptions are taken: the address is somebody's input, and must never point inside."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from channels.webpush_endpoint import checked_endpoint, checked_keys, wrong_host
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import Webpush
from hub.platform.text import TEXTS
from tests.rfc8291 import base64url

HOSTS = Webpush().hosts
AUTH = base64url(b"0123456789abcdef")
# A fixed one: test ids are made of it, and every worker must make the same ones.
POINT = derive_private_key(7, SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def refused(endpoint: str, hosts: str = HOSTS) -> dict[str, str]:
    with pytest.raises(Refusal) as caught:
        checked_endpoint(endpoint, hosts)
    assert caught.value.code is ErrorCode.INVALID
    return caught.value.fields


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/dQw4:APA91b-_x", "https://fcm.googleapis.com"),
        ("https://fcm.googleapis.com:443/fcm/send/x", "https://fcm.googleapis.com"),
        ("HTTPS://FCM.GoogleAPIs.com/fcm/send/X", "https://fcm.googleapis.com"),
        ("https://updates.push.services.mozilla.com/wpush/v2/gAAAA_-", "https://updates.push.services.mozilla.com"),
        ("https://web.push.apple.com/QMeMu==", "https://web.push.apple.com"),
        ("https://wns2-par02p.notify.windows.com/w/?token=BQY%2fa%3d", "https://wns2-par02p.notify.windows.com"),
    ],
)
def test_the_origin_is_told_when_the_settings_name_the_service(endpoint: str, origin: str) -> None:
    """What browsers really name is taken, and the origin is what VAPID signs: lower case, no default port."""
    assert checked_endpoint(endpoint, HOSTS) == origin


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com:80/x",
        "https://fcm.googleapis.com",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:x@127.0.0.1/x",
        "https://fcm.googleapis.com@127.0.0.1/x",
        "https://fcm.googleapis.com\\@127.0.0.1/x",
        "https://127.0.0.1\\.push.apple.com/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://169.254.169.254/latest/meta-data",
        "https://push.apple.com/x",
        "https://evilpush.apple.com/x",
        "https://fcm.googleapis.com.evil.cn/x",
        "https://fcm.googleapis.com./x",
        "https://fcm.googleapis.com\t/x",
        "https://fcm.googleapis.com\n/x",
        " https://fcm.googleapis.com/x",
        "https://fcm.googleapis.com/x\r\nHost: evil.cn",
        "https://fcm.googleapis.com/x#y",
        "https://ﬀcm.googleapis.com/x",
        "https://fcm。googleapis。com/x",
        "https://web..push.apple.com/x",
        "https://-a.push.apple.com/x",
        f"https://{'a' * 64}.push.apple.com/x",
        "https:///fcm.googleapis.com/x",
        "//fcm.googleapis.com/x",
        "file:///etc/passwd",
        f"https://fcm.googleapis.com/{'x' * 2048}",
    ],
)
def test_an_address_is_refused_when_it_could_point_elsewhere(endpoint: str) -> None:
    """https on port 443 of a named host only; no user, no other machine's number, nothing that parsers read differently."""
    assert refused(endpoint) == {"endpoint": "push_endpoint_refused"}
    assert "push_endpoint_refused" in TEXTS


def test_an_origin_is_taken_as_written_when_the_settings_name_it() -> None:
    """For tests and for services of one's own: scheme, host and port exactly."""
    hosts = "http://127.0.0.1:9001 https://push.hub.example:8443"

    assert checked_endpoint("http://127.0.0.1:9001/push/x", hosts) == "http://127.0.0.1:9001"
    assert checked_endpoint("https://push.hub.example:8443/x", hosts) == "https://push.hub.example:8443"
    for endpoint in (
        "https://127.0.0.1:9001/x",
        "http://127.0.0.1:9002/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1/x",
    ):
        refused(endpoint, hosts)
    refused("https://push.hub.example/x", hosts)
    refused("https://127.0.0.1/x", "127.0.0.1 *.0.0.1")


def test_nothing_is_taken_when_no_host_is_named() -> None:
    refused("https://fcm.googleapis.com/x", "")


@given(host=st.text(min_size=1, max_size=40), port=st.sampled_from(["", ":443", ":80", ":"]))
def test_only_named_hosts_pass_whatever_is_asked(host: str, port: str) -> None:
    """No text in the host's place leads to another host."""
    try:
        origin = checked_endpoint(f"https://{host}{port}/x", HOSTS)
    except Refusal:
        return
    assert origin.removeprefix("https://").endswith((".com",))
    assert origin == f"https://{host.split('/')[0].removesuffix(':443').lower()}"


@pytest.mark.parametrize(
    "entry", ["*", "*.", "*.com", "com", "127.0.0.1", "a.cn:443", "https://a.cn/x", "ftp://a.cn", "*a.cn"]
)
def test_an_entry_of_the_setting_is_named_when_it_cannot_be_meant(entry: str) -> None:
    """Too wide, or never matching."""
    assert wrong_host(f"fcm.googleapis.com {entry}") == entry


def test_the_default_hosts_are_good() -> None:
    assert wrong_host(HOSTS) is None
    assert wrong_host("http://127.0.0.1:9001 https://a.cn") is None


def test_keys_are_taken_with_and_without_padding() -> None:
    """Browsers leave it out; some libraries put it in."""
    for pad in ("", "="):
        assert checked_keys(base64url(POINT) + pad, AUTH + pad * 2).public_numbers().x == int.from_bytes(POINT[1:33])


@pytest.mark.parametrize(
    ("p256dh", "auth", "field"),
    [
        ("", AUTH, "p256dh"),
        (base64url(POINT[:-1]), AUTH, "p256dh"),
        (base64url(b"\2" + POINT[1:33]), AUTH, "p256dh"),
        (base64url(b"\4" + b"\1" * 64), AUTH, "p256dh"),
        (base64url(b"\4" + bytes(64)), AUTH, "p256dh"),
        (base64url(POINT) + "!", AUTH, "p256dh"),
        (base64url(POINT)[:40] + "\n" + base64url(POINT)[40:], AUTH, "p256dh"),
        ("é" * 87, AUTH, "p256dh"),
        ("A" * 100000, AUTH, "p256dh"),
        (base64url(POINT), "", "auth"),
        (base64url(POINT), AUTH[:-2], "auth"),
        (base64url(POINT), AUTH + "AA", "auth"),
        (base64url(POINT), "A", "auth"),
    ],
)
def test_keys_are_refused_when_nothing_could_be_sealed_for_them(p256dh: str, auth: str, field: str) -> None:
    """A point of the curve, uncompressed, and 16 bytes: base64url and nothing else."""
    with pytest.raises(Refusal) as caught:
        checked_keys(p256dh, auth)

    assert caught.value.fields == {field: "push_key_invalid"}
    assert "push_key_invalid" in TEXTS
