"""Flood limits on HTTP, per user and per address, counted in Redis and, while that is away, on this node alone."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from hub.platform import settings
from hub.platform.clock import Clock, SystemClock
from hub.platform.error import ErrorCode, Refusal

# Generous: they stop a flood, not a person. An address may be a whole hospital behind one NAT.
PER_USER = RateLimitItemPerMinute(600, namespace="user")
PER_ADDRESS = RateLimitItemPerMinute(600, namespace="address")
SIGN_INS_PER_ADDRESS = RateLimitItemPerHour(600, namespace="sign-in")

TIMEOUT_S = 0.25  # for one call to Redis; a request never waits longer for its limit
PAUSE_S = 5.0  # after a failure Redis is not asked for this long
FALLBACK_KEYS = 50_000  # counted on this node at most; then counting starts again


class FallbackWindow:
    """Fixed windows in memory. Several nodes count apart, so each allows only half."""

    def __init__(self) -> None:
        self._hits: dict[tuple[str, str, int], int] = {}

    def hit(self, limit: RateLimitItem, key: str, now: float) -> float | None:
        """Count one; None if allowed, else the seconds until the window ends."""
        length_s = limit.get_expiry()
        window = int(now / length_s)
        if len(self._hits) >= FALLBACK_KEYS:
            self._hits.clear()
        hits = self._hits[limit.namespace, key, window] = self._hits.get((limit.namespace, key, window), 0) + 1
        return None if hits <= max(1, limit.amount // 2) else (window + 1) * length_s - now


class RateLimits:
    """Counts requests. Open it with `open_rate_limits`."""

    def __init__(self, storage: RedisStorage, clock: Clock) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._fallback = FallbackWindow()
        self._clock = clock
        self._away_until = 0.0

    async def hit(self, limit: RateLimitItem, key: str) -> None:
        """Count one request of this user or address; past the limit it is refused with the time to wait (P15)."""
        wait_s = await self._wait_s(limit, key)
        if wait_s is not None:
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=max(1000, int(wait_s * 1000)))

    async def _wait_s(self, limit: RateLimitItem, key: str) -> float | None:
        if self._clock.monotonic() >= self._away_until:
            try:
                if await self._limiter.hit(limit, key):
                    return None
                stats = await self._limiter.get_window_stats(limit, key)
                return stats.reset_time - self._clock.now().timestamp()
            except (RedisError, OSError, TimeoutError):
                self._away_until = self._clock.monotonic() + PAUSE_S
        return self._fallback.hit(limit, key, self._clock.monotonic())


@asynccontextmanager
async def open_rate_limits(chosen: settings.Redis, clock: Clock | None = None) -> AsyncIterator[RateLimits]:
    """Limits on the first of the configured Redis servers; opening needs no connection."""
    url = chosen.url.split(",")[0].strip()
    # Blocking, so that a burst waits for a connection instead of failing over.
    pool = BlockingConnectionPool.from_url(
        url, max_connections=16, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    storage = RedisStorage(
        f"async+{url}",
        implementation="redispy",
        key_prefix=f"{chosen.prefix}:limit",
        connection_pool=pool,  # type: ignore[arg-type]  # a documented option, annotated too narrowly
    )
    try:
        yield RateLimits(storage, clock or SystemClock())
    finally:
        await pool.disconnect()


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 host, or the /64 network that one IPv6 subscriber owns (RFC 6177)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
