"""HTTP of alerts. Takes the dependencies `alerts` and `principal`."""

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.alerts import actions, ladder_api, listing_actions
from hub.alerts.actions import Alerts
from hub.alerts.ladder import Role
from hub.alerts.listing_store import Wanted
from hub.alerts.model import Severity, State, Taking
from hub.alerts.view import AlertView, StoryView, alert_view, story_view
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

Who = NamedDependency[Principal]
Services = NamedDependency[Alerts]
Note = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]  # PostgreSQL keeps no NUL


class AlertRaised(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An alert by hand, of this person."""

    user_id: Annotated[str, Meta(max_length=64)]
    severity: Severity
    note: Note = ""
    conversation: Annotated[str, Meta(max_length=64)] | None = None


class DrillWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    severity: Severity = "critical"


class AlertTaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: Note = ""


@get("/alerts", responses=FAILURES, dependencies={"paging": paging("openedAt", default="-openedAt")})
async def list_alerts(
    paging: NamedDependency[Paging],
    principal: Who,
    alerts: Services,
    state_name: Annotated[State | None, QueryParameter(name="state")] = None,
    person: Annotated[str | None, QueryParameter(max_length=64)] = None,
    severity: Annotated[Severity | None, QueryParameter()] = None,
    step: Annotated[Role | None, QueryParameter(description="who was told last")] = None,
    is_drill: Annotated[Literal["true", "false"] | None, QueryParameter(name="drill")] = None,
) -> Answer[Page[AlertView]]:
    """Alerts that one may see, the newest first: staff all, doctors what concerns them, everybody their own."""
    drill = None if is_drill is None else is_drill == "true"
    wanted = Wanted(state=state_name, person=person, severity=severity, step=step, drill=drill)
    page = await listing_actions.list_alerts(alerts, principal, wanted, paging)
    return answer(Page([alert_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/alerts/{alert:str}", responses=FAILURES)
async def show_alert(alert: FromPath[str], principal: Who, alerts: Services) -> Answer[StoryView]:
    """One alert with its whole ladder: who was told when, and who acknowledged."""
    return await _answer(alerts, principal, alert)


@post("/alerts", status_code=200, responses=FAILURES)
async def raise_alert(data: JSONBody[AlertRaised], principal: Who, alerts: Services) -> Answer[StoryView]:
    """Raise an alert by hand. While one is open for this person it joins that one. For doctors, staff and admins."""
    raised = await actions.raise_alert(alerts, principal, data.user_id, data.severity, data.note, data.conversation)
    return await _answer(alerts, principal, raised)


@post("/alerts/drill", status_code=200, responses=FAILURES)
async def raise_drill(data: JSONBody[DrillWanted], principal: Who, alerts: Services) -> Answer[StoryView]:
    """The same ladder as in earnest, with oneself as the person; whoever is told reads 演练. For staff and admins."""
    return await _answer(alerts, principal, await actions.drill(alerts, principal, data.severity))


@post("/alerts/{alert:str}/acknowledge", status_code=200, responses=FAILURES)
async def acknowledge_alert(
    alert: FromPath[str], data: JSONBody[AlertTaken], principal: Who, alerts: Services
) -> Answer[StoryView]:
    """I take care of it: nobody else is told any more. 409 with the name of who has it already."""
    return await _take(alerts, principal, alert, "acknowledged", data.note)


@post("/alerts/{alert:str}/resolve", status_code=200, responses=FAILURES)
async def resolve_alert(
    alert: FromPath[str], data: JSONBody[AlertTaken], principal: Who, alerts: Services
) -> Answer[StoryView]:
    """It is over, acknowledged before or not. 409 with the name of who said so already."""
    return await _take(alerts, principal, alert, "resolved", data.note)


handlers: list[ControllerRouterHandler] = [
    list_alerts,
    show_alert,
    raise_alert,
    raise_drill,
    acknowledge_alert,
    resolve_alert,
    *ladder_api.handlers,
]


async def _take(alerts: Alerts, who: Principal, alert: str, taking: Taking, note: str) -> Answer[StoryView]:
    await actions.take(alerts, who, alert, taking, note)
    return await _answer(alerts, who, alert)


async def _answer(alerts: Alerts, who: Principal, alert: str) -> Answer[StoryView]:
    return answer(story_view(await listing_actions.show(alerts, who, alert)))
