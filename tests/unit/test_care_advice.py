"""Advice: every stretch of readings gets some, each says when to see a doctor, and none says what somebody has."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.advice import ADVICE_LEVELS, Advice, Facts, Rule
from hub.care.advice_rule import RULES, advise
from hub.care.indicator import assess
from hub.care.model import Circumstances, Level, Measurement, Reading, RecordType
from hub.care.trend import Direction
from hub.care.trend_summary import Summary, summarize
from hub.care.unit import QUANTITIES

START = datetime(2026, 1, 5, tzinfo=UTC)
TYPES: tuple[RecordType, ...] = get_args(RecordType)


def reading(
    type: RecordType, at: datetime, value: float, lower: float | None = None, context: str | None = None
) -> Reading:
    measured = Measurement(type, value, lower, context=context)
    return Reading(
        id="r",
        user="u",
        actor="u",
        measurement=measured,
        assessment=assess(measured),
        source="manual",
        recorded_at=at,
        created_at=at,
    )


def told(type: RecordType, values: Sequence[float], lower: float | None = None, context: str | None = None) -> Summary:
    days = [START + timedelta(days=day) for day in range(len(values))]
    readings = [reading(type, at, value, lower, context) for at, value in zip(days, values, strict=True)]
    return summarize(type, readings, Circumstances())


def levels(said: Sequence[Advice]) -> list[str]:
    return [each.level for each in said]


@given(
    st.sampled_from(TYPES),
    st.integers(0, 20),
    st.sampled_from(get_args(Level)),
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from(get_args(Direction)),
)
def test_facts_of_any_kind_are_told_the_gravest_first(
    type: RecordType, count: int, level: Level, outside: float, critical: int, direction: Direction
) -> None:
    """In order, complete, and with no place left open."""
    facts = Facts(type, count, ("128/82 mmHg", "128/82 mmHg"), level, outside, critical, direction)
    said = advise(facts)

    assert [ADVICE_LEVELS.index(each.level) for each in said] == sorted(
        (ADVICE_LEVELS.index(each.level) for each in said), reverse=True
    )
    assert not any("{" in each.zh + each.en for each in said)


@given(st.sampled_from(TYPES), st.data())
def test_readings_of_any_kind_get_advice(type: RecordType, data: st.DataObject) -> None:
    """Whatever a meter can show, somebody who asks is told something."""
    quantity = QUANTITIES[type]
    values = data.draw(st.lists(st.floats(quantity.least, quantity.most), max_size=12))
    lower = data.draw(st.floats(20, 200)) if type == "blood_pressure" else None
    context = data.draw(st.sampled_from(["fasting", "after_meal", "random"])) if type == "blood_glucose" else None
    if type == "heart_rate":
        context = data.draw(st.sampled_from([None, "resting", "exercise"]))

    assert told(type, values, lower, context).advice


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.en[:40])
def test_each_rule_says_when_to_see_a_doctor_and_names_no_illness(rule: Rule) -> None:
    """In both languages; advice is no diagnosis."""
    assert re.search("就医|就诊|医生|120", rule.zh)
    assert re.search("doctor|120", rule.en)
    assert not re.search("您患|您有|确诊|高血压病|糖尿病|you have (hyper|diab)", rule.zh + rule.en)


@pytest.mark.parametrize(
    ("type", "values", "lower", "context", "expected"),
    [
        ("blood_pressure", [118] * 7, 76, None, ["info"]),
        ("blood_pressure", [128] * 7, 76, None, ["attention"]),
        ("blood_pressure", [150] * 7, 95, None, ["warning"]),
        ("blood_pressure", [118] * 7, 95, None, ["warning"]),
        ("blood_pressure", [185] + [118] * 6, 76, None, ["urgent", "attention"]),
        ("blood_pressure", [118] * 3, 76, None, ["info", "info"]),
        ("blood_pressure", [105, 107, 109, 111, 113, 115], 76, None, ["info", "info"]),
        ("blood_pressure", [125, 127, 129, 131, 133, 135], 76, None, ["attention", "attention"]),
        ("blood_pressure", [100, 100, 100, 100, 145, 145], 76, None, ["attention", "info"]),
        ("blood_glucose", [5.2] * 6, None, "fasting", ["info"]),
        ("blood_glucose", [6.5] * 6, None, "fasting", ["attention"]),
        ("blood_glucose", [6.5] * 6, None, "after_meal", ["info"]),
        ("blood_glucose", [2.5] * 6, None, "fasting", ["urgent", "warning"]),
        ("heart_rate", [150] * 6, None, "exercise", ["info"]),
        ("spo2", [98, 97, 97, 96, 96, 95], None, None, ["attention", "info"]),
        ("weight", [60] * 6, None, None, ["info"]),
        ("steps", [3000] * 6, None, None, ["attention"]),
        ("sleep", [8] * 6, None, None, ["info"]),
        ("sleep", [], None, None, ["info"]),
    ],
)
def test_what_is_told(
    type: RecordType, values: list[float], lower: float | None, context: str | None, expected: list[str]
) -> None:
    """Known examples: by the average, by how many are outside, by where it goes, and by how little is known."""
    assert levels(told(type, values, lower, context).advice) == expected


def test_an_average_is_judged_as_it_is_written() -> None:
    """139.7 is written as 140, so it is told what 140 is told."""
    said = told("blood_pressure", [139, 140, 140], 80).advice

    assert said[0].zh.startswith("平均血压 140/80 mmHg，收缩压或舒张压达到")


def test_of_several_circumstances_the_worst_is_told() -> None:
    """A fasting value does not hide behind those after meals, nor in an average with them."""
    values = [("fasting", 7.4), ("after_meal", 6.0)] * 4
    readings = [
        reading("blood_glucose", START + timedelta(hours=12 * n), v, context=c) for n, (c, v) in enumerate(values)
    ]
    summary = summarize("blood_glucose", readings, Circumstances())

    assert summary.statistics.average == 6.7
    assert (summary.assessment.level, summary.assessment.risk) == ("high", "high")
    assert "空腹 7.4 mmol/L" in summary.advice[0].zh


def test_the_profile_decides_how_an_average_stands() -> None:
    """The same average is high for the one and on target for the other."""
    readings = [reading("blood_glucose", START + timedelta(days=n), 8.5, context="after_meal") for n in range(6)]

    assert summarize("blood_glucose", readings, Circumstances()).assessment.level == "elevated"
    assert summarize("blood_glucose", readings, Circumstances(diabetic=True)).assessment.level == "normal"
