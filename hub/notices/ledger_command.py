"""`hub notices`: the ledger from the command line. Whoever may run it has the database; the audit names the hub itself."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import msgspec

from hub.messaging.model import SYSTEM
from hub.notices.class_book import ClassBook
from hub.notices.ledger import Line, Search, StepStory, Story, Stretch, Tried, period_of
from hub.notices.ledger_actions import Ledger, Wanted
from hub.notices.ledger_form import Form, written
from hub.notices.ledger_retry import Revived
from hub.notices.model import State
from hub.platform.clock import SystemClock, rfc3339
from hub.platform.database import open_database
from hub.platform.error import Refusal
from hub.platform.settings import Settings
from hub.platform.text import text
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from hub.security.token import Principal

OPERATOR = Principal(user=SYSTEM, session=SYSTEM, role="admin", expires_at=0.0)
PAGE = 100
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Echo = Callable[[str], None]


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Ledger]:
    clock = SystemClock()
    async with open_database(settings.database) as database:
        yield Ledger(database, Audit(load_keyring(settings), clock), ClassBook(database, clock), clock)


def list_notices(settings: Settings, given: Mapping[str, str | None], limit: int, echo: Echo) -> bool:
    """The newest first, a line each. `given`: the fields of a `Search`."""
    search = msgspec.convert(given, Search)

    async def run() -> None:
        left, before = limit, None
        async with _open(settings) as ledger:
            while left > 0:
                found = await ledger.search(OPERATOR, search, Stretch(before=before, limit=min(left, PAGE)))
                for line in found.items:
                    echo(line_of(line))
                left, before = left - len(found.items), found.following
                if before is None:
                    return

    return _told(run, echo)


def show_notice(settings: Settings, notice: str, echo: Echo) -> bool:
    """The whole story of one."""

    async def run() -> None:
        async with _open(settings) as ledger:
            for line in lines_of(await ledger.story(OPERATOR, notice)):
                echo(line)

    return _told(run, echo)


def retry_notices(
    settings: Settings,
    given: tuple[str | None, str | None, float | None],
    notice: str | None,
    *,
    force_unknown: bool,
    echo: Echo,
) -> bool:
    """Let one live again, or all that are wanted; `given`: their state, their class, and within how many seconds they were made."""
    state, class_, since_s = given
    wanted = Wanted(state=State(state or "failed"), class_=class_, since_s=since_s)

    async def run() -> None:
        async with _open(settings) as ledger:
            if notice is not None:
                await ledger.retry(OPERATOR, notice, force_unknown=force_unknown)
                echo(f"{notice} lives again")
            else:
                echo(revived_line(await ledger.retry_all(OPERATOR, wanted, force_unknown=force_unknown)))

    return _told(run, echo)


def export_notices(settings: Settings, since: str, until: str, form: Form, output: BinaryIO, echo: Echo) -> bool:
    """Everything made in the period, page by page."""

    async def run() -> None:
        async with _open(settings) as ledger:
            pages = await ledger.export(OPERATOR, period_of(since, until), form)
            async for piece in written(pages, form):
                output.write(piece)

    return _told(run, echo)


def seconds_of(text: str) -> float | None:
    """`90s`, `30m`, `1h`, `7d`; None for anything else."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def line_of(line: Line) -> str:
    """A notice as one line."""
    why = f" ({line.reason})" if line.reason else ""
    return f"{line.id}  {rfc3339(line.created_at)}  {line.class_}  {line.state.value}{why}  {line.user}"


def lines_of(story: Story) -> list[str]:
    """A story as a person reads it: the socket, then the rungs with their calls."""
    line, socket = story.line, story.socket
    shown = [line_of(line), f"subject {_clean(line.subject) or '-'}, until {rfc3339(line.expires_at)}"]
    shown.append(f"socket: {socket.state}{f' at {rfc3339(socket.seen_at)}' if socket.seen_at else ''}")
    for step in story.steps:
        shown += [_step(step), *(f"   {_call(each)}" for each in step.attempts)]
    return shown


def _step(step: StepStory) -> str:
    return f"{step.step + 1}. {step.channel}: {step.state}{f' ({_clean(step.reason)})' if step.reason else ''}"


def _call(tried: Tried) -> str:
    aside = f" [put aside by retry {tried.aside}]" if tried.aside else ""
    words = " ".join(filter(None, (tried.provider, tried.state.value, tried.code, tried.provider_id, tried.detail)))
    return f"{rfc3339(tried.sent_at or tried.created_at)} {_clean(words)}{aside}"


def revived_line(revived: Revived) -> str:
    """What came of a retry."""
    left = f"; {revived.left_alone} steps stay as they are, for what they sent may have arrived (--force-unknown sends it again)"
    return f"{revived.notices} notices live again{left if revived.left_alone else ''}"


def _clean(words: str) -> str:
    """Without what would steer the terminal."""
    return "".join(each if each.isprintable() else "�" for each in words)


def _told(run: Callable[[], Coroutine[Any, Any, None]], echo: Echo) -> bool:  # Any: what asyncio sends and receives
    try:
        asyncio.run(run())
    except Refusal as refusal:
        reasons = [f"{name}: {text(reason, 'en')}" for name, reason in refusal.fields.items()]
        echo("; ".join(reasons) or text(refusal.text, "en"))
        return False
    return True
