"""How many tokens the outside interpreter may cost in a day: counted in Redis, and by each process while that is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from hub.platform import settings
from hub.platform.clock import Clock

TIMEOUT_S = 0.5
PAUSE_S = 5.0  # after a failure Redis is not asked for this long
KEPT_S = 2 * 86_400
DAY = ZoneInfo("Asia/Shanghai")


class Budget:
    """Open it with `open_budget`."""

    def __init__(self, redis: Redis, prefix: str, tokens_per_day: int, clock: Clock) -> None:
        self._redis = redis
        self._prefix = prefix
        self._most = tokens_per_day
        self._clock = clock
        self._away_until = 0.0
        self._here: tuple[str, int] = ("", 0)

    async def reserve(self, tokens: int) -> bool:
        """Take this much of today's, before a call; False if that is more than is left.

        What a call that is never answered has cost nobody knows: it stays taken.
        """
        day = _day(self._clock.now())
        spent = await self._add(day, tokens)
        # Several processes count apart while Redis is away, so each allows only half.
        allowed = self._most if spent is not None else self._most // 2
        if (self._spend_here(day, tokens) if spent is None else spent) <= allowed:
            return True
        await self.settle(tokens, 0)
        return False

    async def settle(self, reserved: int, used: int) -> None:
        """What was taken became what was used: less, or more than was thought."""
        day = _day(self._clock.now())
        if await self._add(day, used - reserved) is None:
            self._spend_here(day, used - reserved)

    def _spend_here(self, day: str, tokens: int) -> int:
        spent = self._here[1] if self._here[0] == day else 0
        self._here = (day, max(0, spent + tokens))
        return self._here[1]

    async def _add(self, day: str, tokens: int) -> int | None:
        """Spent today, these included; None while Redis is away."""
        if self._clock.monotonic() < self._away_until:
            return None
        key = f"{self._prefix}:ai:tokens:{day}"
        try:
            async with self._redis.pipeline(transaction=True) as both:
                both.incrby(key, tokens)
                both.expire(key, KEPT_S)
                return int((await both.execute())[0])
        except (RedisError, OSError, TimeoutError):
            self._away_until = self._clock.monotonic() + PAUSE_S
            return None


def _day(now: datetime) -> str:
    return now.astimezone(DAY).strftime("%Y%m%d")


@asynccontextmanager
async def open_budget(redis: settings.Redis, tokens_per_day: int, clock: Clock) -> AsyncIterator[Budget]:
    """On the first of the configured Redis servers; opening needs no connection."""
    url = redis.url.split(",")[0].strip()
    pool = BlockingConnectionPool.from_url(
        url, max_connections=4, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        yield Budget(Redis(connection_pool=pool), redis.prefix, tokens_per_day, clock)
    finally:
        await pool.disconnect()
