"""What may be written into the directory: each fault names its field, and what is equal has the same version."""

import re
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.directory.model import Rule, ScheduleException
from hub.directory.rule import (
    CODE,
    LINE,
    LINE_OR_NOTHING,
    PROSE,
    faults_of_exception,
    faults_of_rule,
    faults_of_rules,
    meets_extra,
    money_of,
    overlaps,
    time_of,
    version_of,
)
from hub.platform.text import TEXTS

MONDAY = date(2026, 11, 23)
MORNING = Rule(1, time(9), time(12), 30, 1)


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        (MORNING, {}),
        (Rule(1, time(12), time(9), 30, 1), {"ends": "ends_early"}),
        (Rule(1, time(9), time(9), 30, 1), {"ends": "ends_early"}),
        (Rule(1, time(9), time(9, 29), 30, 1), {"slotMinutes": "slot_minutes_long"}),
        (Rule(1, time(9), time(12), 4, 1), {"slotMinutes": "slot_minutes_invalid"}),
        (Rule(1, time(9), time(12), 721, 1), {"slotMinutes": "slot_minutes_invalid"}),
        (Rule(1, time(9), time(12), 30, 0), {"capacity": "capacity_invalid"}),
        (Rule(1, time(9), time(12), 30, 101), {"capacity": "capacity_invalid"}),
        (Rule(0, time(9), time(12), 30, 1), {"weekday": "weekday_invalid"}),
        (Rule(8, time(9), time(12), 30, 1), {"weekday": "weekday_invalid"}),
        (
            Rule(1, time(9), time(12), 30, 1, MONDAY, MONDAY - timedelta(days=1)),
            {"validUntil": "valid_until_early"},
        ),
        (Rule(9, time(12), time(9), 1, 0), {"weekday", "ends", "slotMinutes", "capacity"}),
    ],
)
def test_faults_name_the_field_of_a_rule(rule: Rule, faults: dict[str, str] | set[str]) -> None:
    """All that is wrong is said at once."""
    found = faults_of_rule(rule)

    assert (set(found) if isinstance(faults, set) else dict(found)) == faults


@pytest.mark.parametrize(
    ("other", "meets"),
    [
        (Rule(1, time(11), time(13), 30, 1), True),
        (Rule(1, time(9), time(12), 15, 2), True),
        (Rule(1, time(10), time(11), 30, 1), True),
        (Rule(1, time(12), time(13), 30, 1), False),
        (Rule(2, time(9), time(12), 30, 1), False),
        (Rule(1, time(9), time(12), 30, 1, MONDAY), True),
    ],
)
def test_rules_overlap_when_both_offer_a_moment(other: Rule, meets: bool) -> None:
    """End to end is no overlap."""
    assert bool(overlaps([MORNING, other])) is meets


def test_rules_of_different_seasons_do_not_overlap() -> None:
    """Nor do those whose common days hold no such weekday."""
    summer = Rule(1, time(9), time(12), 30, 1, None, MONDAY)
    winter = Rule(1, time(9), time(12), 30, 1, MONDAY + timedelta(days=1), None)
    until_monday = Rule(1, time(9), time(12), 30, 1, MONDAY + timedelta(days=1), MONDAY + timedelta(days=6))

    assert overlaps([summer, winter]) == []
    assert overlaps([winter, until_monday]) == []
    assert overlaps([summer, Rule(1, time(9), time(12), 30, 1, MONDAY, None)]) == [(0, 1)]


def test_overlap_names_both_rules() -> None:
    """By their places in the list that was sent."""
    rules = [MORNING, Rule(2, time(9), time(12), 30, 1), Rule(1, time(11), time(13), 30, 1)]

    assert faults_of_rules(rules) == {"rules[0]": "rule_overlaps", "rules[2]": "rule_overlaps"}
    assert faults_of_rules([MORNING, Rule(1, time(13), time(12), 30, 1)]) == {"rules[1].ends": "ends_early"}


def weekly(weekday: int, starts: int, hours: int, first: date | None, last: date | None) -> Rule:
    return Rule(weekday, time(starts), time(starts + hours), 30, 1, first, last)


_rules = st.lists(
    st.builds(
        weekly,
        st.integers(1, 2),
        st.integers(8, 12),
        st.integers(1, 4),
        st.none() | st.dates(date(2026, 1, 1), date(2026, 2, 1)),
        st.none() | st.dates(date(2026, 2, 2), date(2026, 3, 1)),
    ),
    max_size=6,
)


@given(_rules)
def test_overlaps_are_those_that_a_calendar_shows(rules: list[Rule]) -> None:
    """The quick way finds the same as looking at every day."""
    days = [date(2025, 12, 1) + timedelta(days=n) for n in range(120)]
    shown = {
        (n, m)
        for n, one in enumerate(rules)
        for m, other in enumerate(rules)
        if n < m
        and one.starts < other.ends
        and other.starts < one.ends
        and any(one.holds_on(day) and other.holds_on(day) for day in days)
    }

    assert {(min(pair), max(pair)) for pair in overlaps(rules)} == shown


@given(_rules.flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))))
def test_version_ignores_the_order_and_notices_a_change(both: tuple[list[Rule], list[Rule]]) -> None:
    """Two people who look at the same week have the same version."""
    rules, shuffled = both

    assert version_of(shuffled) == version_of(rules)
    assert version_of([*rules, Rule(7, time(9), time(12), 30, 1)]) != version_of(rules)


@pytest.mark.parametrize(
    ("kind", "slots", "ends", "day", "faults"),
    [
        ("off", (None, None), time(12), MONDAY, {}),
        ("extra", (30, 1), time(12), MONDAY, {}),
        ("extra", (None, None), time(12), MONDAY, {"slotMinutes": "field_required", "capacity": "field_required"}),
        ("extra", (30, 0), time(12), MONDAY, {"capacity": "capacity_invalid"}),
        ("extra", (200, 1), time(12), MONDAY, {"slotMinutes": "slot_minutes_long"}),
        ("off", (30, None), time(12), MONDAY, {"slotMinutes": "off_has_no_slots"}),
        ("off", (None, None), time(9), MONDAY, {"ends": "ends_early"}),
        ("off", (None, None), time(12), MONDAY - timedelta(days=1), {"day": "date_past"}),
        ("off", (None, None), time(12), MONDAY + timedelta(days=731), {}),
        ("off", (None, None), time(12), MONDAY + timedelta(days=732), {"day": "day_far"}),
    ],
)
def test_faults_name_the_field_of_an_exception(
    kind: str, slots: tuple[int | None, int | None], ends: time, day: date, faults: dict[str, str]
) -> None:
    """An `extra` needs slots, an `off` has none."""
    assert faults_of_exception(kind, day, time(9), ends, slots, MONDAY) == faults  # type: ignore[arg-type]


def test_extra_meets_another_extra_of_its_day_only() -> None:
    """An `off` may lie on anything."""

    def made(kind: str, starts: int, ends: int, day: date = MONDAY) -> ScheduleException:
        return ScheduleException("x", day, kind, time(starts), time(ends), 30, 1, "")  # type: ignore[arg-type]

    assert meets_extra(made("extra", 9, 11), [made("extra", 10, 12)])
    assert not meets_extra(made("extra", 9, 10), [made("extra", 10, 12)])
    assert not meets_extra(made("extra", 9, 11), [made("off", 10, 12)])
    assert not meets_extra(made("off", 9, 11), [made("extra", 10, 12)])
    assert not meets_extra(made("extra", 9, 11, MONDAY + timedelta(days=1)), [made("extra", 10, 12)])


@pytest.mark.parametrize(
    ("written", "amount"),
    [("0", "0.00"), ("128", "128.00"), ("128.5", "128.50"), ("99999999.99", "99999999.99")]
    + [(bad, None) for bad in ("", "-1", "1.234", "1e3", "NaN", "Infinity", "012", "100000000", "１２", "1\n", ".5")],
)
def test_money_has_two_places_at_most(written: str, amount: str | None) -> None:
    """What is no plain amount is None, never rounded."""
    assert money_of(written) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize("written", ["24:00", "9:00", "09:60", "09:00:00", "", "09:00\n", "０９:00"])
def test_time_is_hours_and_minutes(written: str) -> None:
    """Two digits each, as on the wire."""
    assert time_of(written) is None
    assert time_of("23:59") == time(23, 59)


@pytest.mark.parametrize("said", ["北京协和医院", "' OR 1=1 --", 'a"b', "😀医院", "\u202e倒", " 两边 "])
def test_text_of_people_is_data(said: str) -> None:
    """Quotes, emoji and marks of direction are ordinary characters."""
    assert all(re.search(pattern, said) for pattern in (LINE, LINE_OR_NOTHING, PROSE))


@pytest.mark.parametrize("said", ["a\x00", "a\nb", "a\n", "\t", "\x7f"])
def test_line_holds_no_control_character(said: str) -> None:
    """PostgreSQL keeps no U+0000, and a line is one line."""
    assert not re.search(LINE, said)
    assert not re.search(LINE_OR_NOTHING, said)
    assert bool(re.search(PROSE, said)) is ("\x00" not in said)


@pytest.mark.parametrize("said", ["", " ", "\u3000", "　 "])
def test_line_has_something_to_see(said: str) -> None:
    """Blanks alone name nothing."""
    assert not re.search(LINE, said)


def test_code_is_plain() -> None:
    """So that it survives spreadsheets and addresses."""
    assert re.search(CODE, "H-001_a.B")
    assert not any(re.search(CODE, bad) for bad in ("", "医院", "a b", "x" * 33, "a\n"))


def test_every_reason_of_the_area_has_its_sentence() -> None:
    """A reason that the catalogue does not know would be shown as a key."""
    source = "\n".join(path.read_text() for path in Path("hub/directory").glob("*.py"))
    told = re.findall(r'Unfit\("(\w+)"\)|: "(\w+_\w+)"[,}]|problem\(.*"(\w+)"\)|Problem\(.*"(import_\w+)"', source)
    keys = {key for found in told for key in found if key} - {"text_array"}

    assert len(keys) > 20
    assert keys <= set(TEXTS), keys - set(TEXTS)
