"""What the stand-ins of WeChat and WeCom share: a small HTTP server with moods, a record, control from outside, and callbacks.

Moods of an operation: `busy` (errcode -1), `http500`, `http429`, `garbage`, `timeout` (says nothing, does nothing), `lost` (does it,
says nothing), `cut` (does it, hangs up). `moods[op]` holds until changed, or for `times` calls; `rates[op]` draws one by chance.

From another process: POST /__ctl {"latency_s": 0.05, "moods": {"send": {"mood": "lost", "times": 3}}, "rates": {"send": {"lost": 0.1}}, …},
GET /__ctl/received?from=0 → {"count", "received"}.
"""

import argparse
import asyncio
import json
import random
import secrets
import signal
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any, ClassVar, Self

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
PUSH_TOKEN = "push-token"
TRIES = 3  # of a callback
LIFE_S = 7200.0
OVERLAP_S = 300.0


def signature(token: str, *parts: str) -> str:
    return sha1("".join(sorted((token, *parts))).encode(), usedforsecurity=False).hexdigest()


def seal(content: bytes, aes_key: str, receiver: str) -> str:
    """As the providers do it; written apart from what it tests."""
    key = b64decode(aes_key + "=")
    plain = secrets.token_bytes(16) + len(content).to_bytes(4, "big") + content + receiver.encode()
    padding = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return b64encode(encryptor.update(plain + bytes([padding] * padding)) + encryptor.finalize()).decode()


class Token:
    def __init__(self, value: str, owner: str, ends_at: float) -> None:
        self.value = value
        self.owner = owner
        self.ends_at = ends_at
        self.revoked = False


class TencentServer:
    """`async with Weixin() as weixin:` serves on `weixin.url`."""

    controls: ClassVar[frozenset[str]] = frozenset({"latency_s", "moods", "rates", "callback_url", "token", "aes_key"})

    def __init__(self, port: int = 0) -> None:
        self.latency_s = 0.0
        self.moods: dict[str, Any] = {}
        self.rates: dict[str, dict[str, float]] = {}
        self.callback_url = ""
        self.token, self.aes_key = PUSH_TOKEN, AES_KEY
        self.received: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.answers: list[bytes] = []
        self.offset_s = 0.0
        self._tokens: list[Token] = []
        self._port = port
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(4)  # the same choices in every run

    # What each provider says for itself.

    receiver = ""

    def routes(self) -> dict[tuple[str, str], tuple[str, Any]]:
        """(method, path) → (operation, handler of the JSON or query)."""
        raise NotImplementedError

    async def command(self, order: dict[str, Any]) -> dict[str, Any]:
        """What is not an attribute: done at once."""
        raise NotImplementedError

    # Life

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024)
        await self._site.start()
        self._port = self._runner.addresses[0][1]
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def now(self) -> float:
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        self.offset_s += seconds

    # Tokens

    def issue(self, owner: str) -> tuple[str, int]:
        """The same one until five minutes before its end."""
        mine = [token for token in self._tokens if token.owner == owner and not token.revoked]
        if not mine or mine[-1].ends_at - self.now() <= OVERLAP_S:
            mine.append(Token(f"{len(self._tokens)}_{secrets.token_urlsafe(96)}", owner, self.now() + LIFE_S))
            self._tokens.append(mine[-1])
        return mine[-1].value, int(mine[-1].ends_at - self.now())

    def revoke(self) -> None:
        """Somebody forced new ones: the old ones are worth nothing (40001)."""
        for token in self._tokens:
            token.revoked = True

    def owner_of(self, value: str) -> str | int:
        """Whose it is, or what is wrong with it."""
        found = next((token for token in self._tokens if token.value == value), None)
        if found is None or found.revoked:
            return 40001
        return found.owner if found.ends_at > self.now() else 42001

    # Callbacks

    def tell(self, content: bytes) -> None:
        """Post it to the callback address, later; again if that is not answered with 200."""
        if self.callback_url:
            task = asyncio.create_task(self._told(content))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def post(self, content: bytes) -> int:
        """Post it signed and sealed; the status that answered. The answer is kept in `answers`."""
        query, body = self.callback(content)
        async with self._client.post(self.callback_url, params=query, data=body) as answer:
            self.answers.append(await answer.read())
            return answer.status

    def callback(self, content: bytes) -> tuple[dict[str, str], bytes]:
        """Query and body of a callback in secure mode, in the format of its content."""
        stamp, nonce = str(int(self.now())), secrets.token_hex(8)
        sealed = seal(content, self.aes_key, self.receiver)
        query = {"timestamp": stamp, "nonce": nonce, "msg_signature": signature(self.token, stamp, nonce, sealed)}
        query |= {"signature": signature(self.token, stamp, nonce), "encrypt_type": "aes"}
        if content.startswith(b"{"):
            return query, json.dumps({"ToUserName": self.receiver, "Encrypt": sealed}).encode()
        body = f"<xml><ToUserName><![CDATA[{self.receiver}]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        return query, body.encode()

    async def _told(self, content: bytes) -> None:
        for _ in range(TRIES):
            try:
                if await self.post(content) == 200:
                    return
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.2)

    # HTTP

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.startswith("/__ctl"):
            return await self._control(request, body)
        route = self.routes().get((request.method, request.path))
        if route is None:
            return web.Response(status=404, text="not found")
        operation, handle = route
        self.calls[operation] += 1
        mood = self._mood(operation)
        if mood == "timeout":
            await self._closing.wait()
            return web.Response(status=504)
        if mood in ("http500", "http503", "http429"):
            return web.Response(status=int(mood[4:]), text="<html>Bad Gateway</html>")
        answer = self.said(-1, "system error") if mood == "busy" else await handle(dict(request.query), body)
        return await self._answer(request, mood, answer)

    async def _answer(self, request: web.Request, mood: str, answer: dict[str, Any]) -> web.StreamResponse:
        if mood == "lost":
            await self._closing.wait()
        if mood == "cut" and request.transport is not None:
            request.transport.close()
        if mood == "garbage":
            return web.Response(body=b"\xff<html>", content_type="text/html")
        return web.json_response(answer)

    def said(self, code: int, text: str, **more: Any) -> dict[str, Any]:
        return {"errcode": code, "errmsg": text, **more}

    def _mood(self, operation: str) -> str:
        chosen = self.moods.get(operation, "")
        if isinstance(chosen, str):
            return chosen or self._drawn(operation)
        chosen["times"] -= 1
        if chosen["times"] <= 0:
            del self.moods[operation]
        return str(chosen["mood"])

    def _drawn(self, operation: str) -> str:
        point = self._random.random()
        for mood, rate in self.rates.get(operation, {}).items():
            if point < rate:
                return mood
            point -= rate
        return ""

    async def _control(self, request: web.Request, body: bytes) -> web.Response:
        if request.path == "/__ctl/received":
            start = int(request.query.get("from", "0"))
            return web.json_response({"count": len(self.received), "received": self.received[start:]})
        order = json.loads(body)
        for name in self.controls & order.keys():
            setattr(self, name, order.pop(name))
        try:
            return web.json_response(await self.command(order))
        except (KeyError, TypeError) as error:
            return web.json_response({"error": repr(error)}, status=400)


@asynccontextmanager
async def listening(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A callback address of a test's own."""
    app = web.Application()
    app.router.add_post("/callback", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    finally:
        await runner.cleanup()


def serve(kind: type[TencentServer]) -> None:
    """`--port N`, until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve_until_stopped(kind(parser.parse_args().port)))


async def _serve_until_stopped(server: TencentServer) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        print(server.url, flush=True)
        await stopped.wait()
