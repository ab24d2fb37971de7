"""Quiet hours on the person's own wall, through both changes of the clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.notices.model import QuietHours
from hub.notices.quiet import HOME, ZONES, quiet_until

CHOSEN = (
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)
CLOCK = st.times().map(lambda at: f"{at.hour:02d}:{at.minute:02d}")
# Hypothesis wants them without a zone, and adds it.
MOMENT = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TICK = timedelta(microseconds=1)


def at(text: str, zone: str = HOME, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def reads_quiet(hours: QuietHours, zone: str, now: datetime) -> bool:
    """What somebody says who looks at the clock on the wall."""
    wall = now.astimezone(ZoneInfo(zone)).time()
    begin, end = time.fromisoformat(hours.from_), time.fromisoformat(hours.to)
    return begin <= wall < end if begin <= end else wall >= begin or wall < end


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-05T21:59:59", None),
        ("2026-01-05T22:00:00", "2026-01-06T07:00"),
        ("2026-01-06T03:00:00", "2026-01-06T07:00"),
        ("2026-01-06T06:59:59", "2026-01-06T07:00"),
        ("2026-01-06T07:00:00", None),
    ],
)
def test_the_usual_hours_hold_for_who_set_none(now: str, until: str | None) -> None:
    """22:00 to 07:00 in Shanghai."""
    assert quiet_until(None, "hold", HOME, at(now)) == (at(until) if until else None)


def test_own_hours_are_only_those_that_the_person_set() -> None:
    """`own` knows no usual hours, and `ignore` none at all; hours that are off are not there for `hold` either."""
    night, set_ones = at("2026-01-06T03:00"), QuietHours(from_="23:00", to="05:30")

    assert quiet_until(None, "own", HOME, night) is None
    assert quiet_until(set_ones, "own", HOME, night) == at("2026-01-06T05:30")
    assert quiet_until(set_ones, "hold", HOME, night) == at("2026-01-06T05:30")
    assert quiet_until(set_ones, "ignore", HOME, night) is None
    assert quiet_until(QuietHours(on=False), "hold", HOME, night) is None
    assert quiet_until(QuietHours(from_="12:00", to="12:00"), "hold", HOME, night) is None


def test_an_unknown_zone_is_taken_as_home() -> None:
    """A name that only a newer release of the zones knows must not lose a notice."""
    assert quiet_until(None, "hold", "Mars/Olympus", at("2026-01-06T03:00")) == at("2026-01-06T07:00")


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        # Germany skips 02:00 to 03:00 on 29 March 2026, and has it twice on 25 October.
        (("22:00", "07:00"), "Europe/Berlin", at("2026-03-28T23:00", "Europe/Berlin"), "2026-03-29T05:00Z"),
        (("22:00", "02:30"), "Europe/Berlin", at("2026-03-29T01:30", "Europe/Berlin"), "2026-03-29T01:00Z"),
        (("22:00", "07:00"), "Europe/Berlin", at("2026-10-25T01:00", "Europe/Berlin"), "2026-10-25T06:00Z"),
        (("22:00", "02:30"), "Europe/Berlin", at("2026-10-25T01:30", "Europe/Berlin"), "2026-10-25T00:30Z"),
        (("22:00", "02:30"), "Europe/Berlin", at("2026-10-25T02:10", "Europe/Berlin", fold=1), "2026-10-25T01:30Z"),
        (("22:00", "03:00"), "Europe/Berlin", at("2026-10-25T02:30", "Europe/Berlin"), "2026-10-25T02:00Z"),
        # Lord Howe changes by half an hour.
        (("22:00", "07:00"), "Australia/Lord_Howe", at("2026-04-04T23:00", "Australia/Lord_Howe"), "2026-04-04T20:30Z"),
    ],
)
def test_the_hours_follow_the_wall_clock_when_it_is_changed(
    hours: tuple[str, str], zone: str, now: datetime, until: str
) -> None:
    """Not a fixed number of hours after they began."""
    chosen = QuietHours(from_=hours[0], to=hours[1])

    assert quiet_until(chosen, "hold", zone, now) == datetime.fromisoformat(until)


@given(CLOCK, CLOCK, st.one_of(st.sampled_from(CHOSEN), st.sampled_from(sorted(ZONES))), MOMENT)
@example("22:00", "07:00", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example("22:00", "07:00", "America/New_York", datetime(2026, 3, 8, 6, 59, 59, 999999, tzinfo=UTC))
@example("22:00", "02:30", "America/New_York", datetime(2026, 11, 1, 5, 0, tzinfo=UTC))
@example("22:00", "01:45", "Australia/Lord_Howe", datetime(2026, 4, 4, 14, 50, tzinfo=UTC))
@example("22:00", "02:15", "Australia/Lord_Howe", datetime(2026, 10, 3, 15, 20, tzinfo=UTC))
def test_quiet_ends_when_the_clock_says_so(begin: str, end: str, zone: str, now: datetime) -> None:
    """The end is ahead; then it is not quiet, and just before it still is. None exactly when it is not quiet now."""
    hours = QuietHours(from_=begin, to=end)
    until = quiet_until(hours, "own", zone, now)

    assert (until is not None) == reads_quiet(hours, zone, now)
    if until is not None:
        assert now < until <= now + timedelta(hours=25)
        assert not reads_quiet(hours, zone, until)
        assert reads_quiet(hours, zone, until - TICK)
