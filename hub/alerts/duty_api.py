"""HTTP of duty rosters, for staff and admins. Takes the dependencies `duties` and `principal`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.alerts.duty import DutyRole, Planned, Shift, moment
from hub.alerts.duty_actions import Duties
from hub.alerts.duty_store import SHIFT_SORTS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

MOST = 200  # shifts of one request: three roles for two months
Moment = Annotated[datetime, Meta(tz=True)]
_From = Annotated[
    str | None, QueryParameter(name="from", max_length=40, description="RFC 3339 with its offset; else now")
]
_To = Annotated[str | None, QueryParameter(name="to", max_length=40, description="The same; else a week after `from`")]


class DutyWanted(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A shift: seven days at most, begun within a year. `doctor_on_call` is for doctors, `backup` for doctors and staff,
    `coordinator` for staff and admins."""

    role: DutyRole
    user_id: Annotated[str, Meta(max_length=36)]
    starts_at: Moment
    ends_at: Moment
    note: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")] = ""


class DutyView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Who has which role from `startsAt` until just before `endsAt`."""

    id: str
    role: DutyRole
    user_id: str
    name: str
    starts_at: str
    ends_at: str
    note: str
    created_by: str
    created_at: str


class OnDutyView(msgspec.Struct, frozen=True, rename="camel"):
    """Who has a role now, the latest begun first; without `shifts` nobody has."""

    role: DutyRole
    shifts: Sequence[DutyView]


class GapView(msgspec.Struct, frozen=True, rename="camel"):
    """Nobody has the role meanwhile: an alert goes straight to the next step of its ladder."""

    role: DutyRole
    starts_at: str
    ends_at: str


Many = Annotated[list[DutyWanted], Meta(min_length=1, max_length=MOST)]


@post("/duties", status_code=200, responses=FAILURES)
async def add_duties(
    data: JSONBody[DutyWanted | Many], principal: NamedDependency[Principal], duties: NamedDependency[Duties]
) -> Answer[Sequence[DutyView]]:
    """Plan a shift, or a list of them: all or none. 409 where the person has that role at that time already."""
    is_many = isinstance(data, list)
    wanted = data if isinstance(data, list) else [data]
    added = await duties.add(principal, [_planned(each) for each in wanted], is_many=is_many)
    return answer([_view(each) for each in added])


@get("/duties", responses=FAILURES, dependencies={"paging": paging(*SHIFT_SORTS, default="startsAt")})
async def list_duties(
    paging: NamedDependency[Paging],
    principal: NamedDependency[Principal],
    duties: NamedDependency[Duties],
    start: _From = None,
    end: _To = None,
    role: Annotated[DutyRole | None, QueryParameter(name="role")] = None,
) -> Answer[Page[DutyView]]:
    """The roster: what touches the stretch, 93 days at most."""
    page = await duties.list(principal, role, _moment(start, "from"), _moment(end, "to"), paging)
    return answer(Page([_view(each) for each in page.items], page.page, page.page_size, page.total))


@get("/duties/now", responses=FAILURES)
async def show_on_duty(
    principal: NamedDependency[Principal], duties: NamedDependency[Duties]
) -> Answer[Sequence[OnDutyView]]:
    """Who would be told of an alert now, role by role."""
    found = await duties.now(principal)
    return answer([OnDutyView(role, [_view(each) for each in found[role]]) for role in found])


@get("/duties/gaps", responses=FAILURES)
async def list_duty_gaps(
    principal: NamedDependency[Principal], duties: NamedDependency[Duties], start: _From = None, end: _To = None
) -> Answer[Sequence[GapView]]:
    """When nobody has a role, 93 days at most. A shift counts while its person is active and fit for the role."""
    found = await duties.gaps(principal, _moment(start, "from"), _moment(end, "to"))
    return answer([GapView(gap.role, rfc3339(gap.starts_at), rfc3339(gap.ends_at)) for gap in found])


@put("/duties/{duty:str}", responses=FAILURES)
async def replace_duty(
    duty: FromPath[str],
    data: JSONBody[DutyWanted],
    principal: NamedDependency[Principal],
    duties: NamedDependency[Duties],
) -> Answer[DutyView]:
    """Change a shift; 409 once it is over."""
    return answer(_view(await duties.replace(principal, duty, _planned(data))))


@delete("/duties/{duty:str}", status_code=200, responses=FAILURES)
async def delete_duty(
    duty: FromPath[str], principal: NamedDependency[Principal], duties: NamedDependency[Duties]
) -> Answer[None]:
    """Take a shift off the roster; one that has begun ends now. 409 once it is over."""
    await duties.delete(principal, duty)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    add_duties,
    list_duties,
    show_on_duty,
    list_duty_gaps,
    replace_duty,
    delete_duty,
]


def _planned(wanted: DutyWanted) -> Planned:
    return Planned(
        role=wanted.role,
        user=wanted.user_id,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        note=wanted.note,
    )


def _moment(text: str | None, field: str) -> datetime | None:
    return None if text is None else moment(text, field)


def _view(shift: Shift) -> DutyView:
    return DutyView(
        id=shift.id,
        role=shift.role,
        user_id=shift.user,
        name=shift.name,
        starts_at=rfc3339(shift.starts_at),
        ends_at=rfc3339(shift.ends_at),
        note=shift.note,
        created_by=shift.created_by,
        created_at=rfc3339(shift.created_at),
    )
