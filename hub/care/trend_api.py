"""HTTP of trends. Takes the dependencies `principal` and `health_trends`."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType

from hub.accounts.api import NO_STORE
from hub.care.advice import Advice, AdviceLevel
from hub.care.model import Reading, RecordType
from hub.care.trend import SHANGHAI, Direction, Period, Statistics
from hub.care.trend_actions import HealthTrends, Trend
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of
from hub.platform.text import Language
from hub.security.token import Principal


class StatisticsView(msgspec.Struct, frozen=True, rename="camel"):
    average: float | None
    max: float | None
    min: float | None
    count: int
    diastolic: Statistics | UnsetType = UNSET


class PointView(msgspec.Struct, frozen=True, rename="camel"):
    """A day and a time of day in Asia/Shanghai; of a blood pressure `value` is the systolic one."""

    date: str
    time: str
    value: float
    diastolic: float | UnsetType = UNSET


class AdviceView(msgspec.Struct, frozen=True, rename="camel"):
    level: AdviceLevel
    content: str


class TrendView(msgspec.Struct, frozen=True, rename="camel"):
    statistics: StatisticsView
    trend: Direction
    data_points: Sequence[PointView]
    advice: Sequence[AdviceView]
    diastolic_trend: Direction | UnsetType = UNSET


@get("/health/trends", responses=FAILURES, cache_control=NO_STORE)
async def show_trend(
    request: Connection,
    principal: NamedDependency[Principal],
    health_trends: NamedDependency[HealthTrends],
    type: Annotated[RecordType, QueryParameter(name="type")],
    period: Annotated[Period | None, QueryParameter(name="period")] = None,
    start: Annotated[date | None, QueryParameter(name="start", description="The first day, Asia/Shanghai")] = None,
    end: Annotated[date | None, QueryParameter(name="end", description="The last day, included")] = None,
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=36)] = None,
) -> Answer[TrendView]:
    """Statistics, direction, points and advice of one type; of 30 days up to today unless something else is asked for."""
    found = await health_trends.show(principal, user_id, type, period, start, end)
    return answer(_view(found, context_of(request.scope).language))


handlers: list[ControllerRouterHandler] = [show_trend]


def advice_view(said: Advice, language: Language) -> AdviceView:
    return AdviceView(said.level, said.said(language))


def _view(trend: Trend, language: Language) -> TrendView:
    summary = trend.summary
    statistics = summary.statistics
    return TrendView(
        StatisticsView(
            statistics.average, statistics.max, statistics.min, statistics.count, summary.diastolic or UNSET
        ),
        summary.direction,
        [_point(each) for each in trend.shown],
        [advice_view(each, language) for each in summary.advice],
        summary.diastolic_direction or UNSET,
    )


def _point(reading: Reading) -> PointView:
    at = reading.recorded_at.astimezone(SHANGHAI)
    lower = UNSET if reading.diastolic is None else reading.diastolic
    return PointView(f"{at:%Y-%m-%d}", f"{at:%H:%M}", reading.value, lower)
