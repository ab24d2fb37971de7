"""What may be written into the directory: the checks of hospitals, doctors, weekly rules and exceptions. Pure.

A check answers the fields at fault with the key of the reason, so that a request and a line of a file are judged alike.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal

import msgspec

from hub.directory.model import ExceptionKind, Rule, ScheduleException, minutes_of

# What one line of text may hold: no control character, and something to see. PostgreSQL keeps no U+0000.
LINE = r"^(?=[\s\S]*\S)[^\x00-\x1f\x7f]+(?![\s\S])"
LINE_OR_NOTHING = r"^[^\x00-\x1f\x7f]*(?![\s\S])"
PROSE = r"^[^\x00]*(?![\s\S])"
CODE = r"^[A-Za-z0-9_.-]{1,32}(?![\s\S])"
MONEY = r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,2})?(?![\s\S])"
TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9](?![\s\S])"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\s\S])"

NAME_CHARS, SHORT_CHARS, PROSE_CHARS = 100, 50, 2000
SPECIALTIES, SPECIALTY_CHARS = 20, 50
SORT_ORDER_MOST = 1_000_000
SLOT_MINUTES_LEAST, SLOT_MINUTES_MOST = 5, 720
CAPACITY_MOST = 100
RULES_MOST = 100  # of one person: fourteen shifts a week in seven seasons
EXCEPTIONS_OF_DAY = 20
EXCEPTION_DAYS_AHEAD = 731
DAY_BEGINS, DAY_ENDS = time(0, 0), time(23, 59)  # an `off` without times; no window reaches beyond 23:59

Faults = Mapping[str, str]


def money_of(text: str) -> Decimal | None:
    """`128`, `128.5` or `128.00`; None for anything else."""
    return Decimal(text).quantize(Decimal("0.01")) if re.search(MONEY, text) else None


def time_of(text: str) -> time | None:
    """`09:00`; None for anything else."""
    return time.fromisoformat(text) if re.search(TIME, text) else None


def day_of(text: str) -> date | None:
    """`2026-01-31`; None for anything else."""
    try:
        return date.fromisoformat(text) if re.search(DATE, text) else None
    except ValueError:
        return None


def faults_of_rule(rule: Rule) -> Faults:
    """What is wrong with one weekly rule by itself."""
    faults = dict(_faults_of_slots(rule.starts, rule.ends, rule.slot_minutes, rule.capacity))
    if not 1 <= rule.weekday <= 7:
        faults["weekday"] = "weekday_invalid"
    if rule.valid_from is not None and rule.valid_until is not None and rule.valid_until < rule.valid_from:
        faults["validUntil"] = "valid_until_early"
    return faults


def _faults_of_slots(starts: time, ends: time, slot_minutes: int, capacity: int) -> Faults:
    faults = {}
    if ends <= starts:
        faults["ends"] = "ends_early"
    if not SLOT_MINUTES_LEAST <= slot_minutes <= SLOT_MINUTES_MOST:
        faults["slotMinutes"] = "slot_minutes_invalid"
    elif starts < ends and slot_minutes > minutes_of(ends) - minutes_of(starts):
        faults["slotMinutes"] = "slot_minutes_long"
    if not 1 <= capacity <= CAPACITY_MOST:
        faults["capacity"] = "capacity_invalid"
    return faults


def overlaps(rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """The pairs of rules, by index, that would offer the same moment twice."""
    order = sorted(range(len(rules)), key=lambda n: (rules[n].weekday, rules[n].starts))
    pairs = []
    for place, n in enumerate(order):
        for m in order[place + 1 :]:
            if rules[m].weekday != rules[n].weekday or rules[m].starts >= rules[n].ends:
                break
            if _both_hold(rules[n], rules[m]):
                pairs.append((n, m))
    return pairs


def _both_hold(one: Rule, other: Rule) -> bool:
    first = max(one.valid_from or date.min, other.valid_from or date.min)
    last = min(one.valid_until or date.max, other.valid_until or date.max)
    # Seven days hold every weekday; a shorter stretch may hold none of this one.
    return any((first + timedelta(days=n)).isoweekday() == one.weekday for n in range(min((last - first).days + 1, 7)))


def faults_of_rules(rules: Sequence[Rule]) -> Faults:
    """Everything wrong with a weekly set; `rules[3].ends` is the fourth rule's."""
    faults = {f"rules[{n}].{field}": why for n, rule in enumerate(rules) for field, why in faults_of_rule(rule).items()}
    if not faults:
        faults = {f"rules[{n}]": "rule_overlaps" for pair in overlaps(rules) for n in pair}
    return faults


def version_of(rules: Sequence[Rule]) -> str:
    """The same for equal sets, in whatever order; another one after any change."""
    canonical = sorted(msgspec.json.encode(rule) for rule in rules)
    return hashlib.blake2b(b"\n".join(canonical), digest_size=8).hexdigest()


def faults_of_exception(
    kind: ExceptionKind, day: date, starts: time, ends: time, slots: tuple[int | None, int | None], today: date
) -> Faults:
    """What is wrong with an exception by itself. `slots` are slot length and capacity: both for an `extra`, none for an `off`."""
    faults: dict[str, str] = {}
    names = ("slotMinutes", "capacity")
    if kind == "extra":
        faults = {name: "field_required" for name, value in zip(names, slots, strict=True) if value is None}
        if not faults:
            faults |= _faults_of_slots(starts, ends, slots[0] or 0, slots[1] or 0)
    else:
        faults = {name: "off_has_no_slots" for name, value in zip(names, slots, strict=True) if value is not None}
    if ends <= starts:
        faults["ends"] = "ends_early"
    if day < today:
        faults["day"] = "date_past"
    elif day > today + timedelta(days=EXCEPTION_DAYS_AHEAD):
        faults["day"] = "day_far"
    return faults


def meets_extra(added: ScheduleException, others: Sequence[ScheduleException]) -> bool:
    """Whether an `extra` would lie on another one of its day."""
    same = (each for each in others if each.kind == "extra" and each.day == added.day)
    return added.kind == "extra" and any(added.starts < each.ends and each.starts < added.ends for each in same)
