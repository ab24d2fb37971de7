"""The daily limit of tokens: one for all processes, and half of it for each while Redis is away."""

import asyncio
import socket

from hub.content.budget import open_budget
from hub.platform import settings
from hub.platform.identifier import new_id
from tests.fake_clock import FakeClock


async def test_all_processes_share_one_limit(redis_url: str) -> None:
    """However many reserve at once, no more than the limit is taken; what was not used is there again."""
    redis, clock = settings.Redis(url=redis_url, prefix=f"t{new_id()}"), FakeClock()
    async with open_budget(redis, 1000, clock) as one, open_budget(redis, 1000, clock) as other:
        taken = await asyncio.gather(*((one, other)[number % 2].reserve(100) for number in range(10)))
        assert taken == [True] * 10
        assert not await one.reserve(1)
        await other.settle(100, 40)
        assert await one.reserve(60)
        assert not await other.reserve(1)
        await one.settle(60, 160)  # more than was thought
        await one.settle(100, 0)
        assert not await other.reserve(1)
        await clock.advance(86_400)

        assert await other.reserve(1000)


async def test_each_process_allows_half_while_redis_is_away() -> None:
    """Two of them, which is what an installation has, stay within the limit."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        clock = FakeClock()
        async with open_budget(settings.Redis(url=url, prefix="t"), 1000, clock) as budget:
            assert await budget.reserve(400)
            assert not await budget.reserve(101)
            assert await budget.reserve(100)
            await budget.settle(100, 0)
            assert await budget.reserve(100)
            assert not await budget.reserve(1)
            await clock.advance(86_400)
            assert await budget.reserve(500)
