"""What a reading says: its level, and how much of a risk it is. Pure; the limits are `guideline`'s."""

from collections.abc import Sequence

import msgspec

from hub.care import guideline
from hub.care.guideline import Band, Bands
from hub.care.model import RISK_LEVELS, Assessment, Circumstances, Measurement, Reason, RiskLevel
from hub.platform.text import Language, text

UNKNOWN = Circumstances()


class Indicators(msgspec.Struct, frozen=True):
    level: str
    description: str


class Risk(msgspec.Struct, frozen=True):
    level: RiskLevel
    reasons: list[str]


def assess(measured: Measurement, person: Circumstances = UNKNOWN) -> Assessment:
    """What the guidelines say of a measurement, for somebody of whom this is known."""
    match measured.type:
        case "blood_pressure":
            return _blood_pressure(measured)
        case "blood_glucose":
            tables = guideline.GLUCOSE_DIABETIC if person.diabetic else guideline.GLUCOSE
            return _plain("blood_glucose", measured.value, tables[measured.context or "random"])
        case "heart_rate" if measured.context == "exercise":
            return Assessment("unrated", ("heart_rate_exercise",), "low", ())
        case "heart_rate":
            return _plain("heart_rate", measured.value, guideline.HEART_RATE)
        case "weight":
            return _weight(measured.value, person.height_cm)
        case kind:
            return _plain(kind, measured.value, guideline.PLAIN[kind])


def bmi(weight_kg: float | None, height_cm: float | None) -> float | None:
    """The body mass index with one decimal; None while either is unknown."""
    if weight_kg is None or height_cm is None:
        return None
    return round(weight_kg / (height_cm / 100) ** 2, 1)


def describe(found: Assessment, language: Language) -> tuple[Indicators, Risk]:
    """The same in words."""
    comma = "，" if language == "zh" else ", "
    description = comma.join(text(finding, language, bmi=found.bmi) for finding in found.findings)
    return Indicators(found.level, description), Risk(found.risk, [_sentence(each, language) for each in found.reasons])


def _sentence(reason: Reason, language: Language) -> str:
    return text(
        f"reason_{reason.side}",
        language,
        quantity=text(f"quantity_{reason.quantity}", language),
        limit=f"{reason.limit:g}",
        guideline=text(reason.guideline, language),
    )


def _blood_pressure(measured: Measurement) -> Assessment:
    systolic, diastolic = measured.value, measured.diastolic
    assert diastolic is not None  # `record.measure` makes no blood pressure without one
    upper, why_upper = _judge("systolic", systolic, guideline.SYSTOLIC)
    lower, why_lower = _judge("diastolic", diastolic, guideline.DIASTOLIC)
    worse = max(upper, lower, key=lambda band: (RISK_LEVELS.index(band.risk), band.level != "normal"))
    findings = (worse.finding, *_isolated(systolic, diastolic))
    risk, reasons = worse.risk, [*why_upper, *why_lower]
    if measured.heart_rate is not None:
        pulse, why_pulse = _judge("heart_rate", measured.heart_rate, guideline.HEART_RATE)
        risk = max(risk, pulse.risk, key=RISK_LEVELS.index)
        reasons += why_pulse
    return Assessment(worse.level, findings, risk, tuple(reasons))


def _isolated(systolic: float, diastolic: float) -> Sequence[str]:
    high = (systolic >= guideline.HYPERTENSION_SYSTOLIC, diastolic >= guideline.HYPERTENSION_DIASTOLIC)
    return {(True, False): ("bp_isolated_systolic",), (False, True): ("bp_isolated_diastolic",)}.get(high, ())


def _weight(weight_kg: float, height_cm: float | None) -> Assessment:
    index = bmi(weight_kg, height_cm)
    if index is None:
        return Assessment("unrated", ("weight_without_height",), "low", ())
    found = _plain("bmi", index, guideline.BMI)
    return Assessment(found.level, (*found.findings, "weight_bmi"), found.risk, found.reasons, index)


def _plain(quantity: str, value: float, bands: Bands) -> Assessment:
    band, reasons = _judge(quantity, value, bands)
    return Assessment(band.level, (band.finding,), band.risk, tuple(reasons))


def _judge(quantity: str, value: float, bands: Bands) -> tuple[Band, list[Reason]]:
    """The band that a value falls in, and the reason if that is a risk."""
    place = max(at for at, band in enumerate(bands) if value >= band.at_least)
    band = bands[place]
    if band.risk == "low":
        return band, []
    normal = next(at for at, each in enumerate(bands) if each.level == "normal")
    if place < normal:
        return band, [Reason(quantity, "below", bands[place + 1].at_least, band.guideline)]
    return band, [Reason(quantity, "at_least", band.at_least, band.guideline)]
