"""HTTP of occurrences. Takes the dependencies `principal` and `plan_occurrences`."""

import datetime
from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.api import NO_STORE
from hub.care.occurrence import State
from hub.care.occurrence_actions import PlanOccurrences, Shown
from hub.care.plan import Kind
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal


class SnoozeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    minutes: Annotated[int, Meta(ge=5, le=240)]


class OccurrenceView(msgspec.Struct, frozen=True, rename="camel"):
    """`at` is in UTC, and names it in a path. `due`: nothing became of it yet, whether it is to come or is over."""

    plan_id: str
    kind: Kind
    title: str
    at: str
    state: State
    snoozed_until: str | None
    snoozes: int
    acted_at: str | None
    acted_by: str | None
    reading: str | None


class OccurrencesView(msgspec.Struct, frozen=True):
    items: Sequence[OccurrenceView]


@get("/health/plans/{plan:str}/occurrences", responses=FAILURES, cache_control=NO_STORE)
async def list_occurrences(
    plan: FromPath[str],
    principal: NamedDependency[Principal],
    plan_occurrences: NamedDependency[PlanOccurrences],
    from_: Annotated[str | None, QueryParameter(name="from", max_length=40)] = None,
    to: Annotated[str | None, QueryParameter(name="to", max_length=40)] = None,
) -> Answer[OccurrencesView]:
    """Past ones and those to come, the earliest first, at most 500; of seven days before and after now unless asked otherwise."""
    return answer(_views(await plan_occurrences.of_plan(principal, plan, from_, to)))


@get("/health/occurrences", responses=FAILURES, cache_control=NO_STORE)
async def list_day(
    principal: NamedDependency[Principal],
    plan_occurrences: NamedDependency[PlanOccurrences],
    date: Annotated[datetime.date, QueryParameter(name="date", description="A day in the zone of each plan")],
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=36)] = None,
) -> Answer[OccurrencesView]:
    """Everything that all plans of a person ask for on a day, at most 500."""
    return answer(_views(await plan_occurrences.of_day(principal, user_id, date)))


@post("/health/plans/{plan:str}/occurrences/{at:str}/done", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def do(
    plan: FromPath[str],
    at: FromPath[str],
    principal: NamedDependency[Principal],
    plan_occurrences: NamedDependency[PlanOccurrences],
) -> Answer[OccurrenceView]:
    """It was done; also a missed one, for a day."""
    return answer(_view(await plan_occurrences.done(principal, plan, at)))


@post("/health/plans/{plan:str}/occurrences/{at:str}/skip", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def skip(
    plan: FromPath[str],
    at: FromPath[str],
    principal: NamedDependency[Principal],
    plan_occurrences: NamedDependency[PlanOccurrences],
) -> Answer[OccurrenceView]:
    """It will not be done."""
    return answer(_view(await plan_occurrences.skip(principal, plan, at)))


@post(
    "/health/plans/{plan:str}/occurrences/{at:str}/snooze", status_code=200, responses=FAILURES, cache_control=NO_STORE
)
async def snooze(
    plan: FromPath[str],
    at: FromPath[str],
    data: JSONBody[SnoozeBody],
    principal: NamedDependency[Principal],
    plan_occurrences: NamedDependency[PlanOccurrences],
) -> Answer[OccurrenceView]:
    """Remind again later, three times at most."""
    return answer(_view(await plan_occurrences.snooze(principal, plan, at, data.minutes)))


handlers: list[ControllerRouterHandler] = [list_occurrences, list_day, do, skip, snooze]


def _views(shown: Sequence[Shown]) -> OccurrencesView:
    return OccurrencesView([_view(each) for each in shown])


def _view(shown: Shown) -> OccurrenceView:
    plan, found = shown.plan, shown.occurrence
    return OccurrenceView(
        plan.id,
        plan.kind,
        plan.title,
        rfc3339(found.at),
        found.state,
        None if found.snoozed_until is None else rfc3339(found.snoozed_until),
        found.snoozes,
        None if found.acted_at is None else rfc3339(found.acted_at),
        found.acted_by,
        found.reading,
    )
