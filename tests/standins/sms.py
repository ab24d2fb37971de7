"""Aliyun's and Tencent's SMS services on one address: beside a test, or as `python -m tests.standins.sms --port N`.

What they have in common is here: what was taken, moods, receipts, and `/__ctl`. Each one's protocol has a module of its own.
"""

import argparse
import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from hub.platform import settings
from tests.standins import sms_aliyun, sms_tencent
from tests.standins.sms_aliyun import Aliyun
from tests.standins.sms_tencent import Tencent

BATCH = 100  # receipts in one callback
PUMP_S = 0.05
WELL = {"aliyun": "DELIVERED", "tencent": "DELIVRD"}


@dataclass
class Taken:
    """One message that a provider took, and so one that rings on a phone."""

    provider: str
    phone: str
    attempt: str
    template: str
    fields: Any
    provider_id: str
    at: float
    status: str = "waiting"
    code: str = ""


@dataclass
class SmsStandin:
    """Open it with `open_standin`.

    `moods`, by provider, or by provider and action (`aliyun.QuerySendDetails`); that of a provider holds for its SendSms.
    Before the effect: throttled (each one's own code), too_many (429), busy (503), garbage, cut (hangs up), mute (says nothing).
    After it, as the message goes out all the same: torn (503), lost (hangs up), silent (says nothing).
    `chances`, by mood: how likely it comes over a SendSms that has no mood; e.g. `{"silent": 0.01}`.
    `codes`, by phone, or by provider and phone (`aliyun:138…`): what is answered in place of OK.
    `reports`, by phone or `*`: what the carrier says, `DELIVERED` if nothing; an empty one never comes.
    `callbacks`, by provider: where receipts go. They go on `deliver()`, or by themselves after `receipt_s`.
    """

    moods: dict[str, str] = field(default_factory=dict)
    chances: dict[str, float] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    callbacks: dict[str, str] = field(default_factory=dict)
    receipt_s: float | None = None
    latency_s: float = 0.0
    received: list[Taken] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """Requests, by provider and action."""
    told: list[tuple[str, int]] = field(default_factory=list)
    """Callbacks that were made: provider and status of the answer, 0 for none."""
    url: str = ""
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.released = asyncio.Event()
        self._waiting: deque[Taken] = deque()
        self._chance = random.Random(1)
        self._providers: dict[str, Aliyun | Tencent] = {"aliyun": Aliyun(self), "tencent": Tencent(self)}

    def settings(self, providers: str = "aliyun tencent", timeout_s: float = 5.0) -> settings.Sms:
        """What a hub needs to talk to this server."""
        return settings.Sms(
            providers=providers,
            sign_name=sms_aliyun.SIGN_NAME,
            timeout_s=timeout_s,
            aliyun_key_id=sms_aliyun.KEY_ID,
            aliyun_key_secret=sms_aliyun.KEY_SECRET,
            aliyun_base_url=self.url,
            tencent_secret_id=sms_tencent.SECRET_ID,
            tencent_secret_key=sms_tencent.SECRET_KEY,
            tencent_app_id=sms_tencent.APP_ID,
            tencent_base_url=self.url,
            callback_key="短信回执的密钥-0123456789abcdef0123456789abcdef",
        )

    # What the providers' modules ask

    def code_for(self, provider: str, phone: str) -> str:
        return self.codes.get(f"{provider}:{phone}") or self.codes.get(phone, "")

    def take(self, provider: str, phone: str, attempt: str, template: str, fields: Any) -> Taken:
        number = len(self.received) + 1
        taken = Taken(provider, phone, attempt, template, fields, f"{number}^{provider}", self.now())
        self.received.append(taken)
        self._waiting.append(taken)
        return taken

    # Receipts

    async def deliver(self, until: float | None = None) -> int:
        """Let the carriers answer for what was taken (`until` then); how many receipts there were."""
        due: list[Taken] = []
        while self._waiting and (until is None or self._waiting[0].at <= until):
            taken = self._waiting.popleft()
            code = self.reports.get(taken.phone, self.reports.get("*", "DELIVERED"))
            if code:
                taken.status = "delivered" if code == "DELIVERED" else "failed"
                taken.code = WELL[taken.provider] if code == "DELIVERED" else code
                due.append(taken)
        for provider in self._providers.values():
            ours = [t for t in due if t.provider == provider.name]
            for start in range(0, len(ours), BATCH):
                await self._tell(provider, ours[start : start + BATCH])
        return len(due)

    async def _tell(self, provider: Aliyun | Tencent, settled: list[Taken]) -> None:
        address = self.callbacks.get(provider.name)
        if not address:
            return
        status = 0
        with suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.request("POST", address, json=provider.reports(settled)) as answer:
                status = answer.status
        self.told.append((provider.name, status))

    async def pump(self) -> None:
        """Receipts by themselves, as long as nobody stops it."""
        while True:
            await asyncio.sleep(PUMP_S)
            if self.receipt_s is not None:
                await self.deliver(self.now() - self.receipt_s)

    # The address of the providers

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        provider = self._providers["aliyun" if "x-acs-action" in request.headers else "tencent"]
        action = f"{provider.name}.{provider.action(request)}"
        self.asked[action] += 1
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        mood = self._mood(provider.name, action)
        before = {
            "throttled": provider.busy,
            "too_many": lambda: web.Response(status=429, headers={"Retry-After": "7"}),
            "busy": lambda: web.Response(status=503),
            "garbage": lambda: web.Response(text="<html>"),
        }
        if mood in before:
            return before[mood]()
        answer = provider.answer(request, body) if mood not in ("cut", "mute") else web.Response()
        if mood in ("mute", "silent"):
            await self.released.wait()
        if mood in ("cut", "lost", "mute", "silent") and request.transport is not None:
            request.transport.abort()
        return web.Response(status=503) if mood == "torn" else answer

    def _mood(self, provider: str, action: str) -> str:
        if not action.endswith(".SendSms"):
            return self.moods.get(action, "")
        drawn = self._chance.random()
        for mood, chance in self.chances.items():
            drawn -= chance
            if drawn < 0 and provider not in self.moods:
                return mood
        return self.moods.get(action, self.moods.get(provider, ""))

    # /__ctl

    async def control(self, request: web.Request) -> web.Response:
        """Set any of the fields above; `{"clear": true}` forgets what was taken."""
        wanted = await request.json()
        if wanted.pop("clear", False):
            self.received.clear()
            self._waiting.clear()
            self.asked.clear()
        known = {"moods", "chances", "codes", "reports", "callbacks", "receipt_s", "latency_s"}
        if not set(wanted) <= known:
            return web.json_response({"known": sorted(known)}, status=400)
        for name, value in wanted.items():
            setattr(self, name, value)
        return web.json_response({})

    async def show(self, request: web.Request) -> web.Response:
        """What was taken; with `?brief=1` only how much, and how often for each attempt that came more than once."""
        attempts = Counter(t.attempt for t in self.received)
        twice = {attempt: count for attempt, count in attempts.items() if count > 1}
        shown: dict[str, Any] = {"total": len(self.received), "duplicates": twice, "asked": dict(self.asked)}
        if "brief" not in request.query:
            shown |= {"attempts": dict(attempts), "received": [asdict(t) for t in self.received]}
        return web.json_response(shown)


@asynccontextmanager
async def open_standin(port: int = 0) -> AsyncIterator[SmsStandin]:
    """Serves on `standin.url` until the block ends."""
    standin = SmsStandin()
    app = web.Application()
    app.router.add_post("/", standin.serve)
    app.router.add_post("/__ctl", standin.control)
    app.router.add_get("/__ctl/received", standin.show)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096)
    await site.start()
    standin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    pump = asyncio.create_task(standin.pump())
    try:
        yield standin
    finally:
        standin.released.set()
        pump.cancel()
        await asyncio.wait([pump])
        await runner.cleanup()


async def _serve(port: int) -> None:
    async with open_standin(port) as standin:
        print(standin.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))
