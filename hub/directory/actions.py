"""What people read in the directory, and what it tells other areas in their transactions. Editing is in `edit` and `schedule`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory import schedule_store, store
from hub.directory.model import (
    Day,
    Department,
    DepartmentFilter,
    Doctor,
    DoctorFilter,
    Hospital,
    HospitalFilter,
    Window,
    day_of,
    shanghai_day,
    windows_of,
)
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.hot_read import HotReads
from hub.platform.identifier import is_id
from hub.platform.outbox import Outbox
from hub.platform.page import Page, Paging, page_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Directory:
    """What the use cases of this area stand on."""

    database: Database
    hot_reads: HotReads
    outbox: Outbox
    clock: Clock

    async def kept(self, area: str, key: object, shape: type[T], load: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """A copy of what `load` answers, or what it answers now."""

        async def read() -> T:
            async with self.database.transaction() as connection:
                return await load(connection)

        return await self.hot_reads.through(area, msgspec.json.encode(key).decode(), shape, read)


async def list_hospitals(directory: Directory, wanted: HospitalFilter, paging: Paging) -> Page[Hospital]:
    """The active hospitals."""

    async def load(connection: AsyncConnection) -> Page[Hospital]:
        found, total = await store.hospitals_page(connection, wanted, paging)
        return page_of(found, paging, total)

    return await _listed(directory, "hospitals", wanted, paging, Page[Hospital], load)


async def list_departments(directory: Directory, wanted: DepartmentFilter, paging: Paging) -> Page[Department]:
    """The active departments of an active hospital."""

    async def load(connection: AsyncConnection) -> Page[Department]:
        await _offered_hospital(connection, wanted.hospital or "")
        found, total = await store.departments_page(connection, wanted, paging)
        return page_of(found, paging, total)

    return await _listed(directory, "departments", wanted, paging, Page[Department], load)


async def list_doctors(directory: Directory, wanted: DoctorFilter, paging: Paging) -> Page[Doctor]:
    """The doctors who may be offered."""

    async def load(connection: AsyncConnection) -> Page[Doctor]:
        found, total = await store.doctors_page(connection, wanted, paging)
        return page_of(found, paging, total)

    return await _listed(directory, "doctors", wanted, paging, Page[Doctor], load)


async def _listed(
    directory: Directory,
    area: str,
    wanted: HospitalFilter | DepartmentFilter | DoctorFilter,
    paging: Paging,
    shape: type[T],
    load: Callable[[AsyncConnection], Awaitable[T]],
) -> T:
    if wanted.q:  # what somebody typed is seldom asked for twice, and there is no end of it
        async with directory.database.transaction() as connection:
            return await load(connection)
    return await directory.kept(area, (wanted, paging), shape, load)


async def show_hospital(directory: Directory, hospital_id: str) -> Hospital:
    async with directory.database.transaction() as connection:
        return await _offered_hospital(connection, hospital_id)


async def _offered_hospital(connection: AsyncConnection, hospital_id: str) -> Hospital:
    found = await hospital_of(connection, hospital_id)
    if found is None or not found.is_active:
        raise Refusal(ErrorCode.NOT_FOUND)
    return found


async def show_doctor(directory: Directory, doctor_id: str) -> Doctor:
    async with directory.database.transaction() as connection:
        return await _offered_doctor(connection, doctor_id)


async def _offered_doctor(connection: AsyncConnection, doctor_id: str) -> Doctor:
    found = await doctor_of(connection, doctor_id)
    if found is None or not found.is_open:
        raise Refusal(ErrorCode.NOT_FOUND)
    return found


async def doctor_schedule(directory: Directory, doctor_id: str, first: date | None, days: int) -> Sequence[Day]:
    """What each of these days offers, from today if `first` is None; the calendar ends with the year 9999."""
    first = first or shanghai_day(directory.clock.now())
    last = first + timedelta(days=min(days - 1, (date.max - first).days))

    async def load(connection: AsyncConnection) -> list[Day]:
        user = (await _offered_doctor(connection, doctor_id)).user
        rules = await schedule_store.working_rules(connection, [user], first, last)
        exceptions = await schedule_store.exceptions_between(connection, [user], first, last)
        wanted = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [day_of(rules.get(user, ()), exceptions.get(user, ()), day) for day in wanted]

    return await directory.kept("schedules", (doctor_id, first, days), list[Day], load)


# For other areas, in their transactions. Nobody's data is touched: whom to ask about, the caller decides.


async def working_windows(
    connection: AsyncConnection, providers: Sequence[str], day: date
) -> Mapping[str, Sequence[Window]]:
    """When each of these accounts takes people on this day: in order, disjoint, empty for who does not. Two statements.

    Nobody without an active account works, nor a doctor who, or whose department or hospital, is not active.
    """
    rules = await schedule_store.working_rules(connection, providers, day, day)
    exceptions = await schedule_store.exceptions_between(connection, providers, day, day)
    return {each: windows_of(rules.get(each, ()), exceptions.get(each, ()), day) for each in providers}


async def hold_schedule(connection: AsyncConnection, provider: str) -> None:
    """Until the end of this transaction the working hours of this account stay as they are; others may hold them, too.

    A booking calls it before `working_windows`: a change then comes after it, and its event finds the booking.
    """
    await schedule_store.hold(connection, provider)


async def hospital_of(connection: AsyncConnection, hospital_id: str) -> Hospital | None:
    """Active or not."""
    return await store.hospital(connection, hospital_id) if is_id(hospital_id) else None


async def doctor_of(connection: AsyncConnection, doctor_id: str) -> Doctor | None:
    """By the id of the directory, active or not; `is_open` says whether the doctor may be offered."""
    return await store.doctor(connection, doctor_id) if is_id(doctor_id) else None


async def doctors_by_user(connection: AsyncConnection, users: Sequence[str]) -> Mapping[str, Doctor]:
    """The directory's entries of these accounts; who is no doctor is left out."""
    return await store.doctors_by_user(connection, users)
