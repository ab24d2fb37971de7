"""Hot reads on a real Redis: a copy is never older than the last commit, and Redis may be away."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from hub.platform import settings
from hub.platform.hot_read import HotReads, open_hot_reads
from hub.platform.identifier import new_id


class Tea(msgspec.Struct, frozen=True):
    name: str


class Shelf:
    """What is read, and how often."""

    def __init__(self) -> None:
        self.name = "龙井"
        self.reads = 0

    async def load(self) -> Tea:
        self.reads += 1
        await asyncio.sleep(0)
        return Tea(self.name)


@pytest_asyncio.fixture
async def hot_reads(redis_url: str) -> AsyncIterator[HotReads]:
    async with open_hot_reads(settings.Redis(url=redis_url, prefix=f"test-{new_id()}")) as opened:
        yield opened


async def test_second_read_is_a_copy(hot_reads: HotReads) -> None:
    """What was read a moment ago is not read again."""
    shelf = Shelf()

    assert await hot_reads.through("tea", "1", Tea, shelf.load) == Tea("龙井")
    assert await hot_reads.through("tea", "1", Tea, shelf.load) == Tea("龙井")
    assert shelf.reads == 1


async def test_read_is_fresh_after_forget(hot_reads: HotReads) -> None:
    """Every copy of a forgotten area is gone; other areas keep theirs."""
    shelf, other = Shelf(), Shelf()
    await hot_reads.through("tea", "1", Tea, shelf.load)
    await hot_reads.through("cup", "1", Tea, other.load)
    shelf.name = "普洱"
    await hot_reads.forget("tea")

    assert await hot_reads.through("tea", "1", Tea, shelf.load) == Tea("普洱")
    await hot_reads.through("cup", "1", Tea, other.load)
    assert other.reads == 1


async def test_read_that_began_before_a_commit_is_not_kept_after_it(hot_reads: HotReads) -> None:
    """A slow reader that saw the old state cannot put it over the new one."""
    shelf, old_read, go_on = Shelf(), asyncio.Event(), asyncio.Event()

    async def slow() -> Tea:
        found = Tea("旧的")
        old_read.set()
        await go_on.wait()
        return found

    reading = asyncio.create_task(hot_reads.through("tea", "1", Tea, slow))
    await old_read.wait()
    await hot_reads.forget("tea")
    go_on.set()
    await reading

    assert await hot_reads.through("tea", "1", Tea, shelf.load) == Tea("龙井")


async def test_crowd_reads_once(hot_reads: HotReads) -> None:
    """Many who ask for the same at once cost one read."""
    shelf = Shelf()

    found = await asyncio.gather(*(hot_reads.through("tea", "1", Tea, shelf.load) for _ in range(50)))

    assert found == [Tea("龙井")] * 50
    assert shelf.reads == 1


async def test_every_read_is_fresh_while_redis_is_away() -> None:
    """Without Redis it is slower and right."""
    shelf = Shelf()
    async with open_hot_reads(settings.Redis(url="redis://127.0.0.1:1")) as away:
        await away.through("tea", "1", Tea, shelf.load)
        shelf.name = "普洱"
        await away.forget("tea")

        assert await away.through("tea", "1", Tea, shelf.load) == Tea("普洱")
