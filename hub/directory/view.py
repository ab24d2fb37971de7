"""What the directory looks like on the wire."""

from datetime import date, time
from typing import Any

import msgspec
from msgspec.structs import asdict

from hub.directory.model import (
    Day,
    Department,
    Doctor,
    ExceptionKind,
    Hospital,
    Level,
    Rule,
    Schedule,
    ScheduleException,
)
from hub.platform.clock import rfc3339

Fields = dict[str, Any]  # Any: a struct's fields by name, checked by the struct they go to


class Outbound(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""


class HospitalView(Outbound, frozen=True):
    id: str
    code: str | None
    name: str
    city: str
    district: str
    address: str
    level: Level
    phone: str
    introduction: str


class HospitalRow(HospitalView, frozen=True):
    """As staff see it."""

    is_active: bool
    created_at: str
    updated_at: str


class DepartmentView(Outbound, frozen=True):
    id: str
    hospital_id: str
    hospital_name: str
    name: str
    category: str
    location: str
    introduction: str
    sort_order: int


class DepartmentRow(DepartmentView, frozen=True):
    """As staff see it."""

    is_active: bool
    created_at: str
    updated_at: str


class DoctorView(Outbound, frozen=True):
    """`userId` is the account: who is talked to, and who is booked. `fee` is in yuan with two places."""

    id: str
    user_id: str
    hospital_id: str
    hospital_name: str
    city: str
    department_id: str
    department_name: str
    name: str
    title: str
    specialties: list[str]
    introduction: str
    fee: str
    sort_order: int


class DoctorRow(DoctorView, frozen=True):
    """As staff see it. `isOpen`: the doctor, the department and the hospital are active."""

    phone: str | None
    is_active: bool
    is_open: bool
    created_at: str
    updated_at: str


class WindowView(Outbound, frozen=True):
    """Slots of `slotMinutes` begin at `starts`; each takes `capacity` people."""

    starts: str
    ends: str
    slot_minutes: int
    capacity: int


class OffView(Outbound, frozen=True):
    starts: str
    ends: str
    reason: str


class DayView(Outbound, frozen=True):
    """Times of day in Asia/Shanghai. `weekday` as in ISO 8601: 1 is Monday."""

    date: date
    weekday: int
    windows: list[WindowView]
    off: list[OffView]


class RuleView(Outbound, frozen=True):
    weekday: int
    starts: str
    ends: str
    slot_minutes: int
    capacity: int
    valid_from: date | None
    valid_until: date | None


class ExceptionView(Outbound, frozen=True):
    id: str
    day: date
    kind: ExceptionKind
    starts: str
    ends: str
    slot_minutes: int | None
    capacity: int | None
    reason: str


class ScheduleView(Outbound, frozen=True):
    user_id: str
    version: str
    rules: list[RuleView]
    exceptions: list[ExceptionView]


def hospital_view(found: Hospital) -> HospitalView:
    return HospitalView(
        found.id,
        found.code,
        found.name,
        found.city,
        found.district,
        found.address,
        found.level,
        found.phone,
        found.introduction,
    )


def hospital_row(found: Hospital) -> HospitalRow:
    return HospitalRow(**asdict(hospital_view(found)), is_active=found.is_active, **_times(found))


def department_view(found: Department) -> DepartmentView:
    return DepartmentView(
        found.id,
        found.hospital,
        found.hospital_name,
        found.name,
        found.category,
        found.location,
        found.introduction,
        found.sort_order,
    )


def department_row(found: Department) -> DepartmentRow:
    return DepartmentRow(**asdict(department_view(found)), is_active=found.is_active, **_times(found))


def doctor_view(found: Doctor) -> DoctorView:
    return DoctorView(
        found.id,
        found.user,
        found.hospital,
        found.hospital_name,
        found.city,
        found.department,
        found.department_name,
        found.name,
        found.title,
        list(found.specialties),
        found.introduction,
        str(found.fee),
        found.sort_order,
    )


def doctor_row(found: Doctor, phone: str | None) -> DoctorRow:
    return DoctorRow(
        **asdict(doctor_view(found)),
        phone=phone,
        is_active=found.is_active,
        is_open=found.is_open,
        **_times(found),
    )


def day_view(found: Day) -> DayView:
    windows = [
        WindowView(_clock(each.starts_at.time()), _clock(each.ends_at.time()), each.slot_minutes, each.capacity)
        for each in found.windows
    ]
    off = [OffView(_clock(each.starts), _clock(each.ends), each.reason) for each in found.off]
    return DayView(found.day, found.day.isoweekday(), windows, off)


def schedule_view(found: Schedule) -> ScheduleView:
    rules = [_rule_view(each) for each in found.rules]
    return ScheduleView(found.provider, found.version, rules, [exception_view(each) for each in found.exceptions])


def _rule_view(found: Rule) -> RuleView:
    return RuleView(
        found.weekday,
        _clock(found.starts),
        _clock(found.ends),
        found.slot_minutes,
        found.capacity,
        found.valid_from,
        found.valid_until,
    )


def exception_view(found: ScheduleException) -> ExceptionView:
    return ExceptionView(
        found.id,
        found.day,
        found.kind,
        _clock(found.starts),
        _clock(found.ends),
        found.slot_minutes,
        found.capacity,
        found.reason,
    )


def _times(found: Hospital | Department | Doctor) -> Fields:
    return {"created_at": rfc3339(found.created_at), "updated_at": rfc3339(found.updated_at)}


def _clock(at: time) -> str:
    return at.strftime("%H:%M")
