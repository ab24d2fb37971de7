"""The SQL of schedules: weekly rules and exceptions of providers. Every function runs in the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory.model import Rule, ScheduleException
from hub.directory.table import departments, doctor_schedules, doctors, hospitals, schedule_exceptions, users
from hub.platform.identifier import new_id

_RULE = tuple(doctor_schedules.c[name] for name in Rule.__struct_fields__)
_EXCEPTION = tuple(schedule_exceptions.c[name] for name in ScheduleException.__struct_fields__)

_closed = sa.or_(~doctors.c.is_active, ~departments.c.is_active, ~hospitals.c.is_active)


def _may_work(provider: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """An active account, and not that of a doctor who, or whose department or hospital, was taken out of the directory."""
    places = doctors.join(departments, departments.c.id == doctors.c.department_id)
    places = places.join(hospitals, hospitals.c.id == departments.c.hospital_id)
    closed = sa.select(sa.literal(1)).select_from(places).where(doctors.c.user_id == provider, _closed).exists()
    active = sa.select(sa.literal(1)).where(users.c.id == provider, users.c.status == "active").exists()
    return sa.and_(active, ~closed)


async def working_rules(
    connection: AsyncConnection, providers: Sequence[str], first: date, last: date
) -> Mapping[str, Sequence[Rule]]:
    """The rules that hold on some of these days, of those who may work."""
    c = doctor_schedules.c
    days = {(first.isoweekday() + n - 1) % 7 + 1 for n in range(min((last - first).days + 1, 7))}
    begun = sa.or_(c.valid_from.is_(None), c.valid_from <= last)
    lasting = sa.or_(c.valid_until.is_(None), c.valid_until >= first)
    query = sa.select(c.provider, *_RULE).where(_one_of(c.provider, providers), c.weekday.in_(days), begun, lasting)
    found = defaultdict(list)
    for provider, *values in await connection.execute(query.where(_may_work(c.provider))):
        found[provider].append(Rule(*values))
    return found


async def exceptions_between(
    connection: AsyncConnection, providers: Sequence[str], first: date, last: date
) -> Mapping[str, Sequence[ScheduleException]]:
    """By provider, in order of day and time; an `extra` only of those who may work."""
    c = schedule_exceptions.c
    usable = sa.or_(c.kind == "off", _may_work(c.provider))
    query = sa.select(c.provider, *_EXCEPTION).where(_one_of(c.provider, providers), c.day.between(first, last), usable)
    found = defaultdict(list)
    for provider, *values in await connection.execute(query.order_by(c.day, c.starts, c.id)):
        found[provider].append(ScheduleException(*values))
    return found


def _one_of(column: sa.ColumnElement[str], ids: Sequence[str]) -> sa.ColumnElement[bool]:
    # One array, so that the statement is the same, and prepared once, for any number.
    return column == sa.any_(sa.bindparam("providers", list(ids), sa.ARRAY(sa.Uuid(as_uuid=False))))


async def lock(connection: AsyncConnection, providers: Sequence[str]) -> None:
    """Who changes schedules does so alone, and after the bookings that `hold` them.

    Rows of accounts and no advisory locks, because an import locks thousands, and those have room for some thousand in all.
    """
    query = sa.select(users.c.id).where(_one_of(users.c.id, providers)).order_by(users.c.id)
    await connection.execute(query.with_for_update(key_share=True))


async def hold(connection: AsyncConnection, provider: str) -> None:
    await connection.execute(sa.select(users.c.id).where(users.c.id == provider).with_for_update(read=True))


async def rules_of(connection: AsyncConnection, providers: Sequence[str]) -> Mapping[str, Sequence[Rule]]:
    """The whole weekly sets, in order, whatever is active."""
    c = doctor_schedules.c
    query = sa.select(c.provider, *_RULE).where(_one_of(c.provider, providers))
    found: dict[str, list[Rule]] = {provider: [] for provider in providers}
    for provider, *values in await connection.execute(
        query.order_by(c.weekday, c.starts, c.valid_from.nulls_first(), c.id)
    ):
        found[provider].append(Rule(*values))
    return found


async def replace_rules(connection: AsyncConnection, sets: Mapping[str, Sequence[Rule]]) -> None:
    """The weekly set of each of these providers is this one from now on."""
    await connection.execute(sa.delete(doctor_schedules).where(_one_of(doctor_schedules.c.provider, list(sets))))
    values = [
        {"id": new_id(), "provider": provider, **{name: getattr(rule, name) for name in Rule.__struct_fields__}}
        for provider, rules in sets.items()
        for rule in rules
    ]
    if values:
        await connection.execute(doctor_schedules.insert(), values)


async def exceptions_from(
    connection: AsyncConnection, provider: str, first: date, at_most: int
) -> list[ScheduleException]:
    c = schedule_exceptions.c
    query = sa.select(*_EXCEPTION).where(c.provider == provider, c.day >= first)
    rows = await connection.execute(query.order_by(c.day, c.starts, c.id).limit(at_most))
    return [ScheduleException(*row) for row in rows]


async def exceptions_on(connection: AsyncConnection, provider: str, day: date) -> list[ScheduleException]:
    c = schedule_exceptions.c
    rows = await connection.execute(sa.select(*_EXCEPTION).where(c.provider == provider, c.day == day))
    return [ScheduleException(*row) for row in rows]


async def add_exception(connection: AsyncConnection, provider: str, added: ScheduleException) -> None:
    values = {name: getattr(added, name) for name in ScheduleException.__struct_fields__}
    await connection.execute(schedule_exceptions.insert().values(provider=provider, **values))


async def remove_exception(connection: AsyncConnection, provider: str, exception: str) -> date | None:
    """The day that it was about; None if this person has no such exception."""
    c = schedule_exceptions.c
    gone = sa.delete(schedule_exceptions).where(c.id == exception, c.provider == provider).returning(c.day)
    day: date | None = (await connection.execute(gone)).scalar_one_or_none()
    return day
