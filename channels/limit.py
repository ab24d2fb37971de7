"""How much a provider may be sent, by all workers together: a token bucket per provider and application, pauses, and a breaker.

Counted in Redis; while that is away each process allows itself a quarter. Nothing here waits: the caller is told how long.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TypeVar

import msgspec
import structlog
from prometheus_client import Counter, Gauge
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from channels.port import Bucket, Outcome, Scope
from hub.platform import settings

TIMEOUT_S = 0.25
AWAY_S = 2.0  # after a failure Redis is not asked for this long
BURST_S = 1.0  # what may go at once after a rest, in seconds of the rate
LOCAL_SHARE = 4
BREAK_AFTER = 20  # failures of a provider in a row, seen by one process
MOST_NAMES = 1000  # buckets that a process remembers; those of push services bear hosts that people chose
BREAK_S = 15.0  # then nobody asks it for this long; the next failure opens it again

PAUSED = Counter(
    "hub_channel_pauses_total",
    "Pauses of a provider or template, by what their buckets begin with, and reason",
    ["bucket", "reason"],
)
AWAY = Gauge("hub_channel_limits_local", "1 while limits are counted on this process alone")

log = structlog.get_logger("hub.channels")

# KEYS: the bucket, then what may be paused. ARGV: rate per second, burst, wanted. Answers how many may go, and the milliseconds
# until more may. Redis' own clock: the workers' may differ.
_TAKE = """
for i = 2, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  if left > 0 then return {0, left} end
end
local now = redis.call('TIME')
local at = tonumber(now[1]) + tonumber(now[2]) / 1000000
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or burst
tokens = math.min(burst, tokens + math.max(0, at - (tonumber(kept[2]) or at)) * rate)
local given = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - given), 'at', tostring(at))
redis.call('PEXPIRE', KEYS[1], 60000)
local wait = 0
if given < wanted then wait = math.ceil(math.min(wanted - given, burst) / rate * 1000) end
return {given, wait}
"""


Kept = TypeVar("Kept")


class Reason(StrEnum):
    """Why nothing is sent for a while; few, because each is a label of a metric."""

    BREAKER = "breaker"
    """Too many failures in a row."""
    ASKED = "asked"
    """The provider wants it."""
    TRUST = "trust"
    """It would refuse everything until somebody puts it right: credentials, the account, our address."""
    TEMPLATE = "template"


class Allowed(msgspec.Struct, frozen=True):
    """How many may go now, and after how many seconds the others may ask again."""

    count: int
    wait_s: float


class Limits:
    """One per worker process. Open it with `open_limits`."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._take = redis.register_script(_TAKE)
        self._redis = redis
        self._prefix = prefix
        self._away_until = 0.0
        self._local: dict[str, tuple[float, float]] = {}
        self._paused: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    async def take(self, bucket: Bucket, count: int, template: str = "") -> Allowed:
        """Take up to `count` of the bucket; none while it, or the template in it, is paused."""
        pauses = [bucket.name, f"{bucket.name}:{template}"] if template else [bucket.name]
        waits = [self._paused[name] - time.monotonic() for name in pauses if name in self._paused]
        if waits and max(waits) > 0:
            return Allowed(0, max(waits))
        if time.monotonic() >= self._away_until:
            try:
                keys = [self._key("limit", bucket.name), *(self._key("pause", name) for name in pauses)]
                burst = max(1.0, bucket.per_s * BURST_S)
                given, wait_ms = await self._take(keys=keys, args=[bucket.per_s, burst, count])
                AWAY.set(0)
                return Allowed(int(given), int(wait_ms) / 1000)
            except (RedisError, OSError, TimeoutError):
                self._away_until = time.monotonic() + AWAY_S
                AWAY.set(1)
        return self._take_here(bucket, count)

    async def pause(self, bucket: Bucket, seconds: float, reason: Reason, template: str = "") -> None:
        """Nobody sends this for so long."""
        name = f"{bucket.name}:{template}" if template else bucket.name
        PAUSED.labels(bucket.name.partition(":")[0], reason.value).inc()
        log.warning("provider paused", bucket=name, seconds=round(seconds, 1), reason=reason.value)
        _remember(self._paused, name, max(self._paused.get(name, 0.0), time.monotonic() + seconds))
        if time.monotonic() >= self._away_until:
            try:
                await self._redis.set(self._key("pause", name), reason.value, px=max(1, int(seconds * 1000)))
            except (RedisError, OSError, TimeoutError):
                self._away_until = time.monotonic() + AWAY_S

    async def judge(self, bucket: Bucket, *, healthy: bool) -> None:
        """Whether the provider answered sensibly; after many failures in a row nobody asks it for a while."""
        if healthy:
            self._failures.pop(bucket.name, None)
            return
        failures = self._failures.get(bucket.name, 0) + 1
        _remember(self._failures, bucket.name, min(failures, BREAK_AFTER - 1))  # one probe that fails is enough
        if failures >= BREAK_AFTER:
            await self.pause(bucket, BREAK_S, Reason.BREAKER)

    def _take_here(self, bucket: Bucket, count: int) -> Allowed:
        rate = max(1.0, bucket.per_s / LOCAL_SHARE)
        now = time.monotonic()
        tokens, at = self._local.get(bucket.name, (rate, now))
        tokens = min(rate, tokens + (now - at) * rate)
        given = min(count, int(tokens))
        _remember(self._local, bucket.name, (tokens - given, now))
        return Allowed(given, 0.0 if given == count else min(count - given, rate) / rate)

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:channel:{kind}:{name}"


def reason_of(outcome: Outcome) -> Reason:
    """Why the pause of this outcome is asked for."""
    if outcome.pause is not None and outcome.pause.scope is Scope.TEMPLATE:
        return Reason.TEMPLATE
    return Reason.TRUST if outcome.alarm else Reason.ASKED


def _remember(known: dict[str, Kept], name: str, value: Kept) -> None:
    """The newest last; the oldest of too many is forgotten."""
    known.pop(name, None)
    known[name] = value
    if len(known) > MOST_NAMES:
        del known[next(iter(known))]


@asynccontextmanager
async def open_limits(chosen: settings.Redis) -> AsyncIterator[Limits]:
    """On the first of the configured Redis servers; opening needs no connection."""
    url = chosen.url.split(",")[0].strip()
    pool = BlockingConnectionPool.from_url(
        url, max_connections=16, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        yield Limits(Redis(connection_pool=pool), chosen.prefix)
    finally:
        await pool.disconnect()
