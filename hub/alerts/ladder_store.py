"""The SQL of ladders that admins changed. A row replaces what the code has; without one, that holds."""

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.ladder import LADDERS, HeldLadder, Ladder
from hub.alerts.model import Severity

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('alert ladders', 0))")
_ALL = text("SELECT severity, value::text AS value, version FROM alert_ladders")
_WRITE = text("""
INSERT INTO alert_ladders (severity, value, version, changed_by)
VALUES (:severity, CAST(:value AS jsonb), nextval('alert_ladder_versions'), CAST(:by AS uuid))
ON CONFLICT (severity) DO UPDATE SET value = excluded.value, version = excluded.version, changed_by = excluded.changed_by,
  changed_at = clock_timestamp()
RETURNING version
""")
_REMOVE = text("DELETE FROM alert_ladders WHERE severity = :severity")

log = structlog.get_logger("hub.alerts")


async def lock(connection: AsyncConnection) -> None:
    """Nobody else changes a ladder until commit."""
    await connection.execute(_LOCK)


async def all_held(connection: AsyncConnection) -> dict[Severity, HeldLadder]:
    """Every ladder as it holds."""
    held = {severity: HeldLadder(ladder) for severity, ladder in LADDERS.items()}
    for row in await connection.execute(_ALL):
        try:
            held[row.severity] = HeldLadder(msgspec.json.decode(row.value, type=Ladder), row.version)
        except msgspec.ValidationError:  # of a newer version: the one of the code holds meanwhile
            log.error("ladder not readable", severity=row.severity)
    return held


async def write(connection: AsyncConnection, value: Ladder, by: str) -> HeldLadder:
    values = {"severity": value.severity, "value": msgspec.json.encode(value).decode(), "by": by}
    return HeldLadder(value, (await connection.execute(_WRITE, values)).scalar_one())


async def remove(connection: AsyncConnection, severity: Severity) -> None:
    await connection.execute(_REMOVE, {"severity": severity})
