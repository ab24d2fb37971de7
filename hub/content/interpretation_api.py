"""HTTP of interpretations. Takes the dependencies `interpretations` and `principal`."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.content import interpretation_actions as actions
from hub.content.interpretation import DATA_BYTES, Interpretation, State
from hub.content.interpretation_actions import Interpretations
from hub.content.interpretation_store import SORTS
from hub.content.shape import SEEN, Inbound, Outbound
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

ReportType = Annotated[str, Meta(min_length=1, max_length=50, pattern=SEEN)]
Person = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=DATA_BYTES, description="The report as text")]
# Any: the report's own form; `check_data` bounds it.
Items = Annotated[dict[str, Any], Meta(description="Items and their values; 20 KiB as JSON and 8 levels at most")]


class ReportBrought(Inbound, frozen=True):
    """`userId` is whose report it is; without it one's own."""

    report_type: ReportType
    original_data: Text | Items
    user_id: Person | None = None


class InterpretationView(Outbound, frozen=True):
    """While it is `pending` there is no interpretation yet; `interpreter` says who made it: `rules`, or `ai:` and a model."""

    id: str
    user_id: str
    report_type: str
    state: State
    interpreter: str | None
    interpretation: str | None
    confidence_score: float | None
    suggestions: Sequence[str]
    is_read: bool
    created_at: str


@post("/ai/interpretations", status_code=200, responses=FAILURES)
async def ask_interpretation(
    data: JSONBody[ReportBrought],
    interpretations: NamedDependency[Interpretations],
    principal: NamedDependency[Principal],
) -> Answer[InterpretationView]:
    """Have a report interpreted by a machine: at once, or `pending` for who agreed to the outside service."""
    asked = await actions.ask(interpretations, principal, data.user_id, data.report_type, data.original_data)
    return answer(_view(asked))


@get("/ai/interpretations", responses=FAILURES, dependencies={"paging": paging(*SORTS)})
async def list_interpretations(
    paging: NamedDependency[Paging],
    interpretations: NamedDependency[Interpretations],
    principal: NamedDependency[Principal],
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=64)] = None,
    is_read: Annotated[bool | None, QueryParameter(name="isRead")] = None,
) -> Answer[Page[InterpretationView]]:
    """The interpretations of a person, one's own by default, the newest first."""
    page = await actions.list_of(interpretations, principal, user_id, is_read, paging)
    return answer(Page([_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/ai/interpretations/{interpretation:str}", responses=FAILURES)
async def show_interpretation(
    interpretation: FromPath[str],
    interpretations: NamedDependency[Interpretations],
    principal: NamedDependency[Principal],
) -> Answer[InterpretationView]:
    """One interpretation; looking does not mark it as read."""
    return answer(_view(await actions.show(interpretations, principal, interpretation)))


@post("/ai/interpretations/{interpretation:str}/read", status_code=200, responses=FAILURES)
async def read_interpretation(
    interpretation: FromPath[str],
    interpretations: NamedDependency[Interpretations],
    principal: NamedDependency[Principal],
) -> Answer[InterpretationView]:
    """Mark it as read, as the person or for them; may be repeated."""
    return answer(_view(await actions.mark_read(interpretations, principal, interpretation)))


handlers: list[ControllerRouterHandler] = [
    ask_interpretation,
    list_interpretations,
    show_interpretation,
    read_interpretation,
]


def _view(interpretation: Interpretation) -> InterpretationView:
    finding = interpretation.finding
    return InterpretationView(
        interpretation.id,
        interpretation.user,
        interpretation.report_type,
        interpretation.state,
        finding.interpreter if finding else None,
        finding.interpretation if finding else None,
        finding.confidence if finding else None,
        finding.suggestions if finding else [],
        interpretation.read_at is not None,
        rfc3339(interpretation.created_at),
    )
