"""HTTP of plans. Takes the dependencies `principal` and `health_plans`."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.accounts.api import NO_STORE
from hub.care.model import RecordType
from hub.care.plan import Kind, State
from hub.care.plan_actions import HealthPlans, Shown
from hub.care.plan_change import Change, Wanted
from hub.care.plan_store import PLAN_SORTS
from hub.care.recurrence_rule import SCHEDULE_CHARS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

_NO_NUL = r"^[^\x00]*$"
Title = Annotated[str, Meta(max_length=100, pattern=_NO_NUL)]
Notes = Annotated[str, Meta(max_length=1000, pattern=_NO_NUL)]
Schedule = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SCHEDULE_CHARS,
        description="A recurrence rule of RFC 5545, for example FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0",
    ),
]
Start = Annotated[str, Meta(max_length=19, description="A date or time in `timezone`: 2026-01-31, 2026-01-31T08:00")]
Zone = Annotated[str, Meta(max_length=64, description="A zone of the IANA database")]
Until = Annotated[
    str, Meta(max_length=40, description="The last day, included; or the last moment, RFC 3339 with its offset")
]

Critical = Annotated[bool, Meta(description="Of a measurement: who misses it is asked after, and missed it is sooner")]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class PlanBody(Inbound, frozen=True):
    kind: Kind
    schedule: Schedule
    title: Title = ""
    notes: Notes = ""
    starts_at: Start | None = None
    timezone: Zone = "Asia/Shanghai"
    until: Until | None = None
    measurement_type: RecordType | None = None
    critical: Critical = False
    user_id: Annotated[str, Meta(max_length=36)] | None = None


class PlanChangeBody(Inbound, frozen=True):
    schedule: Schedule | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    notes: Notes | UnsetType = UNSET
    starts_at: Start | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    until: Until | UnsetType | None = UNSET
    measurement_type: RecordType | UnsetType | None = UNSET
    critical: Critical | UnsetType = UNSET
    state: Literal["active", "paused"] | UnsetType = UNSET


class AdherenceView(msgspec.Struct, frozen=True):
    """What became of those of the last 30 days."""

    done: int
    skipped: int
    missed: int


class PlanView(msgspec.Struct, frozen=True, rename="camel"):
    """`startsAt` is local time in `timezone`, everything else in UTC."""

    id: str
    user_id: str
    kind: Kind
    title: str
    notes: str
    measurement_type: RecordType | None
    critical: bool
    schedule: str
    starts_at: str
    timezone: str
    until: str | None
    state: State
    revision: int
    next_occurrences: Sequence[str]
    adherence: AdherenceView
    created_at: str
    updated_at: str


@post("/health/plans", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def make_plan(
    data: JSONBody[PlanBody], principal: NamedDependency[Principal], health_plans: NamedDependency[HealthPlans]
) -> Answer[PlanView]:
    """Make a plan; the answer says when it is due next."""
    wanted = Wanted(
        kind=data.kind,
        schedule=data.schedule,
        title=data.title,
        notes=data.notes,
        starts_at=data.starts_at,
        timezone=data.timezone,
        until=data.until,
        measurement_type=data.measurement_type,
        critical=data.critical,
    )
    return answer(_view(await health_plans.make(principal, data.user_id, wanted)))


@get("/health/plans", responses=FAILURES, dependencies={"paging": paging(*PLAN_SORTS)}, cache_control=NO_STORE)
async def list_plans(
    paging: NamedDependency[Paging],
    principal: NamedDependency[Principal],
    health_plans: NamedDependency[HealthPlans],
    kind: Annotated[Kind | None, QueryParameter(name="kind")] = None,
    state_: Annotated[State | None, QueryParameter(name="state")] = None,
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=36)] = None,
) -> Answer[Page[PlanView]]:
    """Plans, those that have ended too."""
    found = await health_plans.list(principal, user_id, kind, state_, paging)
    return answer(Page([_view(each) for each in found.items], found.page, found.page_size, found.total))


@get("/health/plans/{plan:str}", responses=FAILURES, cache_control=NO_STORE)
async def show_plan(
    plan: FromPath[str], principal: NamedDependency[Principal], health_plans: NamedDependency[HealthPlans]
) -> Answer[PlanView]:
    """One plan, and when it is due next."""
    return answer(_view(await health_plans.show(principal, plan)))


@patch("/health/plans/{plan:str}", responses=FAILURES, cache_control=NO_STORE)
async def change_plan(
    plan: FromPath[str],
    data: JSONBody[PlanChangeBody],
    principal: NamedDependency[Principal],
    health_plans: NamedDependency[HealthPlans],
) -> Answer[PlanView]:
    """Change, pause or resume a plan; what is left out stays."""
    change = Change(
        schedule=data.schedule,
        title=data.title,
        notes=data.notes,
        starts_at=data.starts_at,
        timezone=data.timezone,
        until=data.until,
        measurement_type=data.measurement_type,
        critical=data.critical,
        state=data.state,
    )
    return answer(_view(await health_plans.change(principal, plan, change)))


@delete("/health/plans/{plan:str}", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def end_plan(
    plan: FromPath[str], principal: NamedDependency[Principal], health_plans: NamedDependency[HealthPlans]
) -> Answer[PlanView]:
    """End a plan for good. It is kept, and can still be read."""
    return answer(_view(await health_plans.end(principal, plan)))


handlers: list[ControllerRouterHandler] = [make_plan, list_plans, show_plan, change_plan, end_plan]


def _view(shown: Shown) -> PlanView:
    plan = shown.plan
    timing = plan.timing
    return PlanView(
        plan.id,
        plan.user,
        plan.kind,
        plan.title,
        plan.notes,
        plan.measurement_type,
        plan.critical,
        timing.schedule,
        timing.starts_at.isoformat(timespec="seconds"),
        timing.timezone,
        None if timing.until is None else rfc3339(timing.until),
        shown.state,
        plan.revision,
        [rfc3339(at) for at in shown.next],
        AdherenceView(*(shown.adherence.get(fate, 0) for fate in ("done", "skipped", "missed"))),
        rfc3339(plan.created_at),
        rfc3339(plan.updated_at),
    )
