"""The SQL of what providers told that must not count twice. What is the same however often it is applied is not kept here."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.database import Database

BATCH = 1000
BATCHES = 50  # of one sweep

_REMEMBER = text("INSERT INTO provider_callbacks (provider, key) VALUES (:provider, :key) ON CONFLICT DO NOTHING")
_FORGET = text("""
WITH old AS MATERIALIZED (
  SELECT provider, key FROM provider_callbacks WHERE received_at < statement_timestamp() - make_interval(days => :days)
  ORDER BY received_at LIMIT :batch FOR UPDATE SKIP LOCKED)
DELETE FROM provider_callbacks c USING old WHERE c.provider = old.provider AND c.key = old.key
""")


async def remember(connection: AsyncConnection, provider: str, key: str) -> bool:
    """False where it was told before; while another transaction is just taking it, this waits for what comes of that."""
    return (await connection.execute(_REMEMBER, {"provider": provider, "key": key})).rowcount == 1


async def forget_callbacks(database: Database, days: int = 7) -> int:
    """Delete what was told long ago: by now it would be refused as stale. The answer is how many; safe to run twice at once."""
    forgotten = 0
    for _ in range(BATCHES):
        async with database.transaction() as connection:
            deleted = (await connection.execute(_FORGET, {"days": days, "batch": BATCH})).rowcount
        forgotten += deleted
        if deleted < BATCH:
            break
    return forgotten
