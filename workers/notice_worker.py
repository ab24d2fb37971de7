"""The worker of notices: every channel that is on, and one consumer for each lane, so that a broadcast never stands before an alert."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from redis.asyncio import BlockingConnectionPool, Redis

from channels.email import open_email
from channels.limit import open_limits
from channels.port import Channel
from channels.sms import open_sms
from channels.webpush import open_webpush
from channels.wechat import open_wechat_messages
from channels.wechat_token import Shelf
from channels.wecom import open_wecom
from hub.notices.class_book import ClassBook
from hub.notices.delivery import Delivery
from hub.notices.due import LANES
from hub.notices.record import Recorder
from hub.notices.template_book import TemplateBook
from hub.platform.clock import Clock, SystemClock
from hub.platform.database import open_database
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.security.keyring import Keyring
from workers.queue import Queue, open_queue

KIND = "deliver_notices"
UNWOKEN_S = 2.0  # the usual way takes less than one
LOOK_S = 1.0
REDIS_S = 1.0  # for one command about a provider's token

log = structlog.get_logger("hub.worker")


def queue_of(lane: str) -> str:
    """The name of a lane's queue."""
    return f"notices-{lane}"


async def wake(queue: Queue, lane: str, shard: int, clock: Clock) -> None:
    """Let some worker look at this shard. At most one such job in two seconds waits or runs; one that hangs blocks no later one."""
    await queue.enqueue(KIND, f"{lane}:{shard}", int(clock.now().timestamp()) // 2)


async def work(settings: Settings, keyring: Keyring) -> None:
    """Deliver until cancelled. Raises when PostgreSQL or Redis is away: the supervisor starts it again."""
    async with open_delivery(settings, keyring) as (delivery, recorder), Supervisor() as supervisor:
        supervisor.run("notice results", recorder.run)
        async with asyncio.TaskGroup() as lanes:
            for lane in LANES:
                lanes.create_task(_consume(settings, delivery, lane), name=queue_of(lane))


async def watch_urgent(settings: Settings, keyring: Keyring) -> None:
    """Deliver what is urgent and brought no job: while Redis is away nobody is woken, and an alert must leave all the same (P6, P11).

    A delivery of its own, because the other ends with Redis; leases keep the two apart.
    """
    async with open_delivery(settings, keyring) as (delivery, recorder), Supervisor() as supervisor:
        supervisor.run("urgent results", recorder.run)
        while True:
            looking = asyncio.create_task(delivery.drain_unwoken("urgent", UNWOKEN_S), name="urgent notices")
            try:
                await asyncio.shield(looking)
            except asyncio.CancelledError:
                delivery.stop()
                await asyncio.wait([looking], timeout=settings.server.drain_s)
                raise
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def open_delivery(settings: Settings, keyring: Keyring) -> AsyncIterator[tuple[Delivery, Recorder]]:
    """The delivery with its connections; whoever opens it runs the recorder."""
    clock = SystemClock()
    async with (
        open_database(settings.database) as database,
        open_limits(settings.redis) as limits,
        open_channels(settings, keyring, clock) as channels,
    ):
        recorder = Recorder(database.log, {})
        delivery = Delivery(
            database.log,
            ClassBook(database, clock),
            TemplateBook(database, clock),
            channels,
            limits,
            recorder,
            clock,
            settings.notices,
            frozenset(settings.wechat_message.long_term_templates.split()),
        )
        yield delivery, recorder


@asynccontextmanager
async def open_channels(settings: Settings, keyring: Keyring, clock: Clock) -> AsyncIterator[list[Channel]]:
    """Those with credentials. Raises `BadSettings` for credentials that cannot be used."""
    async with AsyncExitStack() as stack:
        pool = BlockingConnectionPool.from_url(
            settings.redis.url.split(",")[0].strip(),
            max_connections=8,
            timeout=REDIS_S,
            socket_timeout=REDIS_S,
            socket_connect_timeout=REDIS_S,
        )
        stack.push_async_callback(pool.disconnect)
        shelf = Shelf(Redis(connection_pool=pool), keyring.derive("provider-tokens"))
        opened: list[Channel | None] = [
            await stack.enter_async_context(open_webpush(settings.webpush, clock)),
            await stack.enter_async_context(open_wechat_messages(settings, shelf, clock)),
            await stack.enter_async_context(open_wecom(settings.wecom, shelf, clock, settings.redis.prefix)),
            *await stack.enter_async_context(open_sms(settings.sms, clock)),
            await stack.enter_async_context(open_email(settings.email, clock)),
        ]
        channels = [each for each in opened if each is not None]
        log.info("channels", on=[each.provider for each in channels])
        yield channels


async def _consume(settings: Settings, delivery: Delivery, lane: str) -> None:
    async with open_queue(settings.redis, queue_of(lane)) as queue:
        perform = partial(_perform, delivery, queue)
        await queue.consume(perform, settings.worker, settings.server.drain_s, delivery.stop)


async def _perform(delivery: Delivery, queue: Queue, kind: str, subject: str) -> None:
    """One look at a shard. A failure is logged and left to the sweep: what is due stays due."""
    lane, _, shard = subject.partition(":")
    if kind != KIND or lane not in LANES or not shard.isdecimal():
        log.error("unknown job", kind=kind)
        return
    try:
        if await delivery.drain(lane, int(shard)):
            await queue.enqueue(KIND, subject, int(SystemClock().now().timestamp() * 1000))
    except Exception as error:
        log.error("delivery failed", lane=lane, shard=int(shard), exc_info=error)
