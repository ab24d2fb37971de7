"""Alive, ready, metrics, and the description of the wire: plain answers for machines, without the wrapper."""

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Response, get
from litestar.connection import Request
from prometheus_client import Gauge

from hub.alerts.gauge import measure
from hub.notices.due import LANES, backlog
from hub.platform.database import Database
from hub.platform.supervisor import Supervisor
from hub.platform.telemetry import exposition
from hub.realtime import asyncapi
from hub.realtime.node import Node
from hub.schedule.actions import pulse
from hub.schedule.model import Pulse

CHECK_S = 2.0  # PostgreSQL must answer within this to count as there
FRESH_S = 2.0  # how late notices are is looked up no more often: these pages are open to everybody
LATE_S = 30.0  # a notice or a timer that is due for longer is worth a warning
SILENT_S = 60.0  # without any scheduler for longer, too

OVERDUE = Gauge("hub_notices_overdue_seconds", "How long the oldest due notice has waited", ["lane"])
TIMERS = Gauge("hub_timers_backlog", "Timers that are due, counted up to 10,000", ["kind"])
TIMERS_OVERDUE = Gauge("hub_timers_overdue_seconds", "How long the oldest due timer has waited", ["kind"])
LAST_TICK = Gauge("hub_scheduler_last_tick_seconds", "Since any scheduler last ended a duty well; NaN: none ever did")


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """Each part as `ok` or what is wrong with it. `warnings`: what this process can serve without, and somebody should look at."""

    ready: bool
    checks: dict[str, str]
    warnings: dict[str, str]


class Looked(msgspec.Struct, frozen=True):
    """How long the oldest due notice of each lane has waited, and how the schedulers do."""

    overdue_s: dict[str, float] = msgspec.field(default_factory=dict)
    pulse: Pulse | None = None


class Readiness:
    """Whether this process should get traffic: its loops run, PostgreSQL answers, Redis carries hints, and it is not leaving."""

    def __init__(self, database: Database, node: Node, supervisor: Supervisor) -> None:
        self._database = database
        self._node = node
        self._supervisor = supervisor
        self._looking = asyncio.Lock()
        self._looked_at = -FRESH_S
        self._looked = Looked()

    async def report(self) -> Report:
        checks = {
            "postgresql": await self._postgresql(),
            "redis": "ok" if self._node.broker.healthy else "the probe is late; PostgreSQL is read instead",
            "draining": "leaving" if self._node.gateway.draining else "ok",
            "loops": "; ".join(f"{name}: {error}" for name, error in self._supervisor.down.items()) or "ok",
        }
        return Report(all(state == "ok" for state in checks.values()), checks, await self._warnings())

    async def look(self) -> Looked:
        """How late notices and timers are; also told to the metrics. Looked at once in `FRESH_S`, however often it is asked.
        Empty while PostgreSQL is away."""
        async with self._looking:
            if self._loop_time() - self._looked_at >= FRESH_S:
                self._looked = await self._look()
                self._looked_at = self._loop_time()
        return self._looked

    async def _look(self) -> Looked:
        try:
            async with asyncio.timeout(CHECK_S):
                waiting = {each.lane: each.oldest for each in await backlog(self._database.log)}
                await measure(self._database.log)
                found = await pulse(self._database)
        except Exception:  # it has a check of its own
            return Looked()
        now = datetime.now(UTC)
        overdue = {lane: max(0.0, (now - waiting.get(lane, now)).total_seconds()) for lane in LANES}
        for lane, seconds in overdue.items():
            OVERDUE.labels(lane).set(seconds)
        _count(found)
        return Looked(overdue, found)

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()

    async def _warnings(self) -> dict[str, str]:
        looked = await self.look()
        late = {
            f"{lane} notices": f"due for {seconds:.0f} s: does a worker run, and are the providers well?"
            for lane, seconds in looked.overdue_s.items()
            if seconds > LATE_S
        }
        return late | _timer_warnings(looked.pulse)

    async def _postgresql(self) -> str:
        try:
            await asyncio.wait_for(self._database.log.fetchval("SELECT 1"), CHECK_S)
        except Exception as error:
            return type(error).__name__
        return "ok"


def _count(pulse: Pulse) -> None:
    """For the metrics. A kind of which nothing waits any more is taken off them."""
    TIMERS.clear()
    TIMERS_OVERDUE.clear()
    for each in pulse.timers:
        TIMERS.labels(each.kind).set(each.due)
        TIMERS_OVERDUE.labels(each.kind).set(pulse.late_s[each.kind])
    LAST_TICK.set(math.nan if pulse.silent_s is None else pulse.silent_s)


def _timer_warnings(pulse: Pulse | None) -> dict[str, str]:
    """Sockets and messages go on without a scheduler, so this process stays ready."""
    if pulse is None:
        return {}
    late = {
        f"timers: {kind}": f"due for {seconds:.0f} s: see hub schedule --status"
        for kind, seconds in pulse.late_s.items()
        if seconds > LATE_S
    }
    if pulse.silent_s is None:
        return late | {"scheduler": "none has ever run: hub schedule"}
    if pulse.silent_s > SILENT_S:
        return late | {"scheduler": f"none has done anything for {pulse.silent_s:.0f} s: does hub schedule run?"}
    return late


@get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    """The process is alive and its loop turns."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def readyz(request: Request[Any, Any, Any]) -> Response[Report]:
    """200 when it should get traffic, 503 with the reasons otherwise."""
    readiness: Readiness = request.app.state["readiness"]
    report = await readiness.report()
    return Response(report, status_code=200 if report.ready else 503)


@get("/metrics", include_in_schema=False)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus' text format."""
    readiness: Readiness = request.app.state["readiness"]
    await readiness.look()
    content, media_type = exposition()
    return Response(content, headers={"Content-Type": media_type})


@get("/schema/asyncapi.json", include_in_schema=False)
async def asyncapi_document(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The WebSocket protocol as AsyncAPI 3."""
    document: dict[str, Any] = asyncapi.document(str(request.base_url).replace("http", "ws", 1).rstrip("/"))
    return document


_FRONT = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Hub</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 3em auto">
<h1>Hub</h1><p>消息与通知服务正在运行。The messaging and notification hub is running.</p><ul>
<li><a href="/readyz">/readyz</a> 就绪状态</li><li><a href="/metrics">/metrics</a> 指标</li>
<li><a href="/schema">/schema</a> HTTP 接口（OpenAPI）</li>
<li><a href="/schema/asyncapi.json">/schema/asyncapi.json</a> WebSocket 协议（AsyncAPI）</li></ul></body></html>"""


@get("/", include_in_schema=False, media_type="text/html")
async def front() -> str:
    """For a person who opens the address in a browser."""
    return _FRONT


handlers = [front, healthz, readyz, metrics, asyncapi_document]
