"""Long loops: named, logged, restarted with back-off, and visible in readiness while they are down.

No other module keeps a loop alive.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog

from hub.platform.clock import Clock, SystemClock

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0

Sleep = Callable[[float], Awaitable[None]]
Factory = Callable[[], Awaitable[None]]

log = structlog.get_logger("hub.supervisor")


class Supervisor:
    """Keeps loops running until the block ends; then each is cancelled and has ended before `async with` returns.

    `down` names the loops that are waiting for a restart, with the error that ended them: not empty means not ready.
    """

    def __init__(self, sleep: Sleep = asyncio.sleep, clock: Clock | None = None, cleanup_s: float = 20.0) -> None:
        """A cancelled loop has `cleanup_s` to clean up; then it is cancelled again."""
        self.down: dict[str, str] = {}
        self._sleep = sleep
        self._clock = clock or SystemClock()
        self._cleanup_s = cleanup_s
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pending = set(self._tasks.values())
        while pending:
            for task in pending:
                task.cancel()
            # Again after a while: before Python 3.12 asyncio.wait_for may lose a cancellation.
            _, pending = await asyncio.wait(pending, timeout=self._cleanup_s)
        self._tasks.clear()
        self.down.clear()

    def run(self, name: str, factory: Factory, *, longest_s: float = LONGEST_DELAY_S) -> asyncio.Task[None]:
        """Start a loop that is meant to run for ever: a return is treated like an error, and both lead to a restart.

        `longest_s`: the longest pause before one; short for what people's health hangs on.

        `factory` is called afresh for each start. Cancelling the returned task ends this loop alone, for good.
        """
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"a loop named {name} is running already")
        task = asyncio.create_task(self._keep(name, factory, longest_s), name=name)
        self._tasks[name] = task
        return task

    async def _keep(self, name: str, factory: Factory, longest_s: float) -> None:
        delay = min(FIRST_DELAY_S, longest_s)
        try:
            while True:
                started = self._clock.monotonic()
                self.down[name] = await self._ending(name, factory)
                # A loop that ran for longer than the longest pause was healthy: its next failure is a new one.
                if self._clock.monotonic() - started > longest_s:
                    delay = min(FIRST_DELAY_S, longest_s)
                log.warning("loop down", loop=name, error=self.down[name], again_in_s=delay)
                await self._sleep(delay)
                delay = min(delay * 2, longest_s)
                del self.down[name]
        finally:
            self.down.pop(name, None)

    async def _ending(self, name: str, factory: Factory) -> str:
        """Run the loop once; the answer says why it ended."""
        try:
            await factory()
        except asyncio.CancelledError:
            # Our own cancellation ends the loop; one that leaked out of something it awaited must not.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return "CancelledError()"
        except Exception as error:
            log.error("loop failed", loop=name, exc_info=error)
            return describe(error)
        return "returned"


def describe(error: BaseException) -> str:
    """One line about an error that may be logged: database errors name row values from their second line on."""
    lines = str(error).splitlines()
    first = repr(lines[0][:200]) if lines else ""
    return f"{type(error).__name__}({first})"
