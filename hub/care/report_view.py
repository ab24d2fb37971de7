"""A health report as it is answered: names and sentences in the reader's language. Pure."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from hub.care.advice import AdviceLevel
from hub.care.indicator import describe
from hub.care.model import Level, RecordType, RiskLevel
from hub.care.report import Chart, Figures, Metric, Recommendation, Report, Risk
from hub.care.report_reference import Reference
from hub.care.trend import Direction, Period
from hub.platform.clock import rfc3339
from hub.platform.text import Language, text


class View(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""


class FiguresView(View, frozen=True):
    latest: float
    average: float
    max: float
    min: float
    previous_average: float | None
    change: float | None


class MetricView(FiguresView, frozen=True):
    """Of a blood pressure, the figures are the systolic ones."""

    type: RecordType
    name: str
    unit: str
    count: int
    previous_count: int
    latest_at: str
    trend: Direction
    level: Level
    description: str
    diastolic: FiguresView | UnsetType = UNSET


class RiskView(View, frozen=True):
    type: RecordType
    name: str
    level: RiskLevel
    content: str
    reasons: Sequence[str]
    count: int
    total: int
    recorded_at: str


class RecommendationView(View, frozen=True):
    type: RecordType | None
    name: str | None
    level: AdviceLevel
    content: str


class ChartPoint(View, frozen=True):
    at: str
    value: float


class SeriesView(View, frozen=True):
    name: str
    label: str
    points: Sequence[ChartPoint]


class BandView(View, frozen=True):
    """The reference range of a series: from `low` to below `high`; null: no limit on this side."""

    series: str
    label: str
    low: float | None
    high: float | None


class ChartView(View, frozen=True):
    type: RecordType
    title: str
    unit: str
    chart: str
    series: Sequence[SeriesView]
    bands: Sequence[BandView]


class ReportView(View, frozen=True):
    id: str
    user_id: str
    period: Period
    start: str
    end: str
    metrics: Sequence[MetricView]
    risks: Sequence[RiskView]
    recommendations: Sequence[RecommendationView]
    visualizations: Sequence[ChartView]
    sources: Sequence[str]
    generated_at: str


def report_view(id: str, user: str, generated_at: str, report: Report, language: Language) -> ReportView:
    return ReportView(
        id,
        user,
        report.period,
        report.first.isoformat(),
        report.last.isoformat(),
        [metric_view(each, language) for each in report.metrics],
        [risk_view(each, language) for each in report.risks],
        [recommendation_view(each, language) for each in report.recommendations],
        [_chart(each, language) for each in report.charts],
        [text(each, language) for each in report.sources],
        generated_at,
    )


def metric_view(metric: Metric, language: Language) -> MetricView:
    indicators, _ = describe(metric.assessment, language)
    own = _figures(metric.figures)
    return MetricView(
        latest=own.latest,
        average=own.average,
        max=own.max,
        min=own.min,
        previous_average=own.previous_average,
        change=own.change,
        type=metric.type,
        name=text(f"type_{metric.type}", language),
        unit=metric.unit,
        count=metric.count,
        previous_count=metric.previous_count,
        latest_at=rfc3339(metric.latest_at),
        trend=metric.direction,
        level=metric.assessment.level,
        description=indicators.description,
        diastolic=UNSET if metric.diastolic is None else _figures(metric.diastolic),
    )


def risk_view(risk: Risk, language: Language) -> RiskView:
    indicators, found = describe(risk.worst, language)
    return RiskView(
        risk.type,
        text(f"type_{risk.type}", language),
        risk.level,
        indicators.description,
        found.reasons,
        risk.count,
        risk.of,
        rfc3339(risk.recorded_at),
    )


def recommendation_view(said: Recommendation, language: Language) -> RecommendationView:
    name = None if said.type is None else text(f"type_{said.type}", language)
    return RecommendationView(said.type, name, said.advice.level, said.advice.said(language))


def series_label(quantity: str, language: Language) -> str:
    prefix = "series" if quantity in ("systolic", "diastolic") else "type"
    return text(f"{prefix}_{quantity}", language)


def reference_label(reference: Reference, language: Language) -> str:
    low, high = reference.low, reference.high
    if low is None or high is None:
        limit = {"low": f"{low:g}"} if low is not None else {"high": f"{high:g}"}
        return text("reference_from" if low is not None else "reference_below", language, **limit)
    return text("reference_between", language, low=f"{low:g}", high=f"{high:g}")


def _figures(figures: Figures) -> FiguresView:
    return FiguresView(figures.latest, figures.average, figures.max, figures.min, figures.previous, figures.change)


def _chart(chart: Chart, language: Language) -> ChartView:
    series = [
        SeriesView(
            "value" if each.quantity == chart.type else each.quantity,
            series_label(each.quantity, language),
            [ChartPoint(rfc3339(at), value) for at, value in each.points],
        )
        for each in chart.series
    ]
    bands = [
        BandView(
            "value" if each.quantity == chart.type else each.quantity,
            reference_label(each, language),
            each.low,
            each.high,
        )
        for each in chart.references
    ]
    return ChartView(chart.type, text(f"type_{chart.type}", language), chart.unit, "line", series, bands)
