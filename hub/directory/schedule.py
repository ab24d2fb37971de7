"""Who works when: staff replace somebody's weekly rules; staff, or the person, add and remove exceptions."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import people
from hub.directory import rule, schedule_store
from hub.directory.actions import Directory
from hub.directory.edit import permit_staff
from hub.directory.event import ScheduleChanged
from hub.directory.model import Rule, Schedule, ScheduleException, shanghai_day
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import publish
from hub.security.token import Principal

EXCEPTIONS_SHOWN = 500


async def show_schedule(directory: Directory, who: Principal, provider: str) -> Schedule:
    """The rules, and the exceptions from today on."""
    _permit_own(who, provider)
    async with directory.database.transaction() as connection:
        await _check_provider(connection, provider)
        return await _schedule(directory, connection, provider)


async def replace_rules(
    directory: Directory, who: Principal, provider: str, rules: Sequence[Rule], version: str | None
) -> Schedule:
    """The whole weekly set at once; refused as a conflict if `version` is given and is no longer the current one."""
    permit_staff(who)
    if faults := rule.faults_of_rules(rules):
        raise Refusal(ErrorCode.INVALID, fields=dict(faults))
    async with directory.database.transaction() as connection:
        await _check_provider(connection, provider)
        await schedule_store.lock(connection, [provider])
        current = rule.version_of((await schedule_store.rules_of(connection, [provider]))[provider])
        if version not in (None, current):
            raise Refusal(ErrorCode.CONFLICT, fields={"version": "schedule_changed"})
        if rule.version_of(rules) != current:
            await schedule_store.replace_rules(connection, {provider: rules})
            await publish(connection, ScheduleChanged(subject=provider))
        schedule = await _schedule(directory, connection, provider)
    await _tell(directory)
    return schedule


async def add_exception(
    directory: Directory, who: Principal, provider: str, added: ScheduleException
) -> ScheduleException:
    """Bookings that an `off` hits stay: the event tells who keeps them."""
    _permit_own(who, provider)
    today = shanghai_day(directory.clock.now())
    slots = (added.slot_minutes, added.capacity)
    if faults := rule.faults_of_exception(added.kind, added.day, added.starts, added.ends, slots, today):
        raise Refusal(ErrorCode.INVALID, fields=dict(faults))
    async with directory.database.transaction() as connection:
        await _check_provider(connection, provider)
        await schedule_store.lock(connection, [provider])
        others = await schedule_store.exceptions_on(connection, provider, added.day)
        if len(others) >= rule.EXCEPTIONS_OF_DAY:
            raise Refusal(ErrorCode.CONFLICT, fields={"day": "exceptions_many"})
        if rule.meets_extra(added, others):
            raise Refusal(ErrorCode.CONFLICT, fields={"starts": "extra_overlaps"})
        await schedule_store.add_exception(connection, provider, added)
        await publish(connection, ScheduleChanged(subject=provider, day=added.day))
    await _tell(directory)
    return added


async def remove_exception(directory: Directory, who: Principal, provider: str, exception: str) -> None:
    _permit_own(who, provider)
    if not is_id(exception):
        raise Refusal(ErrorCode.NOT_FOUND)
    async with directory.database.transaction() as connection:
        await _check_provider(connection, provider)
        await schedule_store.lock(connection, [provider])
        day: date | None = await schedule_store.remove_exception(connection, provider, exception)
        if day is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        await publish(connection, ScheduleChanged(subject=provider, day=day))
    await _tell(directory)


def _permit_own(who: Principal, provider: str) -> None:
    """Staff, or the person: whether somebody else works here is not told."""
    if who.role not in ("staff", "admin") and who.user != provider:
        raise Refusal(ErrorCode.NOT_FOUND)


async def _check_provider(connection: AsyncConnection, provider: str) -> None:
    """Only doctors and companions have working hours."""
    person = (await people(connection, [provider])).get(provider) if is_id(provider) else None
    if person is None or person.role not in ("doctor", "companion"):
        raise Refusal(ErrorCode.NOT_FOUND)


async def _schedule(directory: Directory, connection: AsyncConnection, provider: str) -> Schedule:
    rules = (await schedule_store.rules_of(connection, [provider]))[provider]
    today = shanghai_day(directory.clock.now())
    exceptions = await schedule_store.exceptions_from(connection, provider, today, EXCEPTIONS_SHOWN)
    return Schedule(provider, rule.version_of(rules), rules, exceptions)


async def _tell(directory: Directory) -> None:
    await directory.hot_reads.forget("schedules")
    directory.outbox.wake()
