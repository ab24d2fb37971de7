"""A health report: what somebody's readings of all types come to in a stretch of days, beside the stretch before. Pure.

It is made once and kept as it was made: what the guidelines said then, in words of both languages.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from statistics import fmean

import msgspec

from hub.care.advice import ADVICE_LEVELS, Advice
from hub.care.advice_rule import NOTHING
from hub.care.model import RISK_LEVELS, Assessment, Circumstances, Reading, RecordType, RiskLevel
from hub.care.report_reference import Reference, references, sources
from hub.care.trend import Direction, Period, Span, Statistics
from hub.care.trend_summary import Summary, shown, summarize
from hub.care.unit import QUANTITIES

POINTS = 200  # of a chart: more than a printed page can show


class Figures(msgspec.Struct, frozen=True):
    """Of one quantity. `change`: of the average, against the stretch before; None if nothing was measured then."""

    latest: float
    average: float
    max: float
    min: float
    previous: float | None
    change: float | None


class Metric(msgspec.Struct, frozen=True):
    """Of a blood pressure, `figures` and `direction` are the systolic one's."""

    type: RecordType
    unit: str
    count: int
    previous_count: int
    latest_at: datetime
    figures: Figures
    diastolic: Figures | None
    direction: Direction
    assessment: Assessment  # of the average


class Risk(msgspec.Struct, frozen=True):
    """What was the gravest of one type, when it was last seen, and how many readings were any risk."""

    type: RecordType
    level: RiskLevel
    count: int
    of: int
    worst: Assessment
    recorded_at: datetime


class Recommendation(msgspec.Struct, frozen=True):
    type: RecordType | None  # None: about the report as a whole
    advice: Advice


class Series(msgspec.Struct, frozen=True):
    quantity: str
    points: Sequence[tuple[datetime, float]]


class Chart(msgspec.Struct, frozen=True):
    type: RecordType
    unit: str
    series: Sequence[Series]
    references: Sequence[Reference]


class Report(msgspec.Struct, frozen=True):
    period: Period
    first: date
    last: date
    metrics: Sequence[Metric]
    risks: Sequence[Risk]
    recommendations: Sequence[Recommendation]
    charts: Sequence[Chart]
    sources: Sequence[str]  # keys of the text catalogue


class Stretch(msgspec.Struct, frozen=True):
    """The readings of one type in the days of the report and in as many days before, the oldest first."""

    now: Sequence[Reading]
    before: Sequence[Reading]


def build(period: Period, span: Span, stretches: Mapping[RecordType, Stretch], person: Circumstances) -> Report:
    """The report on these days, of the types that were measured in them."""
    measured = {type: each for type, each in stretches.items() if each.now}
    summaries = {type: summarize(type, each.now, person) for type, each in measured.items()}
    said = [Recommendation(type, advice) for type, found in summaries.items() for advice in found.advice]
    risks = [risk for type, each in measured.items() if (risk := _risk(type, each.now))]
    return Report(
        period=period,
        first=span.first,
        last=span.last,
        metrics=[_metric(summaries[type], each) for type, each in measured.items()],
        risks=sorted(risks, key=lambda risk: RISK_LEVELS.index(risk.level), reverse=True),
        recommendations=sorted(said, key=_gravity, reverse=True) or [Recommendation(None, NOTHING)],
        charts=[_chart(type, each.now, person) for type, each in measured.items()],
        sources=list(dict.fromkeys(source for type in measured for source in sources(type, person))),
    )


def _gravity(said: Recommendation) -> int:
    return ADVICE_LEVELS.index(said.advice.level)


def _metric(summary: Summary, stretch: Stretch) -> Metric:
    latest = stretch.now[-1]
    upper = _figures(summary.statistics, latest.value, [each.value for each in stretch.before])
    lower = [each.diastolic for each in stretch.before if each.diastolic is not None]
    return Metric(
        type=summary.type,
        unit=QUANTITIES[summary.type].unit,
        count=len(stretch.now),
        previous_count=len(stretch.before),
        latest_at=latest.recorded_at,
        figures=upper,
        diastolic=None if summary.diastolic is None else _figures(summary.diastolic, latest.diastolic or 0.0, lower),
        direction=summary.direction,
        assessment=summary.assessment,
    )


def _figures(found: Statistics, latest: float, before: Sequence[float]) -> Figures:
    assert found.average is not None  # there are readings
    assert found.max is not None
    assert found.min is not None
    previous = round(fmean(before), 2) if before else None
    change = None if previous is None else round(found.average - previous, 2)
    return Figures(latest, found.average, found.max, found.min, previous, change)


def _risk(type: RecordType, readings: Sequence[Reading]) -> Risk | None:
    risky = [each for each in readings if each.assessment.risk != "low"]
    if not risky:
        return None
    worst = max(risky, key=lambda each: (RISK_LEVELS.index(each.assessment.risk), each.recorded_at))
    return Risk(type, worst.assessment.risk, len(risky), len(readings), worst.assessment, worst.recorded_at)


def _chart(type: RecordType, readings: Sequence[Reading], person: Circumstances) -> Chart:
    points = shown(readings, POINTS)
    if type == "blood_pressure":
        series = [
            Series("systolic", [(each.recorded_at, each.value) for each in points]),
            Series("diastolic", [(each.recorded_at, each.diastolic or 0.0) for each in points]),
        ]
    else:
        series = [Series(type, [(each.recorded_at, each.value) for each in points])]
    return Chart(type, QUANTITIES[type].unit, series, references(type, person))
