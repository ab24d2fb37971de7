"""HTTP of working hours: staff keep everybody's, people their own exceptions. Takes `directory` and `principal`."""

from datetime import date
from typing import Annotated

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.directory import rule, schedule
from hub.directory.api import Services
from hub.directory.edit_api import Inbound, Line, Who
from hub.directory.model import ExceptionKind, Rule, ScheduleException
from hub.directory.rule import DAY_BEGINS, DAY_ENDS, TIME, time_of
from hub.directory.view import ExceptionView, ScheduleView, exception_view, schedule_view
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.identifier import new_id

Clock = Annotated[str, Meta(pattern=TIME)]
Number = Annotated[int, Meta(ge=0, le=100_000)]


class RuleBody(Inbound, frozen=True):
    weekday: Annotated[int, Meta(ge=1, le=7)]
    starts: Clock
    ends: Clock
    slot_minutes: Number
    capacity: Number = 1
    valid_from: date | None = None
    valid_until: date | None = None


class Rules(Inbound, frozen=True):
    """`version`: of the rules that were looked at; refused if they are others by now."""

    rules: Annotated[list[RuleBody], Meta(max_length=rule.RULES_MOST)]
    version: Annotated[str, Meta(max_length=64)] | None = None


class ExceptionBody(Inbound, frozen=True):
    day: date
    kind: ExceptionKind
    starts: Clock | None = None
    ends: Clock | None = None
    slot_minutes: Number | None = None
    capacity: Number | None = None
    reason: Line = ""


@get("/admin/schedules/{user:str}", responses=FAILURES)
async def show_schedule(user: FromPath[str], directory: Services, principal: Who) -> Answer[ScheduleView]:
    """The weekly rules of a doctor or companion, and the exceptions from today on."""
    return answer(schedule_view(await schedule.show_schedule(directory, principal, user)))


@put("/admin/schedules/{user:str}", responses=FAILURES)
async def replace_rules(
    user: FromPath[str], data: JSONBody[Rules], directory: Services, principal: Who
) -> Answer[ScheduleView]:
    """Replace all weekly rules at once. Bookings that no longer fit stay; staff are told."""
    rules = [_rule(each) for each in data.rules]
    return answer(schedule_view(await schedule.replace_rules(directory, principal, user, rules, data.version)))


@post("/admin/schedules/{user:str}/exceptions", status_code=200, responses=FAILURES)
async def add_exception(
    user: FromPath[str], data: JSONBody[ExceptionBody], directory: Services, principal: Who
) -> Answer[ExceptionView]:
    """A day off, or additional hours; `off` without times is the whole day."""
    starts, ends = time_of(data.starts or "") or DAY_BEGINS, time_of(data.ends or "") or DAY_ENDS
    added = ScheduleException(
        new_id(), data.day, data.kind, starts, ends, data.slot_minutes, data.capacity, data.reason
    )
    return answer(exception_view(await schedule.add_exception(directory, principal, user, added)))


@delete("/admin/schedules/{user:str}/exceptions/{exception:str}", status_code=200, responses=FAILURES)
async def remove_exception(
    user: FromPath[str], exception: FromPath[str], directory: Services, principal: Who
) -> Answer[None]:
    """The weekly rules hold again on that day."""
    await schedule.remove_exception(directory, principal, user, exception)
    return answer(None)


handlers: list[ControllerRouterHandler] = [show_schedule, replace_rules, add_exception, remove_exception]


def _rule(body: RuleBody) -> Rule:
    starts, ends = time_of(body.starts) or DAY_BEGINS, time_of(body.ends) or DAY_ENDS
    return Rule(body.weekday, starts, ends, body.slot_minutes, body.capacity, body.valid_from, body.valid_until)
