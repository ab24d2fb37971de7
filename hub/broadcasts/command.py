"""`hub broadcast`: from the command line see how far broadcasts are, hold them and stop them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from hub.broadcasts.actions import Broadcasts, Shown
from hub.broadcasts.model import Move, State, per_second, seconds_left
from hub.messaging.model import SYSTEM
from hub.platform.clock import SystemClock, rfc3339
from hub.platform.database import open_database
from hub.platform.error import Refusal
from hub.platform.page import Paging
from hub.platform.settings import Settings
from hub.platform.text import text
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from hub.security.sealing import Sealer
from hub.security.token import Principal

LOOK_S = 1.0
LISTED = 20

# Whoever may run commands here: the audit names no person, only that it was done on the machine.
_OPERATOR = Principal(user=SYSTEM, session="", role="admin", expires_at=0)

STATES: dict[State, str] = {
    "draft": "草稿",
    "running": "进行中",
    "paused": "已暂停",
    "done": "已完成",
    "cancelled": "已取消",
}
REASONS = {"consent": "未授权", "off": "已关闭此类通知", "inactive": "账号未启用"}

Echo = Callable[[str], None]


def list_all(settings: Settings, echo: Echo) -> None:
    async def run() -> list[str]:
        async with _opened(settings) as broadcasts:
            page = await broadcasts.page(_OPERATOR, Paging(1, LISTED, "createdAt", descending=True))
            return [line_of(each) for each in page.items] or ["没有群发"]

    for line in asyncio.run(run()):
        echo(line)


def show(settings: Settings, broadcast: str, echo: Echo) -> bool:
    """Whether there is such a one."""

    async def run() -> list[str]:
        async with _opened(settings) as broadcasts:
            return lines_of(await broadcasts.show(_OPERATOR, broadcast))

    return _told(run(), echo)


def move(settings: Settings, broadcast: str, wanted: Move, echo: Echo) -> bool:
    """Whether it could be done."""

    async def run() -> list[str]:
        async with _opened(settings) as broadcasts:
            return [line_of(await broadcasts.move(_OPERATOR, broadcast, wanted))]

    return _told(run(), echo)


def watch(settings: Settings, broadcast: str, echo: Echo) -> bool:
    """Returns when it is over, or with Ctrl-C; the broadcast does not notice either way."""

    async def run() -> list[str]:
        async with _opened(settings) as broadcasts:
            await follow(broadcasts, broadcast)
            return lines_of(await broadcasts.show(_OPERATOR, broadcast))

    with contextlib.suppress(KeyboardInterrupt):
        return _told(run(), echo)
    return True


async def follow(broadcasts: Broadcasts, broadcast: str, console: Console | None = None) -> None:
    """A bar on standard error until it is over. Raises `Refusal` when there is no such one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(stderr=True), transient=True) as bar:
        task: TaskID | None = None
        while True:
            shown = await broadcasts.show(_OPERATOR, broadcast, with_notices=False)
            task = bar.add_task("") if task is None else task
            # People who registered meanwhile are reached as well: a bar beyond its end would say nothing.
            total = max(shown.row.estimated, shown.row.looked_at)
            bar.update(task, description=pace_of(shown), total=total, completed=shown.row.looked_at)
            if shown.row.state in ("done", "cancelled"):
                return
            await asyncio.sleep(LOOK_S)


def pace_of(shown: Shown) -> str:
    """State, rate and the time that is left."""
    rate, left = per_second(shown.progress), seconds_left(shown.progress)
    parts = [STATES[shown.row.state]]
    if shown.row.state == "running" and rate is not None:
        parts.append(f"{rate:.0f} 人/秒")
    if shown.row.state == "running" and left is not None:
        parts.append(f"约剩 {left} 秒")
    return "，".join(parts)


def line_of(shown: Shown) -> str:
    row = shown.row
    of = f"{'至少 ' if row.is_least else ''}{row.estimated}"
    title = "".join(each if each.isprintable() else "�" for each in shown.title)  # nothing that steers the terminal
    return f"{row.id}  {pace_of(shown)}  {row.looked_at}/{of}  送达 {row.reached}  {title}"


def lines_of(shown: Shown) -> list[str]:
    """Everything about one."""
    row = shown.row
    times = (("计划开始", row.starts_at), ("开始", row.started_at), ("结束", row.finished_at))
    left_out = "，".join(f"{REASONS.get(why, why)} {count}" for why, count in sorted(row.left_out.items()))
    states = "，".join(f"{state} {count}" for state, count in sorted((shown.states or {}).items()))
    return [
        line_of(shown),
        *(f"{name}：{rfc3339(at)}" for name, at in times if at is not None),
        *([f"未发送：{left_out}"] if left_out else []),
        *([f"通知：{states}"] if states else []),
    ]


def _told(work: Coroutine[Any, Any, list[str]], echo: Echo) -> bool:
    try:
        lines = asyncio.run(work)
    except Refusal as refusal:
        echo("；".join(text(each) for each in (*refusal.fields.values(), refusal.text)))
        return False
    for line in lines:
        echo(line)
    return True


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Broadcasts]:
    clock, keyring = SystemClock(), load_keyring(settings)
    async with open_database(settings.database) as database:
        yield Broadcasts(database, Sealer(keyring, database), Audit(keyring, clock), clock)
