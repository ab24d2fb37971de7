"""The reference ranges that charts show, and the guidelines that they and the risks are from. Pure; taken from `guideline`."""

from collections.abc import Sequence

import msgspec

from hub.care import guideline
from hub.care.guideline import Bands
from hub.care.model import Circumstances, RecordType


class Reference(msgspec.Struct, frozen=True):
    """The normal range of one quantity: from `low` to below `high`; None: no limit on this side."""

    quantity: str
    low: float | None
    high: float | None


def references(type: RecordType, person: Circumstances) -> Sequence[Reference]:
    """Nothing where there is none: of a weight without a height."""
    if type == "weight":
        if person.height_cm is None:
            return []
        square = (person.height_cm / 100) ** 2
        found = _normal("weight", guideline.BMI)
        low, high = (None if limit is None else round(limit * square, 1) for limit in (found.low, found.high))
        return [Reference("weight", low, high)]
    return [_normal(quantity, bands) for quantity, bands in _tables(type, person)]


def sources(type: RecordType, person: Circumstances) -> Sequence[str]:
    """Keys of the text catalogue."""
    return list(dict.fromkeys(band.guideline for _, bands in _tables(type, person) for band in bands))


def _tables(type: RecordType, person: Circumstances) -> Sequence[tuple[str, Bands]]:
    match type:
        case "blood_pressure":
            return [("systolic", guideline.SYSTOLIC), ("diastolic", guideline.DIASTOLIC)]
        case "blood_glucose":
            # The widest: a chart shows readings of all circumstances.
            tables = guideline.GLUCOSE_DIABETIC if person.diabetic else guideline.GLUCOSE
            return [("blood_glucose", tables["random"])]
        case "heart_rate":
            return [("heart_rate", guideline.HEART_RATE)]
        case "weight":
            return [("weight", guideline.BMI)]
        case _:
            return [(type, guideline.PLAIN[type])]


def _normal(quantity: str, bands: Bands) -> Reference:
    place = next(at for at, band in enumerate(bands) if band.level == "normal")
    low, above = bands[place].at_least, bands[place + 1 : place + 2]
    return Reference(quantity, None if low == guideline.LOWEST else low, above[0].at_least if above else None)
