"""Making and changing plans: what somebody asked for, and the plan that it gives. Pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from hub.care.model import RecordType
from hub.care.plan import Kind, Plan, Timing, check_measured, check_open, start_of, timing, until_of, zone_of
from hub.care.recurrence_rule import parse
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

MOVES_A_DAY = 50  # of one plan to other times: more than anybody needs


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A new plan. `starts_at` and `until` are as they were written."""

    kind: Kind
    schedule: str
    title: str
    notes: str
    starts_at: str | None
    timezone: str
    until: str | None
    measurement_type: RecordType | None
    critical: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is not set stays."""

    schedule: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    starts_at: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    until: str | UnsetType | None = UNSET
    measurement_type: RecordType | UnsetType | None = UNSET
    critical: bool | UnsetType = UNSET
    state: Literal["active", "paused"] | UnsetType = UNSET


def planned(wanted: Wanted, person: str, by: str, now: datetime) -> Plan:
    """The plan, or a refusal naming the field."""
    check_measured(wanted.kind, wanted.measurement_type, wanted.critical)
    zone = zone_of(wanted.timezone)
    until = None if wanted.until is None else until_of(wanted.until, zone)
    return Plan(
        id=new_id(),
        user=person,
        actor=by,
        kind=wanted.kind,
        title=wanted.title,
        notes=wanted.notes,
        measurement_type=wanted.measurement_type,
        critical=wanted.critical,
        timing=timing(wanted.schedule, start_of(wanted.starts_at, zone, now), wanted.timezone, until),
        state="active",
        revision=1,
        created_at=now,
        updated_at=now,
    )


def changed(plan: Plan, change: Change, now: datetime) -> Plan:
    """The plan afterwards, with a new revision if it is due, or missed, at other times; the same plan if nothing is different."""
    check_open(plan, now)
    measured = plan.measurement_type if change.measurement_type is UNSET else change.measurement_type
    critical = plan.critical if change.critical is UNSET else change.critical
    check_measured(plan.kind, measured, critical)
    after = msgspec.structs.replace(
        plan,
        title=plan.title if change.title is UNSET else change.title,
        notes=plan.notes if change.notes is UNSET else change.notes,
        measurement_type=measured,
        critical=critical,
        timing=_timing(plan.timing, change, now),
        state=plan.state if change.state is UNSET else change.state,
    )
    if after == plan:
        return plan
    if _due(after) != _due(plan):
        after = _moved(after, now)
    return msgspec.structs.replace(after, updated_at=now)


def ended(plan: Plan, now: datetime) -> Plan:
    """The plan after somebody ended it; the same plan if it was ended before."""
    if plan.state == "ended":
        return plan
    return msgspec.structs.replace(plan, state="ended", revision=plan.revision + 1, updated_at=now)


def _moved(plan: Plan, now: datetime) -> Plan:
    """Of the next revision; each makes its occurrences and timers anew, so a day has no more than so many."""
    today = now.astimezone(UTC).date()
    moves = plan.moves + 1 if plan.moved_on == today else 1
    if moves > MOVES_A_DAY:
        tomorrow = datetime.combine(today + timedelta(days=1), time(), UTC)
        raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=int((tomorrow - now) / timedelta(milliseconds=1)))
    return msgspec.structs.replace(plan, revision=plan.revision + 1, moved_on=today, moves=moves)


def _due(plan: Plan) -> tuple[object, ...]:
    return plan.timing, plan.state, plan.critical


def _timing(before: Timing, change: Change, now: datetime) -> Timing:
    if all(each is UNSET for each in (change.schedule, change.starts_at, change.timezone, change.until)):
        return before
    zone = zone_of(before.timezone if change.timezone is UNSET else change.timezone)
    starts_at = before.starts_at if change.starts_at is UNSET else start_of(change.starts_at, zone, now)
    if change.until is UNSET:
        # A new rule's own end replaces the one before.
        until = None if change.schedule is not UNSET and _has_end(change.schedule) else before.until
    else:
        until = None if change.until is None else until_of(change.until, zone)
    schedule = before.schedule if change.schedule is UNSET else change.schedule
    return timing(schedule, starts_at, zone.key, until)


def _has_end(schedule: str) -> bool:
    return parse(schedule).until is not None
