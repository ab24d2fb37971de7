"""Duty rosters without I/O: the roles of the ladder, shifts and who is fit for them, and the stretches in which nobody has a role."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec

from hub.platform.error import ErrorCode, Refusal

DutyRole = Literal["doctor_on_call", "backup", "coordinator"]

ROLES: tuple[DutyRole, ...] = get_args(DutyRole)
# Which accounts may have a role: who judges is a doctor, who organises is staff.
FIT: Mapping[str, tuple[str, ...]] = {
    "doctor_on_call": ("doctor",),
    "backup": ("doctor", "staff"),
    "coordinator": ("staff", "admin"),
}
LONGEST = timedelta(days=7)
AHEAD = timedelta(days=366)
WINDOW = timedelta(days=93)  # of one look at the roster: a quarter
_YEARS = range(1900, 2201)  # nothing that is added to them is beyond what a date can be


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A shift as it is asked for."""

    role: DutyRole
    user: str
    starts_at: datetime
    ends_at: datetime
    note: str


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a role from when to when, the end not included."""

    id: str
    role: DutyRole
    user: str
    name: str
    starts_at: datetime
    ends_at: datetime
    note: str
    created_by: str
    created_at: datetime


class Gap(msgspec.Struct, frozen=True):
    """A stretch in which nobody has the role."""

    role: DutyRole
    starts_at: datetime
    ends_at: datetime


def faults(planned: Planned, account_role: str | None, now: datetime) -> dict[str, str]:
    """What is wrong with a shift: field → reason. `account_role` is None for somebody who is not there or not active."""
    found: dict[str, str] = {}
    if account_role is None:
        found["userId"] = "duty_user_unknown"
    elif account_role not in FIT[planned.role]:
        found["userId"] = "duty_user_unfit"
    found |= {
        field: "date_out_of_range"
        for field, at in (("startsAt", planned.starts_at), ("endsAt", planned.ends_at))
        if at.year not in _YEARS
    }
    if "startsAt" in found or "endsAt" in found:
        return found
    if planned.starts_at > now + AHEAD:
        found["startsAt"] = "duty_far"
    if not planned.starts_at < planned.ends_at <= planned.starts_at + LONGEST:
        found["endsAt"] = "duty_length"
    elif planned.ends_at <= now:
        found["endsAt"] = "duty_over"
    return found


def check_changeable(shift: Shift, now: datetime) -> None:
    """What is over is history: who was told of an alert can be understood from it. Raises `Refusal`."""
    if shift.ends_at <= now:
        raise Refusal(ErrorCode.CONFLICT, "duty_over")


def moment(text: str, field: str) -> datetime:
    """A time with its offset, in UTC; the plus of an offset may come as a space, unescaped in a query. Raises `Refusal`."""
    reason = "time_zone_needed"
    try:
        at = msgspec.convert(text.replace(" ", "+"), datetime)
        if at.tzinfo is not None:
            reason = "date_out_of_range"
            at = at.astimezone(UTC)
            if at.year in _YEARS:
                return at
    except (msgspec.ValidationError, OverflowError):
        pass
    raise Refusal(ErrorCode.INVALID, fields={field: reason})


def check_window(start: datetime, end: datetime) -> None:
    """What is looked at has an end, and is not too long. Raises `Refusal`."""
    if not start < end <= start + WINDOW:
        raise Refusal(ErrorCode.INVALID, fields={"to": "duty_window"})


def gaps(role: DutyRole, taken: Iterable[tuple[datetime, datetime]], start: datetime, end: datetime) -> list[Gap]:
    """The stretches between `start` and `end` that none of `taken` covers, in order; they do not touch each other."""
    found = []
    covered = start
    for begins, ends in sorted(taken):
        if begins >= end:
            break
        if begins > covered:
            found.append(Gap(role, covered, begins))
        covered = max(covered, ends)
    if covered < end:
        found.append(Gap(role, covered, end))
    return found
