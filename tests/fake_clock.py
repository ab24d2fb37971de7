"""A clock that tests move by hand, and the wait for everything that is ready to run."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """`now` and `monotonic` stand still until `advance`; `sleep` ends when the time has come."""

    def __init__(self, at: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self._at = at
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in the order of their times and letting each do what it does."""
        until = self._elapsed + seconds
        await settle()
        while due := sorted((s for s in self._sleepers if s[0] <= until), key=lambda s: s[0]):
            at, future = due[0]
            self._sleepers.remove(due[0])
            self._elapsed = max(self._elapsed, at)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = until


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)
