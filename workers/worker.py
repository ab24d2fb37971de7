"""The worker: one function that hands each job to its duty. What is to be done stands in PostgreSQL, not in the job."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import structlog

from channels.transport import Transport, open_transport
from hub.broadcasts import duty as broadcast_duty
from hub.content import interpretation_duty
from hub.content.interpretation_duty import Desk
from hub.content.interpreter import Interpreter
from hub.content.openai import open_interpreter
from hub.messaging import attachment_actions
from hub.messaging.attachment_actions import Attachments
from hub.messaging.attachment_store import ObjectStore, open_object_store
from hub.messaging.history import History
from hub.notices.class_book import ClassBook
from hub.orders import payment_duty, refund_duty
from hub.orders.payment_provider import PaymentProvider
from hub.orders.payment_settlement import Till
from hub.orders.wechatpay import open_payment_provider
from hub.platform.clock import SystemClock
from hub.platform.database import Database, open_database
from hub.platform.memory import settle_memory
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.platform.telemetry import serve_metrics
from hub.realtime.hinting import Hinting, open_hinting
from hub.security.audit import Audit
from hub.security.keyring import Keyring, load_keyring
from hub.security.sealing import Sealer
from hub.webhooks import duty as webhook_duty
from hub.webhooks.duty import WebhookDesk
from hub.webhooks.url import is_outside
from workers import notice_worker
from workers.queue import open_queue

URGENT_PAUSE_S = 2.0  # at most, before urgent notices are looked for again after a failure

Duty = Callable[[str], Awaitable[None]]

log = structlog.get_logger("hub.worker")


async def run(settings: Settings) -> None:
    """Work until cancelled. While PostgreSQL or Redis is away it tries again with growing pauses, and says so."""
    keyring = load_keyring(settings)
    objects = open_object_store(settings.attachments, Path(settings.data.dir))
    settle_memory()
    with serve_metrics(settings.worker.metrics_host, settings.worker.metrics_port):
        await _run(settings, keyring, objects)


async def _run(settings: Settings, keyring: Keyring, objects: ObjectStore) -> None:
    async with (
        open_payment_provider(settings, SystemClock()) as provider,
        Supervisor(cleanup_s=settings.server.drain_s + 10) as supervisor,
    ):
        supervisor.run("worker", partial(_work, settings, keyring, objects, provider))
        supervisor.run("notices", partial(notice_worker.work, settings, keyring))
        supervisor.run(
            "urgent notices", partial(notice_worker.watch_urgent, settings, keyring), longest_s=URGENT_PAUSE_S
        )
        await asyncio.Event().wait()


async def _work(settings: Settings, keyring: Keyring, objects: ObjectStore, provider: PaymentProvider) -> None:
    async with (
        open_database(settings.database) as database,
        open_queue(settings.redis) as queue,
        open_interpreter(settings, SystemClock()) as outside,
        open_hinting(settings.redis) as hinting,
        open_transport(webhook_duty.POST_S, None if settings.notices.webhook_private else is_outside) as transport,
    ):
        log.info("worker ready", jobs=settings.worker.jobs)
        duties = {
            **build_duties(settings, keyring, objects, database),
            **payment_duties(Till(database, provider, SystemClock(), Outbox(database))),
            **interpretation_duties(settings, keyring, database, outside),
            **webhook_duties(settings, keyring, database, transport),
            **broadcast_duties(settings, keyring, database, hinting),
        }
        await queue.consume(partial(perform, duties), settings.worker, settings.server.drain_s)


def build_duties(settings: Settings, keyring: Keyring, objects: ObjectStore, database: Database) -> Mapping[str, Duty]:
    """Kind of job → what does it. Each duty may be repeated, interrupted, and run twice at once."""
    attachments = Attachments(
        database=database,
        sealer=Sealer(keyring, database),
        objects=objects,
        settings=settings.attachments,
        clock=SystemClock(),
        link_key=keyring.derive("attachment-links"),
    )
    return {"purge_attachment": partial(attachment_actions.purge, attachments)}


def payment_duties(till: Till) -> Mapping[str, Duty]:
    """What they publish, the servers handle within a second."""
    return {
        "ask_payment": partial(payment_duty.ask, till),
        "end_unpaid_order": partial(payment_duty.end_unpaid, till),
        "send_refund": partial(refund_duty.send, till),
    }


def interpretation_duties(
    settings: Settings, keyring: Keyring, database: Database, outside: Interpreter | None
) -> Mapping[str, Duty]:
    clock = SystemClock()
    desk = Desk(database, Sealer(keyring, database), Audit(keyring, clock), clock, outside, settings.ai.tries)
    return {"interpret_report": partial(interpretation_duty.interpret, desk)}


def webhook_duties(
    settings: Settings, keyring: Keyring, database: Database, transport: Transport
) -> Mapping[str, Duty]:
    clock, private = SystemClock(), settings.notices.webhook_private
    desk = WebhookDesk(database, Sealer(keyring, database), transport, clock, private)
    return {"post_notice_events": partial(webhook_duty.post_events, desk)}


def broadcast_duties(settings: Settings, keyring: Keyring, database: Database, hinting: Hinting) -> Mapping[str, Duty]:
    """Who is online when a broadcast reaches them is told at once, by hints to the servers."""
    clock, sealer = SystemClock(), Sealer(keyring, database)
    desk = broadcast_duty.Desk(
        database=database,
        sealer=sealer,
        history=History(database.log, sealer, settings.messaging.large_conversation),
        classes=ClassBook(database, clock),
        clock=clock,
        shards=settings.notices.shards,
        announce=hinting.joined,
    )
    return {"advance_broadcast": partial(broadcast_duty.advance, desk)}


async def perform(duties: Mapping[str, Duty], kind: str, subject: str) -> None:
    """Do one job. A failure is logged and left to the sweep that enqueued it; the queue would only forget it."""
    duty = duties.get(kind)
    if duty is None:
        log.error("unknown job", kind=kind)
        return
    try:
        await duty(subject)
    except Exception as error:
        log.error("job failed", kind=kind, subject=subject, exc_info=error)
