"""A receiver of webhooks as a small real HTTP server: verifies as the documentation tells it to, and has its moods."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Post:
    """One request, as it came."""

    id: str
    timestamp: int
    signature: str
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = json.loads(self.body)["events"]
        return events

    def is_signed_with(self, secret: str) -> bool:
        signed = f"{self.id}.{self.timestamp}.".encode() + self.body
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v1={expected}", self.signature)


@dataclass
class WebhookStandin:
    """`answers`: the statuses of the next posts, 200 after them. While `hold` is set nothing is answered."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of all posts, repetitions told by their id."""
        return [event for post in {post.id: post for post in self.posts}.values() for event in post.events]

    async def _receive(self, request: web.Request) -> web.Response:
        told = request.headers
        self.posts.append(
            Post(
                told["Hub-Webhook-Id"],
                int(told["Hub-Webhook-Timestamp"]),
                told["Hub-Webhook-Signature"],
                await request.read(),
            )
        )
        self.came.set()
        if self.hold is not None:
            await self.hold.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"} if status == 302 else {})


@asynccontextmanager
async def open_receiver() -> AsyncIterator[WebhookStandin]:
    """Serves on `url` until the end."""
    receiver = WebhookStandin()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver._receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        await runner.cleanup()
