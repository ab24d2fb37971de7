"""P10 as a whole: whatever is booked, moved, cancelled, re-zoned, slept through or killed half-way, each reminder comes once, never early,
never too late. A model of a few lines says what must have fired at which look; the rows and inboxes must agree.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.occurrence import PLAN_DUE, PLAN_MISSED, PLAN_WINDOW
from hub.care.occurrence_firing import PlanTimers
from hub.notices.actions import Notices
from hub.notices.class_book import ClassBook
from hub.orders.reminder import KIND, ROOM
from hub.orders.reminder_firing import AppointmentReminders
from hub.platform.database import Database
from hub.timers.firing import Done, Firing, Handler
from hub.timers.model import Due
from tests.integration.reminder_scene import Reminding, open_reminding

KINDS = (PLAN_WINDOW, PLAN_DUE, PLAN_MISSED, KIND)
USUAL = (1440, 120, 15)
HOURS = (10, 20)
GRACE = timedelta(hours=4)
LOOK_EVERY = timedelta(minutes=20)
OFF = timedelta(minutes=7)  # nothing people do falls on the moment of a reminder

CLOCKS = st.sampled_from(["09:00", "10:00", "11:00"])
DAYS = st.integers(1, 3)
ZONES = st.sampled_from(["Asia/Shanghai", "Asia/Urumqi", "America/New_York", "Pacific/Kiritimati"])
STEPS = st.one_of(
    st.tuples(st.just("book"), DAYS, CLOCKS),
    st.tuples(st.just("move"), DAYS, CLOCKS),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("wish"), st.sampled_from([None, (60,), (1440, 30), ()])),
    st.tuples(st.just("zone"), ZONES),
    st.tuples(st.just("pause")),
    st.tuples(st.just("pass"), st.integers(1, 20)),
    st.tuples(st.just("pass"), st.integers(20, 30)),
    st.tuples(st.just("outage"), st.integers(1, 20)),
    st.tuples(st.just("crash")),
)

_FIRED = """
SELECT kind, subject::text, key, revision, due_at, expires_at, ended_at, state FROM timers
WHERE subject = ANY (CAST(:ids AS uuid[]))
"""
_NOTICES = "SELECT dedupe_key FROM notices WHERE user_id = :id AND class IN ('appointment', 'plan')"


class Crash(BaseException):
    """The process is gone, after everything was done and before it was committed."""


@dataclass
class Model:
    """What should happen. A pending reminder is (what, when it is due, when it is too late)."""

    pending: dict[tuple[Any, ...], tuple[datetime, datetime]] = field(default_factory=dict)
    fired: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    resting: bool = False

    waiting: set[tuple[Any, ...]] = field(default_factory=set)
    """What had come and was not looked at when it was dropped."""

    def expect(self, what: tuple[Any, ...], due: datetime, expires: datetime, now: datetime) -> None:
        if due > now or (what in self.waiting and expires > now):
            self.pending[what] = (due, expires)

    def drop(self, now: datetime, *start: Any) -> None:
        dropped = {what: due for what, (due, _) in self.pending.items() if what[: len(start)] == start}
        self.waiting = {what for what, due in dropped.items() if due <= now}
        self.pending = {what: times for what, times in self.pending.items() if what not in dropped}

    def look(self, now: datetime) -> None:
        for what, (due, expires) in list(self.pending.items()):
            if due <= now and not (what[0] == "plan" and self.resting and now < expires):
                del self.pending[what]
                self.fired[what] += now < expires

    def appointment(
        self,
        whom: Sequence[str],
        wish: Sequence[int] | None,
        revision: int,
        starts_at: datetime,
        booked: str,
        now: datetime,
    ) -> None:
        for who in whom:
            expires = starts_at
            for minutes in sorted(wish if wish is not None and who == whom[0] else USUAL):
                due = starts_at - timedelta(minutes=minutes)
                self.expect(("appointment", booked, who, revision, minutes), due, expires, now)
                expires = due

    def plan(self, zone: str, now: datetime) -> None:
        """Twice a day for the next two weeks: further than any run goes."""
        first = now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
        for day in range(16):
            for hour in HOURS:
                at = datetime.combine(first + timedelta(days=day), time(hour), ZoneInfo(zone)).astimezone(UTC)
                self.expect(("plan", at), at, at + GRACE, now)


class Run:
    """One example: a patient, their companion, a plan, and at most one appointment at a time."""

    def __init__(self, clinic: Reminding) -> None:
        self.clinic = clinic
        self.model = Model()
        self.crashing = False
        self.booked: dict[str, Any] | None = None
        self.revision = 1
        self.subjects: list[str] = []
        self.wish: tuple[int, ...] | None = None
        ground = clinic.hub.ground
        notices = Notices(
            ground.messaging, ClassBook(ground.database, ground.clock), ground.clock, ground.settings.notices
        )
        self.firing = _Crashing(ground.database, self)
        AppointmentReminders(notices).subscribe(self.firing)
        PlanTimers(ground.sealer, notices).subscribe(self.firing)

    @property
    def now(self) -> datetime:
        return self.clinic.hub.clock.now()

    async def begin(self) -> None:
        self.patient, self.companion = await self.clinic.hub.person(), await self.clinic.provider()
        self.service = await self.clinic.service(self.companion)
        await self.sleep(OFF)
        body = {"kind": "exercise", "title": "散步", "schedule": f"FREQ=DAILY;BYHOUR={HOURS[0]},{HOURS[1]};BYMINUTE=0"}
        today = self.now.date() - timedelta(days=1)
        made = await self.call("POST", "/health/plans", json=body | {"startsAt": f"{today}"})
        self.plan, self.zone = made["id"], "Asia/Shanghai"
        self.subjects.append(self.plan)
        self.model.plan(self.zone, self.now)

    async def call(self, method: str, path: str, **request: Any) -> Any:
        return await self.clinic.hub.call(self.patient, method, path, **request)

    async def sleep(self, how_long: timedelta) -> None:
        await self.clinic.hub.clock.advance(how_long.total_seconds())

    async def look(self) -> None:
        """As a scheduler does; one that dies half-way is followed by another."""
        for kind in KINDS:
            while True:
                try:
                    if not await self.firing.fire(kind, self.now):
                        break
                except Crash:
                    self.crashing = False
        self.model.look(self.now)

    async def do(self, step: tuple[Any, ...]) -> None:
        await getattr(self, f"do_{step[0]}")(*step[1:])

    async def do_pass(self, hours: int) -> None:
        until = self.now + timedelta(hours=hours)
        while self.now < until:
            await self.sleep(min(LOOK_EVERY, until - self.now))
            await self.look()

    async def do_outage(self, hours: int) -> None:
        """Nobody looks for so long; what people do next is done before the first look."""
        await self.sleep(timedelta(hours=hours))

    async def do_crash(self) -> None:
        self.crashing = True

    async def do_book(self, days: int, clock: str) -> None:
        if self.booked is None:
            self.booked = await self.clinic.paid(self.patient, self.service, clock, days=days)
            self.subjects.append(self.booked["appointmentId"])
            self.revision = 1
            self.set_appointment()

    async def do_move(self, days: int, clock: str) -> None:
        to = self.clinic.at(clock, days)
        if self.booked is None or self.is_over or to == self.booked["scheduledTime"]:
            return
        path = f"/appointments/{self.booked['appointmentId']}/reschedule"
        await self.call("POST", path, json={"scheduledTime": to})
        self.booked["scheduledTime"] = to
        self.revision += 1
        self.model.drop(self.now, "appointment", self.booked["appointmentId"])
        self.set_appointment()

    async def do_cancel(self) -> None:
        if self.booked is not None and not self.is_over:
            await self.call("POST", f"/appointments/{self.booked['appointmentId']}/cancel", json={"reason": "临时有事"})
            self.model.drop(self.now, "appointment", self.booked["appointmentId"])
            self.booked = None

    async def do_wish(self, minutes: tuple[int, ...] | None) -> None:
        await self.call("PUT", "/users/me/reminder-preferences", json={"minutes": minutes and list(minutes)})
        is_new, self.wish = minutes != self.wish, minutes
        if is_new and self.booked is not None and not self.is_over:
            # All of its reminders are made anew, with those that have come and were not looked at.
            self.model.drop(self.now, "appointment", self.booked["appointmentId"])
            self.set_appointment()

    async def do_zone(self, zone: str) -> None:
        if zone != self.zone:
            await self.call("PATCH", f"/health/plans/{self.plan}", json={"timezone": zone})
            self.zone = zone
            self.remake_plan()

    async def do_pause(self) -> None:
        self.model.resting = not self.model.resting
        state = "paused" if self.model.resting else "active"
        await self.call("PATCH", f"/health/plans/{self.plan}", json={"state": state})
        self.remake_plan()

    @property
    def is_over(self) -> bool:
        return self.booked is not None and datetime.fromisoformat(self.booked["scheduledTime"]) <= self.now

    def set_appointment(self) -> None:
        assert self.booked is not None
        starts_at = datetime.fromisoformat(self.booked["scheduledTime"])
        whom = (self.patient.id, self.companion.id, ROOM)
        self.model.appointment(whom, self.wish, self.revision, starts_at, self.booked["appointmentId"], self.now)

    def remake_plan(self) -> None:
        """What had come and was not looked at stays; everything else is of the new rule."""
        self.model.pending = {
            what: times for what, times in self.model.pending.items() if what[0] != "plan" or times[0] <= self.now
        }
        if not self.model.resting:
            self.model.plan(self.zone, self.now)

    async def check(self) -> None:
        await self.look()
        rows = await self.clinic.run(_FIRED, ids=self.subjects)
        fired = Counter(_what(row) for row in rows if row["state"] == "fired" and row["kind"] in (KIND, PLAN_DUE))
        expected = Counter({what: count for what, count in self.model.fired.items() if count})

        assert fired == expected
        assert all(count == 1 for count in fired.values())
        for row in rows:
            if row["state"] == "fired":
                assert row["due_at"] <= row["ended_at"]
                assert row["expires_at"] is None or row["ended_at"] < row["expires_at"]
        cards = [
            body for body in await self.clinic.inbox_entries(self.patient) if body["card"] in ("appointment", "plan")
        ]
        mine = [what for what in fired if what[0] == "plan" or what[2] == self.patient.id]
        notices = await self.clinic.run(_NOTICES, id=self.patient.id)
        assert len(cards) == len(mine)
        assert len(notices) == len({each["dedupe_key"] for each in notices}) == len(mine)


def _what(row: dict[str, Any]) -> tuple[Any, ...]:
    if row["kind"] == PLAN_DUE:
        return "plan", datetime.strptime(row["key"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    minutes, whom, _ = row["key"].split(":")
    return "appointment", row["subject"], whom, row["revision"], int(minutes)


class _Crashing(Firing):
    """Dies once, when it is told to, with everything done and nothing committed."""

    def __init__(self, database: Database, run: Run) -> None:
        super().__init__(database)
        self._run = run

    def subscribe(self, kind: str, handler: Handler, **more: Any) -> None:
        async def dying(connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
            done = await handler(connection, due, now)
            if self._run.crashing:
                raise Crash
            return done

        super().subscribe(kind, dying, **more)


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Reminding]:
    async with open_reminding(database, redis_url) as opened:
        yield opened


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
async def test_each_reminder_comes_once_whatever_happens(clinic: Reminding, steps: list[tuple[Any, ...]]) -> None:
    """P10."""
    run = Run(clinic)
    await run.begin()
    for step in steps:
        await run.do(step)
    await run.check()
