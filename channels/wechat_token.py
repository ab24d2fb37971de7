"""Access tokens of WeChat and WeCom: one for all processes, kept in Redis, and here while Redis is away.

Both providers answer a second asking with the same token, so that two who ask at once do each other no harm; asking is
limited, though (WeChat: 10,000 a minute), so one asks for all. Nobody ever forces a new token: that kills the one that others use.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.platform.clock import Clock
from hub.platform.identifier import new_id

EARLY_S = 300  # WeChat gives a new token five minutes before the old one ends, and both are good until then
FETCH_S = 4.0  # for one asking
LOCK_MS = 5000  # longer than an asking
PATIENCE_S = 3.0  # with another process that is asking; then this one asks, too, which does no harm
POLL_S = 0.05
NONCE_BYTES = 12
PAUSE_S = 5.0  # after a failure Redis is not asked for this long

# Deletes only what is still there: another process may have put a good token in its place.
COMPARE_AND_DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

T = TypeVar("T")


class Fetched(msgspec.Struct, frozen=True):
    """A token as the provider gave it, and for how long."""

    token: str
    expires_in: float


Fetch = Callable[[], Awaitable[Fetched]]


def key_of(prefix: str, provider: str, *credentials: str) -> str:
    """Where the token of these credentials is kept; it tells none of them."""
    digest = hashlib.sha256("\0".join(credentials).encode()).hexdigest()[:32]
    return f"{prefix}:token:{provider}:{digest}"


class Shelf:
    """Where processes share tokens: sealed with `secret` (32 bytes, AES-256-GCM), because who reads Redis may not send as us.

    `redis` needs time-outs of its own (as `open_hot_reads` has them).
    """

    def __init__(self, redis: Redis, secret: bytes) -> None:
        self.redis = redis
        self._cipher = AESGCM(secret)

    def seal(self, token: str, place: str) -> bytes:
        """To be kept under the key `place`; it opens under no other."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, token.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> str:
        """Empty for what somebody else put there, or was sealed with another secret."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            return ""


class Tokens:
    """The token of one set of credentials. `fetch` asks the provider; what it raises goes to the caller.

    Without a shelf this process keeps its token for itself.
    """

    def __init__(self, fetch: Fetch, shelf: Shelf | None, key: str, clock: Clock) -> None:
        self._fetch = fetch
        self._shelf = shelf
        self._key = key
        self._clock = clock
        self._asking = asyncio.Lock()
        self._failures = 0
        self._failure: Exception | None = None
        self._held = ""
        self._held_until = 0.0
        self._away_until = 0.0

    async def get(self) -> str:
        """A token that should be good. Raises what `fetch` raises, and `TimeoutError`; who waits for one asking shares its failure."""
        if token := self._good():
            return token
        failures = self._failures
        async with self._asking:
            if token := self._good():
                return token
            # Otherwise hundreds would ask one after the other, each for as long as a provider in trouble needs.
            if self._failure is not None and self._failures != failures:
                raise self._failure.with_traceback(None)
            try:
                return await self._find()
            except Exception as error:
                self._failures, self._failure = self._failures + 1, error
                raise

    async def drop(self, bad: str) -> None:
        """The provider refused exactly this one: forget it, here and for all, unless there is another by now."""
        if self._held == bad:
            self._held = ""
        shared = await self._try(lambda redis: redis.get(self._key))
        if shared and self._opened(shared) == bad:
            await self._delete(self._key, shared)

    def _good(self) -> str:
        return self._held if self._clock.monotonic() < self._held_until else ""

    async def _find(self) -> str:
        """The shared token; or a new one, if nobody else is asking for it."""
        lock, owner = f"{self._key}:lock", new_id()
        for _ in range(int(PATIENCE_S / POLL_S)):
            if token := await self._shared():
                return token
            if await self._try(lambda redis: redis.set(lock, owner, nx=True, px=LOCK_MS)) or self._is_away():
                break
            await asyncio.sleep(POLL_S)
        try:
            # Between the look and the lock another process may have been done.
            return await self._shared() or await self._renew()
        finally:
            await self._delete(lock, owner)

    async def _delete(self, key: str, value: str | bytes) -> None:
        await self._try(
            lambda redis: cast("Awaitable[object]", redis.eval(COMPARE_AND_DELETE, 1, key, cast("str", value)))
        )

    async def _shared(self) -> str:
        found = await self._try(self._look)
        if found is None or found[0] is None or found[1] <= 0:
            return ""
        token = self._opened(found[0])
        return self._hold(token, found[1] / 1000) if token else ""

    def _opened(self, sealed: bytes) -> str:
        return self._shelf.open(sealed, self._key) if self._shelf else ""

    async def _look(self, redis: Redis) -> tuple[bytes | None, int]:
        async with redis.pipeline(transaction=True) as both:
            both.get(self._key)
            both.pttl(self._key)
            token, left_ms = await both.execute()
        return token, left_ms

    async def _renew(self) -> str:
        async with asyncio.timeout(FETCH_S):
            fetched = await self._fetch()
        # A token in its last five minutes is used for the rest of them less a little, and not shared.
        life_s = fetched.expires_in - EARLY_S
        if life_s >= 1 and self._shelf is not None:
            sealed, px = self._shelf.seal(fetched.token, self._key), int(life_s * 1000)
            await self._try(lambda redis: redis.set(self._key, sealed, px=px))
        return self._hold(fetched.token, max(life_s, min(30.0, fetched.expires_in / 2)))

    def _hold(self, token: str, seconds: float) -> str:
        self._held, self._held_until = token, self._clock.monotonic() + seconds
        return token

    def _is_away(self) -> bool:
        return self._shelf is None or self._clock.monotonic() < self._away_until

    async def _try(self, call: Callable[[Redis], Awaitable[T]]) -> T | None:
        if self._shelf is None or self._is_away():
            return None
        try:
            return await call(self._shelf.redis)
        except (RedisError, OSError, TimeoutError):
            self._away_until = self._clock.monotonic() + PAUSE_S
            return None
