"""Reading the audit: who did what with whose data, the newest first."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_TRAIL = """
SELECT id::text, at, actor::text, person::text, action, subject, request_id FROM audit_log
WHERE {conditions} ORDER BY id DESC LIMIT :limit
"""
_CONDITIONS = {
    "person": "person = CAST(:person AS uuid)",
    "actor": "actor = CAST(:actor AS uuid)",
    "before": "id < CAST(:before AS uuid)",
}


class Trace(msgspec.Struct, frozen=True):
    """One row of the audit."""

    id: str
    at: datetime
    actor: str
    person: str
    action: str
    subject: str
    request_id: str


async def trail(
    connection: AsyncConnection,
    *,
    limit: int,
    person: str | None = None,
    actor: str | None = None,
    before: str | None = None,
) -> list[Trace]:
    """The newest rows about `person`, by `actor`, older than the row `before`. Ids are in the order of time."""
    given = {"person": person, "actor": actor, "before": before}
    wanted = {name: value for name, value in given.items() if value is not None}
    # Only conditions that hold something, so that each combination has the plan of its index.
    conditions = " AND ".join(_CONDITIONS[name] for name in wanted) or "true"
    rows = await connection.execute(sa.text(_TRAIL.format(conditions=conditions)), {**wanted, "limit": limit})
    return [Trace(*row) for row in rows]
