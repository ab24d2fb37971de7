"""Staff keep hospitals, departments and doctors. Nothing is deleted: what is no longer offered is made inactive.

Everything was checked for form before; here is who may, and what must fit what is stored.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import ensure_users
from hub.accounts.model import checked_name, checked_phone
from hub.directory import schedule_store, store
from hub.directory.actions import Directory, hospital_of
from hub.directory.event import ScheduleChanged
from hub.directory.model import (
    Department,
    DepartmentFilter,
    Doctor,
    DoctorFilter,
    Hospital,
    HospitalFilter,
)
from hub.directory.table import departments, doctors, hospitals
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import publish
from hub.platform.page import Page, Paging, page_of
from hub.security.token import Principal

UNIQUE_VIOLATION = "23505"
Values = Mapping[str, object]
T = TypeVar("T")

# Whose copies hold something of a row of this table.
AREAS_OF = {
    hospitals.name: ("hospitals", "departments", "doctors", "schedules"),
    departments.name: ("departments", "doctors", "schedules"),
    doctors.name: ("doctors", "schedules"),
}


def permit_staff(who: Principal) -> None:
    if who.role not in ("staff", "admin"):
        raise Refusal(ErrorCode.FORBIDDEN)


async def list_hospitals(
    directory: Directory, who: Principal, wanted: HospitalFilter, paging: Paging
) -> Page[Hospital]:
    """As stored, inactive ones included."""
    permit_staff(who)
    async with directory.database.transaction() as connection:
        found, total = await store.hospitals_page(connection, wanted, paging)
    return page_of(found, paging, total)


async def list_departments(
    directory: Directory, who: Principal, wanted: DepartmentFilter, paging: Paging
) -> Page[Department]:
    permit_staff(who)
    async with directory.database.transaction() as connection:
        found, total = await store.departments_page(connection, wanted, paging)
    return page_of(found, paging, total)


async def list_doctors(
    directory: Directory, who: Principal, wanted: DoctorFilter, paging: Paging
) -> tuple[Page[Doctor], Mapping[str, str | None]]:
    """The doctors, and the phones of their accounts."""
    permit_staff(who)
    async with directory.database.transaction() as connection:
        found, total = await store.doctors_page(connection, wanted, paging)
        phones = await store.phones(connection, [each.user for each in found])
    return page_of(found, paging, total), phones


async def add_hospital(directory: Directory, who: Principal, values: Values) -> Hospital:
    permit_staff(who)

    async def write(connection: AsyncConnection) -> Hospital | None:
        with _unique("code", "code_taken"):
            row = await store.insert(connection, hospitals, values)
        return await store.hospital(connection, row)

    return await _written(directory, hospitals, write)


async def change_hospital(directory: Directory, who: Principal, row: str, values: Values) -> Hospital:
    """Change what is given; so for the others below."""
    permit_staff(who)

    async def write(connection: AsyncConnection) -> Hospital | None:
        with _unique("code", "code_taken"):
            await _change(connection, hospitals, row, values)
        return await store.hospital(connection, row)

    return await _written(directory, hospitals, write)


async def add_department(directory: Directory, who: Principal, values: Values) -> Department:
    permit_staff(who)

    async def write(connection: AsyncConnection) -> Department | None:
        if await hospital_of(connection, str(values["hospital_id"])) is None:
            raise Refusal(ErrorCode.INVALID, fields={"hospitalId": "hospital_unknown"})
        with _unique("name", "department_taken"):
            row = await store.insert(connection, departments, values)
        return await store.department(connection, row)

    return await _written(directory, departments, write)


async def change_department(directory: Directory, who: Principal, row: str, values: Values) -> Department:
    permit_staff(who)

    async def write(connection: AsyncConnection) -> Department | None:
        with _unique("name", "department_taken"):
            await _change(connection, departments, row, values)
        return await store.department(connection, row)

    return await _written(directory, departments, write)


async def add_doctor(directory: Directory, who: Principal, phone: str, values: Values) -> Doctor:
    """A doctor's entry, with the account of this phone: a new one, a patient's who is a doctor from now on, or a doctor's."""
    permit_staff(who)
    name = checked_name(str(values["name"]))
    checked_phone(phone)

    async def write(connection: AsyncConnection) -> Doctor | None:
        await _check_department(connection, values)
        user = (await ensure_users(connection, {phone: name}, "doctor")).get(phone)
        if user is None:
            raise Refusal(ErrorCode.CONFLICT, fields={"phone": "phone_other_role"})
        with _unique("phone", "doctor_taken"):
            row = await store.insert(connection, doctors, {**values, "user_id": user})
        return await store.doctor(connection, row)

    return await _written(directory, doctors, write)


async def change_doctor(directory: Directory, who: Principal, row: str, values: Values) -> Doctor:
    permit_staff(who)
    if "name" in values:
        checked_name(str(values["name"]))

    async def write(connection: AsyncConnection) -> Doctor | None:
        await _check_department(connection, values)
        await _change(connection, doctors, row, values)
        return await store.doctor(connection, row)

    return await _written(directory, doctors, write)


async def phone_of(directory: Directory, user: str) -> str | None:
    async with directory.database.transaction() as connection:
        return (await store.phones(connection, [user])).get(user)


async def _check_department(connection: AsyncConnection, values: Values) -> None:
    if "department_id" not in values:
        return
    wanted = str(values["department_id"])
    if not is_id(wanted) or await store.department(connection, wanted) is None:
        raise Refusal(ErrorCode.INVALID, fields={"departmentId": "department_unknown"})


async def _change(connection: AsyncConnection, table: sa.Table, row: str, values: Values) -> None:
    """With an event for everybody who works there, if what is offered comes or goes."""
    if not is_id(row):
        raise Refusal(ErrorCode.NOT_FOUND)
    was_active = await store.lock(connection, table, row)
    if was_active is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    turned = values.get("is_active", was_active) != was_active
    providers = await store.providers_at(connection, table, row) if turned else ()
    if providers:
        await schedule_store.lock(connection, providers)
    if values:
        await store.update(connection, table, row, values)
    await publish(connection, *(ScheduleChanged(subject=each) for each in providers))


async def _written(directory: Directory, table: sa.Table, write: Callable[[AsyncConnection], Awaitable[T | None]]) -> T:
    async with directory.database.transaction() as connection:
        row = await write(connection)
    await directory.hot_reads.forget(*AREAS_OF[table.name])
    directory.outbox.wake()
    if row is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return row


@contextmanager
def _unique(field: str, reason: str) -> Iterator[None]:
    """What PostgreSQL refuses as a second of its kind is a conflict of this field; the transaction is over by then."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
            raise Refusal(ErrorCode.CONFLICT, fields={field: reason}) from error
        raise
