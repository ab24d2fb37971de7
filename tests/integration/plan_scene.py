"""Plans of a person, and time that passes for them: the hub's clock and the timers move together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.care.occurrence import PLAN_DUE, PLAN_MISSED, PLAN_WINDOW
from hub.care.occurrence_firing import PlanTimers
from hub.notices.actions import Notices
from hub.notices.class_book import ClassBook
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.timers.firing import Firing
from tests.integration.core_app import START, Caller, CoreHub, open_core

TODAY = START.date()  # 09:00 in Shanghai
PRESSURE = {
    "kind": "measurement",
    "title": "早晚血压",
    "notes": "静坐五分钟",
    "measurementType": "blood_pressure",
    "schedule": "FREQ=DAILY;BYHOUR=10,20;BYMINUTE=0",
    "startsAt": f"{TODAY}",
}
TEN = START + timedelta(hours=1)  # the first of it
TWENTY = START + timedelta(hours=11)


@dataclass
class PlanHub:
    """A hub, and the part of a scheduler that plans need."""

    core: CoreHub
    firing: Firing

    async def make(self, who: Caller, **given: Any) -> str:
        """The id of a plan."""
        made = await self.core.call(who, "POST", "/health/plans", json=PRESSURE | given)
        return str(made["id"])

    async def act(self, who: Caller, plan: str, at: datetime, what: str, status: int = 200, **request: Any) -> Any:
        return await self.core.call(
            who, "POST", f"/health/plans/{plan}/occurrences/{rfc3339(at)}/{what}", status, **request
        )

    async def shown(self, who: Caller, plan: str) -> list[tuple[datetime, str]]:
        """When and what, as the plan's list tells it."""
        start, end = rfc3339(START - timedelta(days=10)), rfc3339(START + timedelta(days=20))
        found = await self.core.call(who, "GET", f"/health/plans/{plan}/occurrences", params={"from": start, "to": end})
        return [(datetime.fromisoformat(each["at"]), each["state"]) for each in found["items"]]

    async def go_to(self, at: datetime) -> None:
        """The hub's clock only: no scheduler runs meanwhile."""
        await self.core.clock.advance((at - self.core.clock.now()).total_seconds())

    async def fire(self, *kinds: str) -> None:
        """Everything that is due by the hub's clock."""
        for kind in kinds or (PLAN_WINDOW, PLAN_DUE, PLAN_MISSED):
            while await self.firing.fire(kind, self.core.clock.now()):
                pass

    async def pass_time(self, until: datetime, step: timedelta = timedelta(minutes=30)) -> None:
        """Until then a scheduler looks with each step."""
        while self.core.clock.now() < until:
            await self.go_to(min(until, self.core.clock.now() + step))
            await self.fire()

    async def rows(self, plan: str) -> dict[datetime, Any]:  # Any: asyncpg's rows
        rows = await self.database.log.fetch("SELECT * FROM plan_occurrences WHERE plan_id = $1 ORDER BY at", plan)
        return {row["at"]: row for row in rows}

    async def pending(self, plan: str) -> list[tuple[str, datetime, int]]:
        """Kind, time and revision of the timers that are to fire."""
        rows = await self.database.log.fetch(
            "SELECT kind, due_at, revision FROM timers WHERE subject = $1 AND state = 'pending' ORDER BY kind, due_at",
            plan,
        )
        return [(row["kind"], row["due_at"], row["revision"]) for row in rows]

    async def missed_events(self, person: str) -> list[dict[str, str]]:
        rows = await self.database.log.fetch(
            "SELECT payload FROM events WHERE kind = 'MeasurementMissed' AND subject = $1 ORDER BY number", person
        )
        return [row["payload"] for row in rows]

    def reminded(self, plan: str) -> list[datetime]:
        """Which moments of a plan the inbox was told of, in order."""
        cards = [msgspec.json.decode(each.body) for each in self.core.announced.entries if each.type == "card"]
        return [datetime.fromisoformat(card["id"][37:]) for card in cards if card["id"][:36] == plan]

    @property
    def database(self) -> Database:
        return self.core.ground.database


@asynccontextmanager
async def open_plans(database: Database, redis_url: str) -> AsyncIterator[PlanHub]:
    async with open_core(database, redis_url) as core:
        # Timers of one test are not due in another's.
        await database.log.execute("UPDATE timers SET state = 'cancelled', next_at = NULL WHERE state = 'pending'")
        ground = core.ground
        notices = Notices(ground.messaging, ClassBook(database, core.clock), core.clock, ground.settings.notices)
        firing = Firing(database)
        PlanTimers(ground.sealer, notices).subscribe(firing)
        yield PlanHub(core, firing)


def days(first: datetime, number: int) -> list[datetime]:
    """Both moments of `PRESSURE` on so many days."""
    return [at + timedelta(days=day) for day in range(number) for at in (first, first + timedelta(hours=10))]
