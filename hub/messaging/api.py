"""HTTP of conversations: parse, call, wrap. What one may do is decided by the actions, from who is in what.

Takes the dependencies `principal`, `messaging` and `listing`, and those of `entry_api`, whose handlers it includes.
"""

from typing import Literal

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, SkipValidation
from litestar.types import ControllerRouterHandler

from hub.messaging import actions, entry_api, membership
from hub.messaging.conversation import Detail, Role, Summary
from hub.messaging.entry_api import Inbound, Services, Who, known
from hub.messaging.listing import SORTS, Listing
from hub.messaging.model import Kind
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging, page_of

List = NamedDependency[SkipValidation[Listing]]


class NewConversation(Inbound, frozen=True):
    kind: Literal["direct", "group"]
    members: list[str]
    title: str | None = None


class Change(Inbound, frozen=True):
    """`title` for everybody; `muted` and `pinned` for oneself. What is left out stays."""

    title: str | None = None
    muted: bool | None = None
    pinned: bool | None = None


class Named(Inbound, frozen=True):
    members: list[str]


class RoleChange(Inbound, frozen=True):
    role: Role


@post("/conversations", responses=FAILURES)
async def create_conversation(
    data: JSONBody[NewConversation], principal: Who, messaging: Services, listing: List
) -> Answer[Detail]:
    """Start a conversation. A direct one that exists already is answered as it is."""
    user, role = principal.user, principal.role
    if data.kind == "group":
        made = await actions.create_group(messaging, actor=user, role=role, title=data.title, members=data.members)
    elif data.title:
        raise Refusal(ErrorCode.INVALID, fields={"title": "title_unwanted"})
    else:
        made = await actions.create_direct(messaging, actor=user, role=role, members=data.members)
    return answer(await listing.one(user, made), 201)


@get("/conversations", responses=FAILURES, dependencies={"paging": paging(*SORTS, default="-updatedAt")})
async def list_conversations(
    paging: NamedDependency[Paging], principal: Who, listing: List, kind: FromQuery[Kind | None] = None
) -> Answer[Page[Summary]]:
    """The conversations one is in, of one kind or all, pinned ones first."""
    summaries, total = await listing.page(principal.user, paging, kind)
    return answer(page_of(summaries, paging, total))


@get("/conversations/{conversation:str}", responses=FAILURES)
async def show_conversation(conversation: FromPath[str], principal: Who, listing: List) -> Answer[Detail]:
    """One conversation, with who is in it."""
    return answer(await listing.one(principal.user, known(conversation)))


@patch("/conversations/{conversation:str}", responses=FAILURES)
async def change_conversation(
    conversation: FromPath[str], data: JSONBody[Change], principal: Who, messaging: Services
) -> Answer[None]:
    """Rename a group; mute or pin for oneself."""
    known(conversation)
    # The title first: it is the part that may be refused, and then nothing has changed.
    if data.title is not None:
        who = {"actor": principal.user, "role": principal.role}
        await actions.rename(messaging, **who, conversation=conversation, title=data.title)
    if data.muted is not None or data.pinned is not None:
        await actions.prefer(
            messaging, actor=principal.user, conversation=conversation, muted=data.muted, pinned=data.pinned
        )
    return answer(None)


@post("/conversations/{conversation:str}/members", status_code=200, responses=FAILURES)
async def add_members(
    conversation: FromPath[str], data: JSONBody[Named], principal: Who, messaging: Services
) -> Answer[None]:
    """Bring people into a group. Who is in already stays."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.add(messaging, **who, conversation=known(conversation), members=data.members)
    return answer(None)


@delete("/conversations/{conversation:str}/members", status_code=200, responses=FAILURES)
async def remove_members(
    conversation: FromPath[str], data: JSONBody[Named], principal: Who, messaging: Services
) -> Answer[None]:
    """Take people out of a group. They see what was there until then."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.remove(messaging, **who, conversation=known(conversation), members=data.members)
    return answer(None)


@patch("/conversations/{conversation:str}/members/{user:str}", responses=FAILURES)
async def change_role(
    conversation: FromPath[str], user: FromPath[str], data: JSONBody[RoleChange], principal: Who, messaging: Services
) -> Answer[None]:
    """Give a member another place: admin, member, reader, or the group itself (owner)."""
    who = {"actor": principal.user, "role": principal.role}
    await membership.change_role(messaging, **who, conversation=known(conversation), user=known(user), wanted=data.role)
    return answer(None)


@post("/conversations/{conversation:str}/leave", status_code=200, responses=FAILURES)
async def leave(conversation: FromPath[str], principal: Who, messaging: Services) -> Answer[None]:
    """Walk out of a group."""
    await membership.leave(messaging, actor=principal.user, conversation=known(conversation))
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    create_conversation,
    list_conversations,
    show_conversation,
    change_conversation,
    add_members,
    remove_members,
    change_role,
    leave,
    *entry_api.handlers,
]
