"""What people do with interpretations: ask for one, read it, look at the earlier ones. One use case, one transaction."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.accounts.consent import AI_EXTERNAL
from hub.accounts.consent_actions import has_consent
from hub.content import interpretation_store as store
from hub.content.event import InterpretationFinished
from hub.content.interpretation import Interpretation, Original, Row, check_data, code_of
from hub.content.reading import Json
from hub.content.rule_interpreter import RuleInterpreter
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import Outbox, publish
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal


@dataclass(frozen=True, slots=True)
class Interpretations:
    """What the use cases stand on. `is_outside`: there is an outside interpreter, for those who agreed to it."""

    database: Database
    sealer: Sealer
    access: Access
    audit: Audit
    clock: Clock
    outbox: Outbox
    is_outside: bool


async def ask(
    services: Interpretations, who: Principal, person: str | None, report_type: str, data: Json
) -> Interpretation:
    """Have a report interpreted, one's own if nobody is named: at once by the rules, or soon by the outside interpreter."""
    check_data(data)
    person, now = person or who.user, services.clock.now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as fine as the wire shows
    async with services.database.transaction() as connection:
        await services.access.permit(connection, who, person, Need.HEALTH_WRITE)
        waits = services.is_outside and await has_consent(connection, person, AI_EXTERNAL)
        asked = Interpretation(
            id=new_id(),
            user=person,
            report_type=report_type,
            state="pending" if waits else "done",
            created_at=now,
            read_at=None,
            finding=None if waits else await RuleInterpreter().interpret(report_type, data),
        )
        key = await services.sealer.key_for(person)
        original = Original(report_type, data)
        due_at = now if waits else None
        await store.add(connection, key, who.user, code_of(report_type), asked, original, due_at)
        if not waits:
            await publish(connection, InterpretationFinished(subject=asked.id, user=person))
        await services.audit.record(connection, who, person, "interpretation.ask", asked.id)
    services.outbox.wake()
    return asked


async def list_of(
    services: Interpretations, who: Principal, person: str | None, is_read: bool | None, paging: Paging
) -> Page[Interpretation]:
    """The interpretations of a person, of oneself if nobody is named."""
    person = person or who.user
    async with services.database.transaction() as connection:
        await services.access.permit(connection, who, person, Need.HEALTH_READ)
        rows, total = await store.page(connection, person, is_read, paging)
        found = [await _opened(services, row) for row in rows]  # the key is fetched once, and then at hand
        await services.audit.record(connection, who, person, "interpretation.list")
    return page_of(found, paging, total)


async def show(services: Interpretations, who: Principal, interpretation: str) -> Interpretation:
    async with services.database.transaction() as connection:
        row = await _find(services, connection, who, interpretation, Need.HEALTH_READ)
        found = await _opened(services, row)
        await services.audit.record(connection, who, row.user_id, "interpretation.read", row.id)
    return found


async def mark_read(services: Interpretations, who: Principal, interpretation: str) -> Interpretation:
    """Read, by the person or somebody who acts for them: a doctor who looks at it does not take it off their list."""
    async with services.database.transaction() as connection:
        row = await _find(services, connection, who, interpretation, Need.ACT)
        if row.state == "pending":
            raise Refusal(ErrorCode.CONFLICT, "interpretation_is_pending")
        row = await store.mark_read(connection, row.id, services.clock.now())
        found = await _opened(services, row)
        await services.audit.record(connection, who, row.user_id, "interpretation.read", row.id)
    return found


async def _find(
    services: Interpretations, connection: AsyncConnection, who: Principal, interpretation: str, need: Need
) -> Row:
    row = await store.find(connection, interpretation) if is_id(interpretation) else None
    if row is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    await services.access.permit(connection, who, row.user_id, need)
    return row


async def _opened(services: Interpretations, row: Row) -> Interpretation:
    return store.opened(await services.sealer.key_for(row.user_id), row)
