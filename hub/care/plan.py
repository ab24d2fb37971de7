"""Plans of care: medicines, measurements, exercise and visits that come again. What is consistent, and when each is due. Pure."""

from datetime import UTC, date, datetime, time
from re import compile as pattern
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from hub.care.model import RecordType
from hub.care.recurrence import LAST, Recurrence, last_counted, moment
from hub.care.recurrence import occurrences as moments
from hub.care.recurrence_rule import End, parse, without_until
from hub.platform.error import ErrorCode, Refusal

Kind = Literal["medication", "measurement", "exercise", "visit"]
State = Literal["active", "paused", "ended"]

SHOWN = 5
FIRST_YEAR, LAST_YEAR = 2000, 2099
# What the machine calls `localtime` differs from node to node, and `Factory` means that nobody chose.
ZONES = frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}

_LOCAL = pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")
_DAY = pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Timing(msgspec.Struct, frozen=True):
    """When a plan is due. `starts_at` is local time in `timezone`; `until` still counts; after `ends_at` nothing comes."""

    schedule: str
    starts_at: datetime
    timezone: str
    until: datetime | None
    ends_at: datetime | None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user: str
    actor: str
    kind: Kind
    title: str
    notes: str
    measurement_type: RecordType | None
    critical: bool = False  # who misses it is asked after
    timing: Timing
    state: State  # as somebody decided; a plan ends by itself, too: see `state_at`
    revision: int
    created_at: datetime
    updated_at: datetime
    moved_on: date | None = None  # the day (UTC) of the newest revision, and how many that day had
    moves: int = 0


def occurrences(plan: Plan, after: datetime, before: datetime, limit: int) -> list[datetime]:
    """The first `limit` moments with after <= moment < before when an active plan is due, in UTC and ascending.

    None of a plan that is paused or ended. At most five years ahead; a call takes less than 5 ms whatever the rule.
    """
    return moments(_recurrence(plan.timing), after, before, limit) if plan.state == "active" else []


def state_at(plan: Plan, now: datetime) -> State:
    """A plan has ended when somebody ended it, or when the last time it is due is over."""
    over = plan.timing.ends_at is not None and plan.timing.ends_at < now
    return "ended" if over else plan.state


def check_open(plan: Plan, now: datetime) -> None:
    if state_at(plan, now) == "ended":
        raise Refusal(ErrorCode.CONFLICT, "plan_is_ended", fields={"state": "plan_is_ended"})


def check_measured(kind: Kind, measured: RecordType | None, critical: bool) -> None:
    if kind == "measurement":
        return
    if measured is not None:
        raise _refusal("measurementType", "measurement_type_unwanted")
    if critical:
        raise _refusal("critical", "critical_unwanted")


def timing(schedule: str, starts_at: datetime, timezone: str, until: datetime | None) -> Timing:
    """When it is due, or a refusal naming the field that makes no sense. The rule's own end counts as `until`."""
    zone, rule = zone_of(timezone), parse(schedule)
    if rule.until is not None:
        own = _end(rule.until, zone)
        if until not in (None, own):
            raise _refusal("until", "until_twice")
        until = own
    if rule.count is not None and until is not None:
        raise _refusal("schedule", "schedule_count_until")
    if until is not None and until < moment(starts_at, zone):
        raise _refusal("until", "until_before_start")
    found = Timing(without_until(schedule), starts_at, timezone, until, until)
    _check_fires(found)
    if rule.count is None:
        return found
    last = last_counted(_recurrence(found))
    if last is None:
        raise _refusal("schedule", "schedule_count")
    return msgspec.structs.replace(found, ends_at=last)


def zone_of(name: str) -> ZoneInfo:
    """The zone, or a refusal naming `timezone`."""
    if name not in ZONES:
        raise _refusal("timezone", "timezone_unknown")
    return ZoneInfo(name)


def start_of(written: str | None, zone: ZoneInfo, now: datetime) -> datetime:
    """A local date or time, or this minute if none is given; refused naming `startsAt`."""
    if written is None:
        return now.astimezone(zone).replace(second=0, microsecond=0, tzinfo=None, fold=0)
    try:
        local = datetime.fromisoformat(written if _LOCAL.fullmatch(written) else "")
    except ValueError as error:
        raise _refusal("startsAt", "starts_at_invalid") from error
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise _refusal("startsAt", "starts_at_invalid")
    return local


def until_of(written: str, zone: ZoneInfo) -> datetime:
    """The last moment that counts: the end of a local day, or a time with its offset; refused naming `until`."""
    try:
        if _DAY.fullmatch(written):
            return _end(date.fromisoformat(written), zone)
        at = msgspec.convert(written, datetime)
        if at.tzinfo is not None:
            return _within(at.astimezone(UTC))
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    raise _refusal("until", "until_invalid")


def _end(written: End, zone: ZoneInfo) -> datetime:
    if not isinstance(written, datetime):
        # The later one of a second that comes twice: the day is not over before.
        written = datetime.combine(written, time(23, 59, 59)).replace(fold=1)
    if not FIRST_YEAR <= written.year <= LAST.year:
        raise _refusal("until", "until_invalid")
    return _within(written if written.tzinfo else moment(written, zone))


def _within(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year < LAST.year:
        raise _refusal("until", "until_invalid")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)  # as fine as the wire shows


def _check_fires(found: Timing) -> None:
    endless = msgspec.structs.replace(_recurrence(found), until=None)
    start = moment(endless.start, endless.zone)
    first = moments(endless, start, LAST, 1)
    if not first:
        raise _refusal("schedule", "schedule_never")
    if found.until is not None and found.until < first[0]:
        raise _refusal("until", "until_before_first")


def _recurrence(found: Timing) -> Recurrence:
    return Recurrence(parse(found.schedule), found.starts_at, ZoneInfo(found.timezone), found.until)


def _refusal(field: str, reason: str) -> Refusal:
    return Refusal(ErrorCode.INVALID, fields={field: reason})
