"""Setting and cancelling timers, in the transaction of what they belong to."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.database import Database
from hub.timers import store
from hub.timers.model import Backlog, Due, Timer

__all__ = ("Backlog", "Due", "Timer", "backlog", "cancel", "forget", "remove", "set_timers", "upcoming")
MOST_SET = 5000  # rows of one statement


async def set_timers(connection: AsyncConnection, timers: Sequence[Timer]) -> None:
    """They fire once each if the caller's transaction commits; one that was set before stays as it is."""
    for start in range(0, len(timers), MOST_SET):
        await store.add(connection, timers[start : start + MOST_SET])


async def cancel(connection: AsyncConnection, kinds: Collection[str], *subjects: str) -> list[Due]:
    """End what is pending of these kinds for these subjects. Those that were ended.

    Afterwards none of them fires: one that is being fired at this moment is waited for, and counts as fired.
    """
    return await store.cancel(connection, kinds, subjects)


async def remove(
    connection: AsyncConnection,
    kinds: Collection[str],
    *subjects: str,
    before: int | None = None,
    keys: Collection[str] | None = None,
) -> int:
    """As `cancel`, but nothing of them is left: for what may be set and ended without end. With `before`, of lower revisions
    only; with `keys`, only those.

    The same could be set again afterwards, so it is for whoever never sets a key of a revision twice.
    """
    return await store.remove(connection, kinds, subjects, before, keys)


async def upcoming(connection: AsyncConnection, until: datetime, person: str | None, most: int) -> list[Due]:
    """What would fire at `until`, of one person or of all, the earliest first."""
    return await store.upcoming(connection, until, person, most)


async def backlog(connection: AsyncConnection, most: int) -> list[Backlog]:
    """What waits of each kind; no more than `most` of one are counted, so it costs little however many there are."""
    return await store.backlog(connection, most)


async def forget(database: Database, days: int, most: int) -> int:
    """Delete a batch of timers that ended so long ago; the answer is how many. Afterwards the same could be set again."""
    async with database.transaction() as connection:
        return await store.forget(connection, days, most)
