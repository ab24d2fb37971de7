"""What is done with alerts: open one, acknowledge it, resolve it. One use case, one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.accounts.actions import people
from hub.alerts import duty_store, store
from hub.alerts.duty import ROLES
from hub.alerts.event import AlertOpened
from hub.alerts.model import CLINICIANS, Alert, Found, Severity, Taking, is_taken_by
from hub.messaging.actions import Outcome
from hub.messaging.membership import has_member
from hub.messaging.model import SystemBody
from hub.messaging.posting import Post
from hub.notices.actions import Notices, notify_all, tell_all
from hub.notices.subject_actions import settle
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import Outbox, publish
from hub.platform.text import text
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal
from hub.timers.actions import Timer, cancel, set_timers

STEP = "alert_step"
"""The kind of the timers of ladders; the key is how many steps have fired before."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the use cases stand on."""

    database: Database
    sealer: Sealer
    access: Access
    audit: Audit
    clock: Clock
    outbox: Outbox
    notices: Notices


def told_key(alert: str, number: int) -> str:
    """The dedupe key of what is told at a step."""
    return f"alert:{alert}:{number}"


async def open_alert(services: Alerts, connection: AsyncConnection, found: Found) -> str | None:
    """The alert that this source raises, or raised before, in the caller's transaction; wake the outbox after the commit.

    It joins an open one of the same person and rule that is at least as severe; else a ladder begins, and goes on until
    somebody acknowledges. Of a flood of sources the first of each minute are kept, the others counted; what somebody
    raised by hand always is. None: the person's key is destroyed, and nothing new is said of them.
    Call it before anything is appended to a conversation: steps that fire lock in that order.
    """
    now = services.clock.now()
    key = (await services.sealer.keys_for({found.person}))[found.person]
    if key is None:
        return None
    await store.take_turn(connection, found.person)
    if (known := await store.raised_by(connection, key, found.source)) is not None:
        return known
    joined = await store.join(connection, key, found, now)
    if joined is not None and joined.is_flooded and found.by is None:
        return joined.alert
    alert = new_id() if joined is None else joined.alert
    if joined is None:
        await store.add(connection, key, alert, found, now)
        await set_timers(connection, [Timer(kind=STEP, subject=alert, key="0", person=found.person, due_at=now)])
        await publish(connection, AlertOpened(subject=alert))
    await store.add_source(connection, key, alert, found, now)
    return alert


async def raise_alert(
    services: Alerts, who: Principal, person: str, severity: Severity, note: str, conversation: str | None
) -> str:
    """By hand, of somebody with whom one deals; `conversation` is one of theirs. Raises `Refusal`."""
    if who.role not in CLINICIANS:
        raise Refusal(ErrorCode.FORBIDDEN)
    found = Found(
        person=person,
        kind="manual",
        severity=severity,
        rule="manual",
        source=f"manual:{new_id()}",
        conversation=conversation,
        by=who.user,
        note=note,
    )
    async with services.database.transaction() as connection:
        await services.access.permit(connection, who, person, Need.SERVICE_READ)
        if conversation is not None and not await has_member(connection, conversation, person):
            raise Refusal(ErrorCode.INVALID, fields={"conversation": "id_invalid"})
        alert = _raised(await open_alert(services, connection, found))
        await services.audit.record(connection, who, person, "alert.raised", alert)
    services.outbox.wake()
    return alert


async def drill(services: Alerts, who: Principal, severity: Severity) -> str:
    """The same ladder as in earnest, about oneself, for staff and admins."""
    if who.role not in ("staff", "admin"):
        raise Refusal(ErrorCode.FORBIDDEN)
    found = Found(
        person=who.user,
        kind="drill",
        severity=severity,
        rule="drill",
        source=f"drill:{new_id()}",
        drill=True,
        by=who.user,
    )
    async with services.database.transaction() as connection:
        alert = _raised(await open_alert(services, connection, found))
        await services.audit.record(connection, who, who.user, "alert.drill", alert)
    services.outbox.wake()
    return alert


async def take(services: Alerts, who: Principal, alert: str, taking: Taking, note: str) -> None:
    """Acknowledge or resolve it: the ladder ends, and whoever was told hears who has it. Raises `Refusal`."""
    async with services.database.transaction() as connection:
        found = await seen_by(services, connection, who, alert)
        if not await is_inside(services, connection, who, found):
            raise Refusal(ErrorCode.FORBIDDEN)
        outcomes = await take_over(services, connection, who, found, taking, note)
        await services.audit.record(connection, who, found.person, f"alert.{taking}", alert)
    tell_all(services.notices, outcomes)


async def take_over(
    services: Alerts, connection: AsyncConnection, who: Principal, found: Alert, taking: Taking, note: str
) -> Sequence[Outcome]:
    """The same in the caller's transaction, who has made sure that they may; `tell_all` the outcomes after the commit."""
    key = (await services.sealer.keys_for({found.person}))[found.person] if note else None
    # The timers first, as a step that fires does: whichever of the two is later sees what the other did.
    await cancel(connection, [STEP], found.id)
    found = (await store.lock(connection, [found.id]))[found.id]
    names = await _names(connection, found, who.user)
    if is_taken_by(found, who.user, taking, names):
        return []
    sealed = store.seal(key, found.id, taking, note)
    await store.take(connection, found.id, taking, who.user, sealed, services.clock.now())
    if found.state != "open":
        return []
    told = await store.told(connection, [found.id])
    others = sorted({user for _, _, user in told if user != who.user})
    body = _taken(found, taking, who.user, names[who.user])
    posts = [Post(user=user, body=body, name=f"alert-{taking}:{found.id}") for user in others]
    outcomes = await notify_all(services.notices, connection, [], posts)
    await settle(connection, [(told_key(found.id, number), user) for _, number, user in told], who.user)
    return outcomes


async def seen_by(services: Alerts, connection: AsyncConnection, who: Principal, alert: str) -> Alert:
    """The alert, if this person may know of it: who may take it, whom it is about, and who acts for them."""
    found = await store.find(connection, alert) if is_id(alert) else None
    if found is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    if not await is_inside(services, connection, who, found):
        await services.access.permit(connection, who, found.person, Need.HEALTH_READ)
    return found


async def is_inside(services: Alerts, connection: AsyncConnection, who: Principal, alert: Alert) -> bool:
    """Whether they may take it: staff, and doctors who were told, have it, or have the person in their care, and while
    it is open those on duty. Whom it is about never, unless it is a drill."""
    if who.user == alert.person and not alert.drill:
        return False
    if who.role in ("staff", "admin"):
        return True
    if who.role != "doctor":
        return False
    if who.user in (alert.acknowledged_by, alert.resolved_by) or await store.was_told(connection, alert.id, who.user):
        return True
    if alert.state == "open" and await is_on_duty(services, connection, who):
        return True
    return await has_in_care(services, connection, who, alert.person)


async def has_in_care(services: Alerts, connection: AsyncConnection, who: Principal, person: str) -> bool:
    try:
        await services.access.permit(connection, who, person, Need.HEALTH_READ)
    except Refusal:
        return False
    return True


async def is_on_duty(services: Alerts, connection: AsyncConnection, who: Principal) -> bool:
    now = services.clock.now()
    return any([who.user in await duty_store.on_duty(connection, role, now) for role in ROLES])


def _raised(alert: str | None) -> str:
    if alert is None:
        raise Refusal(ErrorCode.NOT_FOUND, "erased")
    return alert


async def _names(connection: AsyncConnection, alert: Alert, who: str) -> Mapping[str, str]:
    wanted = {each for each in (alert.acknowledged_by, alert.resolved_by, who) if each is not None}
    return {each.id: each.name for each in (await people(connection, wanted)).values()}


def _taken(alert: Alert, taking: Taking, who: str, name: str) -> SystemBody:
    sentence = text(f"alert_told_{taking}", name=name)
    mark = text("alert_drill") if alert.drill else ""
    return SystemBody(event=f"alert_{taking}", users=[who], by=who, note=mark + sentence)
