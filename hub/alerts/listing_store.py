"""The SQL of lists of alerts, and of how many wait."""

from typing import NamedTuple

import asyncpg
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.model import Alert, Severity, State
from hub.alerts.store import COLUMNS, alert_of
from hub.platform.page import Paging


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; None: whatever it is."""

    state: State | None = None
    person: str | None = None
    severity: Severity | None = None
    step: str | None = None
    drill: bool | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may see: everything; what is open; what they were told (`told`); what is of these people."""

    everything: bool = False
    open_ones: bool = False
    told: str | None = None
    persons: list[str] = []


class Waiting(NamedTuple):
    """Open alerts of a severity, and for how long the oldest has been."""

    severity: Severity
    drill: bool
    alerts: int
    oldest_s: float


_WHERE = """
FROM alerts a JOIN users u ON u.id = a.person
WHERE (CAST(:state AS text) IS NULL OR a.state = :state) AND (CAST(:person AS uuid) IS NULL OR a.person = CAST(:person AS uuid))
  AND (CAST(:severity AS text) IS NULL OR a.severity = :severity) AND (CAST(:step AS text) IS NULL OR a.step = :step)
  AND (CAST(:drill AS boolean) IS NULL OR a.drill = :drill)
  AND (:everything OR (:open_ones AND a.state = 'open') OR a.person = ANY (CAST(:persons AS uuid[]))
    OR EXISTS (SELECT FROM alert_steps s WHERE s.alert = a.id AND s.told @> ARRAY[CAST(:told AS uuid)]))
"""
_TOTAL = text(f"SELECT count(*) {_WHERE}")
_PAGES = {
    descending: text(f"SELECT {COLUMNS} {_WHERE} ORDER BY a.opened_at {order}, a.id {order} LIMIT :most OFFSET :offset")
    for descending, order in ((True, "DESC"), (False, "ASC"))
}
_WAITING = """
SELECT severity, drill, count(*), extract(epoch FROM clock_timestamp() - min(opened_at))::float8
FROM alerts WHERE state = 'open' GROUP BY severity, drill
"""


async def page(connection: AsyncConnection, wanted: Wanted, reach: Reach, paging: Paging) -> tuple[list[Alert], int]:
    """Two statements."""
    values = {**msgspec.structs.asdict(wanted), **msgspec.structs.asdict(reach)}
    total = (await connection.execute(_TOTAL, values)).scalar_one()
    stretch = {"most": paging.page_size, "offset": paging.offset}
    rows = await connection.execute(_PAGES[paging.descending], {**values, **stretch})
    return [alert_of(row) for row in rows], total


async def waiting(pool: asyncpg.Pool) -> list[Waiting]:
    return [Waiting(*row) for row in await pool.fetch(_WAITING)]
