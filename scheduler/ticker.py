"""The scheduler: APScheduler beats the time, supervised loops do what is due. Any number of schedulers may run at once.

Every duty is a sweep ("everything due"), so a beat that was missed costs only time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hub.accounts import actions as accounts
from hub.broadcasts import duty as broadcast_duty
from hub.care import partition
from hub.content import interpretation_duty
from hub.messaging import attachment_actions
from hub.notices import address_store, callback_store
from hub.orders import closing, payment_duty, refund_duty
from hub.platform import outbox
from hub.platform.clock import Clock, SystemClock
from hub.platform.database import Database, open_database
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.security.keyring import Keyring, load_keyring
from hub.timers.firing import Firing
from hub.webhooks import duty as webhook_duty
from scheduler.due import open_firing
from scheduler.notice_sweep import NoticeSweeps, open_notice_sweeps
from workers.queue import Queue, open_queue

BATCH = 200  # orphans enqueued by one sweep
PAYMENTS = 1000  # of each kind enqueued by one sweep: within a second, so 200 a second are asked about
INTERPRETATIONS_S = 1.0  # somebody waits for it: this sweep is also what wakes the worker first
BROADCASTS_S = 1.0  # how long a broadcast rests between two jobs
WEBHOOKS_S = 1.0  # how late another system hears of a notice
CLEANUP_S = 60.0  # how often expired rows are deleted
PARTITIONS_S = 86_400.0  # months of records are made half a year ahead
DUTY_S = 120.0  # a sweep that takes longer is given up and started afresh

log = structlog.get_logger("hub.scheduler")


@dataclass(frozen=True, slots=True)
class Services:
    """What the sweeps stand on."""

    settings: Settings
    database: Database
    queue: Queue
    clock: Clock
    notices: NoticeSweeps


Sweep = Callable[[Services], Awaitable[None]]


async def enqueue_orphans(services: Services) -> None:
    """Uploads that no entry used in time; one that is enqueued already stays one."""
    now = services.clock.now()
    due = await attachment_actions.due_orphans(services.database, now, services.settings.attachments.orphan_s, BATCH)
    for attachment in due:
        await services.queue.enqueue("purge_attachment", attachment)
    if due:
        log.info("orphaned attachments enqueued", count=len(due))


async def enqueue_payments(services: Services) -> None:
    """Payments to ask about, orders that nobody paid, refunds to send; each job moves its row's time on by itself."""
    now, database = services.clock.now(), services.database
    for kind, due in (
        ("ask_payment", payment_duty.due_payments),
        ("end_unpaid_order", payment_duty.unpaid_orders),
        ("send_refund", refund_duty.due_refunds),
    ):
        for row in await due(database, now, PAYMENTS):
            await services.queue.enqueue(kind, row.id, row.attempt)


async def enqueue_interpretations(services: Services) -> None:
    """Reports that wait for the outside interpreter, or whose worker died."""
    for due in await interpretation_duty.due_interpretations(services.database, services.clock.now(), BATCH):
        await services.queue.enqueue("interpret_report", due.id, due.attempts)


async def fire(firing: Firing, kind: str, _: Services) -> None:
    """What must happen at a time, of this kind, until none is due."""
    while await firing.fire(kind):
        pass


async def find_unreceived(services: Services) -> None:
    """What nobody received becomes notices."""
    await services.notices.find_unreceived()


async def wake_notices(services: Services) -> None:
    """Workers for notices that are due."""
    await services.notices.wake_due()


async def enqueue_webhooks(services: Services) -> None:
    """Webhooks that have not been told everything that happened to notices."""
    for webhook in await webhook_duty.due_webhooks(services.database, services.clock.now(), BATCH):
        await services.queue.enqueue("post_notice_events", webhook)


async def enqueue_broadcasts(services: Services) -> None:
    """Broadcasts that are to start, to go on, or to be withdrawn."""
    for due in await broadcast_duty.due_broadcasts(services.database, services.clock.now(), BATCH):
        await services.queue.enqueue("advance_broadcast", due.id, due.runs)


async def forget_told(services: Services) -> None:
    """What every webhook was told, and their logs."""
    if forgotten := await webhook_duty.forget(services.database, services.clock.now()):
        log.info("told events of notices deleted", count=forgotten)


async def forget_callbacks(services: Services) -> None:
    """What providers told long ago."""
    if forgotten := await callback_store.forget_callbacks(services.database):
        log.info("callbacks of providers deleted", count=forgotten)


async def forget_addresses(services: Services) -> None:
    """Where nobody is reached any more, and codes that proved a mailbox."""
    if forgotten := await address_store.forget(services.database):
        log.info("gone addresses forgotten", count=forgotten)


async def close_orders(services: Services) -> None:
    """Orders whose time after the service is over."""
    if closed := await closing.close_due(services.database, services.clock.now(), BATCH):
        log.info("orders closed", count=closed)


async def delete_expired(services: Services) -> None:
    """SMS codes, tickets, tokens and sessions that ended long enough ago; small deletes, safe to run twice at once."""
    deleted = await accounts.sweep(services.database, services.clock.now())
    if deleted:
        log.info("expired rows deleted", count=deleted)


async def make_partitions(services: Services) -> None:
    """The months of health records that are to come."""
    if made := await partition.make_partitions(services.database, services.clock.now()):
        log.info("months of health records made", count=made)


async def forget_events(services: Services) -> None:
    """Events that were handled long ago."""
    if forgotten := await outbox.forget_handled(services.database):
        log.info("handled events deleted", count=forgotten)


def timer_sweeps(settings: Settings, firing: Firing) -> dict[str, tuple[float, Sweep]]:
    """A loop for each kind of timer: none waits for a crowd of another."""
    return {f"timers: {kind}": (settings.scheduler.fire_s, partial(fire, firing, kind)) for kind in firing.kinds}


def sweeps(settings: Settings) -> dict[str, tuple[float, Sweep]]:
    """Every other duty: how often, and what."""
    return {
        "orphaned attachments": (settings.scheduler.tick_s, enqueue_orphans),
        "payments": (settings.scheduler.tick_s, enqueue_payments),
        "interpretations": (INTERPRETATIONS_S, enqueue_interpretations),
        "unreceived entries": (settings.notices.sweep_s, find_unreceived),
        "due notices": (settings.notices.sweep_s, wake_notices),
        "notice webhooks": (WEBHOOKS_S, enqueue_webhooks),
        "broadcasts": (BROADCASTS_S, enqueue_broadcasts),
        "told notice events": (CLEANUP_S, forget_told),
        "callbacks of providers": (CLEANUP_S, forget_callbacks),
        "gone addresses": (CLEANUP_S, forget_addresses),
        "finished orders": (settings.scheduler.tick_s, close_orders),
        "expired rows": (CLEANUP_S, delete_expired),
        "handled events": (CLEANUP_S, forget_events),
        "months of health records": (PARTITIONS_S, make_partitions),
    }


async def run(settings: Settings, clock: Clock | None = None) -> None:
    """Beat until cancelled. While PostgreSQL or Redis is away it starts again with growing pauses, and says so."""
    keyring = load_keyring(settings)
    async with Supervisor() as supervisor:
        supervisor.run("scheduler", partial(_schedule, settings, keyring, clock or SystemClock()))
        await asyncio.Event().wait()


async def _schedule(settings: Settings, keyring: Keyring, clock: Clock) -> None:
    """All duties on one set of connections. A sweep that fails is repeated with growing pauses; the others go on."""
    metronome = AsyncIOScheduler(timezone=UTC)
    async with (
        open_database(settings.database) as database,
        open_queue(settings.redis) as queue,
        open_notice_sweeps(settings, database, clock) as notices,
        open_firing(settings, database, keyring, clock) as firing,
        Supervisor() as supervisor,
    ):
        services = Services(settings, database, queue, clock, notices)
        for name, (every_s, sweep) in {**sweeps(settings), **timer_sweeps(settings, firing)}.items():
            beat = asyncio.Event()
            beat.set()  # the first sweep is now
            metronome.add_job(
                _strike, "interval", [beat], seconds=every_s, misfire_grace_time=None, coalesce=True, max_instances=1
            )
            supervisor.run(name, partial(sweeping, services, beat, sweep))
        metronome.start()
        log.info("scheduler ready", tick_s=settings.scheduler.tick_s)
        try:
            await asyncio.Event().wait()
        finally:
            metronome.shutdown(wait=False)


async def _strike(beat: asyncio.Event) -> None:
    beat.set()


async def sweeping(services: Services, beat: asyncio.Event, sweep: Sweep) -> None:
    """One duty: a sweep for each beat. Beats during a sweep are one; a failure keeps the beat for the next start."""
    while True:
        await beat.wait()
        async with asyncio.timeout(DUTY_S):
            await sweep(services)
        beat.clear()
