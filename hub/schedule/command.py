"""`hub schedule --status` and `hub due`: the schedulers from the command line, as tables or as JSON."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from hub.messaging.model import SYSTEM
from hub.platform.clock import SystemClock, rfc3339
from hub.platform.database import open_database
from hub.platform.error import Refusal
from hub.platform.settings import Settings
from hub.platform.text import TEXTS, text
from hub.schedule.actions import Schedule
from hub.schedule.model import COUNTED, SHANGHAI, Forecast, Status, late_s
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from hub.security.token import Principal
from hub.timers.actions import Due

# Whoever may run commands here: the audit names no person, only that it was done on the machine.
OPERATOR = Principal(user=SYSTEM, session=SYSTEM, role="admin", expires_at=0.0)

Result = TypeVar("Result")


class DueView(msgspec.Struct, frozen=True, rename="camel"):
    """One timer that would fire. `what` and `why` are for people, `kind` for programs."""

    id: str
    kind: str
    what: str
    subject: str
    key: str
    person: str | None
    name: str
    due_at: str
    revision: int
    expires_at: str | None
    attempts: int
    why: str


class ForecastView(msgspec.Struct, frozen=True, rename="camel"):
    """Counts end at 10,000; null: not known of one person."""

    at: str
    timers: list[DueView]
    notices: int
    unpaid_orders: int | None
    broadcasts: int | None


def show_status(settings: Settings, console: Console | None = None) -> bool:
    """Whether anybody ticks."""
    status = _run(settings, lambda schedule: schedule.status(OPERATOR))
    console = console or Console()
    for table in tables_of(status):
        console.print(table)
    console.print(summary_of(status))
    return status.is_ticking


def look(settings: Settings, at: datetime, given: str | None, most: int) -> ForecastView | None:
    """What would fire at that moment; None: there is no such person."""

    async def run(schedule: Schedule) -> Forecast:
        person = None if given is None else await schedule.person_of(OPERATOR, given)
        return await schedule.forecast(OPERATOR, at, person, most)

    try:
        forecast = _run(settings, run)
    except Refusal:
        return None
    return ForecastView(
        at=rfc3339(at),
        timers=[_due(each, forecast) for each in forecast.timers],
        notices=forecast.notices,
        unpaid_orders=forecast.unpaid_orders,
        broadcasts=forecast.broadcasts,
    )


def show_forecast(view: ForecastView, console: Console | None = None) -> None:
    """As a table, with what is only counted below."""
    console = console or Console()
    table = Table("到期", "事项", "对象", "为谁", "版本", "过期", "原因", title=f"{_local(view.at)} 将触发（上海时间）")
    for each in view.timers:
        until = _local(each.expires_at) if each.expires_at else "-"
        table.add_row(_local(each.due_at), each.what, each.subject, each.name, str(each.revision), until, each.why)
    console.print(table)
    counts = (("通知", view.notices), ("未支付订单", view.unpaid_orders), ("群发", view.broadcasts))
    console.print("，".join(f"{name} {_count(count)}" for name, count in counts if count is not None))


def tables_of(status: Status) -> list[Table]:
    """Duties, then timers that wait."""
    duties = Table("任务", "状态", "间隔", "上次完成", "耗时", "次数", "错误", title="任务")
    for duty in status.duties:
        standing = duty.standing(status.now)
        ago, took = _ago(duty.ended_at, status.now), "-" if duty.took_ms is None else f"{duty.took_ms:.1f} ms"
        error = duty.error_kind if standing == "failing" else ""
        row = (duty.name, text(f"schedule_{standing}"), f"{duty.every_s:g} s", ago, took, str(duty.runs), error)
        duties.add_row(*row)
    timers = Table("定时", "到期", "最久延迟", "下一个", title="定时事项")
    for each in status.timers:
        late = f"{late_s(each, status.now):.1f} s" if each.due else "-"
        coming = "-" if each.next is None else _local(rfc3339(each.next))
        timers.add_row(what(each.kind), _count(each.due), late, coming)
    return [duties, timers]


def summary_of(status: Status) -> str:
    """The answer to whether all is well, and who is at work."""
    who = "，".join(each.name for each in status.schedulers) or "-"
    ticking = text("schedule_ticking" if status.is_ticking else "schedule_silent")
    keys = f"；待重新加密的密钥 {_count(status.stale_keys)}" if status.stale_keys else ""
    return f"{ticking}（{who}；上次 {_ago(status.last_tick, status.now)}）{keys}"


def what(kind: str) -> str:
    """A kind of timers in words; its name where there are none."""
    return text(f"timer_{kind}") if f"timer_{kind}" in TEXTS else kind


def _due(due: Due, forecast: Forecast) -> DueView:
    return DueView(
        id=due.id,
        kind=due.kind,
        what=what(due.kind),
        subject=due.subject,
        key=due.key,
        person=due.person,
        name=text("schedule_system") if due.person is None else forecast.names.get(due.person, "-"),
        due_at=rfc3339(due.due_at),
        revision=due.revision,
        expires_at=None if due.expires_at is None else rfc3339(due.expires_at),
        attempts=due.attempts,
        why=_why(due),
    )


def _why(due: Due) -> str:
    """What made it due."""
    tried = f"，已失败 {due.attempts} 次" if due.attempts else ""
    return f"第 {due.revision} 版设定{f' {due.key}' if due.key else ''}{tried}"


def _count(count: int) -> str:
    return f"{COUNTED}+" if count >= COUNTED else str(count)


def _ago(at: datetime | None, now: datetime) -> str:
    return "-" if at is None else f"{max(0.0, (now - at).total_seconds()):.0f} s 前"


def _local(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _run(settings: Settings, use: Callable[[Schedule], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with _opened(settings) as schedule:
            return await use(schedule)

    return asyncio.run(run())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Schedule]:
    keyring = load_keyring(settings)
    async with open_database(settings.database) as database:
        yield Schedule(database, keyring.current, Audit(keyring, SystemClock()))
