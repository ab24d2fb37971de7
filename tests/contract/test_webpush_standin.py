"""The push service that the channel is judged by is itself judged: what real ones refuse, it refuses; beside the tests it does the same."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from channels import webpush
from channels.port import Address, Content, Message, Verdict
from channels.webpush import open_webpush
from hub.platform import settings
from hub.platform.clock import SystemClock
from tests.hub_process import ROOT
from tests.rfc8291 import base64url, point_of
from tests.standins.webpush import WebpushStandin, open_webpush_standin
from tests.standins.webpush_browser import Subscription

KEY, STRANGER = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
PUBLIC = base64url(point_of(KEY))


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[WebpushStandin]:
    async with open_webpush_standin() as running:
        yield running


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def message(subscription: Subscription) -> Message:
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    address = Address(id="a1", value=subscription.endpoint, extra=keys)
    content = Content(title="王医生", body="您有一条新消息")
    return Message(key="k" * 32, tag="t1", attempt="t1", address=address, content=content)


def vapid(origin: str, signer: Any = KEY, key: str = PUBLIC, **changed: Any) -> str:
    claims = {"aud": origin, "exp": int(time.time()) + 3600, "sub": "mailto:ops@example.com"} | changed
    return f"vapid t={jwt.encode(claims, signer, algorithm='ES256')},k={key}"


def good(origin: str) -> dict[str, str]:
    return {"TTL": "60", "Content-Encoding": "aes128gcm", "Topic": "a1", "Authorization": vapid(origin)}


async def test_a_good_request_is_taken(standin: WebpushStandin, http: httpx.AsyncClient) -> None:
    """So that each refusal below is for its one fault."""
    subscription = standin.subscribe(PUBLIC)
    body = webpush.encrypt(message(subscription))

    answer = await http.post(subscription.endpoint, content=body, headers=good(standin.url))

    assert answer.status_code == 201
    assert answer.headers["location"].endswith(standin.received[0].id)
    assert time.time() - 60 < standin.received[0].at <= time.time()


@pytest.mark.parametrize(
    ("status", "changed"),
    [
        (400, {"TTL": None}),
        (400, {"TTL": "-1"}),
        (400, {"TTL": "99999999"}),
        (400, {"Topic": "a_b"}),
        (400, {"Topic": "a" * 33}),
        (400, {"Urgency": "critical"}),
        (400, {"Content-Encoding": "aesgcm"}),
        (401, {"Authorization": None}),
        (401, {"Authorization": "Bearer x"}),
    ],
)
async def test_a_request_is_refused_for_its_headers(
    status: int, changed: dict[str, str | None], standin: WebpushStandin, http: httpx.AsyncClient
) -> None:
    headers = {name: value for name, value in (good(standin.url) | changed).items() if value is not None}
    subscription = standin.subscribe(PUBLIC)
    body = webpush.encrypt(message(subscription))

    assert (await http.post(subscription.endpoint, content=body, headers=headers)).status_code == status
    assert not standin.received


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://fcm.googleapis.com"},
        {"exp": int(time.time()) + 90000},
        {"exp": int(time.time()) - 1},
        {"exp": "soon"},
        {"sub": "mailto:ops@localhost"},
        {"sub": ""},
        {"signer": STRANGER},
        {"signer": STRANGER, "key": base64url(point_of(STRANGER))},
        {"key": "AAAA"},
    ],
)
async def test_a_signature_is_refused(
    changed: dict[str, Any], standin: WebpushStandin, http: httpx.AsyncClient
) -> None:
    """For whom, until when, by whom, and whether the browser subscribed with that key."""
    subscription = standin.subscribe(PUBLIC)
    headers = good(standin.url) | {"Authorization": vapid(standin.url, **changed)}
    body = webpush.encrypt(message(subscription))

    assert (await http.post(subscription.endpoint, content=body, headers=headers)).status_code == 403
    assert not standin.received


async def test_a_body_is_refused_for_its_size(standin: WebpushStandin, http: httpx.AsyncClient) -> None:
    endpoint = standin.subscribe(PUBLIC).endpoint

    for size, status in ((4097, 413), (4096, 201), (103, 400)):
        answer = await http.post(endpoint, content=b"x" * size, headers=good(standin.url))
        assert answer.status_code == status


async def test_what_no_browser_could_open_is_noticed(standin: WebpushStandin, http: httpx.AsyncClient) -> None:
    """A push service cannot know; the browser behind it does."""
    subscription, other = standin.subscribe(), standin.subscribe()
    body = webpush.encrypt(message(other))
    await http.post(subscription.endpoint, content=body, headers=good(standin.url))

    with pytest.raises(Exception, match="Decryption"):
        standin.received[0].payload  # noqa: B018


async def test_it_does_the_same_as_a_process_of_its_own(http: httpx.AsyncClient) -> None:
    """Subscribed, sent, scripted, read and forgotten over HTTP; ends when it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.webpush", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        chosen = settings.Webpush(private_key=base64url(b"\1" * 32), subject="mailto:ops@example.com", hosts=url)
        near, far = [
            Subscription(**each) for each in (await http.post(f"{url}/__ctl/subscribe", params={"count": 2})).json()
        ]
        async with open_webpush(chosen, SystemClock()) as channel:
            assert channel is not None
            await _change(http, url, moods=[{"status": 503, "times": 1}], latency_s=0.01, go_offline=[far.id])
            verdicts = [(await channel.send(message(each))).verdict for each in (near, near, far)]
            await _change(http, url, come_online=[far.id], expire=[near.id])
            verdicts.append((await channel.send(message(near))).verdict)

        received = (await http.get(f"{url}/__ctl/received")).json()
        assert verdicts == [Verdict.RETRY, Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.GONE]
        assert [each["subscription"] for each in received] == [near.id, far.id]
        assert received[0]["payload"]["body"] == "您有一条新消息"
        assert abs(received[0]["at"] - time.time()) < 60
        assert (await http.get(f"{url}/__ctl/received", params={"since": 1})).json() == received[1:]
        shown = (await http.get(f"{url}/__ctl/shown", params={"subscription": far.id})).json()
        assert list(shown) == ["t1"]
        told = await _change(http, url, forget_received=True)
        assert told == {"received": 0, "answered": {"503": 1, "201": 2, "410": 1}}
        assert (await http.get(f"{url}/__ctl/received")).json() == []
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def _change(http: httpx.AsyncClient, url: str, **change: Any) -> dict[str, Any]:
    answer = await http.post(f"{url}/__ctl", content=json.dumps(change))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
