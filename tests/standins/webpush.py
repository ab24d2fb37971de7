"""A push service as a small real HTTP server, with the browsers behind it: strict, scriptable, in the test's process or beside it.

`python -m tests.standins.webpush --port N` serves until it is ended; `/__ctl` then does what a test does with the object.
"""

import argparse
import asyncio
import random
import secrets
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import msgspec
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.rfc8291 import base64url, point_of
from tests.standins.webpush_browser import Browser, Mood, Received, Subscription
from tests.standins.webpush_request import Refused, check_request, check_vapid

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass
class WebpushStandin:
    """Open it with `open_webpush_standin`."""

    url: str = ""
    latency_s: float = 0.0
    """Before each answer."""
    moods: list[Mood] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    browsers: dict[str, Browser] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)
    """By status, or by the mood that gave none."""
    now: Callable[[], float] = time.time
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def subscribe(self, expected_key: str = "") -> Subscription:
        """A new browser; `expected_key` is the `applicationServerKey` it subscribes with."""
        browser = Browser(generate_private_key(SECP256R1()), secrets.token_bytes(16), expected_key)
        name = secrets.token_urlsafe(24)
        self.browsers[name] = browser
        return Subscription(f"{self.url}/push/{name}", base64url(point_of(browser.key)), base64url(browser.auth))

    def expire(self, subscription: str) -> None:
        self.browsers[subscription].has_ended = True

    def go_offline(self, subscription: str) -> None:
        self.browsers[subscription].is_online = False

    def come_online(self, subscription: str) -> None:
        """It gets what waited and is not too old (RFC 8030, section 5.2)."""
        browser = self.browsers[subscription]
        browser.is_online = True
        browser.delivered += [each for each in browser.waiting if self.now() < each.at + each.ttl_s]
        browser.waiting.clear()

    def shown(self, subscription: str) -> dict[str, dict[str, Any]]:
        """What stands on the screen, by tag, if the service worker does as docs/notices.md says."""
        found: dict[str, dict[str, Any]] = {}
        for payload in (each.payload for each in self.browsers[subscription].delivered):
            if payload["type"] == "withdraw":
                found.pop(payload["tag"], None)
            else:
                found[payload["tag"]] = payload
        return found

    # What it answers

    async def on_push(self, request: web.Request) -> web.StreamResponse:
        body, name = await request.read(), request.match_info["name"]
        mood = self._mood(name, body)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        try:
            if mood and mood.kind in ("status", "silent", "cut"):
                return await self._fail(mood, request)
            taken = self._take(name, request, body)
        except Refused as refused:
            return self._answer(refused.status, {"code": refused.status, "errno": refused.errno})
        if mood:
            return await self._fail(mood, request)
        return self._answer(201, None, {"Location": f"{self.url}/message/{taken.id}"})

    def _mood(self, name: str, body: bytes) -> Mood | None:
        for mood in self.moods:
            fits = mood.subscription in ("", name) and len(body) > mood.above_bytes and mood.times != 0
            if fits and self.chance.random() < mood.share:
                mood.times = None if mood.times is None else mood.times - 1
                return mood
        return None

    async def _fail(self, mood: Mood, request: web.Request) -> web.StreamResponse:
        if mood.kind == "status":
            return self._answer(mood.status, mood.body, dict(self._retry_after(mood.retry_after)))
        self.answered[mood.kind] += 1
        if mood.kind in ("silent", "mute"):
            await self.released.wait()
        if request.transport is not None:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            request.transport.abort()
        return web.Response()

    def _retry_after(self, value: str) -> Iterator[tuple[str, str]]:
        if value.startswith("date:"):
            yield "Retry-After", formatdate(self.now() + float(value.removeprefix("date:")), usegmt=True)
        elif value:
            yield "Retry-After", value

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
        self.answered[str(status)] += 1
        return web.Response(status=status, body=msgspec.json.encode(body) if body else b"", headers=headers)

    def _take(self, name: str, request: web.Request, body: bytes) -> Received:
        browser = self.browsers.get(name)
        if browser is None:
            raise Refused(404, 102)
        if browser.has_ended:
            raise Refused(410, 106)
        check_request(request.headers, body)
        headers = request.headers
        authorization, topic = headers.get("Authorization", ""), headers.get("Topic", "")
        check_vapid(authorization, self.url, self.now(), browser.expected_key)
        taken = Received(
            id=secrets.token_hex(8),
            at=self.now(),
            subscription=name,
            topic=topic,
            ttl_s=int(headers["TTL"]),
            urgency=headers.get("Urgency", "normal"),
            authorization=authorization,
            body=body,
            browser=browser,
        )
        self.received.append(taken)
        if browser.is_online:
            browser.delivered.append(taken)
        else:  # RFC 8030, section 5.4: the same topic replaces what waits
            browser.waiting = [each for each in browser.waiting if not topic or each.topic != topic] + [taken]
        return taken


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /__ctl`: what is left out stays."""

    moods: list[Mood] | None = None
    latency_s: float | None = None
    expire: list[str] = []
    go_offline: list[str] = []
    come_online: list[str] = []
    forget_received: bool = False


def _control(standin: WebpushStandin) -> list[web.RouteDef]:
    def told(content: Any) -> web.Response:
        return web.Response(body=msgspec.json.encode(content), content_type="application/json")

    async def change(request: web.Request) -> web.Response:
        change = msgspec.json.decode(await request.read(), type=Change)
        standin.moods = standin.moods if change.moods is None else change.moods
        standin.latency_s = standin.latency_s if change.latency_s is None else change.latency_s
        for act in ("expire", "go_offline", "come_online"):
            for name in getattr(change, act):
                getattr(standin, act)(name)
        if change.forget_received:
            standin.received.clear()
            for browser in standin.browsers.values():
                browser.delivered.clear()
        return told({"received": len(standin.received), "answered": standin.answered})

    async def subscribe(request: web.Request) -> web.Response:
        count, key = int(request.query.get("count", "1")), request.query.get("expected_key", "")
        return told([standin.subscribe(key) for _ in range(count)])

    async def received(request: web.Request) -> web.Response:
        return told([each.told() for each in standin.received[int(request.query.get("since", "0")) :]])

    async def shown(request: web.Request) -> web.Response:
        return told(standin.shown(request.query["subscription"]))

    return [
        web.post("/__ctl", change),
        web.post("/__ctl/subscribe", subscribe),
        web.get("/__ctl/received", received),
        web.get("/__ctl/shown", shown),
    ]


@asynccontextmanager
async def open_webpush_standin(port: int = 0) -> AsyncIterator[WebpushStandin]:
    standin = WebpushStandin()
    app = web.Application()
    app.add_routes([web.post("/push/{name}", standin.on_push), *_control(standin)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        standin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield standin
    finally:
        standin.released.set()
        await runner.cleanup()


async def serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with open_webpush_standin(port) as standin:
        print(standin.url, flush=True)
        await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A push service for tests and benchmarks.")
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
