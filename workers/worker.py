"""The worker: one function that hands each job to its duty. What is to be done stands in PostgreSQL, not in the job."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import structlog

from hub.content import interpretation_duty
from hub.content.interpretation_duty import Desk
from hub.content.interpreter import Interpreter
from hub.content.openai import open_interpreter
from hub.messaging import attachment_actions
from hub.messaging.attachment_actions import Attachments
from hub.messaging.attachment_store import ObjectStore, open_object_store
from hub.orders import payment_duty, refund_duty
from hub.orders.payment_provider import PaymentProvider
from hub.orders.payment_settlement import Till
from hub.orders.wechatpay import open_payment_provider
from hub.platform.clock import SystemClock
from hub.platform.database import Database, open_database
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.security.audit import Audit
from hub.security.keyring import Keyring, load_keyring
from hub.security.sealing import Sealer
from workers.queue import open_queue

Duty = Callable[[str], Awaitable[None]]

log = structlog.get_logger("hub.worker")


async def run(settings: Settings) -> None:
    """Work until cancelled. While PostgreSQL or Redis is away it tries again with growing pauses, and says so."""
    keyring = load_keyring(settings)
    objects = open_object_store(settings.attachments, Path(settings.data.dir))
    async with (
        open_payment_provider(settings, SystemClock()) as provider,
        Supervisor(cleanup_s=settings.server.drain_s + 10) as supervisor,
    ):
        supervisor.run("worker", partial(_work, settings, keyring, objects, provider))
        await asyncio.Event().wait()


async def _work(settings: Settings, keyring: Keyring, objects: ObjectStore, provider: PaymentProvider) -> None:
    async with (
        open_database(settings.database) as database,
        open_queue(settings.redis) as queue,
        open_interpreter(settings, SystemClock()) as outside,
    ):
        log.info("worker ready", jobs=settings.worker.jobs)
        duties = {
            **build_duties(settings, keyring, objects, database),
            **payment_duties(Till(database, provider, SystemClock(), Outbox(database))),
            **interpretation_duties(settings, keyring, database, outside),
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
