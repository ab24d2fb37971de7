"""HTTP of relations: who may act for whom. Takes the dependencies `relations` and `principal`."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.relation import Asking, Direction, Kind, Relation, Shown
from hub.accounts.relation_actions import Relations
from hub.accounts.relation_store import SORTS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.masking import mask_phone, name_for
from hub.security.token import Principal


class RelationWanted(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of `userPhone` and `userId`. `for_me`: the other may act for me; `for_them`: I may act for the other."""

    kind: Kind
    direction: Direction
    user_phone: Annotated[str, Meta(max_length=20)] | None = None
    user_id: Annotated[str, Meta(max_length=64)] | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class OtherView(msgspec.Struct, frozen=True, rename="camel"):
    """The other side: masked until the relation is active, and unknown while somebody asked by phone has not accepted."""

    id: str | None
    name: str
    phone: str | None  # masked; the one that was asked


class RelationView(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    kind: Kind
    direction: Direction
    status: Shown
    asked_by_me: bool
    other: OtherView
    asked_at: str
    answered_at: str | None
    expires_at: str | None
    ended_at: str | None


@get("/users/me/relations", responses=FAILURES, dependencies={"paging": paging(*SORTS, default="-askedAt")})
async def list_relations(
    paging: NamedDependency[Paging],
    principal: NamedDependency[Principal],
    relations: NamedDependency[Relations],
    status: Annotated[Shown | None, QueryParameter(name="status")] = None,
) -> Answer[Page[RelationView]]:
    """Whom one may act for, who may act for oneself, and what was asked."""
    page = await relations.list(principal, status, paging)
    return answer(Page([_view(each, relations.now()) for each in page.items], page.page, page.page_size, page.total))


@post("/users/me/relations", status_code=200, responses=FAILURES)
async def ask_relation(
    data: JSONBody[RelationWanted], principal: NamedDependency[Principal], relations: NamedDependency[Relations]
) -> Answer[RelationView]:
    """Ask somebody; the answer is the same whether or not anybody has that phone."""
    asking = Asking(
        user=data.user_id,
        phone=data.user_phone,
        kind=data.kind,
        direction=data.direction,
        expires_at=data.expires_at,
    )
    return answer(_view(await relations.ask(principal, asking), relations.now()))


@post("/users/me/relations/{relation:str}/accept", status_code=200, responses=FAILURES)
async def accept_relation(
    relation: FromPath[str], principal: NamedDependency[Principal], relations: NamedDependency[Relations]
) -> Answer[RelationView]:
    """Agree, as the one who was asked."""
    return answer(_view(await relations.accept(principal, relation), relations.now()))


@post("/users/me/relations/{relation:str}/decline", status_code=200, responses=FAILURES)
async def decline_relation(
    relation: FromPath[str], principal: NamedDependency[Principal], relations: NamedDependency[Relations]
) -> Answer[RelationView]:
    """Do not agree, as the one who was asked."""
    return answer(_view(await relations.decline(principal, relation), relations.now()))


@delete("/users/me/relations/{relation:str}", status_code=200, responses=FAILURES)
async def end_relation(
    relation: FromPath[str], principal: NamedDependency[Principal], relations: NamedDependency[Relations]
) -> Answer[None]:
    """End it from either side; take back what one asked."""
    await relations.end(principal, relation)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    list_relations,
    ask_relation,
    accept_relation,
    decline_relation,
    end_relation,
]


def _view(relation: Relation, now: datetime) -> RelationView:
    return RelationView(
        id=relation.id,
        kind=relation.kind,
        direction=relation.direction,
        status=relation.shown_state(now),
        asked_by_me=relation.asked_by_me,
        other=_other(relation, now),
        asked_at=rfc3339(relation.asked_at),
        answered_at=_time(relation.answered_at),
        expires_at=_time(relation.expires_at),
        ended_at=_time(relation.ended_at),
    )


def _other(relation: Relation, now: datetime) -> OtherView:
    phone = mask_phone(relation.asked_phone) if relation.asked_by_me and relation.asked_phone else None
    if not relation.other_is_shown:
        return OtherView(None, "", phone)
    name = name_for(relation.other_name or "", allowed=relation.shown_state(now) == "active")
    return OtherView(relation.other, name, phone)


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
