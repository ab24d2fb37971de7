"""What a reading says: at each limit the right level and risk, the reason with its source, in Chinese and English."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.indicator import Indicators, Risk, assess, bmi, describe
from hub.care.model import RISK_LEVELS, Assessment, Circumstances, Level, Measurement, RecordType, RiskLevel
from hub.care.unit import DIASTOLIC, QUANTITIES

DIABETIC = Circumstances(diabetic=True)


def pressure(systolic: float, diastolic: float, heart_rate: float | None = None) -> Assessment:
    return assess(Measurement("blood_pressure", systolic, diastolic, heart_rate))


@pytest.mark.parametrize(
    ("systolic", "diastolic", "findings", "level", "risk"),
    [
        (79, 50, ("bp_very_low",), "very_low", "critical"),
        (80, 50, ("bp_low",), "low", "medium"),
        (90, 59, ("bp_low",), "low", "medium"),
        (90, 60, ("bp_normal",), "normal", "low"),
        (119, 79, ("bp_normal",), "normal", "low"),
        (120, 79, ("bp_high_normal",), "elevated", "low"),
        (119, 80, ("bp_high_normal",), "elevated", "low"),
        (139, 89, ("bp_high_normal",), "elevated", "low"),
        (140, 90, ("bp_grade_1",), "high", "medium"),
        (159, 99, ("bp_grade_1",), "high", "medium"),
        (160, 99, ("bp_grade_2",), "high", "high"),
        (159, 100, ("bp_grade_2",), "high", "high"),
        (179, 109, ("bp_grade_2",), "high", "high"),
        (180, 109, ("bp_grade_3",), "very_high", "critical"),
        (179, 110, ("bp_grade_3",), "very_high", "critical"),
        (140, 89, ("bp_grade_1", "bp_isolated_systolic"), "high", "medium"),
        (165, 70, ("bp_grade_2", "bp_isolated_systolic"), "high", "high"),
        (139, 90, ("bp_grade_1", "bp_isolated_diastolic"), "high", "medium"),
        (150, 55, ("bp_grade_1", "bp_isolated_systolic"), "high", "medium"),
    ],
)
def test_blood_pressure_has_the_grade_of_its_higher_part(
    systolic: float, diastolic: float, findings: tuple[str, ...], level: Level, risk: RiskLevel
) -> None:
    """中国高血压防治指南: where the two fall into different grades, the higher one counts."""
    found = pressure(systolic, diastolic)

    assert (found.findings, found.level, found.risk) == (findings, level, risk)
    assert bool(found.reasons) == (risk != "low")


@pytest.mark.parametrize(
    ("context", "value", "level", "risk"),
    [
        ("fasting", 2.99, "very_low", "critical"),
        ("fasting", 3.0, "low", "medium"),
        ("fasting", 3.89, "low", "medium"),
        ("fasting", 3.9, "normal", "low"),
        ("fasting", 6.09, "normal", "low"),
        ("fasting", 6.1, "elevated", "medium"),
        ("fasting", 7.0, "high", "high"),
        ("fasting", 16.7, "very_high", "critical"),
        ("after_meal", 7.79, "normal", "low"),
        ("after_meal", 7.8, "elevated", "medium"),
        ("after_meal", 11.1, "high", "high"),
        ("before_sleep", 7.79, "normal", "low"),
        (None, 11.09, "elevated", "low"),
        (None, 11.1, "high", "high"),
    ],
)
def test_glucose_is_judged_by_its_context(context: str | None, value: float, level: Level, risk: RiskLevel) -> None:
    """中国糖尿病防治指南; without a context as a random one."""
    found = assess(Measurement("blood_glucose", value, context=context))

    assert (found.level, found.risk) == (level, risk)


@pytest.mark.parametrize(
    ("context", "value", "level", "risk"),
    [
        ("fasting", 3.5, "low", "high"),
        ("fasting", 6.9, "normal", "low"),
        ("fasting", 7.0, "elevated", "medium"),
        ("fasting", 11.1, "high", "high"),
        ("after_meal", 9.9, "normal", "low"),
        ("after_meal", 10.0, "elevated", "medium"),
        (None, 13.9, "high", "high"),
        (None, 16.7, "very_high", "critical"),
    ],
)
def test_glucose_of_a_diabetic_is_judged_by_the_targets(
    context: str | None, value: float, level: Level, risk: RiskLevel
) -> None:
    """Who is treated is measured against the aim of treatment, and low is graver for them."""
    found = assess(Measurement("blood_glucose", value, context=context), DIABETIC)

    assert (found.level, found.risk) == (level, risk)


@pytest.mark.parametrize(
    ("type", "value", "level", "risk"),
    [
        ("heart_rate", 39, "very_low", "critical"),
        ("heart_rate", 50, "low", "medium"),
        ("heart_rate", 51, "low", "low"),
        ("heart_rate", 60, "normal", "low"),
        ("heart_rate", 100, "normal", "low"),
        ("heart_rate", 101, "elevated", "medium"),
        ("heart_rate", 131, "high", "high"),
        ("heart_rate", 160, "very_high", "critical"),
        ("spo2", 89, "very_low", "critical"),
        ("spo2", 90, "low", "high"),
        ("spo2", 93, "low", "high"),
        ("spo2", 94, "low", "medium"),
        ("spo2", 95, "normal", "low"),
        ("temperature", 31.9, "very_low", "critical"),
        ("temperature", 34.9, "low", "high"),
        ("temperature", 37.2, "normal", "low"),
        ("temperature", 37.3, "elevated", "low"),
        ("temperature", 38.0, "elevated", "low"),
        ("temperature", 38.1, "high", "medium"),
        ("temperature", 39.1, "very_high", "high"),
        ("temperature", 41.1, "very_high", "critical"),
        ("steps", 5999, "low", "low"),
        ("steps", 6000, "normal", "low"),
        ("sleep", 4.9, "very_low", "medium"),
        ("sleep", 6.9, "low", "low"),
        ("sleep", 7, "normal", "low"),
        ("sleep", 10, "elevated", "low"),
    ],
)
def test_value_is_judged_at_each_limit(type: RecordType, value: float, level: Level, risk: RiskLevel) -> None:
    """The limit itself belongs to what is above it."""
    found = assess(Measurement(type, value))

    assert (found.level, found.risk) == (level, risk)


def test_fast_pulse_with_a_normal_pressure_is_a_risk() -> None:
    """What came along with a blood pressure counts, but the indicator stays that of the pressure."""
    found = pressure(118, 76, 165)

    assert (found.level, found.findings, found.risk) == ("normal", ("bp_normal",), "critical")
    assert [reason.quantity for reason in found.reasons] == ["heart_rate"]


def test_heart_rate_in_exercise_is_not_judged() -> None:
    """The limits are those of rest: a runner's watch must wake nobody."""
    found = assess(Measurement("heart_rate", 175, context="exercise"))

    assert (found.level, found.risk, found.reasons) == ("unrated", "low", ())
    assert assess(Measurement("heart_rate", 175, context="resting")).risk == "critical"


@pytest.mark.parametrize(
    ("weight", "level", "risk"), [(53.3, "low", "medium"), (53.6, "normal", "low"), (69.4, "elevated", "medium")]
)
def test_weight_is_judged_by_the_bmi(weight: float, level: Level, risk: RiskLevel) -> None:
    """WS/T 428—2013, with the height of the profile."""
    found = assess(Measurement("weight", weight), Circumstances(height_cm=170))

    assert (found.level, found.risk) == (level, risk)
    assert describe(found, "zh")[0].description.endswith(f"BMI {bmi(weight, 170)}")


def test_weight_is_not_judged_without_a_height() -> None:
    """And says why."""
    found = assess(Measurement("weight", 120))

    assert (found.level, found.risk) == ("unrated", "low")
    assert "身高" in describe(found, "zh")[0].description


def test_bmi_has_one_decimal_and_is_unknown_with_either() -> None:
    """Weight in kg by the square of the height in metres."""
    assert bmi(70.5, 172) == 23.8
    assert bmi(None, 172) is None
    assert bmi(70.5, None) is None


def test_description_is_told_in_both_languages() -> None:
    """The reason holds the limit and where it is published."""
    found = pressure(165, 85)

    assert describe(found, "zh") == (
        Indicators("high", "血压达 2 级高血压水平，单纯收缩压升高"),
        Risk("high", ["收缩压(mmHg) ≥ 160（中国高血压防治指南2024年修订版）"]),
    )
    assert describe(found, "en") == (
        Indicators("high", "Grade 2 hypertension range, isolated systolic"),
        Risk("high", ["Systolic pressure (mmHg) ≥ 160 (Chinese hypertension guideline, 2024)"]),
    )


@given(st.data(), st.booleans(), st.none() | st.floats(30, 250))
def test_every_possible_reading_is_told_completely(
    data: st.DataObject, diabetic: bool, height_cm: float | None
) -> None:
    """No key of the catalogue is left untranslated, and a risk above low has its reason."""
    type = data.draw(st.sampled_from(list(QUANTITIES)))
    quantity = QUANTITIES[type]
    value = data.draw(st.floats(quantity.least, quantity.most))
    diastolic = data.draw(st.floats(DIASTOLIC.least, DIASTOLIC.most)) if type == "blood_pressure" else None
    found = assess(Measurement(type, value, diastolic), Circumstances(height_cm, diabetic))

    assert found.risk in RISK_LEVELS
    assert bool(found.reasons) == (found.risk != "low")
    for language in ("zh", "en"):
        indicators, risk = describe(found, language)
        for sentence in (indicators.description, *risk.reasons):
            assert not {"_", "{", "}"} & set(sentence)
