"""The clinic with a scheduler's hand for its reminders: time is what the test says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.notices.actions import Notices
from hub.notices.class_book import ClassBook
from hub.orders.reminder import KIND, ROOM
from hub.orders.reminder_firing import AppointmentReminders
from hub.platform.database import Database
from hub.timers.firing import Firing
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic

TIMERS = """
SELECT key, revision, person::text, due_at, expires_at FROM timers WHERE kind = :kind AND subject = :id AND state = :state
"""


def before(booked: Any, minutes: int) -> datetime:
    """So long before an appointment, as booking or showing it answers it."""
    return datetime.fromisoformat(booked["scheduledTime"]) - timedelta(minutes=minutes)


class Reminding(Clinic):
    @property
    def firing(self) -> Firing:
        ground = self.hub.ground
        classes = ClassBook(ground.database, ground.clock)
        firing = Firing(ground.database)
        services = Notices(ground.messaging, classes, ground.clock, ground.settings.notices)
        AppointmentReminders(services).subscribe(firing)
        return firing

    async def fire(self, moment: datetime) -> int:
        """Move the clock there, and fire all that is due; how many timers ended."""
        await self.hub.clock.advance((moment - self.hub.clock.now()).total_seconds())
        firing, ended = self.firing, 0
        while some := await firing.fire(KIND, moment):
            ended += some
        return ended

    async def timers(self, booked: Any, state: str = "pending") -> dict[str, list[int]]:
        """By person, or `ROOM`: how many minutes before."""
        found: dict[str, list[int]] = {}
        for row in await self.run(TIMERS, kind=KIND, id=booked["appointmentId"], state=state):
            minutes, whom, _ = row["key"].split(":")
            assert row["person"] == (None if whom == ROOM else whom)
            found.setdefault(whom, []).append(int(minutes))
        return {whom: sorted(minutes, reverse=True) for whom, minutes in found.items()}

    async def rows(self, booked: Any, state: str = "pending") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.run(TIMERS, kind=KIND, id=booked["appointmentId"], state=state)
        return rows

    async def inbox_entries(self, user: Caller) -> list[dict[str, Any]]:
        """The bodies there."""
        found = await self.run("SELECT id::text FROM conversations WHERE direct_key = :key", key=f"inbox:{user.id}")
        entries = await self.entries(user, found[0]["id"]) if found else []
        return [msgspec.json.decode(each.body) for each in entries]

    async def room(self, booked: Any) -> str:
        return str((await self.row("orders", booked["orderId"]))["conversation"])

    async def said(self, user: Caller, booked: Any) -> list[tuple[str, str]]:
        """What the hub said of reminders and answers in the conversation: (event, note)."""
        entries = await self.entries(user, await self.room(booked))
        bodies = [msgspec.json.decode(each.body) for each in entries if each.type == "system"]
        ours = ("appointment_reminder", "attendance_confirmed", "attendance_declined")
        return [(body["event"], body.get("note", "")) for body in bodies if body["event"] in ours]

    async def notices(self, user: Caller, code: str = "appointment") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.run(
            "SELECT * FROM notices WHERE user_id = :user AND class = :code ORDER BY expires_at", user=user.id, code=code
        )
        return rows


@asynccontextmanager
async def open_reminding(database: Database, redis_url: str) -> AsyncIterator[Reminding]:
    """Of what was before, nothing is due any more, and nobody is staff."""
    async with open_clinic(database, redis_url) as clinic:
        await clinic.run("UPDATE timers SET state = 'cancelled', next_at = NULL WHERE next_at IS NOT NULL")
        await clinic.run("UPDATE users SET role = 'patient' WHERE role = 'staff'")
        yield Reminding(clinic.hub)
