"""HTTP of ladders of alerts, under /admin. Takes the dependencies `alert_ladders` and `principal`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.alerts.ladder import LADDERS, HeldLadder, Ladder, Rung
from hub.alerts.ladder_actions import AlertLadders
from hub.alerts.model import Severity
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal

Who = NamedDependency[Principal]
Services = NamedDependency[AlertLadders]


class LadderWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a ladder. `version` is that of what is replaced."""

    version: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    steps: Annotated[list[Rung], Meta(min_length=1, max_length=10)]


class LadderView(msgspec.Struct, frozen=True, kw_only=True):
    """A ladder as it holds; `changed`: it is not what the code has. The last step is repeated until somebody acknowledges."""

    severity: Severity
    version: int
    changed: bool
    steps: Sequence[Rung]


@get("/admin/alert-ladders", responses=FAILURES)
async def list_ladders(principal: Who, alert_ladders: Services) -> Answer[list[LadderView]]:
    """Who is told of an alert, and how long they have. For staff and admins."""
    return answer([_view(each) for each in await alert_ladders.list(principal)])


@put("/admin/alert-ladders/{severity:str}", responses=FAILURES)
async def replace_ladder(
    severity: FromPath[Severity], data: JSONBody[LadderWanted], principal: Who, alert_ladders: Services
) -> Answer[LadderView]:
    """Change a ladder. For admins; holds from the next step that fires, also of alerts that are open."""
    return answer(_view(await alert_ladders.replace(principal, Ladder(severity, data.steps), data.version)))


@delete("/admin/alert-ladders/{severity:str}", status_code=200, responses=FAILURES)
async def reset_ladder(severity: FromPath[Severity], principal: Who, alert_ladders: Services) -> Answer[LadderView]:
    """Back to what the code has. For admins."""
    return answer(_view(await alert_ladders.reset(principal, severity)))


handlers: list[ControllerRouterHandler] = [list_ladders, replace_ladder, reset_ladder]


def _view(held: HeldLadder) -> LadderView:
    ladder = held.value
    return LadderView(
        severity=ladder.severity,
        version=held.version,
        changed=ladder != LADDERS[ladder.severity],
        steps=ladder.steps,
    )
