"""What staff may change and everybody reads: the code's own, and the rows that replace it; read again every few seconds."""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import Clock
from hub.platform.database import Database

FRESH_S = 5.0  # a change holds everywhere after this

T = TypeVar("T")


class Book(ABC, Generic[T]):
    """One of a kind per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._held: T | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def all(self, connection: AsyncConnection | None = None) -> T:
        """Who is in a transaction gives its connection: waiting for another one could wait for oneself.

        While one reads them again, the others take what was read before.
        """
        now = self._clock.monotonic()
        held = self._held
        if held is not None and (now - self._read_at <= FRESH_S or self._reading.locked()):
            return held
        if connection is not None:
            return self._keep(await self.read(connection), now)
        async with self._reading, self._database.transaction() as own:
            return self._keep(await self.read(own), now)

    def _keep(self, read: T, now: float) -> T:
        self._held, self._read_at = read, now
        return read

    @abstractmethod
    async def read(self, connection: AsyncConnection) -> T:
        """As the database has it now."""
