"""Web push: encrypted for one browser, signed by us, handed to the push service that the browser named (RFC 8030, 8188, 8291, 8292)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache

import msgspec
from pywebpush import WebPusher

from channels.port import Bucket, Message, Outcome, Urgency, Verdict
from channels.transport import NotSent, Reply, Transport, Unanswered, open_transport
from channels.webpush_answer import outcome_of
from channels.webpush_endpoint import checked_endpoint, checked_keys, wrong_host
from channels.webpush_payload import MOST_BYTES, Notice, Withdraw, encoded
from channels.webpush_vapid import Vapid, load_vapid
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.error import Refusal
from hub.platform.settings import BadSettings

SHORT_BYTES = 1024  # for a service that finds the first too long; RFC 8030, section 7.2, makes it take 4096
MOST_TTL_S = 2419200  # four weeks, FCM's most
APPLE = ".push.apple.com"

REPLACED = Outcome(verdict=Verdict.GONE, code="keys", detail="the keys of the subscription are not usable")
ELSEWHERE = Outcome(
    verdict=Verdict.DEAD, code="endpoint", detail="webpush.hosts does not name the push service", alarm=True
)
UNFIT = Outcome(verdict=Verdict.DEAD, code="content", detail="the content cannot be made to fit", alarm=True)


class Webpush:
    """Open it with `open_webpush`. A repetition replaces: undelivered by its Topic, shown by its tag."""

    name = "webpush"
    provider = "webpush"
    receipt_s = 0.0

    def __init__(self, chosen: settings.Webpush, vapid: Vapid, transport: Transport, clock: Clock) -> None:
        self._chosen = chosen
        self._vapid = vapid
        self._transport = transport
        self._clock = clock

    def bucket(self, message: Message) -> Bucket:
        """One for each push service."""
        origin = _origin_of(message.address.value, self._chosen.hosts)
        if origin is None:
            return Bucket(self.provider, self._chosen.per_s)  # nothing of it will be sent
        return Bucket(f"{self.provider}:{origin}", self._chosen.per_s)

    def may_repeat(self, message: Message) -> bool:
        """Always: it replaces the first."""
        return True

    async def send(self, message: Message) -> Outcome:
        """Once; but a service that finds it too long has not taken it, and gets a short one within the same time."""
        origin = _origin_of(message.address.value, self._chosen.hosts)
        if origin is None:
            return ELSEWHERE
        try:
            return await self._send(message, origin)
        except Refusal:
            return REPLACED
        except NotSent as error:
            return Outcome(verdict=Verdict.RETRY, code=str(error), detail="the push service could not be reached")
        except (Unanswered, TimeoutError) as error:
            code = str(error) or type(error).__name__
            return Outcome(verdict=Verdict.UNKNOWN, code=code, detail="the push service did not answer")
        except ValueError:
            return UNFIT

    async def _send(self, message: Message, origin: str) -> Outcome:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._chosen.timeout_s
        reply = await self._post(message, origin, encrypt(message), message.content.urgency)
        if reply.status == 413:
            async with asyncio.timeout_at(ends_at):
                reply = await self._post(message, origin, encrypt(message, SHORT_BYTES), message.content.urgency)
        return self._judged(message, origin, reply)

    def _judged(self, message: Message, origin: str, reply: Reply) -> Outcome:
        now = self._clock.now()
        is_proven = self._vapid.signature(origin, now).is_proven
        is_refused = reply.status in (401, 403) and not is_proven
        is_doubted = is_refused and self._vapid.doubt(origin, message.address.value)
        outcome = outcome_of(reply, now, is_proven=is_proven, is_doubted=is_doubted)
        if outcome.verdict is Verdict.ACCEPTED:
            self._vapid.trust(origin, now)
        return outcome

    async def _post(self, message: Message, origin: str, body: bytes, urgency: Urgency) -> Reply:
        headers = {
            "Authorization": self._vapid.signature(origin, self._clock.now()).header,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(min(max(message.content.ttl_s, 1), MOST_TTL_S)),
            "Topic": topic_of(message),
            "Urgency": urgency.value,
        }
        return await self._transport.post(message.address.value, body, headers)

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """None: RFC 8030's receipts are offered by no service that browsers name."""
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        """Replace it while it waits, and have it closed where it shows. Whether that was taken.

        Not at Apple: Safari ends a subscription after some pushes that show nothing.
        """
        try:
            origin = checked_endpoint(message.address.value, self._chosen.hosts)
            if origin.endswith(APPLE):
                return False
            body = _sealed(message, msgspec.json.encode(Withdraw(message.tag)))
            reply = await self._post(message, origin, body, Urgency.NORMAL)
        except (Refusal, NotSent, Unanswered, ValueError):
            return False
        return self._judged(message, origin, reply).verdict is Verdict.ACCEPTED


def encrypt(message: Message, limit: int = MOST_BYTES) -> bytes:
    """The body of the request. `Refusal` for keys that are none, ValueError for content that cannot be made to fit `limit`."""
    content = message.content
    notice = Notice(message.tag, content.title, content.body, content.url, content.language)
    return _sealed(message, encoded(notice, limit))


def _sealed(message: Message, plain: bytes) -> bytes:
    if len(plain) > MOST_BYTES:
        raise ValueError("too long")
    extra = message.address.extra
    return bytes(_pusher(extra.get("p256dh", ""), extra.get("auth", "")).encode(plain, "aes128gcm")["body"])


@lru_cache(maxsize=4096)
def _origin_of(endpoint: str, hosts: str) -> str | None:
    """None where `hosts` does not name it. Asked several times for each message."""
    try:
        return checked_endpoint(endpoint, hosts)
    except Refusal:
        return None


@lru_cache(maxsize=4096)
def _pusher(p256dh: str, auth: str) -> WebPusher:
    """Parsed once for a browser that is written to again: a tenth of what an encryption costs."""
    key = checked_keys(p256dh, auth)
    pusher = WebPusher({"endpoint": "", "keys": {"p256dh": p256dh, "auth": auth}})
    pusher.receiver_key = key  # http_ece would parse the bytes for every message
    return pusher


def topic_of(message: Message) -> str:
    """32 letters and digits: RFC 8030, section 5.4, allows '-' and '_', Mozilla does not. A digest tells the service nothing.

    Of the subscription too: it replaces only there anyway, and the same for two people would tell who talks with whom.
    """
    return hashlib.sha256(f"{message.tag}|{message.address.id}".encode()).hexdigest()[:32]


@asynccontextmanager
async def open_webpush(chosen: settings.Webpush, clock: Clock) -> AsyncIterator[Webpush | None]:
    """None without a private key; `BadSettings` names the key that cannot be used."""
    if not chosen.private_key:
        yield None
        return
    if (entry := wrong_host(chosen.hosts)) is not None:
        raise BadSettings(f"webpush.hosts: {entry!r} is no host, no *.host and no origin")
    vapid = load_vapid(chosen, clock.now())
    async with open_transport(chosen.timeout_s) as transport:
        yield Webpush(chosen, vapid, transport, clock)
