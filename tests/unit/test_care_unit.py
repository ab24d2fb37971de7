"""Units: every spelling leads to the standard one, and what cannot be is outside of the range that people are told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.model import RecordType
from hub.care.unit import DIASTOLIC, QUANTITIES, Quantity, converter
from hub.platform.error import Refusal
from hub.platform.text import TEXTS

RANGES: dict[str, Quantity] = {
    "systolic": QUANTITIES["blood_pressure"],
    "diastolic": DIASTOLIC,
    **{kind: quantity for kind, quantity in QUANTITIES.items() if kind != "blood_pressure"},
}


def converted(kind: RecordType, value: float, unit: str | None) -> float:
    convert = converter(kind, unit)
    return QUANTITIES[kind].rounded(value if convert is None else convert(value))


@pytest.mark.parametrize(
    ("kind", "value", "unit", "standard"),
    [
        ("blood_pressure", 120, "mmHg", 120),
        ("blood_pressure", 16, "kPa", 120),
        ("blood_pressure", 120, "毫米汞柱", 120),
        ("blood_glucose", 126, "mg/dL", 7.0),
        ("blood_glucose", 99, "MG/DL", 5.5),
        ("blood_glucose", 6.1, "mmol/L", 6.1),
        ("heart_rate", 72, "次/分", 72),
        ("spo2", 97.5, "%", 97.5),
        ("temperature", 98.6, "°F", 37.0),
        ("temperature", 37.3, "℃", 37.3),
        ("weight", 130, "斤", 65),
        ("weight", 150, "lb", 68.04),
        ("weight", 65, " KG ", 65),
        ("steps", 8000, "步", 8000),
        ("sleep", 450, "min", 7.5),
        ("sleep", 7, "小时", 7),
    ],
)
def test_value_is_converted_to_the_standard_unit(kind: RecordType, value: float, unit: str, standard: float) -> None:
    """However the unit is written."""
    assert converted(kind, value, unit) == standard


@pytest.mark.parametrize("kind", list(QUANTITIES))
def test_standard_unit_is_taken_as_it_is_and_when_none_is_named(kind: RecordType) -> None:
    """What is answered can be sent back unchanged."""
    assert converter(kind, QUANTITIES[kind].unit) is None
    assert converter(kind, None) is None


@pytest.mark.parametrize("kind", list(QUANTITIES))
def test_unknown_unit_is_refused_naming_the_accepted_ones(kind: RecordType) -> None:
    """The reason tells the standard unit in both languages, and each unit that it tells is accepted."""
    with pytest.raises(Refusal) as refused:
        converter(kind, "furlong")

    (reason,) = refused.value.fields.values()
    assert list(refused.value.fields) == ["unit"]
    for sentence in TEXTS[reason]:
        assert QUANTITIES[kind].unit in sentence
        for unit in re.findall(r"mmHg|kPa|mmol/L|mg/dL|bpm|°C|°F|kg|斤|lb|steps|min", sentence):
            converter(kind, unit)


@pytest.mark.parametrize("name", list(RANGES))
def test_range_is_the_one_that_people_are_told(name: str) -> None:
    """The reason of a refusal holds the numbers that decide."""
    for sentence in TEXTS[f"range_{name}"]:
        numbers = [float(found) for found in re.findall(r"\d+(?:\.\d+)?", sentence)]
        assert numbers[:2] == [RANGES[name].least, RANGES[name].most]


@given(st.floats(0.5, 70))
def test_glucose_survives_the_way_to_the_other_unit_and_back(value: float) -> None:
    """Within what the kept decimals can tell."""
    kept = QUANTITIES["blood_glucose"].rounded(value)

    assert abs(converted("blood_glucose", kept * 18, "mg/dL") - kept) <= 0.01
