"""When a rule fires: its local times, and the moments that they are in a zone. Pure, and bounded in what a call can cost.

The expansion is our own, and the tests hold it equal to python-dateutil's. That one never gives up: FREQ=DAILY;BYMONTH=2;
BYMONTHDAY=30 keeps it busy for 2.7 s, up to the year 9999, and whoever may write a rule could stop the server with it.
Here a call looks at 1,830 days at most after the moment that is asked for.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from heapq import heappop, heappush
from itertools import product
from zoneinfo import ZoneInfo

import msgspec

from hub.care.recurrence_rule import Freq, Rule

# Who asks what comes next is told of this long; a rule that is silent for so long is refused when it is written.
HORIZON = timedelta(days=5 * 366)
# The last moment of which anything is said; dates beyond could leave what `datetime` can tell.
LAST = datetime(2200, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Clocks that are put forward skip 24 h at most (Samoa, 30 December 2011), so a later local time is a moment at most this much earlier.
_SKIP = timedelta(hours=25)


class Recurrence(msgspec.Struct, frozen=True):
    """A rule that begins at a local time of a zone, and ends at a moment, which still counts (RFC 5545: UNTIL)."""

    rule: Rule
    start: datetime
    zone: ZoneInfo
    until: datetime | None = None


def occurrences(recurrence: Recurrence, after: datetime, before: datetime, limit: int) -> list[datetime]:
    """The first `limit` moments with after <= moment < before in UTC, ascending and each once; up to `HORIZON` ahead."""
    after = max(after, EPOCH, moment(recurrence.start, recurrence.zone))
    before = min(before, LAST)
    if recurrence.until is not None:
        before = min(before, recurrence.until + timedelta(microseconds=1))
    if after >= before or limit < 1:
        return []
    before = min(before, after + HORIZON)
    found: list[datetime] = []
    for at in _moments(recurrence, after, before):
        if at >= before or len(found) == limit:
            break
        if at >= after and (not found or found[-1] != at):
            found.append(at)
    return found


def last_counted(recurrence: Recurrence) -> datetime | None:
    """When a rule with COUNT fires for the last time; None if it does not get there within `HORIZON`."""
    start = moment(recurrence.start, recurrence.zone)
    found = occurrences(recurrence, start, LAST, recurrence.rule.count or 0)
    return found[-1] if found and len(found) == recurrence.rule.count else None


def moment(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a local time. One that the clocks skip is as far after the last moment before the change as it says
    (RFC 5545, section 3.3.5: 02:30 becomes 03:30); one that comes twice is the first.
    """
    return local.replace(tzinfo=zone).astimezone(UTC)


def _moments(recurrence: Recurrence, after: datetime, before: datetime) -> Iterator[datetime]:
    """All moments around the stretch in ascending order; of local times that the clocks skip some come twice."""
    zone = recurrence.zone
    since = (after - _SKIP).astimezone(zone).replace(tzinfo=None)
    to = (before + _SKIP).astimezone(zone).replace(tzinfo=None)
    waiting: list[datetime] = []
    for local in _counted(recurrence, since, to):
        at = moment(local, zone)
        heappush(waiting, at)
        # A skipped local time can be a later moment than the local time that follows it.
        while waiting[0] <= at - _SKIP:
            yield heappop(waiting)
    while waiting:
        yield heappop(waiting)


def _counted(recurrence: Recurrence, since: datetime, to: datetime) -> Iterator[datetime]:
    """The rule's local times between these, which need the ones before only if they are counted."""
    rule, start = recurrence.rule, recurrence.start
    if rule.count is None:
        yield from _local_times(rule, start, max(start, since), to)
        return
    for number, local in enumerate(_local_times(rule, start, start, to), 1):
        if local >= since:
            yield local
        if number == rule.count:
            return


def _local_times(rule: Rule, start: datetime, since: datetime, to: datetime) -> Iterator[datetime]:
    for days in _periods(rule, start, since.date(), to.date()):
        times = [at for day in days for at in _times(rule, start, day)]
        if rule.positions:
            size = len(times)
            chosen = {n - 1 if n > 0 else size + n for n in rule.positions}
            times = [at for place, at in enumerate(times) if place in chosen]
        for at in times:
            if since <= at <= to:
                yield at


def _times(rule: Rule, start: datetime, day: date) -> Iterator[datetime]:
    if rule.freq is Freq.HOURLY:
        past = (day - start.date()).days * 24 - start.hour
        hours = [h for h in sorted(rule.hours or range(24)) if (past + h) % rule.interval == 0]
    else:
        hours = sorted(rule.hours or {start.hour})
    for hour, minute in product(hours, sorted(rule.minutes or {start.minute})):
        yield datetime.combine(day, time(hour, minute, start.second))


def _periods(rule: Rule, start: datetime, since: date, to: date) -> Iterator[list[date]]:
    """The days that the rule chooses in each of its years, months, weeks or days, from the period of `since` on."""
    first = start.date()
    if rule.freq is Freq.YEARLY:
        skipped = (since.year - first.year) // rule.interval
        for year in range(first.year + skipped * rule.interval, to.year + 1, rule.interval):
            months = sorted(rule.months or (range(1, 13) if rule.month_days or rule.weekdays else {first.month}))
            yield [day for month in months for day in _days_of_month(rule, first, year, month)]
    elif rule.freq is Freq.MONTHLY:
        begin, end = first.year * 12 + first.month - 1, to.year * 12 + to.month - 1
        skipped = (since.year * 12 + since.month - 1 - begin) // rule.interval
        for number in range(begin + skipped * rule.interval, end + 1, rule.interval):
            year, month = divmod(number, 12)
            yield _days_of_month(rule, first, year, month + 1)
    else:
        yield from _short_periods(rule, first, since.toordinal(), to.toordinal())


def _short_periods(rule: Rule, first: date, since: int, to: int) -> Iterator[list[date]]:
    if rule.freq is Freq.WEEKLY:
        begin, length, interval = first.toordinal() - (first.weekday() - rule.week_start) % 7, 7, 7 * rule.interval
    else:
        begin, length = first.toordinal(), 1
        interval = rule.interval if rule.freq is Freq.DAILY else 1
    for ordinal in range(begin + (since - begin) // interval * interval, to + 1, interval):
        yield [day for n in range(length) if _fits(rule, first, day := date.fromordinal(ordinal + n))]


def _days_of_month(rule: Rule, first: date, year: int, month: int) -> list[date]:
    length = monthrange(year, month)[1]
    days = (date(year, month, n) for n in range(1, length + 1))
    if rule.months and month not in rule.months:
        return []
    return [day for day in days if _fits(rule, first, day)]


def _fits(rule: Rule, first: date, day: date) -> bool:
    """Whether the rule chooses this day of a period of its own. What is not said comes from the first day."""
    if rule.months and day.month not in rule.months:
        return False
    if not rule.month_days and not rule.weekdays:
        if rule.freq <= Freq.MONTHLY:
            return day.day == first.day
        return rule.freq is not Freq.WEEKLY or day.weekday() == first.weekday()
    if rule.month_days and not {day.day, day.day - 1 - monthrange(day.year, day.month)[1]} & rule.month_days:
        return False
    return not rule.weekdays or not rule.weekdays.isdisjoint(_weekday_names(rule, day))


def _weekday_names(rule: Rule, day: date) -> set[tuple[int, int]]:
    """How BYDAY can call this day: by its weekday, and by its place in the month or, in a YEARLY rule without months, year."""
    weekday = day.weekday()
    if rule.freq is Freq.YEARLY and not rule.months:
        place, length = day.timetuple().tm_yday, 365 + (monthrange(day.year, 2)[1] == 29)
    else:
        place, length = day.day, monthrange(day.year, day.month)[1]
    return {(weekday, 0), (weekday, (place - 1) // 7 + 1), (weekday, -((length - place) // 7) - 1)}
