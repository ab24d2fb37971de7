"""The scheduler: a metronome beats the time, supervised loops do what is due. Any number of schedulers may run at once.

Every duty is a sweep ("everything due"), so a beat that was missed costs only time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from hub.broadcasts import duty as broadcast_duty
from hub.care import partition
from hub.content import interpretation_duty
from hub.messaging import attachment_actions
from hub.orders import closing, payment_duty, refund_duty
from hub.platform.clock import Clock, SystemClock
from hub.platform.database import Database, open_database
from hub.platform.memory import settle_memory
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.platform.telemetry import serve_metrics
from hub.security.keyring import Keyring, load_keyring
from hub.security.sealing import Sealer
from hub.timers.firing import Firing
from hub.webhooks import duty as webhook_duty
from scheduler.due import open_firing
from scheduler.logbook import Logbook, open_logbook
from scheduler.metronome import Metronome
from scheduler.notice_sweep import NoticeSweeps, open_notice_sweeps
from scheduler.retention import Forget, forgets, in_batches
from workers.queue import Queue, open_queue

BATCH = 200  # orphans enqueued by one sweep
PAYMENTS = 1000  # of each kind enqueued by one sweep: within a second, so 200 a second are asked about
INTERPRETATIONS_S = 1.0  # somebody waits for it: this sweep is also what wakes the worker first
BROADCASTS_S = 1.0  # how long a broadcast rests between two jobs
WEBHOOKS_S = 1.0  # how late another system hears of a notice
CLEANUP_S = 60.0  # how often old rows are deleted, and data keys are looked for that an older master key wraps
PARTITIONS_S = 86_400.0  # months of records are made half a year ahead
FIRE_S = 20.0  # of one sweep of timers
PAUSE_S = 2.0  # at most, before a duty that failed is tried again: a step of an alert may be waiting
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


async def fire(firing: Firing, kind: str, services: Services) -> None:
    """What must happen at a time, of this kind, until none is due; a crowd in several sweeps, so that the status follows."""
    until = services.clock.monotonic() + FIRE_S
    while await firing.fire(kind) and services.clock.monotonic() < until:
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


async def close_orders(services: Services) -> None:
    """Orders whose time after the service is over."""
    if closed := await closing.close_due(services.database, services.clock.now(), BATCH):
        log.info("orders closed", count=closed)


async def make_partitions(services: Services) -> None:
    """The months of health records that are to come."""
    if made := await partition.make_partitions(services.database, services.clock.now()):
        log.info("months of health records made", count=made)


async def forget(name: str, old: Forget, _: Services) -> None:
    """What is too old of one class of records."""
    if forgotten := await old():
        log.info("old records deleted", what=name, count=forgotten)


async def rotate_keys(sealer: Sealer, _: Services) -> None:
    """Data keys that an older master key wraps get the newest one, some batches at a time."""
    if rotated := await in_batches(sealer.rotate_batch):
        log.info("data keys wrapped with the newest master key", count=rotated)


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
        "finished orders": (settings.scheduler.tick_s, close_orders),
        "months of health records": (PARTITIONS_S, make_partitions),
    }


def clean_ups(services: Services) -> dict[str, tuple[float, Sweep]]:
    """What is deleted when its time is over."""
    old = forgets(services.settings, services.database, services.clock)
    return {name: (CLEANUP_S, partial(forget, name, each)) for name, each in old.items()}


def key_steps(settings: Settings, sealer: Sealer) -> dict[str, tuple[float, Sweep]]:
    """Off unless asked for: every process must know the newest master key before one wraps with it."""
    wanted = settings.security.rotate_in_background
    return {"data keys": (CLEANUP_S, partial(rotate_keys, sealer))} if wanted else {}


async def run(settings: Settings, clock: Clock | None = None) -> None:
    """Beat until cancelled. While PostgreSQL or Redis is away it starts again with growing pauses, and says so."""
    keyring = load_keyring(settings)
    settle_memory()
    with serve_metrics(settings.scheduler.metrics_host, settings.scheduler.metrics_port):
        async with Supervisor() as supervisor:
            supervisor.run("scheduler", partial(_schedule, settings, keyring, clock or SystemClock()))
            await asyncio.Event().wait()


async def _schedule(settings: Settings, keyring: Keyring, clock: Clock) -> None:
    """All duties on one set of connections. A sweep that fails is repeated with growing pauses; the others go on."""
    async with (
        open_database(settings.database) as database,
        open_queue(settings.redis) as queue,
        open_notice_sweeps(settings, database, clock) as notices,
        open_firing(settings, database, keyring, clock) as firing,
        open_logbook(database, clock) as logbook,
        Supervisor() as supervisor,
    ):
        services = Services(settings, database, queue, clock, notices)
        duties = {
            **sweeps(settings),
            **timer_sweeps(settings, firing),
            **clean_ups(services),
            **key_steps(settings, Sealer(keyring, database, clock)),
        }
        metronome = Metronome(clock)
        for name, (every_s, sweep) in duties.items():
            logbook.add(name, every_s)
            part = partial(sweeping, services, logbook, name, metronome.beat(every_s), sweep)
            supervisor.run(name, part, longest_s=PAUSE_S)
        supervisor.run("logbook", partial(logbook.keep, database))
        async with metronome:
            supervisor.run("clock", metronome.watch)
            log.info("scheduler ready", tick_s=settings.scheduler.tick_s)
            await asyncio.Event().wait()


async def sweeping(services: Services, logbook: Logbook, name: str, beat: asyncio.Event, sweep: Sweep) -> None:
    """One duty: a sweep for each beat. Beats during a sweep are none; a failure keeps the beat for the next start."""
    while True:
        await beat.wait()
        with logbook.run(name):
            async with asyncio.timeout(DUTY_S):
                await sweep(services)
        beat.clear()
