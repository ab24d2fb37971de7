"""HTTP of where people are reached. Takes the dependencies `notice_addresses` and `principal`."""

from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.accounts.guard import PUBLIC, address_of
from hub.notices.address import Held, Kind, masked
from hub.notices.address_actions import NoticeAddresses
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of
from hub.security.ratelimit import address_key
from hub.security.token import Principal

Endpoint = Annotated[str, Meta(max_length=2048)]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class PushKeys(Inbound, frozen=True):
    p256dh: Annotated[str, Meta(max_length=200)]
    auth: Annotated[str, Meta(max_length=200)]


class PushSubscription(Inbound, frozen=True):
    """What `PushSubscription.toJSON()` of a browser says; when it expires, the push service says at sending."""

    endpoint: Endpoint
    keys: PushKeys
    expiration_time: float | None = None


class PushEnded(Inbound, frozen=True):
    endpoint: Endpoint


class WecomMember(Inbound, frozen=True):
    user_id: Annotated[str, Meta(max_length=64)]


class EmailWanted(Inbound, frozen=True):
    email: Annotated[str, Meta(max_length=300)]


class EmailProof(Inbound, frozen=True):
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}(?![\s\S])")]


class CodeView(msgspec.Struct, frozen=True, rename="camel"):
    expires_in: int
    dev_code: str | UnsetType = UNSET


class PushKeyView(msgspec.Struct, frozen=True, rename="camel"):
    """The `applicationServerKey`, in base64url."""

    public_key: str


class AddressView(msgspec.Struct, frozen=True, rename="camel"):
    """`current`: the browser that asks. Phone and WeChat belong to the account and have no `id`."""

    id: str | None
    channel: Kind
    value: str
    current: bool
    created_at: str | None


@get("/webpush/key", opt=PUBLIC, responses=FAILURES)
async def show_push_key(notice_addresses: NamedDependency[NoticeAddresses]) -> Answer[PushKeyView]:
    """What a browser needs for subscribing; not found where web push is off."""
    return answer(PushKeyView(notice_addresses.push_key()))


@get("/users/me/notice-addresses", responses=FAILURES)
async def list_addresses(
    principal: NamedDependency[Principal], notice_addresses: NamedDependency[NoticeAddresses]
) -> Answer[list[AddressView]]:
    """Where one is reached, masked."""
    return answer([_view(each, principal) for each in await notice_addresses.list(principal)])


@post("/users/me/push-subscriptions", status_code=200, responses=FAILURES)
async def subscribe(
    data: JSONBody[PushSubscription],
    principal: NamedDependency[Principal],
    notice_addresses: NamedDependency[NoticeAddresses],
) -> Answer[None]:
    """Push to this browser, until it is signed out. May be repeated; whoever registers it last, with the same keys, has it alone."""
    await notice_addresses.subscribe(principal, data.endpoint, data.keys.p256dh, data.keys.auth)
    return answer(None)


@delete("/users/me/push-subscriptions", status_code=200, responses=FAILURES)
async def unsubscribe(
    data: JSONBody[PushEnded],
    principal: NamedDependency[Principal],
    notice_addresses: NamedDependency[NoticeAddresses],
) -> Answer[None]:
    """Push no more to this browser."""
    await notice_addresses.unsubscribe(principal, data.endpoint)
    return answer(None)


@post("/users/me/email", status_code=200, responses=FAILURES)
async def ask_email(
    data: JSONBody[EmailWanted],
    request: Connection,
    principal: NamedDependency[Principal],
    notice_addresses: NamedDependency[NoticeAddresses],
) -> Answer[CodeView]:
    """Send a code to this mailbox; the answer is the same whether there is such a mailbox or not."""
    language = context_of(request.scope).language
    sent = await notice_addresses.ask_email(principal, data.email, language, address_key(address_of(request)))
    return answer(CodeView(sent.expires_in, UNSET if sent.shown is None else sent.shown))


@post("/users/me/email/confirm", status_code=200, responses=FAILURES)
async def confirm_email(
    data: JSONBody[EmailProof],
    principal: NamedDependency[Principal],
    notice_addresses: NamedDependency[NoticeAddresses],
) -> Answer[None]:
    """Notices go to the mailbox that the code was sent to."""
    await notice_addresses.confirm_email(principal, data.code)
    return answer(None)


@delete("/users/me/email", status_code=200, responses=FAILURES)
async def remove_email(
    principal: NamedDependency[Principal], notice_addresses: NamedDependency[NoticeAddresses]
) -> Answer[None]:
    """No more e-mail."""
    await notice_addresses.remove_email(principal)
    return answer(None)


@put("/admin/users/{user:str}/wecom", responses=FAILURES)
async def bind_wecom(
    user: FromPath[str],
    data: JSONBody[WecomMember],
    principal: NamedDependency[Principal],
    notice_addresses: NamedDependency[NoticeAddresses],
) -> Answer[None]:
    """This person is that member of the company at WeCom, and nobody else is. For admins."""
    await notice_addresses.bind_wecom(principal, user, data.user_id)
    return answer(None)


@delete("/admin/users/{user:str}/wecom", status_code=200, responses=FAILURES)
async def unbind_wecom(
    user: FromPath[str], principal: NamedDependency[Principal], notice_addresses: NamedDependency[NoticeAddresses]
) -> Answer[None]:
    """Reach this person by WeCom no more. For admins."""
    await notice_addresses.unbind_wecom(principal, user)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    show_push_key,
    list_addresses,
    subscribe,
    unsubscribe,
    ask_email,
    confirm_email,
    remove_email,
    bind_wecom,
    unbind_wecom,
]


def _view(held: Held, who: Principal) -> AddressView:
    created_at = rfc3339(held.created_at) if held.created_at else None
    current = held.session is not None and held.session == who.session
    return AddressView(held.id or None, held.channel, masked(held), current, created_at)
