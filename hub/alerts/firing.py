"""Steps of ladders that fire: who is on duty is told, and the next step is set, in the transaction that marks the timer fired (P11)."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts import duty_store, ladder_store, store
from hub.alerts.actions import STEP, told_key
from hub.alerts.duty import ROLES
from hub.alerts.ladder import HeldLadder, Ladder, Role, climb
from hub.alerts.model import Alert, Severity, StepFired
from hub.messaging.model import CardBody
from hub.notices.actions import Notices, Telling, notify_all, tell_all
from hub.notices.draft import Draft
from hub.notices.subject_actions import settle
from hub.platform.text import text
from hub.timers.actions import Due, Timer, set_timers
from hub.timers.firing import Done, Firing

BATCH = 10  # alerts in one transaction: each may tell all staff
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Duty(msgspec.Struct, frozen=True):
    """Who can be told at a moment."""

    by_role: Mapping[Role, Sequence[str]]
    everybody: Sequence[str]

    def but(self, person: str) -> "Duty":
        """Without whom an alert is about: their own alert is somebody else's to answer."""
        by_role = {role: [each for each in users if each != person] for role, users in self.by_role.items()}
        return Duty(by_role, [each for each in self.everybody if each != person])


class AlertSteps:
    """One per process."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, firing: Firing) -> None:
        firing.subscribe(STEP, self._fire, batch=BATCH)

    async def _fire(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        alerts = await store.lock(connection, {each.subject for each in due})
        standing = [(each, alert) for each in due if (alert := _standing(alerts, each)) is not None]
        erased = await self._erased([alert for _, alert in standing])
        live = [(each, alert) for each, alert in standing if alert.id not in erased]
        void = {each.id for each in due} - {each.id for each, _ in live}
        tell = [await self._step(connection, live, now)] if live else []
        if erased:
            await _close(connection, erased, now)
        return Done(void=void, tell=tell)

    async def _erased(self, alerts: Sequence[Alert]) -> set[str]:
        """Those of people whose key is destroyed."""
        keys = await self._services.messaging.sealer.by_ids({alert.key for alert in alerts})
        return {alert.id for alert in alerts if keys[alert.key] is None}

    async def _step(
        self, connection: AsyncConnection, live: Sequence[tuple[Due, Alert]], now: datetime
    ) -> Callable[[], Awaitable[None]]:
        """What is to be called after the commit."""
        ladders, duty = await ladder_store.all_held(connection), await _duty(connection, now)
        fired = [(alert, step) for timer, alert in live for step in _steps(ladders, duty, alert, timer, now)]
        await store.add_steps(connection, [(alert.id, step) for alert, step in fired])
        await set_timers(connection, [_next(alert, step) for alert, step in fired if step.until is not None])
        outcomes = await notify_all(self._services, connection, list(_tellings(fired)), now=now)

        async def tell() -> None:
            tell_all(self._services, outcomes)

        return tell


async def _close(connection: AsyncConnection, erased: Collection[str], now: datetime) -> None:
    """There is nothing left to know of them: their ladders end, and who was told need not be woken any more."""
    await store.close(connection, erased, now)
    told = await store.told(connection, erased)
    await settle(connection, [(told_key(alert, number), user) for alert, number, user in told], None)


def _standing(alerts: Mapping[str, Alert], timer: Due) -> Alert | None:
    """The alert of this timer, if it still waits for this very step."""
    alert = alerts.get(timer.subject)
    return alert if alert is not None and alert.state == "open" and str(alert.number) == timer.key else None


async def _duty(connection: AsyncConnection, now: datetime) -> Duty:
    by_role: dict[Role, Sequence[str]] = {role: await duty_store.on_duty(connection, role, now) for role in ROLES}
    return Duty({**by_role, "phone_task": by_role["coordinator"]}, await store.active_staff(connection))


def _steps(
    ladders: Mapping[Severity, HeldLadder], duty: Duty, alert: Alert, timer: Due, now: datetime
) -> Iterator[StepFired]:
    ladder: Ladder = ladders[alert.severity].value
    there = duty if alert.drill else duty.but(alert.person)
    for each in climb(ladder, alert.number, there.by_role, there.everybody):
        until = None if each.within_s is None else now + timedelta(seconds=each.within_s)
        yield StepFired(
            number=each.number, step=each.role, told=each.told, due_at=timer.due_at, fired_at=now, until=until
        )


def _next(alert: Alert, step: StepFired) -> Timer:
    assert step.until is not None
    return Timer(kind=STEP, subject=alert.id, key=str(step.number + 1), person=alert.person, due_at=step.until)


def _tellings(fired: Sequence[tuple[Alert, StepFired]]) -> Iterator[Telling]:
    for alert, step in fired:
        for user in step.told:
            draft = Draft(user=user, dedupe_key=told_key(alert.id, step.number), subject=f"alert:{alert.id}")
            yield Telling(code="health_alert", draft=draft, body=_card(alert, step))


def _card(alert: Alert, step: StepFired) -> CardBody:
    """For the inbox of who is told, and so nothing of the person: it outlives their key. The alert says who and what,
    and that leaves a trace."""
    assert step.until is not None
    title = text(f"alert_title_{alert.severity}")
    summary = text(f"alert_told_{step.step}", until=f"{step.until.astimezone(SHANGHAI):%H:%M:%S}")
    return CardBody(
        card="alert", id=alert.id, title=(text("alert_drill") if alert.drill else "") + title, summary=summary
    )
