"""Looking at alerts: each look leaves a row in the audit for each person that it showed (P13)."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import people
from hub.alerts import listing_store, store
from hub.alerts.actions import Alerts, has_in_care, is_inside, is_on_duty, seen_by
from hub.alerts.listing_store import Reach, Wanted
from hub.alerts.model import Alert, Story
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import chain_of
from hub.security.token import Principal


async def list_alerts(services: Alerts, who: Principal, wanted: Wanted, paging: Paging) -> Page[Alert]:
    """Those that somebody may see. Staff: all. Doctors: what they were told, of a person in their care if one is named,
    and while they are on duty what is open. Everybody: their own, and of those for whom they act."""
    if wanted.person is not None and not is_id(wanted.person):
        raise Refusal(ErrorCode.NOT_FOUND, fields={"person": "id_invalid"})
    async with services.database.transaction() as connection:
        reach = await _reach(services, connection, who, wanted.person)
        found, total = await listing_store.page(connection, wanted, reach, paging)
        persons = {each.person for each in found}
        if wanted.person is not None and not persons:
            await _check_known(connection, reach, wanted.person, total)
            persons = {wanted.person}
        # In the order of the chains, so that two who read several do not wait for each other in a circle.
        for person in sorted(persons, key=lambda each: (chain_of(each), each)):
            await services.audit.record(connection, who, person, "alerts.read", _described(wanted))
    return page_of(found, paging, total)


async def show(services: Alerts, who: Principal, alert: str) -> Story:
    """An alert with its whole ladder. Whom it is about does not see what was said and who was told. Raises `Refusal`."""
    async with services.database.transaction() as connection:
        found = await seen_by(services, connection, who, alert)
        inside = await is_inside(services, connection, who, found)
        key = (await services.sealer.by_ids([found.key]))[found.key] if inside else None
        steps = await store.steps(connection, alert) if inside else []
        sources = await store.sources(connection, key, alert) if inside else []
        rule, *notes = await store.told_of(connection, key, alert)
        named = {user for step in steps for user in step.told} | {each.by for each in sources if each.by}
        named |= {each for each in (found.acknowledged_by, found.resolved_by) if each}
        names = {each.id: each.name for each in (await people(connection, named)).values()}
        await services.audit.record(connection, who, found.person, "alert.read", alert)
    return Story(
        alert=found,
        inside=inside,
        rule=rule,
        acknowledge_note=notes[0],
        resolve_note=notes[1],
        sources=sources,
        steps=steps,
        names=names,
    )


async def _reach(services: Alerts, connection: AsyncConnection, who: Principal, person: str | None) -> Reach:
    if who.role in ("staff", "admin"):
        return Reach(everything=True)
    persons = await services.access.persons(connection, who)
    if who.role != "doctor":
        return Reach(persons=persons)
    if person is not None and person not in persons and await has_in_care(services, connection, who, person):
        persons.append(person)
    return Reach(open_ones=await is_on_duty(services, connection, who), told=who.user, persons=persons)


async def _check_known(connection: AsyncConnection, reach: Reach, person: str, total: int) -> None:
    """Of whom nothing shows, for one reason or another, there is nothing to know unless one may see all of theirs."""
    if total or person in reach.persons or (reach.everything and await people(connection, [person])):
        return
    raise Refusal(ErrorCode.NOT_FOUND)


def _described(wanted: Wanted) -> str:
    return " ".join(
        f"{name}={value}"
        for name, value in msgspec.structs.asdict(wanted).items()
        if value is not None and name != "person"
    )
