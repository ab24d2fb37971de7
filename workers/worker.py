"""The worker: one function that hands each job to its duty. What is to be done stands in PostgreSQL, not in the job."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import structlog

from hub.messaging import attachment_actions
from hub.messaging.attachment_actions import Attachments
from hub.messaging.attachment_store import ObjectStore, open_object_store
from hub.platform.clock import SystemClock
from hub.platform.database import Database, open_database
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.security.keyring import Keyring, load_keyring
from hub.security.sealing import Sealer
from workers.queue import open_queue

Duty = Callable[[str], Awaitable[None]]

log = structlog.get_logger("hub.worker")


async def run(settings: Settings) -> None:
    """Work until cancelled. While PostgreSQL or Redis is away it tries again with growing pauses, and says so."""
    keyring = load_keyring(settings)
    objects = open_object_store(settings.attachments, Path(settings.data.dir))
    async with Supervisor(cleanup_s=settings.server.drain_s + 10) as supervisor:
        supervisor.run("worker", partial(_work, settings, keyring, objects))
        await asyncio.Event().wait()


async def _work(settings: Settings, keyring: Keyring, objects: ObjectStore) -> None:
    async with open_database(settings.database) as database, open_queue(settings.redis) as queue:
        log.info("worker ready", jobs=settings.worker.jobs)
        duties = build_duties(settings, keyring, objects, database)
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
