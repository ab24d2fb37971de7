"""What somebody's readings of one type come to: statistics, direction, how the average stands, and advice. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

from hub.care.advice import Advice, Facts
from hub.care.advice_rule import advise
from hub.care.indicator import assess
from hub.care.model import RISK_LEVELS, Assessment, Circumstances, Measurement, Reading, RecordType
from hub.care.trend import NOTABLE_CHANGE, Direction, Sample, Statistics, direction, statistics, thin
from hub.care.unit import QUANTITIES

_OUTSIDE = ("very_low", "low", "high", "very_high")
_NO_ASSESSMENT = Assessment("unrated", (), "low", ())
# What people write behind a number, where it is not the unit itself.
UNITS: Mapping[str, tuple[str, str]] = {"bpm": ("次/分", "bpm"), "steps": ("步", "steps"), "h": ("小时", "hours")}
_CONTEXTS: Mapping[str | None, tuple[str, str]] = {
    "fasting": ("空腹 ", "fasting "),
    "after_meal": ("餐后 ", "after meals "),
    "before_sleep": ("睡前 ", "before sleep "),
}


class Summary(msgspec.Struct, frozen=True):
    """Of a blood pressure, what has no name of its own is about the systolic one."""

    type: RecordType
    statistics: Statistics
    diastolic: Statistics | None
    direction: Direction
    diastolic_direction: Direction | None
    assessment: Assessment  # of the average
    advice: Sequence[Advice]


def summarize(type: RecordType, readings: Sequence[Reading], person: Circumstances) -> Summary:
    """Of readings of this type, the oldest first."""
    lower = [(each.recorded_at, each.diastolic) for each in readings if each.diastolic is not None]
    paired = type == "blood_pressure"
    average = _average(type, readings, person)
    upward = direction([Sample(each.recorded_at, each.value) for each in readings], NOTABLE_CHANGE[type])
    found = assess(average, person) if average else _NO_ASSESSMENT
    facts = Facts(
        type,
        len(readings),
        _written(average),
        found.level,
        _share_outside(readings),
        sum(each.assessment.risk == "critical" for each in readings),
        upward,
    )
    return Summary(
        type=type,
        statistics=statistics([each.value for each in readings]),
        diastolic=statistics([value for _, value in lower]) if paired else None,
        direction=upward,
        diastolic_direction=direction([Sample(*each) for each in lower], NOTABLE_CHANGE["diastolic"])
        if paired
        else None,
        assessment=found,
        advice=advise(facts),
    )


def shown(readings: Sequence[Reading], most: int) -> list[Reading]:
    """At most so many of them, with the highest and lowest among them."""
    if len(readings) <= most:
        return list(readings)
    series = [[each.value for each in readings]]
    if readings[0].diastolic is not None:
        series.append([each.diastolic or 0.0 for each in readings])
    return [readings[place] for place in thin(series, most)]


def _average(type: RecordType, readings: Sequence[Reading], person: Circumstances) -> Measurement | None:
    """The average as if it were one measurement; where circumstances matter, the one of them that is the worst."""
    groups: dict[str | None, list[Reading]] = {}
    for each in readings:
        groups.setdefault(each.measurement.context, []).append(each)
    averages = [_mean(type, context, group) for context, group in groups.items()]
    return max(averages, key=lambda each: _gravity(assess(each, person)), default=None)


def _mean(type: RecordType, context: str | None, readings: Sequence[Reading]) -> Measurement:
    # Judged as it is written, or 139.7 would be written as 140 and called lower than that.
    decimals = min(QUANTITIES[type].decimals, 1)
    value = round(fmean(each.value for each in readings), decimals)
    lower = [each.diastolic for each in readings if each.diastolic is not None]
    return Measurement(type, value, round(fmean(lower), decimals) if lower else None, context=context)


def _gravity(found: Assessment) -> tuple[int, bool, bool]:
    return RISK_LEVELS.index(found.risk), found.level != "unrated", found.level != "normal"


def _written(average: Measurement | None) -> tuple[str, str]:
    if average is None:
        return "", ""
    number = f"{average.value:.10g}" if average.diastolic is None else f"{average.value:g}/{average.diastolic:g}"
    unit = QUANTITIES[average.type].unit
    zh, en = UNITS.get(unit, (unit, unit))
    zh_context, en_context = _CONTEXTS.get(average.context, ("", ""))
    return f"{zh_context}{number} {zh}", f"{en_context}{number} {en}"


def _share_outside(readings: Sequence[Reading]) -> float:
    rated = [each.assessment.level for each in readings if each.assessment.level != "unrated"]
    return sum(level in _OUTSIDE for level in rated) / len(rated) if rated else 0.0
