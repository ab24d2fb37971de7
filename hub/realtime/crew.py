"""Short tasks that somebody must wait for at the end: each is held, its failure is logged, and all end before the process does."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Crew:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Awaitable[None]) -> None:
        """Run `work` beside everything else."""
        task: asyncio.Task[None] = asyncio.ensure_future(_coroutine(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", error=type(error).__name__, exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _coroutine(work: Awaitable[None]) -> Coroutine[Any, Any, None]:  # Any: the send and yield types nobody uses
    async def run() -> None:
        await work

    return run()
