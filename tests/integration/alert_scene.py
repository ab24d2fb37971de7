"""People on duty, alerts, and a scheduler whose time the test says."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.alerts import store
from hub.alerts.actions import Alerts, open_alert
from hub.alerts.firing import AlertSteps
from hub.alerts.model import Found
from hub.messaging.history import History
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.sealing import Sealer
from hub.timers.firing import Firing
from tests.integration.core_app import Caller, CoreHub

TABLES = ("duty_shifts", "alerts", "alert_ladders", "timers", "notices", "events")


async def found_by(database: Database, sealer: Sealer, alert: str) -> tuple[str, str, list[str]]:
    """What an alert keeps sealed."""
    async with database.transaction() as connection:
        found = await store.find(connection, alert)
        assert found is not None
        key = (await sealer.by_ids([found.key]))[found.key]
        rule, *_ = await store.told_of(connection, key, alert)
        return rule.name, rule.version, [each.source for each in await store.sources(connection, key, alert)]


class Ward:
    """A hub with its alerts; nothing is left of earlier ones."""

    def __init__(self, hub: CoreHub) -> None:
        self.hub = hub
        self.pool = hub.ground.database.log
        self.alerts: Alerts = hub.parts["alerts"]

    async def clear(self) -> "Ward":
        for table in TABLES:
            await self.pool.execute(f"DELETE FROM {table}")  # noqa: S608 - from here
        await self.pool.execute("UPDATE users SET status = 'inactive'")
        return self

    async def on_duty(self, role: str, account: str, name: str) -> Caller:
        """Somebody new, on duty for a day."""
        caller = await self.hub.person(account, name)
        now = self.hub.clock.now()
        await self.pool.execute(
            "INSERT INTO duty_shifts (id, role, user_id, starts_at, ends_at, created_by) VALUES ($1, $2, $3, $4, $5, $3)",
            new_id(),
            role,
            caller.id,
            now - timedelta(hours=1),
            now + timedelta(days=1),
        )
        return caller

    async def open(self, person: Caller, **more: Any) -> str:
        given = {"kind": "reading", "severity": "critical", "rule": "reading_critical:spo2", "source": new_id()}
        async with self.hub.ground.database.transaction() as connection:
            found = Found(person=person.id, **(given | more))
            alert = await open_alert(self.alerts, connection, found)
        assert alert is not None
        return alert

    def firing(self, database: Database | None = None) -> Firing:
        firing = Firing(database or self.hub.ground.database)
        AlertSteps(self.alerts.notices).subscribe(firing)
        return firing

    async def fire(self, after_s: float = 0) -> datetime:
        """Whatever is due, so long from now."""
        await self.hub.clock.advance(after_s)
        now = self.hub.clock.now()
        while await self.firing().fire("alert_step", now):
            pass
        return now

    async def told(self, alert: str) -> list[tuple[str, set[str]]]:
        """Which role was told, and who that was, in order."""
        rows = await self.pool.fetch(
            "SELECT step, told::text[] AS told FROM alert_steps WHERE alert = $1 ORDER BY number", alert
        )
        return [(row["step"], set(row["told"])) for row in rows]

    async def found_by(self, alert: str) -> tuple[str, str, list[str]]:
        """The rule, its version and the newest sources."""
        return await found_by(self.hub.ground.database, self.hub.ground.sealer, alert)

    async def row(self, alert: str) -> Any:  # Any: a row
        return await self.pool.fetchrow("SELECT * FROM alerts WHERE id = $1", alert)

    async def inbox(self, who: Caller) -> list[Any]:  # Any: JSON bodies
        history = await self.pool.fetch(
            "SELECT c.id::text AS id FROM conversations c JOIN members m ON m.conversation = c.id"
            " WHERE c.kind = 'inbox' AND m.user_id = $1",
            who.id,
        )
        return [body for row in history for body in await self._bodies(who, row["id"])]

    async def _bodies(self, who: Caller, conversation: str) -> list[Any]:
        page = await History(self.pool, self.hub.ground.sealer, 50).page(who.id, conversation, after=0)
        return [msgspec.json.decode(each.body) for each in page.entries]

    async def notices(self, who: Caller) -> list[tuple[str, str, str]]:
        rows = await self.pool.fetch(
            "SELECT subject, state, reason FROM notices WHERE user_id = $1 ORDER BY id", who.id
        )
        return [tuple(row) for row in rows]
