"""Limits of providers on the real Redis: shared by all workers, paused together, and held to a quarter while Redis is away."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from channels import limit
from channels.limit import BREAK_AFTER, MOST_NAMES, PAUSED, Limits, Reason, open_limits, reason_of
from channels.port import Bucket, Outcome, Pause, Scope, Verdict
from hub.platform import settings
from hub.platform.identifier import new_id


@pytest_asyncio.fixture
async def pair(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Limits, Limits]]:
    """Two workers of one installation, patient with a Redis on a busy machine."""
    monkeypatch.setattr(limit, "TIMEOUT_S", 10.0)
    chosen = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    async with open_limits(chosen) as one, open_limits(chosen) as other:
        yield one, other


async def test_all_workers_share_one_bucket(pair: tuple[Limits, Limits]) -> None:
    """A second's worth may go at once; then both are told how long to wait."""
    one, other = pair
    bucket, start = Bucket("weixin:app", 10), time.monotonic()
    first, second = await one.take(bucket, 8), await other.take(bucket, 8)
    refilled = int((time.monotonic() - start) * 10)

    assert first.count == 8
    assert 2 <= second.count <= 2 + refilled
    assert 0.0 < second.wait_s <= 0.6


async def test_buckets_do_not_share(pair: tuple[Limits, Limits]) -> None:
    """One provider that is used up holds no other back."""
    one, _ = pair
    await one.take(Bucket("aliyun", 5), 5)

    assert (await one.take(Bucket("tencent", 5), 5)).count == 5


async def test_pause_holds_for_everybody_and_for_its_template_only(pair: tuple[Limits, Limits]) -> None:
    """A provider that asks for a pause gets it from all workers; a template that is banned stops no other."""
    one, other = pair
    bucket = Bucket("weixin:app", 100)
    await one.pause(bucket, 60, Reason.TEMPLATE, template="t1")
    banned, fine = await other.take(bucket, 1, "t1"), await other.take(bucket, 1, "t2")
    await one.pause(bucket, 30, Reason.ASKED)

    assert (banned.count, fine.count) == (0, 1)
    assert 30 < banned.wait_s <= 60
    assert (await other.take(bucket, 1, "t2")).count == 0


async def test_many_failures_in_a_row_open_the_breaker(pair: tuple[Limits, Limits]) -> None:
    """One success in between and it stays closed."""
    one, other = pair
    bucket = Bucket("qyapi", 1000)
    for healthy in [False] * (BREAK_AFTER - 1) + [True] + [False] * (BREAK_AFTER - 1):
        await one.judge(bucket, healthy=healthy)
    assert (await other.take(bucket, 1)).count == 1
    await one.judge(bucket, healthy=False)

    assert (await other.take(bucket, 1)).count == 0


@pytest.mark.parametrize("rate", [8, 400])
async def test_each_process_allows_itself_a_quarter_while_redis_is_away(rate: int) -> None:
    """P6: Redis carries no truth; without it a provider's limit is kept all the same."""
    async with open_limits(settings.Redis(url="redis://127.0.0.1:1/0", prefix="nowhere")) as limits:
        start = time.monotonic()
        given = await limits.take(Bucket("aliyun", rate), rate)
        again = await limits.take(Bucket("aliyun", rate), rate)

    assert given.count == rate // 4
    assert given.wait_s > 0
    assert again.count <= (time.monotonic() - start) * rate // 4


async def test_two_takers_at_once_get_no_more_than_there_is(pair: tuple[Limits, Limits]) -> None:
    """The script is atomic. One token, and none for ten minutes: a slow machine gives no more."""
    bucket = Bucket("aliyun", 1 / 600)
    given = await asyncio.gather(*(limits.take(bucket, 3) for limits in pair * 10))

    assert sum(each.count for each in given) == 1


async def test_metrics_of_pauses_have_few_labels(pair: tuple[Limits, Limits]) -> None:
    """The hosts of push services are chosen by people, and their words are theirs."""
    for number in range(3):
        await pair[0].pause(Bucket(f"family-{pair[0]._prefix}:https://host-{number}", 1), 1, Reason.ASKED)
    labels = [each.labels for metric in PAUSED.collect() for each in metric.samples if each.name.endswith("_total")]
    ours = [each for each in labels if each["bucket"].startswith(f"family-{pair[0]._prefix}")]

    assert ours == [{"bucket": f"family-{pair[0]._prefix}", "reason": "asked"}]


async def test_what_a_process_remembers_is_bounded() -> None:
    """A thousand buckets, the newest; Redis knows the pauses of all."""
    async with open_limits(settings.Redis(url="redis://127.0.0.1:1/0", prefix="nowhere")) as limits:
        for number in range(MOST_NAMES + 50):
            bucket = Bucket(f"webpush:https://host-{number}", 4)
            await limits.take(bucket, 1)
            await limits.judge(bucket, healthy=False)
            await limits.pause(bucket, 60, Reason.ASKED)
        newest = await limits.take(bucket, 1)

    assert newest.count == 0
    assert {len(known) for known in (limits._local, limits._paused, limits._failures)} == {MOST_NAMES}


@pytest.mark.parametrize(
    ("scope", "alarm", "reason"),
    [
        (Scope.TEMPLATE, True, Reason.TEMPLATE),
        (Scope.PROVIDER, True, Reason.TRUST),
        (Scope.PROVIDER, False, Reason.ASKED),
    ],
)
def test_each_pause_has_a_reason(scope: Scope, alarm: bool, reason: Reason) -> None:
    outcome = Outcome(verdict=Verdict.DEAD, code="whatever it says", pause=Pause(scope, 60), alarm=alarm)

    assert reason_of(outcome) is reason
