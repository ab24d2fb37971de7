"""HTTP of the audit: who looked at whose data. Takes the dependencies `audit_trail` and `principal`."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from hub.accounts.audit_actions import AuditTrail, Traces
from hub.accounts.model import Role
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.page import MAX_PAGE_SIZE, CursorPage
from hub.security.audit_read import Trace
from hub.security.masking import name_for
from hub.security.token import Principal

Before = Annotated[
    str | None, QueryParameter(name="before", max_length=64, description="the `nextCursor` of the stretch before")
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_PAGE_SIZE)]
PersonId = Annotated[str | None, QueryParameter(name="person", max_length=64)]
ActorId = Annotated[str | None, QueryParameter(name="actor", max_length=64)]


class PersonView(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody as the audit names them; without name and role if their account is gone."""

    id: str
    name: str
    role: Role | None


class TraceView(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    at: str
    actor: PersonView
    person: PersonView
    action: str
    subject: str
    request_id: str


class LookView(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody used one's data. The name is masked, but one's own."""

    id: str
    at: str
    name: str
    role: Role | None
    oneself: bool
    action: str
    subject: str


@get("/users/me/audit", responses=FAILURES)
async def list_my_audit(
    principal: NamedDependency[Principal],
    audit_trail: NamedDependency[AuditTrail],
    before: Before = None,
    limit: Limit = 20,
) -> Answer[CursorPage[LookView]]:
    """Who looked at my data, or changed my account; the newest first."""
    traces = await audit_trail.of_me(principal, before, limit)
    return answer(CursorPage([_look(each, traces, principal) for each in traces.items], traces.following))


@get("/admin/audit", responses=FAILURES)
async def list_audit(
    principal: NamedDependency[Principal],
    audit_trail: NamedDependency[AuditTrail],
    person: PersonId = None,
    actor: ActorId = None,
    before: Before = None,
    limit: Limit = 20,
) -> Answer[CursorPage[TraceView]]:
    """Who did what with whose data; the newest first. For admins."""
    traces = await audit_trail.search(principal, person, actor, before, limit)
    return answer(CursorPage([_trace(each, traces) for each in traces.items], traces.following))


handlers: list[ControllerRouterHandler] = [list_my_audit, list_audit]


def _look(trace: Trace, traces: Traces, viewer: Principal) -> LookView:
    actor = traces.people.get(trace.actor)
    oneself = trace.actor == viewer.user
    return LookView(
        id=trace.id,
        at=rfc3339(trace.at),
        name=name_for(actor.name if actor else "", allowed=oneself),
        role=actor.role if actor else None,
        oneself=oneself,
        action=trace.action,
        subject=trace.subject,
    )


def _trace(trace: Trace, traces: Traces) -> TraceView:
    return TraceView(
        id=trace.id,
        at=rfc3339(trace.at),
        actor=_person(trace.actor, traces),
        person=_person(trace.person, traces),
        action=trace.action,
        subject=trace.subject,
        request_id=trace.request_id,
    )


def _person(user: str, traces: Traces) -> PersonView:
    found = traces.people.get(user)
    return PersonView(user, found.name if found else "", found.role if found else None)
