"""What opens alerts by itself, what the person is told at once, and the button of a card that acknowledges."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts import store
from hub.alerts.actions import Alerts, is_inside, open_alert, take_over
from hub.alerts.event import AlertOpened
from hub.alerts.model import CLINICIANS, Found
from hub.care.alarm_actions import rule_of, rule_of_missed
from hub.care.event import MeasurementMissed, ReadingFoundCritical
from hub.messaging.model import SystemBody
from hub.notices.actions import notify, tell_all
from hub.notices.draft import Draft
from hub.notices.event import NoticeAcknowledged
from hub.platform.error import Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import AfterCommit, Outbox
from hub.platform.text import text
from hub.security.token import Principal

ADVISED = ("reading", "missed", "manual")
"""Kinds of alerts of which the person hears in their inbox; who writes emergency words is answered where they wrote,
and a drill advises nobody."""


class AlertReactions:
    """One per process."""

    def __init__(self, services: Alerts) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(ReadingFoundCritical, self._critical)
        outbox.subscribe(MeasurementMissed, self._missed)
        outbox.subscribe(AlertOpened, self._advise)
        outbox.subscribe(NoticeAcknowledged, self._acknowledged)

    async def _critical(self, connection: AsyncConnection, happened: ReadingFoundCritical) -> None:
        rule = await rule_of(connection, happened.record)
        if rule is None:  # whoever typed it in took it back
            return
        found = Found(
            person=happened.subject,
            kind="reading",
            severity="critical",
            rule=rule.name,
            rule_version=rule.version,
            source=happened.record,
        )
        await open_alert(self._services, connection, found)

    async def _missed(self, connection: AsyncConnection, happened: MeasurementMissed) -> None:
        """One rule for whatever plans ask for the same measurement, so that they join."""
        rule = await rule_of_missed(connection, self._services.sealer, happened.plan)
        if rule is None:
            return
        found = Found(
            person=happened.subject,
            kind="missed",
            severity="warning",
            rule=rule,
            source=happened.occurrence,
        )
        await open_alert(self._services, connection, found)

    async def _advise(self, connection: AsyncConnection, happened: AlertOpened) -> AfterCommit | None:
        """Fixed words, at once, however long the ladder takes."""
        alert = await store.find(connection, happened.subject)
        if alert is None or alert.kind not in ADVISED:
            return None
        body = SystemBody(event="alert_advice", note=text(f"alert_advice_{alert.severity}_{alert.kind}"))
        # Another subject than the alert's: acknowledging that takes nothing from the person.
        name = f"alert-advice:{alert.id}"
        draft = Draft(user=alert.person, dedupe_key=name, subject=name)
        outcomes = await notify(self._services.notices, connection, "health_alert", draft, body)
        return partial(tell_all, self._services.notices, outcomes)

    async def _acknowledged(self, connection: AsyncConnection, happened: NoticeAcknowledged) -> AfterCommit | None:
        """An old card changes nothing once who holds it may not take the alert any more, or comes second."""
        place, _, alert = happened.about.partition(":")
        if place != "alert" or not is_id(alert):
            return None
        found = await store.find(connection, alert)
        role = await store.role_of(connection, happened.user)
        if found is None or role not in CLINICIANS:
            return None
        who = Principal(user=happened.user, session="", role=role, expires_at=0)
        if not await is_inside(self._services, connection, who, found):
            return None
        try:
            outcomes = await take_over(self._services, connection, who, found, "acknowledged", "")
        except Refusal:
            return None
        await self._services.audit.record(connection, who, found.person, "alert.acknowledged", alert)
        return partial(tell_all, self._services.notices, outcomes)
