"""The queue wakes a worker for each subject, and forgets nothing that it has finished or that somebody interrupted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import redis.asyncio
from redis.exceptions import RedisError

from hub.platform import settings
from hub.platform.embedded import Servers
from workers.queue import Queue, open_queue

WORKER = settings.Worker(jobs=20, timeout_s=5)


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    """A queue of the test's own."""
    async with open_queue(settings.Redis(url=redis_url, prefix=f"t{uuid4().hex}")) as opened:
        yield opened


@asynccontextmanager
async def consuming(
    queue: Queue, perform: Callable[[str, str], Awaitable[None]], drain_s: float = 5
) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(queue.consume(perform, WORKER, drain_s))
        try:
            yield task
        finally:
            if not task.cancelling():
                task.cancel()


async def test_every_job_is_done_once_when_a_worker_runs(queue: Queue) -> None:
    """Kind and subject arrive as they were given."""
    done: list[tuple[str, str]] = []
    full = asyncio.Event()

    async def perform(kind: str, subject: str) -> None:
        done.append((kind, subject))
        if len(done) == 30:
            full.set()

    for number in range(30):
        assert await queue.enqueue("purge", str(number))
    async with consuming(queue, perform), asyncio.timeout(20):
        await full.wait()

    assert sorted(done) == sorted(("purge", str(number)) for number in range(30))


async def test_second_enqueue_is_refused_only_while_the_first_is_waiting(queue: Queue) -> None:
    """A sweep may ask every second; the job waits once, and may come again once it has ended."""
    done = asyncio.Queue[str]()

    async def perform(_kind: str, subject: str) -> None:
        done.put_nowait(subject)

    assert await queue.enqueue("purge", "a")
    assert not await queue.enqueue("purge", "a")
    assert await queue.enqueue("purge", "a", attempt=1)
    async with consuming(queue, perform), asyncio.timeout(20):
        assert [await done.get(), await done.get()] == ["a", "a"]
        while not await queue.enqueue("purge", "a"):  # noqa: ASYNC110  the first is being written off
            await asyncio.sleep(0)
        assert await done.get() == "a"


async def test_running_job_may_end_when_the_worker_stops(queue: Queue) -> None:
    """Stopping takes no new jobs, and waits for the running ones."""
    started, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def perform(_kind: str, _subject: str) -> None:
        started.set()
        await go.wait()
        ended.set()

    await queue.enqueue("purge", "a")
    async with asyncio.timeout(20):
        async with consuming(queue, perform) as task:
            await started.wait()
            task.cancel()
            await asyncio.sleep(0)
            go.set()

        assert ended.is_set()


async def test_job_comes_again_when_it_was_cut_off_at_the_stop(queue: Queue) -> None:
    """A job that did not end in time is done by the next worker."""
    started, done = asyncio.Event(), asyncio.Event()

    async def hang(_kind: str, _subject: str) -> None:
        started.set()
        await asyncio.Event().wait()

    async def perform(_kind: str, _subject: str) -> None:
        done.set()

    await queue.enqueue("purge", "a")
    async with asyncio.timeout(20):
        async with consuming(queue, hang, drain_s=0):
            await started.wait()
        async with consuming(queue, perform):
            await done.wait()


async def test_worker_raises_when_redis_goes_away(queue: Queue, servers: Servers) -> None:
    """P6: the supervisor sees it and starts the worker again; an enqueue tells its caller."""
    running, done = asyncio.Event(), asyncio.Event()

    async def perform(_kind: str, subject: str) -> None:
        running.set()
        if subject == "after":
            done.set()

    await queue.enqueue("purge", "before")
    async with asyncio.timeout(60):
        task = asyncio.ensure_future(queue.consume(perform, WORKER, 1))
        await running.wait()
        await servers.valkey.stop()
        try:
            with pytest.raises((RedisError, OSError)):
                await task
            with pytest.raises((RedisError, OSError)):
                await queue.enqueue("purge", "after")
        finally:
            await servers.valkey.start()
        await queue.enqueue("purge", "after")
        async with consuming(queue, perform):
            await done.wait()


async def test_nothing_in_redis_is_pickled(queue: Queue, redis_url: str) -> None:
    """Whoever can write to Redis must not be able to run code in a worker."""
    subject = uuid4().hex
    await queue.enqueue("purge", subject)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        keys = [key async for key in client.scan_iter(f"arq:job:*{subject}*")]
        payload = await client.get(keys[0])

    assert payload[0] & 0xF0 == 0x80  # a MessagePack map; a pickle begins with 0x80 0x04 or 0x05
    assert payload[:2] not in (b"\x80\x04", b"\x80\x05")
