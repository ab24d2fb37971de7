"""Webhooks without I/O: what is posted, how it is signed, when it is repeated, and where it may go."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.error import Refusal
from hub.webhooks.model import (
    GIVE_UP,
    LONGEST_S,
    NoticeEvent,
    Result,
    back_off_s,
    headers,
    packed,
    why_end,
)
from hub.webhooks.url import checked_url, is_outside

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
EVENT = NoticeEvent(id=7, notice="n", user="u", class_="order", state="open", at="2026-11-25T08:00:00.000Z")


def test_body_holds_what_is_known_and_leaves_out_the_rest() -> None:
    """An event of a notice has no attempt; a ping has no events, and says so."""
    event = {
        "id": 7,
        "notice": "n",
        "user": "u",
        "class": "order",
        "state": "open",
        "at": EVENT.at,
    }

    assert json.loads(packed([EVENT])) == {"events": [event]}
    assert json.loads(packed([], ping=True)) == {"events": [], "ping": True}


def test_signature_is_what_a_receiver_computes() -> None:
    """HMAC-SHA256 over id, time and body, as the documentation says."""
    body = packed([EVENT])
    sent = headers("secret", "d-1", body, NOW)
    signed = b"d-1." + sent["Hub-Webhook-Timestamp"].encode() + b"." + body

    assert sent["Hub-Webhook-Timestamp"] == str(int(NOW.timestamp()))
    assert sent["Hub-Webhook-Signature"] == "v1=" + hmac.new(b"secret", signed, hashlib.sha256).hexdigest()


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_grows_up_to_an_hour(failures: int, draw: float) -> None:
    """Between half of the doubled time and all of it, never under a second."""
    found = back_off_s(failures, draw)
    longest = min(2.0 ** min(failures - 1, 60), LONGEST_S)

    assert max(1.0, longest / 2) <= found <= max(1.0, longest)


@pytest.mark.parametrize(
    ("status", "since", "why"),
    [
        (500, timedelta(0), ""),
        (None, GIVE_UP - timedelta(seconds=1), ""),
        (500, GIVE_UP, "failing"),
        (410, timedelta(0), "gone"),
        (404, timedelta(0), ""),
        (301, timedelta(0), ""),
    ],
)
def test_a_webhook_ends_after_three_days_or_when_it_says_so(status: int | None, since: timedelta, why: str) -> None:
    """Anything else may pass."""
    assert why_end(Result(status=status), NOW - since, NOW) == why


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (204, True), (299, True), (301, False), (199, False), (None, False)]
)
def test_only_2xx_is_taken(status: int | None, taken: bool) -> None:
    """A redirect is no answer: it would lead past the check of the address."""
    assert Result(status=status).is_taken is taken


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.0.23",
        "100.100.100.200",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "localhost",
        "",
    ],
)
def test_addresses_inside_are_known(address: str) -> None:
    """Private, of this machine, of the link, of a cloud's metadata, of many; also when an IPv6 address leads there."""
    assert not is_outside(address)


@pytest.mark.parametrize(
    "address", ["223.5.5.5", "8.8.8.8", "2400:3200::1", "::ffff:223.5.5.5", "64:ff9b::df05:505", "2002:df05:505::1"]
)
def test_addresses_outside_are_known(address: str) -> None:
    """Behind a translator too."""
    assert is_outside(address)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://hook.example.com", ("hook.example.com", 443)),
        ("https://hook.example.com?a=1", ("hook.example.com", 443)),
        ("HTTPS://Hook.Example.com:8443/a/b?x=%20&y=@z", ("hook.example.com", 8443)),
        ("https://223.5.5.5/x", ("223.5.5.5", 443)),
    ],
)
def test_addresses_of_good_form_are_taken(url: str, place: tuple[str, int]) -> None:
    assert checked_url(url, private=False) == place


@pytest.mark.parametrize(
    "url",
    [
        "http://hook.example.com/",
        "ftp://hook.example.com/",
        "hook.example.com",
        "https://",
        "https:///a",
        "https://user:word@hook.example.com/",
        "https://hook.example.com@inside.example/",
        "https://hook.example.com\\@inside.example/",
        "https://hook.example.com/#part",
        "https://hook.example.com/a b",
        "https://hook.example.com/a\n",
        "https://hook.example.com:0/",
        "https://hook.example.com:65536/",
        "https://医院.example/",
        "https://[::1]/",
        "https://-a.example/",
        "https://hook.example.com/" + "a" * 2048,
    ],
)
def test_addresses_of_bad_form_are_refused_by_name(url: str) -> None:
    """Whatever parsers may differ about is no address."""
    with pytest.raises(Refusal) as refused:
        checked_url(url, private=False)

    assert refused.value.fields == {"url": "webhook_url_invalid"}


def test_http_is_for_what_is_inside_only() -> None:
    """Where the setting allows it; the form is the same."""
    assert checked_url("http://10.0.0.1:8080/x", private=True) == ("10.0.0.1", 8080)
    assert checked_url("http://hook", private=True) == ("hook", 80)
