"""What a worker does: have a report interpreted outside, or by the rules when that does not work. May be repeated, cut off,
and run twice at once: a lease in the row decides.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import people
from hub.accounts.consent import AI_EXTERNAL
from hub.accounts.consent_actions import has_consent
from hub.content import interpretation_store as store
from hub.content.event import InterpretationFinished
from hub.content.interpretation import LEASE_S, LEASES, Finding, Original, due_again
from hub.content.interpretation_store import Due, Lease
from hub.content.interpreter import Interpreter, Unanswered
from hub.content.rule_interpreter import RuleInterpreter
from hub.messaging.model import SYSTEM
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.outbox import publish
from hub.security.audit import Audit
from hub.security.sealing import DataKey, Sealer
from hub.security.token import Principal

INSTEAD = "（外部 AI 服务未能完成解读，以下由本平台的规则生成。）"

# Who sends a report to the outside: nobody who signed in.
_HUB = Principal(user=SYSTEM, session="", role="system", expires_at=0)

log = structlog.get_logger("hub.ai")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the duty stands on. `tries`: how often the outside is asked for one report."""

    database: Database
    sealer: Sealer
    audit: Audit
    clock: Clock
    outside: Interpreter | None
    tries: int


async def due_interpretations(database: Database, now: datetime, at_most: int) -> Sequence[Due]:
    """Which reports wait for a worker, for a sweep to enqueue."""
    async with database.transaction() as connection:
        return await store.due(connection, now, at_most)


async def interpret(desk: Desk, interpretation: str) -> None:
    """Interpret one report that is due; nothing to do is fine."""
    taken = await _take(desk, interpretation)
    if taken is None:
        return
    lease, key, known = taken
    original = store.original_of(key, lease)
    finding = await _finding(desk, lease, original, known)
    async with desk.database.transaction() as connection:
        if isinstance(finding, datetime):
            await store.put_back(connection, lease, finding)
        elif await store.finish(connection, lease, key, finding):
            # The servers handle it within a second: their outbox asks that often.
            await publish(connection, InterpretationFinished(subject=lease.id, user=lease.user))


async def _take(desk: Desk, interpretation: str) -> tuple[Lease, DataKey, Collection[str] | None] | None:
    """The lease, the key, and the names that must not leave; without names nothing may leave at all."""
    now = desk.clock.now()
    async with desk.database.transaction() as connection:
        lease = await store.lease(connection, interpretation, now, now + timedelta(seconds=LEASE_S))
        if lease is None:
            return None
        try:
            key = await desk.sealer.key_for(lease.user)
        except Refusal:
            log.info("report of somebody erased is not interpreted", interpretation=lease.id)
            await store.fail(connection, lease)
            return None
        if lease.attempts > LEASES:
            log.error("interpretation given up", interpretation=lease.id, attempts=lease.attempts)
            await store.fail(connection, lease)
            return None
        return lease, key, await _known(desk, connection, lease)


async def _known(desk: Desk, connection: AsyncConnection, lease: Lease) -> Collection[str] | None:
    """Asked again each time: who has withdrawn the consent meanwhile is not sent anywhere."""
    if desk.outside is None or not await has_consent(connection, lease.user, AI_EXTERNAL):
        return None
    named = await people(connection, {lease.user, lease.actor})
    # Before it goes: a row for something that was not sent does no harm, the other way round would.
    await desk.audit.record(connection, _HUB, lease.user, "interpretation.send", lease.id)
    return [person.name for person in named.values()]


async def _finding(desk: Desk, lease: Lease, original: Original, known: Collection[str] | None) -> Finding | datetime:
    """What is found, or when to ask again."""
    rules = await RuleInterpreter().interpret(original.report_type, original.data)
    if desk.outside is None or known is None:
        return rules
    instead = msgspec.structs.replace(rules, interpretation=f"{INSTEAD}\n{rules.interpretation}")
    if lease.attempts > desk.tries:  # workers died of it, or while they waited: that often is enough
        return instead
    try:
        finding = await desk.outside.interpret(original.report_type, original.data, known)
    except Unanswered as no:
        again = due_again(lease.attempts, desk.tries, desk.clock.now()) if no.again else None
        return again or instead
    # What the rules find urgent is said, whatever somebody else makes of it.
    return msgspec.structs.replace(finding, suggestions=[*rules.urgent, *finding.suggestions], urgent=rules.urgent)
