"""The SQL of hospitals, departments and doctors. Every function runs in the caller's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory.model import (
    Department,
    DepartmentFilter,
    Doctor,
    DoctorFilter,
    Hospital,
    HospitalFilter,
    Level,
)
from hub.directory.table import departments, doctors, hospitals, users
from hub.platform.identifier import is_id, new_id
from hub.platform.page import Paging

_HOSPITAL = tuple(hospitals.c[name] for name in Hospital.__struct_fields__)
_DEPARTMENT = (
    departments.c.id,
    hospitals.c.id,
    hospitals.c.name,
    departments.c.name,
    departments.c.category,
    departments.c.location,
    departments.c.introduction,
    departments.c.sort_order,
    departments.c.is_active,
    departments.c.created_at,
    departments.c.updated_at,
)
_is_open = sa.and_(doctors.c.is_active, departments.c.is_active, hospitals.c.is_active)
_DOCTOR = (
    doctors.c.id,
    doctors.c.user_id,
    hospitals.c.id,
    hospitals.c.name,
    hospitals.c.city,
    departments.c.id,
    departments.c.name,
    doctors.c.name,
    doctors.c.title,
    doctors.c.specialties,
    doctors.c.introduction,
    doctors.c.fee,
    doctors.c.sort_order,
    doctors.c.is_active,
    _is_open,
    doctors.c.created_at,
    doctors.c.updated_at,
)
_departments_placed = departments.join(hospitals, hospitals.c.id == departments.c.hospital_id)
_doctors_placed = doctors.join(departments, departments.c.id == doctors.c.department_id).join(
    hospitals, hospitals.c.id == departments.c.hospital_id
)


def _by_name(name: sa.ColumnElement[str]) -> sa.ColumnElement[object]:
    """GB18030 has the 3,755 usual characters in the order of pinyin; not every PostgreSQL is built with a Chinese collation."""
    return sa.func.convert_to(name, "GB18030")


_HOSPITAL_SORTS: Mapping[str, sa.ColumnElement[object]] = {
    "name": _by_name(hospitals.c.name),
    "level": sa.func.array_position(sa.literal(list(get_args(Level)), sa.ARRAY(sa.Text)), hospitals.c.level),
    "createdAt": hospitals.c.created_at,
}
_DEPARTMENT_SORTS: Mapping[str, sa.ColumnElement[object]] = {
    "sortOrder": departments.c.sort_order,
    "name": _by_name(departments.c.name),
    "createdAt": departments.c.created_at,
}
_DOCTOR_SORTS: Mapping[str, sa.ColumnElement[object]] = {
    "sortOrder": doctors.c.sort_order,
    "name": _by_name(doctors.c.name),
    "fee": doctors.c.fee,
    "createdAt": doctors.c.created_at,
}
HOSPITAL_SORTS = tuple(_HOSPITAL_SORTS)
DEPARTMENT_SORTS = tuple(_DEPARTMENT_SORTS)
DOCTOR_SORTS = tuple(_DOCTOR_SORTS)


# Reading


async def hospital(connection: AsyncConnection, hospital_id: str) -> Hospital | None:
    row = (await connection.execute(sa.select(*_HOSPITAL).where(hospitals.c.id == hospital_id))).first()
    return None if row is None else Hospital(*tuple(row))


async def department(connection: AsyncConnection, department_id: str) -> Department | None:
    query = sa.select(*_DEPARTMENT).select_from(_departments_placed).where(departments.c.id == department_id)
    row = (await connection.execute(query)).first()
    return None if row is None else Department(*tuple(row))


async def doctor(connection: AsyncConnection, doctor_id: str) -> Doctor | None:
    query = sa.select(*_DOCTOR).select_from(_doctors_placed).where(doctors.c.id == doctor_id)
    row = (await connection.execute(query)).first()
    return None if row is None else Doctor(*tuple(row))


async def doctors_by_user(connection: AsyncConnection, accounts: Sequence[str]) -> Mapping[str, Doctor]:
    query = sa.select(*_DOCTOR).select_from(_doctors_placed).where(doctors.c.user_id.in_(accounts))
    found = [Doctor(*tuple(row)) for row in await connection.execute(query)]
    return {each.user: each for each in found}


async def phones(connection: AsyncConnection, accounts: Sequence[str]) -> Mapping[str, str | None]:
    rows = await connection.execute(sa.select(users.c.id, users.c.phone).where(users.c.id.in_(accounts)))
    return {row.id: row.phone for row in rows}


async def hospitals_page(
    connection: AsyncConnection, wanted: HospitalFilter, paging: Paging
) -> tuple[list[Hospital], int]:
    c = hospitals.c
    where = [c.name.icontains(wanted.q, autoescape=True)] if wanted.q else []
    if wanted.city is not None:
        where.append(_in_city(wanted.city))
    if wanted.level is not None:
        where.append(c.level == wanted.level)
    if wanted.is_active is not None:
        where.append(c.is_active == wanted.is_active)
    query = sa.select(*_HOSPITAL).where(*where)
    rows, total = await _page(connection, query, paging, _HOSPITAL_SORTS, (_by_name(c.name), c.id))
    return [Hospital(*tuple(row)) for row in rows], total


async def departments_page(
    connection: AsyncConnection, wanted: DepartmentFilter, paging: Paging
) -> tuple[list[Department], int]:
    c = departments.c
    where = [sa.or_(*(each.icontains(wanted.q, autoescape=True) for each in (c.name, c.category)))] if wanted.q else []
    if wanted.hospital is not None:
        where.append(c.hospital_id == wanted.hospital)
    if wanted.is_active is not None:
        where.append(c.is_active == wanted.is_active)
    query = sa.select(*_DEPARTMENT).select_from(_departments_placed).where(*where)
    rows, total = await _page(connection, query, paging, _DEPARTMENT_SORTS, (_by_name(c.name), c.id))
    return [Department(*tuple(row)) for row in rows], total


async def doctors_page(connection: AsyncConnection, wanted: DoctorFilter, paging: Paging) -> tuple[list[Doctor], int]:
    c = doctors.c
    query = sa.select(*_DOCTOR).select_from(_doctors_placed).where(*_narrowed(wanted))
    rows, total = await _page(connection, query, paging, _DOCTOR_SORTS, (_by_name(c.name), c.id))
    return [Doctor(*tuple(row)) for row in rows], total


def _narrowed(wanted: DoctorFilter) -> list[sa.ColumnElement[bool]]:
    c = doctors.c
    where = [_is_open] if wanted.is_open else []
    if wanted.q:
        words = (c.name, c.title, sa.func.array_to_string(c.specialties, " "), departments.c.name)
        where.append(sa.or_(*(each.icontains(wanted.q, autoescape=True) for each in words)))
    if wanted.hospital is not None:
        where.append(departments.c.hospital_id == wanted.hospital)
    if wanted.department is not None:
        named = departments.c.id if is_id(wanted.department) else departments.c.name
        where.append(named == wanted.department)
    if wanted.city is not None:
        where.append(_in_city(wanted.city))
    if wanted.is_active is not None:
        where.append(c.is_active == wanted.is_active)
    return where


def _in_city(city: str) -> sa.ColumnElement[bool]:
    """北京 and 北京市 are the same city, whichever was written and whichever is asked for."""
    return hospitals.c.city.in_({city, f"{city}市", city.removesuffix("市") or city})


async def _page(
    connection: AsyncConnection,
    query: sa.Select[*tuple[Any, ...]],
    paging: Paging,
    sorts: Mapping[str, sa.ColumnElement[object]],
    then: tuple[sa.ColumnElement[object], ...],
) -> tuple[Sequence[sa.Row[*tuple[Any, ...]]], int]:  # Any: the columns that were selected
    """The rows of the page, and how many there are on all."""
    total = await connection.scalar(query.with_only_columns(sa.func.count(), maintain_column_froms=True))
    ordered = query.order_by(paging.order(sorts), *then).limit(paging.page_size).offset(paging.offset)
    return (await connection.execute(ordered)).all(), total or 0


# Writing


async def insert(connection: AsyncConnection, table: sa.Table, values: Mapping[str, object]) -> str:
    fresh = new_id()
    await connection.execute(table.insert().values(**values, id=fresh))
    return fresh


async def update(connection: AsyncConnection, table: sa.Table, row: str, values: Mapping[str, object]) -> None:
    change = sa.update(table).where(table.c.id == row).values(**values, updated_at=sa.func.clock_timestamp())
    await connection.execute(change)


async def lock(connection: AsyncConnection, table: sa.Table, row: str) -> bool | None:
    """Whether the row is active, None if there is none; it stays as it is until the caller's transaction ends."""
    query = sa.select(table.c.is_active).where(table.c.id == row).with_for_update(key_share=True)
    active: bool | None = (await connection.execute(query)).scalar_one_or_none()
    return active


async def providers_at(connection: AsyncConnection, table: sa.Table, row: str) -> Sequence[str]:
    """The accounts of the doctors of this hospital or department, or of this doctor."""
    query = sa.select(doctors.c.user_id).select_from(_doctors_placed).where(table.c.id == row)
    return (await connection.execute(query.order_by(doctors.c.user_id))).scalars().all()
