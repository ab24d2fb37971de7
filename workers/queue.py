"""The queue: it wakes workers and carries nothing but a kind and an id. The only file that knows arq.

Redis may lose, repeat or delay a job; the row in PostgreSQL decides, and a sweep enqueues again what is due. So arq's
own retries, results, delays, aborts and cron jobs are not used.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

import msgspec
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from hub.platform import settings

CALL_S = 5.0  # for one Redis command
POLL_S = 0.05  # arq's default of 0.5 s would be the least latency of a job
READ_LIMIT = (
    2000  # ids looked at in one poll, running ones included: more than may run at once, or new ones are never seen
)
MAX_TRIES = 1000  # each restart of a worker costs a try; attempts are counted in PostgreSQL
HEALTH_S = 10
CONNECTIONS = 50  # of one process; a job needs one only to start and to end

Perform = Callable[[str, str], Awaitable[None]]


class Queue:
    """One queue on a plain Redis (arq does not work on a cluster)."""

    def __init__(self, redis: ArqRedis, url: str, name: str) -> None:
        self._redis = redis
        self._url = url
        self._name = name

    async def enqueue(self, kind: str, subject: str, attempt: int = 0) -> bool:
        """Wake a worker for `subject`; False when this attempt waits or runs already. Raises when Redis is away."""
        job_id = f"{self._name}:{kind}:{subject}:{attempt}"
        async with asyncio.timeout(CALL_S):
            return await self._redis.enqueue_job("perform", kind, subject, _job_id=job_id) is not None

    async def consume(
        self, perform: Perform, chosen: settings.Worker, drain_s: float, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        """Run jobs until cancelled, then call `on_stop` and let running ones end for `drain_s`; raises when Redis is away.

        `perform` must expect the same job again, must not raise, and is cancelled after `timeout_s`.
        """
        async with _connected(self._url, self._name, socket_timeout=CALL_S) as redis:
            worker = self._worker(redis, perform, chosen)
            polling = asyncio.create_task(worker.main(), name=f"{self._name} polling")
            try:
                await asyncio.wait([polling])
                polling.result()
            finally:
                on_stop()
                await _end(polling)
                await _drain(list(worker.tasks.values()), drain_s)
                with contextlib.suppress(RedisError, OSError):
                    await redis.delete(worker.health_check_key)

    async def waiting(self) -> int:
        """How many jobs are in it, running ones included. Raises when Redis is away."""
        async with asyncio.timeout(CALL_S):
            return int(await self._redis.zcard(self._name))

    async def workers(self) -> int:
        """How many processes consume this queue, as heard of in the last seconds. Raises when Redis is away."""
        async with asyncio.timeout(CALL_S):
            return len([key async for key in self._redis.scan_iter(f"{self._name}:health:*", count=1000)])

    def _worker(self, redis: ArqRedis, perform: Perform, chosen: settings.Worker) -> Worker:
        async def run(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # the shape that arq asks for
            kind, subject = args
            await perform(kind, subject)

        return Worker(
            functions=[func(run, name="perform")],
            queue_name=self._name,
            redis_pool=redis,
            handle_signals=False,
            max_jobs=chosen.jobs,
            job_timeout=chosen.timeout_s,
            keep_result=0,  # a kept result would refuse the same id again
            poll_delay=POLL_S,
            queue_read_limit=max(READ_LIMIT, 2 * chosen.jobs),
            max_tries=MAX_TRIES,
            health_check_interval=HEALTH_S,
            health_check_key=f"{self._name}:health:{socket.gethostname()}:{os.getpid()}",
            job_serializer=msgspec.msgpack.encode,
            job_deserializer=msgspec.msgpack.decode,
            log_results=False,
            timezone=UTC,
        )


@asynccontextmanager
async def open_queue(chosen: settings.Redis, name: str = "jobs") -> AsyncIterator[Queue]:
    """A queue on the first Redis of the settings. Connects when first used."""
    url, full_name = chosen.url.split(",")[0].strip(), f"{chosen.prefix}:{name}"
    # No socket_timeout: with one, redis-py sends through asyncio.wait_for, which before Python 3.12 may lose the
    # cancellation of its caller. `enqueue` has its own limit.
    async with _connected(url, full_name, socket_timeout=None) as redis:
        yield Queue(redis, url, full_name)


@asynccontextmanager
async def _connected(url: str, name: str, socket_timeout: float | None) -> AsyncIterator[ArqRedis]:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=CALL_S,
        socket_timeout=socket_timeout,
        socket_connect_timeout=CALL_S,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), 3),
        retry_on_error=[ConnectionError, TimeoutError],
    )
    redis = ArqRedis(
        pool,
        job_serializer=msgspec.msgpack.encode,  # arq's default is pickle: code for whoever can write to Redis
        job_deserializer=msgspec.msgpack.decode,
        default_queue_name=name,
    )
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel until it has ended: one cancellation may be lost (see `open_queue`), and polling would go on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)


async def _drain(jobs: list[asyncio.Task[Any]], drain_s: float) -> None:
    """Jobs that do not end in time are cancelled, which puts them back into the queue."""
    if not jobs:
        return
    _, late = await asyncio.wait(jobs, timeout=drain_s)
    for job in late:
        job.cancel()
    if late:
        await asyncio.wait(late, timeout=CALL_S)
    for job in jobs:
        if job.done() and not job.cancelled():
            job.exception()  # what could not be written to Redis is found again by a sweep
