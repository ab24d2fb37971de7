"""Hot reads: answers that many ask for and that seldom change, kept in Redis for a minute and dropped after a commit.

Redis holds copies only: away or flushed, every read goes to PostgreSQL.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import msgspec
from prometheus_client import Counter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from hub.platform import settings
from hub.platform.clock import Clock, SystemClock
from hub.platform.identifier import new_id

LIFE_S = 60  # a copy that nobody dropped, because a process died after its commit, is wrong for this long at most
TIMEOUT_S = 0.25
PAUSE_S = 5.0  # after a failure Redis is not asked for this long

READS = Counter("hub_hot_reads", "Reads through the cache", ["area", "outcome"])

T = TypeVar("T")


class HotReads:
    """Open it with `open_hot_reads`."""

    def __init__(self, redis: Redis, prefix: str, clock: Clock) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._away_until = 0.0
        self._loading: dict[tuple[str, str, bytes], asyncio.Task[object]] = {}

    async def through(self, area: str, key: str, shape: type[T], load: Callable[[], Awaitable[T]]) -> T:
        """The copy of `area`/`key`, or what `load` answers, kept for the next. Who comes while it loads waits for it."""
        version, kept = await self._look(area, key)
        if kept is not None:
            READS.labels(area, "hit").inc()
            return msgspec.msgpack.decode(kept, type=shape)
        READS.labels(area, "miss").inc()
        # Callers of another version load for themselves: theirs may be what a commit has just changed.
        place = (area, key, version)
        task = self._loading.get(place)
        if task is None:
            task = asyncio.create_task(self._load(area, key, version, load), name="hot read")
            self._loading[place] = task
            task.add_done_callback(lambda _: self._loading.pop(place, None))
        return await asyncio.shield(cast("asyncio.Task[T]", task))  # who shares a key shares its shape

    async def forget(self, *areas: str) -> None:
        """Drop every copy of these areas; call it after the commit that changed them."""
        values = {self._version_key(area): new_id() for area in areas}
        await self._try(lambda: self._redis.mset(values))

    async def _load(self, area: str, key: str, version: bytes, load: Callable[[], Awaitable[T]]) -> T:
        # The version was read before PostgreSQL is: a copy of what a commit changes meanwhile is kept under the old one.
        found = await load()
        packed = version + b"|" + msgspec.msgpack.encode(found)
        await self._try(lambda: self._redis.set(self._key(area, key), packed, ex=LIFE_S))
        return found

    async def _look(self, area: str, key: str) -> tuple[bytes, bytes | None]:
        """The area's version, and the copy if it is of this version."""
        found = await self._try(lambda: self._redis.mget(self._version_key(area), self._key(area, key)))
        version, packed = found or (None, None)
        version = version or b"0"
        if packed is None:
            return version, None
        kept_version, _, kept = packed.partition(b"|")
        return version, kept if kept_version == version else None

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        if self._clock.monotonic() < self._away_until:
            return None
        try:
            return await call()
        except (RedisError, OSError, TimeoutError):
            self._away_until = self._clock.monotonic() + PAUSE_S
            return None

    def _version_key(self, area: str) -> str:
        return f"{self._prefix}:read:{area}"

    def _key(self, area: str, key: str) -> str:
        return f"{self._prefix}:read:{area}:{key}"


@asynccontextmanager
async def open_hot_reads(chosen: settings.Redis, clock: Clock | None = None) -> AsyncIterator[HotReads]:
    """On the first of the configured Redis servers; opening needs no connection."""
    url = chosen.url.split(",")[0].strip()
    pool = BlockingConnectionPool.from_url(
        url, max_connections=8, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        yield HotReads(Redis(connection_pool=pool), chosen.prefix, clock or SystemClock())
    finally:
        await pool.disconnect()
