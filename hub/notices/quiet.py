"""When a person is not to be disturbed: hours on the clock of their own wall, whatever daylight saving does to it. Pure."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from hub.notices.model import QuietHours
from hub.notices.notice_class import Quiet

HOME = "Asia/Shanghai"
USUAL = QuietHours()
# What the machine calls `localtime` differs from node to node, and `Factory` means that nobody chose.
ZONES = frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}

_DAY = timedelta(days=1)


def quiet_until(hours: QuietHours | None, quiet: Quiet, timezone: str, now: datetime) -> datetime | None:
    """When it is no longer quiet, in UTC; None if it is not quiet now.

    It is quiet while the wall clock reads `from` or later, and is before `to`. `hours` None: the person set none, and `hold`
    takes the usual ones. An hour that the clock skips is not waited for; one that comes twice is quiet twice.
    """
    chosen = USUAL if hours is None and quiet == "hold" else hours
    if chosen is None or not chosen.on or quiet == "ignore":
        return None
    begin, end, zone = minutes(chosen.from_), minutes(chosen.to), zone_of(timezone)
    until = None
    # Once in most cases, and once more after each change of the clock before the end.
    while (left := _left(begin, end, (until or now).astimezone(zone))) is not None:
        until = _instant(zone, (until or now).astimezone(UTC), left)
    return until


def zone_of(name: str) -> ZoneInfo:
    """The zone; home for one that this machine does not know, because another release of the zones may have known it."""
    return _zone(name if name in ZONES else HOME)


def minutes(clock: str) -> timedelta:
    """`07:30` as what has passed since midnight."""
    at = time.fromisoformat(clock)
    return timedelta(hours=at.hour, minutes=at.minute)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _left(begin: timedelta, end: timedelta, wall: datetime) -> timedelta | None:
    """How far the hand of the clock is from `end`; None if it is not quiet. Where both are the same it never is."""
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    passed = wall.replace(tzinfo=None) - midnight
    if (passed - begin) % _DAY >= (end - begin) % _DAY:
        return None
    return (end - passed) % _DAY


def _instant(zone: ZoneInfo, start: datetime, left: timedelta) -> datetime:
    """When the hand has gone `left` on, or the first moment before that at which the clock is changed."""
    end = start + left
    before = start.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == before:
        return end
    early, late = int(start.timestamp()), -int(-end.timestamp() // 1)
    while late - early > 1:  # clocks are changed at whole seconds
        middle = (early + late) // 2
        same = datetime.fromtimestamp(middle, zone).utcoffset() == before
        early, late = (middle, late) if same else (early, middle)
    return datetime.fromtimestamp(late, UTC)
