"""HTTP of the schedulers, for staff. Takes the dependencies `schedule` and `principal`."""

from datetime import datetime

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.schedule.actions import Schedule
from hub.schedule.model import COUNTED, Duty, Scheduler, Standing, Status, late_s
from hub.security.token import Principal
from hub.timers.actions import Backlog


class DutyView(msgspec.Struct, frozen=True, rename="camel"):
    """What is looked for again and again. `endedAt`: of the last run that was well; `errorKind`: of the last that failed."""

    name: str
    standing: Standing
    every_s: float
    began_at: str
    ended_at: str | None
    took_ms: float | None
    failed_at: str | None
    error_kind: str
    runs: int


class SchedulerView(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str
    started_at: str
    seen_at: str


class TimersView(msgspec.Struct, frozen=True, rename="camel"):
    """One kind of timers. `due` is counted up to 10,000; `lateS`: how long the oldest of them is overdue."""

    kind: str
    due: int
    due_is_least: bool
    late_s: float
    next_due_at: str | None


class ScheduleView(msgspec.Struct, frozen=True, rename="camel"):
    """`ticking`: a duty ended well within 30 s. `staleKeys`: data keys that an older master key wraps, counted up to 10,000."""

    ticking: bool
    last_tick_at: str | None
    late_s: float
    next_due_at: str | None
    schedulers: list[SchedulerView]
    duties: list[DutyView]
    timers: list[TimersView]
    stale_keys: int


@get("/schedule", responses=FAILURES)
async def show_schedule(
    principal: NamedDependency[Principal], schedule_status: NamedDependency[Schedule]
) -> Answer[ScheduleView]:
    """How the schedulers do, and how much is overdue. For staff."""
    return answer(view(await schedule_status.status(principal)))


handlers: list[ControllerRouterHandler] = [show_schedule]


def view(status: Status) -> ScheduleView:
    """As programs read it."""
    return ScheduleView(
        ticking=status.is_ticking,
        last_tick_at=_time(status.last_tick),
        late_s=round(status.late_s, 3),
        next_due_at=_time(status.next_due),
        schedulers=[_scheduler(each) for each in status.schedulers],
        duties=[_duty(each, status) for each in status.duties],
        timers=[_timers(each, status) for each in status.timers],
        stale_keys=status.stale_keys,
    )


def _scheduler(scheduler: Scheduler) -> SchedulerView:
    return SchedulerView(scheduler.id, scheduler.name, rfc3339(scheduler.started_at), rfc3339(scheduler.seen_at))


def _duty(duty: Duty, status: Status) -> DutyView:
    return DutyView(
        name=duty.name,
        standing=duty.standing(status.now),
        every_s=duty.every_s,
        began_at=rfc3339(duty.began_at),
        ended_at=_time(duty.ended_at),
        took_ms=None if duty.took_ms is None else round(duty.took_ms, 1),
        failed_at=_time(duty.failed_at),
        error_kind=duty.error_kind,
        runs=duty.runs,
    )


def _timers(backlog: Backlog, status: Status) -> TimersView:
    late = round(late_s(backlog, status.now), 3)
    return TimersView(backlog.kind, backlog.due, backlog.due == COUNTED, late, _time(backlog.next))


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
