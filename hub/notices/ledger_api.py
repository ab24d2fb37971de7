"""HTTP of the ledger: everybody their own notices, staff all of them. Takes the dependencies `notice_ledger` and `principal`."""

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from hub.notices.ledger import Search, Stretch, period_of, state_of
from hub.notices.ledger_actions import Ledger
from hub.notices.ledger_form import MEDIA, Form, written
from hub.notices.ledger_view import LineView, MyNotices, StoryView, Unread, line_of, mine_of, story_view_of
from hub.notices.model import State
from hub.platform.http import FAILURES, Answer, answer, current_language
from hub.platform.page import MAX_PAGE_SIZE, CursorPage
from hub.security.token import Principal

Who = NamedDependency[Principal]
Services = NamedDependency[Ledger]
Id = Annotated[str | None, QueryParameter(max_length=64)]
Before = Annotated[
    str | None, QueryParameter(max_length=64, description="older than this id: the `nextCursor` of a stretch")
]
After = Annotated[
    str | None,
    QueryParameter(
        max_length=64, description="newer than this id; without `before`, `nextCursor` leads to what is newer still"
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE_SIZE)]
ClassCode = Annotated[str | None, QueryParameter(name="class", max_length=64)]
# Read by hand, so that a refusal bears the name that is on the wire.
StateName = Annotated[str | None, QueryParameter(name="state", max_length=16, description=", ".join(State))]
MOMENT = "a date (midnight in China) or a time with its zone"
From = Annotated[str, QueryParameter(name="from", max_length=40, description=MOMENT)]
To = Annotated[str, QueryParameter(name="to", max_length=40, description=f"{MOMENT}; at most 31 days after `from`")]


@get("/notices", responses=FAILURES)
async def list_my_notices(
    principal: Who, notice_ledger: Services, before: Before = None, after: After = None, limit: Limit = 20
) -> Answer[MyNotices]:
    """What was to reach me, the newest first."""
    mine = await notice_ledger.mine(principal, Stretch(after=after, before=before, limit=limit))
    number = 0 if current_language() == "zh" else 1
    items = [mine_of(each, mine.titles.get(each.class_, ("", ""))[number]) for each in mine.lines.items]
    return answer(MyNotices(items, mine.lines.following, mine.standing.unread, mine.standing.version))


@get("/notices/unread", responses=FAILURES)
async def count_unread(principal: Who, notice_ledger: Services) -> Answer[Unread]:
    """How much of my inbox I have not read."""
    standing = await notice_ledger.unread(principal)
    return answer(Unread(standing.unread, standing.version))


@get("/admin/notices", responses=FAILURES)
async def list_notices(
    principal: Who,
    notice_ledger: Services,
    user: Id = None,
    conversation: Id = None,
    broadcast: Id = None,
    state_name: StateName = None,
    class_: ClassCode = None,
    before: Before = None,
    after: After = None,
    limit: Limit = 20,
) -> Answer[CursorPage[LineView]]:
    """Notices, the newest first. For staff and admins.

    A stretch may be short, even empty, and yet go on: follow `nextCursor` until it is null.
    """
    search = Search(
        user=user, conversation=conversation, broadcast=broadcast, state=state_of(state_name), class_=class_
    )
    found = await notice_ledger.search(principal, search, Stretch(after=after, before=before, limit=limit))
    return answer(CursorPage([line_of(each, principal) for each in found.items], found.following))


@get("/admin/notices/export", responses=FAILURES, media_type="text/csv")
async def export_notices(
    principal: Who,
    notice_ledger: Services,
    since: From,
    until: To,
    format: Annotated[Form, QueryParameter()] = "csv",
) -> Stream:
    """Every notice made in at most 31 days with its attempts, as a file; without content and addresses. For staff and admins."""
    pages = await notice_ledger.export(principal, period_of(since, until), format)
    headers = {
        "Content-Disposition": f'attachment; filename="notices.{format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return Stream(written(pages, format), media_type=MEDIA[format], headers=headers)


@get("/admin/notices/{notice:str}", responses=FAILURES)
async def show_notice(notice: FromPath[str], principal: Who, notice_ledger: Services) -> Answer[StoryView]:
    """The whole story of one notice. For staff and admins."""
    return answer(story_view_of(await notice_ledger.story(principal, notice), principal))


@post("/admin/notices/{notice:str}/retry", status_code=200, responses=FAILURES)
async def retry_notice(
    notice: FromPath[str],
    principal: Who,
    notice_ledger: Services,
    force_unknown: Annotated[
        bool,
        QueryParameter(name="forceUnknown", description="also where it may have arrived, and the channel cannot tell"),
    ] = False,
) -> Answer[StoryView]:
    """Begin its ladder anew. Refused with 409 if it is under way or has reached somebody. For admins."""
    return answer(story_view_of(await notice_ledger.retry(principal, notice, force_unknown=force_unknown), principal))


handlers: list[ControllerRouterHandler] = [
    list_my_notices,
    count_unread,
    list_notices,
    export_notices,
    show_notice,
    retry_notice,
]
