"""How long the ledger keeps notices: what ended long enough ago is deleted with its attempts."""

from sqlalchemy import text

from hub.platform.database import Database

BATCH = 200  # notices of one transaction; with their attempts some hundred rows

# While `next_at` is set something is still open: a worker looks, a receipt is waited for, something shown is to be taken back.
_FORGET = text("""
DELETE FROM notices WHERE id = ANY (ARRAY(
  SELECT id FROM notices
  WHERE ended_at < statement_timestamp() - make_interval(days => :days) AND next_at IS NULL AND state <> 'open'
  ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED))
""")


async def forget(database: Database, days: int) -> int:
    """Delete a batch of notices that ended so long ago, the oldest first; the answer is how many. Safe to run twice at once."""
    async with database.transaction() as connection:
        return (await connection.execute(_FORGET, {"days": days, "most": BATCH})).rowcount
