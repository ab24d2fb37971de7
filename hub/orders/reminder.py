"""Reminders of appointments without I/O: who is to be reminded, and when."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from hub.orders.model import REMINDED, AppointmentState, Attendance
from hub.platform.error import ErrorCode, Refusal
from hub.timers.actions import Due, Timer

KIND = "appointment_reminder"
ROOM = "conversation"
"""Stands in a key where others have a person: what is said to all of them in the care conversation."""


class Part(StrEnum):
    """What somebody is to an appointment, and so in which words they are reminded."""

    PATIENT = "patient"
    PROVIDER = "provider"
    ORDERER = "orderer"


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about the reminders of an appointment. `minutes`: how long before, unless somebody wishes otherwise.

    `orderer`: who ordered for the patient, as long as they may act for them.
    """

    id: str
    state: AppointmentState
    starts_at: datetime
    revision: int
    attendance: Attendance | None
    minutes: Sequence[int]
    patient: str
    provider: str
    orderer: str | None

    @property
    def parts(self) -> Mapping[str, Part]:
        """Who is reminded; each once, whatever else they are."""
        parts = {} if self.is_declined else {self.patient: Part.PATIENT}
        parts.setdefault(self.provider, Part.PROVIDER)
        if self.orderer is not None and not self.is_declined:
            parts.setdefault(self.orderer, Part.ORDERER)
        return parts

    @property
    def is_declined(self) -> bool:
        """Whether staff must decide; until then only who does it is reminded."""
        return self.attendance is Attendance.DECLINED


class Reminder(msgspec.Struct, frozen=True, kw_only=True):
    """`whom`: a person, or `ROOM`. It is of use from `due_at` until `expires_at`."""

    whom: str
    minutes: int
    due_at: datetime
    expires_at: datetime


Wishes = Mapping[str, Sequence[int]]
"""By person; who wishes nothing in particular is left out."""


def reminders(course: Course, wishes: Wishes) -> list[Reminder]:
    """All that belong to it, past ones too; none for an appointment that is not to come."""
    if course.state not in REMINDED:
        return []
    hearers = [*course.parts, *([] if course.is_declined else [ROOM])]
    return [each for whom in hearers for each in _chain(whom, wishes.get(whom, course.minutes), course.starts_at)]


def _chain(whom: str, minutes: Sequence[int], starts_at: datetime) -> Iterator[Reminder]:
    """Each is of use until the next one is due, the last until the beginning."""
    expires_at = starts_at
    for each in sorted(set(minutes)):
        due_at = starts_at - timedelta(minutes=each)
        yield Reminder(whom=whom, minutes=each, due_at=due_at, expires_at=expires_at)
        expires_at = due_at


class Target(NamedTuple):
    """What a timer is for: of which time of the appointment, whom, and how long before."""

    revision: int
    whom: str
    minutes: int


def timers(
    course: Course, wishes: Wishes, now: datetime, stamp: str, waiting: Collection[tuple[str, Target]] = ()
) -> list[Timer]:
    """Those that are to come. `stamp` is another each time: what was cancelled is set again under another key.

    `waiting`: what has come before and was not said yet, by appointment; as long as it is of use, it is among them.
    """
    return [
        Timer(
            kind=KIND,
            subject=course.id,
            key=f"{each.minutes}:{each.whom}:{stamp}",
            revision=course.revision,
            person=None if each.whom == ROOM else each.whom,
            due_at=each.due_at,
            expires_at=each.expires_at,
        )
        for each in reminders(course, wishes)
        if each.due_at > now
        or (each.expires_at > now and (course.id, Target(course.revision, each.whom, each.minutes)) in waiting)
    ]


def target(due: Due) -> Target:
    minutes, whom, _ = due.key.split(":")
    return Target(due.revision, whom, int(minutes))


def targets(course: Course, wishes: Wishes) -> set[Target]:
    """All that belong to it now: a timer for something else is an old one."""
    return {Target(course.revision, each.whom, each.minutes) for each in reminders(course, wishes)}


def checked(minutes: Sequence[int], field: str) -> list[int]:
    """The longest first. Raises `Refusal` for one that is given twice; their bounds are those of their type."""
    if len(set(minutes)) < len(minutes):
        raise Refusal(ErrorCode.INVALID, fields={field: "reminder_twice"})
    return sorted(minutes, reverse=True)
