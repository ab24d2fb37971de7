"""HTTP of broadcasts, under /admin. Takes the dependencies `broadcasts` and `principal`."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.broadcasts.actions import Broadcasts, Shown, Wanted
from hub.broadcasts.model import BroadcastClass, Moment, Move, Segment, State, per_second, seconds_left
from hub.broadcasts.store import SORTS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

# PostgreSQL keeps no NUL; and something must be seen.
SEEN = r"^(?!\s*$)[^\x00]+$"
Who = NamedDependency[Principal]
Services = NamedDependency[Broadcasts]


class NewBroadcast(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Title and text are read in the hub; outside, the template of the class is shown. Without conditions in `segment` it is for everyone.

    `startsAt`: it waits until then once it is started. `perS`: at most so many people a second.
    """

    title: Annotated[str, Meta(min_length=1, max_length=100, pattern=SEEN)]
    text: Annotated[str, Meta(min_length=1, max_length=5000, pattern=SEEN)]
    class_: BroadcastClass = msgspec.field(name="class")
    segment: Segment
    starts_at: Moment | None = None
    per_s: Annotated[int, Meta(ge=1, le=10_000)] | None = None


class BroadcastView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """How far it is. `lookedAt` = `reached` + all of `leftOut`; `estimateIsLeast`: there may be more than `estimated`.

    `notices`: how many are in which state; null in lists.
    """

    id: str
    title: str
    class_: BroadcastClass = msgspec.field(name="class")
    segment: Segment
    state: State
    estimated: int
    estimate_is_least: bool
    looked_at: int
    reached: int
    left_out: dict[str, int]
    per_s: int | None
    per_second: float | None
    seconds_left: int | None
    created_by: str
    created_at: str
    starts_at: str | None
    started_at: str | None
    finished_at: str | None
    notices: dict[str, int] | None


@post("/admin/broadcasts", status_code=200, responses=FAILURES)
async def create_broadcast(data: JSONBody[NewBroadcast], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """Prepare a broadcast: a draft, with an estimate of how many people it is for."""
    return answer(_view(await broadcasts.create(principal, Wanted(**msgspec.structs.asdict(data)))))


@get("/admin/broadcasts", responses=FAILURES, dependencies={"paging": paging(*SORTS)})
async def list_broadcasts(
    paging: NamedDependency[Paging], principal: Who, broadcasts: Services
) -> Answer[Page[BroadcastView]]:
    """All broadcasts, the newest first."""
    page = await broadcasts.page(principal, paging)
    return answer(Page([_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/admin/broadcasts/{broadcast:str}", responses=FAILURES)
async def show_broadcast(broadcast: FromPath[str], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """One broadcast, with its notices by state."""
    return answer(_view(await broadcasts.show(principal, broadcast)))


@post("/admin/broadcasts/{broadcast:str}/start", status_code=200, responses=FAILURES)
async def start_broadcast(broadcast: FromPath[str], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """Let a draft go: now, or when its `startsAt` has come. For admins, where the class needs no consent and no `users` are named."""
    return await _moved(principal, broadcasts, broadcast, "start")


@post("/admin/broadcasts/{broadcast:str}/pause", status_code=200, responses=FAILURES)
async def pause_broadcast(broadcast: FromPath[str], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """Hold it: nobody else is reached, and no further message goes out to those who were."""
    return await _moved(principal, broadcasts, broadcast, "pause")


@post("/admin/broadcasts/{broadcast:str}/resume", status_code=200, responses=FAILURES)
async def resume_broadcast(broadcast: FromPath[str], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """Go on from where it was paused; notices that were held go out within half a minute."""
    return await _moved(principal, broadcasts, broadcast, "resume")


@post("/admin/broadcasts/{broadcast:str}/cancel", status_code=200, responses=FAILURES)
async def cancel_broadcast(broadcast: FromPath[str], principal: Who, broadcasts: Services) -> Answer[BroadcastView]:
    """Stop it for good; its notices that are still open are withdrawn, some thousands a second."""
    return await _moved(principal, broadcasts, broadcast, "cancel")


handlers: list[ControllerRouterHandler] = [
    create_broadcast,
    list_broadcasts,
    show_broadcast,
    start_broadcast,
    pause_broadcast,
    resume_broadcast,
    cancel_broadcast,
]


async def _moved(principal: Principal, broadcasts: Broadcasts, broadcast: str, move: Move) -> Answer[BroadcastView]:
    return answer(_view(await broadcasts.move(principal, broadcast, move)))


def _view(shown: Shown) -> BroadcastView:
    row, rate = shown.row, per_second(shown.progress)
    return BroadcastView(
        id=row.id,
        title=shown.title,
        class_=msgspec.convert(row.class_, BroadcastClass),
        segment=row.segment,
        state=row.state,
        estimated=row.estimated,
        estimate_is_least=row.is_least,
        looked_at=row.looked_at,
        reached=row.reached,
        left_out=row.left_out,
        per_s=row.per_s,
        per_second=None if rate is None else round(rate, 1),
        seconds_left=seconds_left(shown.progress),
        created_by=row.created_by,
        created_at=rfc3339(row.created_at),
        starts_at=rfc3339(row.starts_at) if row.starts_at else None,
        started_at=rfc3339(row.started_at) if row.started_at else None,
        finished_at=rfc3339(row.finished_at) if row.finished_at else None,
        notices=shown.states,
    )
