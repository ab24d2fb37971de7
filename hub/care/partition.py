"""The months of health records: each is a partition of its own, made before it begins."""

from datetime import datetime

from sqlalchemy import text

from hub.platform.database import Database

MONTHS_AHEAD = 6

_ENSURE = text("SELECT ensure_record_partitions(CAST(:first AS date), :months)")


async def make_partitions(database: Database, now: datetime) -> int:
    """Make what is missing of this month's partition and the next six; the answer is how many. May run twice at once."""
    async with database.transaction() as connection:
        values = {"first": now.date(), "months": MONTHS_AHEAD + 1}
        return int((await connection.execute(_ENSURE, values)).scalar_one())
