"""Access tokens: one for all processes, asked for once; a bad one is dropped by exactly its own name; Redis may be away."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from channels import wechat_token
from channels.wechat_token import Fetched, Shelf, Tokens, key_of
from hub.platform.clock import SystemClock
from tests.fake_clock import FakeClock, settle

SECRET = os.urandom(32)


class Provider:
    """Gives a token, slowly, and counts."""

    def __init__(self, expires_in: float = 7200) -> None:
        self.expires_in = expires_in
        self.asked = 0
        self.fails = False
        self.released = asyncio.Event()
        self.released.set()

    async def fetch(self) -> Fetched:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0)
        await self.released.wait()
        if self.fails:
            raise ConnectionError
        return Fetched(f"token-{number}", self.expires_in)


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, socket_timeout=2.0) as opened:
        yield opened


@pytest.fixture
def key() -> str:
    return key_of("test", "weixin", os.urandom(8).hex())


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def test_a_token_is_asked_for_once_when_many_of_two_processes_want_it(
    redis_url: str, key: str, provider: Provider
) -> None:
    """Single flight: inside of a process by its lock, between processes by a lock in Redis."""
    async with Redis.from_url(redis_url) as one, Redis.from_url(redis_url) as two:
        first = Tokens(provider.fetch, Shelf(one, SECRET), key, SystemClock())
        second = Tokens(provider.fetch, Shelf(two, SECRET), key, SystemClock())
        found = await asyncio.gather(*(tokens.get() for _ in range(25) for tokens in (first, second)))

        assert set(found) == {"token-1"}
        assert provider.asked == 1
        assert await one.get(f"{key}:lock") is None


async def test_a_new_process_takes_what_is_shared(redis: Redis, key: str, provider: Provider) -> None:
    """It is kept for its life less five minutes, so that nobody is given one that is about to end."""
    await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get()

    assert await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get() == "token-1"
    assert provider.asked == 1
    assert 6_890_000 < await redis.pttl(key) <= 6_900_000


async def test_redis_never_sees_the_token(redis: Redis, key: str, provider: Provider) -> None:
    """Whoever can read Redis could send messages as us."""
    await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get()

    assert b"token" not in await redis.get(key)


@pytest.mark.parametrize("kind", ["plain", "short", "empty", "other secret", "other place"])
async def test_what_does_not_open_is_as_if_it_were_not_there(
    redis: Redis, key: str, provider: Provider, kind: str
) -> None:
    """It is asked for again, and what was there is replaced."""
    shelf, other = Shelf(redis, SECRET), Shelf(redis, os.urandom(32))
    found = {
        "plain": b"token-of-somebody-else",
        "short": b"x",
        "empty": b"",
        "other secret": other.seal("bad", key),
        "other place": shelf.seal("bad", "hub:token:qyapi:1"),
    }
    await redis.set(key, found[kind], px=60_000)

    assert await Tokens(provider.fetch, shelf, key, SystemClock()).get() == "token-1"
    assert shelf.open(await redis.get(key), key) == "token-1"


async def test_exactly_the_bad_token_is_dropped(redis: Redis, key: str, provider: Provider) -> None:
    """Who learns late that the old one is bad does not take away the new one that another has fetched."""
    early, late = (Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()) for _ in range(2))
    assert await early.get() == await late.get() == "token-1"
    await early.drop("token-1")
    assert await early.get() == "token-2"
    await late.drop("token-1")

    assert Shelf(redis, SECRET).open(await redis.get(key), key) == "token-2"
    assert await late.get() == "token-2"
    assert provider.asked == 2


async def test_the_same_bad_token_is_replaced_once_when_many_drop_it(
    redis: Redis, key: str, provider: Provider
) -> None:
    """Of many calls that fail together only one asks."""
    tokens = Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock())
    bad = await tokens.get()

    async def again() -> str:
        await tokens.drop(bad)
        return await tokens.get()

    assert set(await asyncio.gather(*(again() for _ in range(20)))) == {"token-2"}
    assert provider.asked == 2


@pytest.mark.parametrize("away", ["none", "refuses"])
async def test_a_process_keeps_its_own_token_when_redis_is_away(key: str, provider: Provider, away: str) -> None:
    """It costs one asking per process; dropping works, too."""
    nowhere = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.25)
    tokens = Tokens(provider.fetch, None if away == "none" else Shelf(nowhere, SECRET), key, SystemClock())
    found = await asyncio.gather(*(tokens.get() for _ in range(20)))
    await tokens.drop("token-1")

    assert set(found) == {"token-1"}
    assert await tokens.get() == "token-2"
    await tokens.drop("token-1")
    assert await tokens.get() == "token-2"
    assert provider.asked == 2


async def test_a_token_that_another_shared_before_the_lock_was_free_is_taken(
    redis: Redis, key: str, provider: Provider
) -> None:
    """Between looking and locking another process may begin and end."""

    class Late(Tokens):
        looked = 0

        async def _shared(self) -> str:
            self.looked += 1
            if self.looked > 1:
                return await super()._shared()
            await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get()
            return ""

    assert await Late(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get() == "token-1"
    assert provider.asked == 1


async def test_a_token_is_asked_for_again_when_its_time_is_over(key: str, provider: Provider) -> None:
    """Five minutes early."""
    clock = FakeClock()
    tokens = Tokens(provider.fetch, None, key, clock)
    await tokens.get()
    await clock.advance(6899)
    assert await tokens.get() == "token-1"
    await clock.advance(1)

    assert await tokens.get() == "token-2"


async def test_a_token_that_ends_soon_is_not_shared(redis: Redis, key: str) -> None:
    """In its last five minutes the provider has, or soon has, a newer one."""
    provider = Provider(expires_in=300)
    clock = FakeClock()
    tokens = Tokens(provider.fetch, Shelf(redis, SECRET), key, clock)
    await tokens.get()
    await tokens.get()

    assert (provider.asked, await redis.get(key)) == (1, None)
    await clock.advance(30)
    assert await tokens.get() == "token-2"


async def test_those_who_wait_share_a_failure(key: str, provider: Provider) -> None:
    """A provider in trouble is not asked by one after the other; who comes later asks anew."""
    provider.fails = True
    tokens = Tokens(provider.fetch, None, key, FakeClock())
    found = await asyncio.gather(*(tokens.get() for _ in range(50)), return_exceptions=True)

    assert {type(each) for each in found} == {ConnectionError}
    assert provider.asked == 1
    provider.fails = False
    assert await tokens.get() == "token-2"


async def test_the_next_asks_when_the_one_that_asked_was_cancelled(key: str, provider: Provider) -> None:
    """Leaving is no failure of the others."""
    provider.released.clear()
    tokens = Tokens(provider.fetch, None, key, FakeClock())
    first, second = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
    await settle()
    first.cancel()
    provider.released.set()

    assert await second == "token-2"
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()


async def test_the_lock_of_a_dead_process_holds_nobody_up_for_long(redis: Redis, key: str, provider: Provider) -> None:
    """It ends by itself."""
    await redis.set(f"{key}:lock", "dead", px=120)

    assert await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get() == "token-1"
    assert Shelf(redis, SECRET).open(await redis.get(key), key) == "token-1"


async def test_the_lock_of_another_is_left_alone(
    redis: Redis, key: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lost patience asks without the lock, and does not take it away."""
    monkeypatch.setattr(wechat_token, "PATIENCE_S", 0.1)
    await redis.set(f"{key}:lock", "another", px=60_000)

    assert await Tokens(provider.fetch, Shelf(redis, SECRET), key, SystemClock()).get() == "token-1"
    assert await redis.get(f"{key}:lock") == b"another"


async def test_asking_has_an_end(key: str, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that says nothing is a time-out, and the next may ask."""
    monkeypatch.setattr(wechat_token, "FETCH_S", 0.01)
    provider.released.clear()
    tokens = Tokens(provider.fetch, None, key, FakeClock())
    with pytest.raises(TimeoutError):
        await tokens.get()
    provider.released.set()

    assert await tokens.get() == "token-2"


def test_a_key_tells_no_secret() -> None:
    """And other credentials have another token."""
    assert "secret" not in key_of("hub", "weixin", "wx1", "secret")
    assert key_of("hub", "weixin", "wx1", "secret") != key_of("hub", "weixin", "wx1", "secret2")
