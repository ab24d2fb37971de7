"""What the scheduler does for notices: finds what nobody received, and wakes workers for what is due."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from hub.notices.class_book import ClassBook
from hub.notices.derive import derive
from hub.notices.due import LANES, due
from hub.notices.notice_class import DERIVED
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from workers.notice_worker import queue_of, wake
from workers.queue import Queue, open_queue

WAITING = 500  # jobs in one lane; more would only pile up while no worker runs

log = structlog.get_logger("hub.scheduler")


@dataclass(frozen=True, slots=True)
class NoticeSweeps:
    """One per scheduler process. Open it with `open_notice_sweeps`."""

    database: Database
    classes: ClassBook
    queues: Mapping[str, Queue]
    clock: Clock
    settings: settings.Notices

    async def find_unreceived(self) -> None:
        """Notices for entries that no device acknowledged within the grace of their class (P9)."""
        classes = await self.classes.all()
        for code in DERIVED:
            try:
                woken = await derive(
                    self.database.log, classes[code], self.settings.shards, self.settings.late_commit_s
                )
            except Exception as error:  # the next sweep goes on there; the other classes do not wait for it
                log.error("unreceived entries not found", notice_class=code, exc_info=error)
                continue
            for lane, shard in sorted(woken):
                await wake(self.queues[lane], lane, shard, self.clock)

    async def wake_due(self) -> None:
        """Workers for every shard with something due. What a worker is at already costs one refused job."""
        for lane, shard in await due(self.database.log):
            if await self.queues[lane].waiting() < WAITING:
                await wake(self.queues[lane], lane, shard, self.clock)


@asynccontextmanager
async def open_notice_sweeps(
    chosen: settings.Settings, database: Database, clock: Clock
) -> AsyncIterator[NoticeSweeps]:
    """With a queue for each lane."""
    async with AsyncExitStack() as stack:
        queues = {lane: await stack.enter_async_context(open_queue(chosen.redis, queue_of(lane))) for lane in LANES}
        yield NoticeSweeps(database, ClassBook(database, clock), queues, clock, chosen.notices)
