"""The tables of limits: complete, ordered, and told in both languages."""

from itertools import pairwise

import pytest

from hub.care import guideline
from hub.care.guideline import HUB, LOWEST, Bands
from hub.care.model import RISK_LEVELS
from hub.care.record import CONTEXTS
from hub.platform.text import TEXTS

TABLES: dict[str, Bands] = {
    "systolic": guideline.SYSTOLIC,
    "diastolic": guideline.DIASTOLIC,
    "heart_rate": guideline.HEART_RATE,
    "spo2": guideline.SPO2,
    "temperature": guideline.TEMPERATURE,
    "bmi": guideline.BMI,
    "steps": guideline.STEPS,
    "sleep": guideline.SLEEP,
    **{f"glucose {context}": bands for context, bands in guideline.GLUCOSE.items()},
    **{f"diabetic {context}": bands for context, bands in guideline.GLUCOSE_DIABETIC.items()},
}


@pytest.mark.parametrize("name", list(TABLES))
def test_table_covers_every_value_once(name: str) -> None:
    """From the lowest on, each band begins above the one before."""
    limits = [band.at_least for band in TABLES[name]]

    assert limits[0] == LOWEST
    assert all(low < high for low, high in pairwise(limits))


@pytest.mark.parametrize("name", list(TABLES))
def test_table_gets_graver_away_from_normal(name: str) -> None:
    """No value further out is judged milder."""
    bands = TABLES[name]
    normal = next(at for at, band in enumerate(bands) if band.level == "normal")
    risks = [RISK_LEVELS.index(band.risk) for band in bands]

    assert bands[normal].risk == "low"
    assert risks[: normal + 1] == sorted(risks[: normal + 1], reverse=True)
    assert risks[normal:] == sorted(risks[normal:])
    assert [band.level for band in bands].count("normal") == 1


@pytest.mark.parametrize("name", list(TABLES))
def test_band_has_its_words_and_its_source(name: str) -> None:
    """In Chinese and English."""
    for band in TABLES[name]:
        assert band.finding in TEXTS
        assert band.guideline in TEXTS


def test_glucose_has_limits_for_every_context() -> None:
    """What a reading may say of its circumstances can be judged."""
    assert set(CONTEXTS["blood_glucose"]) == set(guideline.GLUCOSE) == set(guideline.GLUCOSE_DIABETIC)


# As published; a change here is a change of what people are told about their health.
@pytest.mark.parametrize(
    ("bands", "published"),
    [
        (guideline.SYSTOLIC, [90, 120, 140, 160, 180]),
        (guideline.DIASTOLIC, [60, 80, 90, 100, 110]),
        (guideline.GLUCOSE["fasting"], [3.0, 3.9, 6.1, 7.0, 16.7]),
        (guideline.GLUCOSE["after_meal"], [3.0, 3.9, 7.8, 11.1, 16.7]),
        (guideline.BMI, [18.5, 24.0, 28.0]),
        (guideline.TEMPERATURE, [32.0, 35.0, 36.0, 37.3, 38.1, 39.1, 41.1]),
        (guideline.STEPS, [6000]),
    ],
)
def test_limits_are_the_published_ones(bands: Bands, published: list[float]) -> None:
    """中国高血压防治指南, 中国糖尿病防治指南, WS/T 428—2013, 诊断学, 健康中国行动."""
    assert [band.at_least for band in bands if band.at_least in published] == published
    ours = [band.at_least for band in bands if band.at_least not in published and band.at_least != LOWEST]
    lowest = [bands[1].at_least] if bands[0].guideline == HUB else []
    assert ours == lowest
