"""Flood limits are counted by all nodes together, and survive the loss of Redis (P15, P6)."""

import pytest
from limits import RateLimitItemPerMinute

from hub.platform import settings
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.ratelimit import PAUSE_S, open_rate_limits
from tests.fake_clock import FakeClock

LIMIT = RateLimitItemPerMinute(4, namespace="test")


async def test_nodes_count_together(redis_url: str) -> None:
    """The limit is one for all processes; the refusal says when to return; others are not touched."""
    redis = settings.Redis(url=redis_url, prefix=new_id())
    async with open_rate_limits(redis) as one, open_rate_limits(redis) as other:
        for limits in (one, other, one, other):
            await limits.hit(LIMIT, "a")
        with pytest.raises(Refusal) as refused:
            await one.hit(LIMIT, "a")
        await other.hit(LIMIT, "b")

    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert 1000 <= (refused.value.retry_after_ms or 0) <= 120_000


async def test_without_redis_this_node_counts_alone() -> None:
    """A dead Redis neither opens the gates nor closes them, and is not asked again at once."""
    clock = FakeClock()
    async with open_rate_limits(settings.Redis(url="redis://127.0.0.1:1/0"), clock) as limits:
        await limits.hit(LIMIT, "a")
        asked_until = limits._away_until
        await limits.hit(LIMIT, "a")
        with pytest.raises(Refusal):
            await limits.hit(LIMIT, "a")

    assert limits._away_until == asked_until == PAUSE_S
