"""What follows when somebody writes words of an emergency: an alert, and fixed advice where they wrote it, at once."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.actions import Alerts, open_alert
from hub.alerts.model import Found
from hub.messaging import actions as messaging
from hub.messaging.alarm import Written, written
from hub.messaging.emergency import RULE_VERSION, Sign
from hub.messaging.event import EmergencyWritten
from hub.messaging.model import SystemBody
from hub.messaging.posting import Post, post_all
from hub.platform.outbox import AfterCommit, Outbox
from hub.platform.text import text


class EmergencyReactions:
    """One per process. An edit that keeps the words of its original adds nothing; a recall takes nothing back."""

    def __init__(self, services: Alerts) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(EmergencyWritten, self._answer)

    async def _answer(self, connection: AsyncConnection, happened: EmergencyWritten) -> AfterCommit | None:
        entry = await written(self._services.notices.messaging, connection, happened)
        if entry is None:
            return None
        found = Found(
            person=entry.person,
            kind="words",
            severity=entry.sign.severity,
            rule=entry.sign.rule,
            rule_version=RULE_VERSION,
            source=f"{happened.conversation}:{entry.seq}:{entry.sign.rule}",
            conversation=happened.conversation,
        )
        await open_alert(self._services, connection, found)
        return await self._advise(connection, happened, entry)

    async def _advise(
        self, connection: AsyncConnection, happened: EmergencyWritten, entry: Written
    ) -> AfterCommit | None:
        """Once for an entry and what it speaks of; nothing where the patient's key is destroyed."""
        note = text(advice_of(entry.sign))
        body = SystemBody(event="emergency_advice", users=[happened.sender], note=note)
        post = Post(conversation=happened.conversation, body=body, name=entry.advice)
        services = self._services.notices.messaging
        _, (posted,) = await post_all(services, connection, [post])
        return None if posted.outcome is None else partial(messaging.tell, services, posted.outcome)


def advice_of(sign: Sign) -> str:
    """The key of what is said."""
    if sign.rule == "self_harm":
        return "emergency_mind"
    return f"emergency_{sign.severity}"
