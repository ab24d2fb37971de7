"""Occurrences of plans: which are made ahead, the timers that belong to them, and what may become of each. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from hub.care.plan import Plan, occurrences
from hub.care.recurrence import HORIZON, LAST
from hub.platform.error import ErrorCode, Refusal
from hub.timers.model import Timer

State = Literal["due", "done", "skipped", "missed"]

PLAN_WINDOW = "plan_window"
PLAN_DUE = "plan_due"
PLAN_MISSED = "plan_missed"

AHEAD = timedelta(days=3)  # made at once
LEAD = timedelta(days=1)  # how long before the first that is not made yet the next ones are
MOST_MADE = 100  # at once: three days of the densest rule are 72; more are due only after an outage

GRACE = timedelta(hours=4)  # so long it can be reminded of; then it is missed
GRACE_CRITICAL = timedelta(hours=1)
EARLY = timedelta(hours=12)  # so long before its time it can be done
LATE = timedelta(days=1)  # so long after its time a missed one can still be done
SNOOZES = 3
SAME_SNOOZE = timedelta(minutes=1)  # one that ends so near to the last is the same, sent again
MEASURED_BEFORE = timedelta(hours=1)  # a reading so long before its time counts

_KEY = "%Y%m%dT%H%M%SZ"


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One time at which a plan is due. `id` is empty while it is not made.

    `revision`: of the plan by which it is due. `told_at`: when the person was reminded; None again while it is snoozed.
    """

    id: str
    plan: str
    user: str
    at: datetime
    revision: int
    state: State = "due"
    snoozed_until: datetime | None = None
    snoozes: int = 0
    told_at: datetime | None = None
    acted_at: datetime | None = None
    acted_by: str | None = None
    reading: str | None = None

    @property
    def since(self) -> datetime:
        """When the person is reminded."""
        return self.snoozed_until or self.at


class Stretch(NamedTuple):
    """Moments that are to be made, and a moment before which there are no others; None: nothing comes any more."""

    moments: list[datetime]
    following: datetime | None


class Pick(NamedTuple):
    """A reading that may be what an occurrence asked for."""

    occurrence: str
    reading: str
    at: datetime


def stretch(plan: Plan, after: datetime, now: datetime) -> Stretch:
    """What is to be made from `after` on, at `now`. Going on from `following` loses nothing and doubles nothing."""
    before = max(after, now) + AHEAD
    found = occurrences(plan, after, before, MOST_MADE + 1)
    if len(found) > MOST_MADE:
        return Stretch(found[:MOST_MADE], found[MOST_MADE])
    following = occurrences(plan, before, LAST, 1)
    return Stretch(found, following[0] if following else _frontier(plan, before + HORIZON))


def _frontier(plan: Plan, at: datetime) -> datetime | None:
    """Where to look again after a rule is silent for so long (INTERVAL=10 in years), unless the plan is over by then."""
    ends_at = min(plan.timing.ends_at or LAST, LAST)
    return at if plan.state == "active" and at <= ends_at else None


def timers_of(plan: Plan, made: Stretch, fresh: Collection[datetime]) -> list[Timer]:
    """Those of the moments that are `fresh`, and the one that goes on from there."""
    timers = []
    for at, following in pairwise([*made.moments, made.following]):
        if at in fresh and at is not None:
            timers += [due_timer(plan, at, 0, at, following), missed_timer(plan, at, 0, at)]
    if made.following is not None:
        due_at = made.following - LEAD
        timers.append(_timer(plan, PLAN_WINDOW, key_of(made.following, 0), due_at, None))
    return timers


def timers_again(plan: Plan, standing: Iterable[Occurrence]) -> list[Timer]:
    """Those of occurrences that were due before the plan changed and still are; of a plan that rests nobody is reminded."""
    timers = []
    for each in standing:
        if each.told_at is None and plan.state == "active":
            timers.append(due_timer(plan, each.at, each.snoozes, each.since, None))
        timers.append(missed_timer(plan, each.at, each.snoozes, each.since))
    return timers


def due_timer(plan: Plan, at: datetime, snoozes: int, since: datetime, following: datetime | None) -> Timer:
    """Reminds of it; too late once it is missed or the next one has come, so that an outage brings no heap of old ones."""
    expires_at = since + grace_of(plan)
    if following is not None and following > since:
        expires_at = min(expires_at, following)
    return _timer(plan, PLAN_DUE, key_of(at, snoozes), since, expires_at)


def missed_timer(plan: Plan, at: datetime, snoozes: int, since: datetime) -> Timer:
    return _timer(plan, PLAN_MISSED, key_of(at, snoozes), since + grace_of(plan), None)


def _timer(plan: Plan, kind: str, key: str, due_at: datetime, expires_at: datetime | None) -> Timer:
    return Timer(
        kind=kind,
        subject=plan.id,
        key=key,
        revision=plan.revision,
        person=plan.user,
        due_at=due_at,
        expires_at=expires_at,
    )


def grace_of(plan: Plan) -> timedelta:
    return GRACE_CRITICAL if plan.critical else GRACE


def key_of(at: datetime, snoozes: int) -> str:
    """Which occurrence a timer belongs to, and how often it had been snoozed when the timer was set."""
    return f"{at.astimezone(UTC):{_KEY}}" + (f"-{snoozes}" if snoozes else "")


def place_of(key: str) -> tuple[datetime, int]:
    """What `key_of` was given."""
    at, _, snoozes = key.partition("-")
    return datetime.strptime(at, _KEY).replace(tzinfo=UTC), int(snoozes or 0)


def planned(plan: Plan, at: datetime, id: str = "") -> Occurrence:
    return Occurrence(id=id, plan=plan.id, user=plan.user, at=at, revision=plan.revision)


def merged(plan: Plan, stored: Sequence[Occurrence], start: datetime, end: datetime, most: int) -> list[Occurrence]:
    """The first `most` of what is stored and, from `start` on, of what is not made yet."""
    known = {each.at for each in stored}
    coming = [planned(plan, at) for at in occurrences(plan, start, end, most) if at not in known]
    return sorted([*stored, *coming], key=lambda each: each.at)[:most]


def done(found: Occurrence, who: str, now: datetime) -> Occurrence:
    """Afterwards; the same one if it was done before. A missed one can be done for a day."""
    if found.state == "done":
        return found
    if found.state == "skipped" or (found.state == "missed" and now > found.at + LATE):
        raise _conflict(found)
    if now < found.at - EARLY:
        raise Refusal(ErrorCode.CONFLICT, "occurrence_early", fields={"at": "occurrence_early"})
    return _acted(found, "done", who, now)


def skipped(found: Occurrence, who: str, now: datetime) -> Occurrence:
    """Afterwards; the same one if it was skipped before."""
    if found.state == "skipped":
        return found
    if found.state != "due":
        raise _conflict(found)
    return _acted(found, "skipped", who, now)


def snoozed(found: Occurrence, minutes: int, now: datetime) -> Occurrence:
    """Afterwards; the same one if it was snoozed until then before."""
    if found.state != "due":
        raise _conflict(found)
    if now < found.at:
        raise Refusal(ErrorCode.CONFLICT, "occurrence_early", fields={"at": "occurrence_early"})
    until = now + timedelta(minutes=minutes)
    if found.snoozed_until is not None and abs(until - found.snoozed_until) < SAME_SNOOZE:
        return found
    if found.snoozes >= SNOOZES:
        raise Refusal(ErrorCode.CONFLICT, "snoozes_many", fields={"minutes": "snoozes_many"})
    return msgspec.structs.replace(found, snoozed_until=until, snoozes=found.snoozes + 1, told_at=None)


def measured(due: Iterable[Occurrence], picks: Sequence[Pick]) -> list[Occurrence]:
    """Those that a reading has made done; one reading serves one occurrence of a plan, the earliest."""
    by_occurrence: Mapping[str, Pick] = {each.occurrence: each for each in picks}
    taken: set[tuple[str, str]] = set()
    found = []
    for each in sorted(due, key=lambda each: each.at):
        pick = by_occurrence.get(each.id)
        if pick is not None and (each.plan, pick.reading) not in taken:
            taken.add((each.plan, pick.reading))
            found.append(msgspec.structs.replace(each, state="done", acted_at=pick.at, reading=pick.reading))
    return found


def _acted(found: Occurrence, state: State, who: str, now: datetime) -> Occurrence:
    return msgspec.structs.replace(found, state=state, acted_at=now, acted_by=who)


def _conflict(found: Occurrence) -> Refusal:
    reason = f"occurrence_is_{found.state}"
    return Refusal(ErrorCode.CONFLICT, reason, fields={"state": reason})
