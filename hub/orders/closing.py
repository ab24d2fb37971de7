"""The sweep that closes orders: any number of schedulers may run it at once."""

from datetime import datetime

from hub.orders import store
from hub.orders.event import OrderClosed
from hub.platform.database import Database
from hub.platform.outbox import publish


async def close_due(database: Database, now: datetime, at_most: int) -> int:
    """Close the orders that are due, and tell of it in the same transaction; the answer is how many."""
    async with database.transaction() as connection:
        closed = await store.close_due(connection, now, at_most)
        await publish(connection, *(OrderClosed(subject=each, at=now, by=None) for each in closed))
    return len(closed)
