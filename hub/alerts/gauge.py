"""How many alerts wait, for the metrics."""

import asyncpg
from prometheus_client import Gauge

from hub.alerts.listing_store import waiting

OPEN = Gauge("hub_alerts_open", "Alerts that nobody has acknowledged, without drills", ["severity"])
DRILLS = Gauge("hub_alerts_drills_open", "The same of drills")
UNACKNOWLEDGED = Gauge("hub_alerts_unacknowledged_seconds", "How long the oldest open alert has waited, drills apart")


async def measure(pool: asyncpg.Pool) -> None:
    """Look once; what is open nowhere is 0."""
    found = await waiting(pool)
    real = [each for each in found if not each.drill]
    for severity in ("warning", "critical"):
        OPEN.labels(severity).set(sum(each.alerts for each in real if each.severity == severity))
    DRILLS.set(sum(each.alerts for each in found if each.drill))
    UNACKNOWLEDGED.set(max((each.oldest_s for each in real), default=0.0))
