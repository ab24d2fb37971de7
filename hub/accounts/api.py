"""HTTP of accounts: signing in and out, oneself, one's devices. Takes the dependencies `accounts` and `principal`."""

from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.accounts.actions import Accounts, Pair, Ticket
from hub.accounts.guard import PUBLIC, SIGN_IN, address_of
from hub.accounts.model import Device, Role, Scene, Session, User
from hub.accounts.store import SESSION_SORTS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, Connection, answer, paging
from hub.platform.page import Page, Paging
from hub.security.ratelimit import address_key
from hub.security.token import Principal

# RFC 6749, section 5.1: answers with tokens must not be stored by anything on the way.
NO_STORE = CacheControlHeader(no_store=True)
DEVICE_CHARS = 200

Phone = Annotated[str, Meta(max_length=20)]
Secret = Annotated[str, Meta(min_length=1, max_length=200)]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class CodeWanted(Inbound, frozen=True):
    phone: Phone
    scene: Scene


class Login(Inbound, frozen=True):
    phone: Phone
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}(?![\s\S])")]


class WechatLogin(Inbound, frozen=True):
    code: Secret


class Refresh(Inbound, frozen=True):
    refresh_token: Secret


class ProfileChange(Inbound, frozen=True):
    name: str | None = None
    avatar: str | None = None


class Outbound(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""


class CodeAnswer(Outbound, frozen=True):
    expires_in: int
    dev_code: str | UnsetType = UNSET


class UserView(Outbound, frozen=True):
    id: str
    name: str
    phone: str | None
    avatar: str
    role: Role
    membership_level: str


class PairView(Outbound, frozen=True):
    token: str
    refresh_token: str
    expires_in: int


class LoginView(Outbound, frozen=True):
    token: str
    refresh_token: str
    expires_in: int
    user: UserView


class SessionView(Outbound, frozen=True):
    id: str
    device: str
    user_agent: str
    address: str
    created_at: str
    last_seen_at: str
    current: bool


class TicketView(Outbound, frozen=True):
    ticket: str
    expires_in: int


@post("/auth/sms-code", status_code=200, opt=PUBLIC, responses=FAILURES)
async def send_code(
    data: JSONBody[CodeWanted], request: Connection, accounts: NamedDependency[Accounts]
) -> Answer[CodeAnswer]:
    """Send a sign-in code by SMS."""
    sent = await accounts.send_code(data.phone, data.scene, address_key(address_of(request)))
    return answer(CodeAnswer(sent.expires_in, UNSET if sent.shown is None else sent.shown))


@post(
    ["/auth/login", "/users/login", "/users/register"],
    status_code=200,
    opt=SIGN_IN,
    responses=FAILURES,
    cache_control=NO_STORE,
)
async def login(data: JSONBody[Login], request: Connection, accounts: NamedDependency[Accounts]) -> Answer[LoginView]:
    """Sign in with a code; the first time registers."""
    return answer(_login_view(*await accounts.login(data.phone, data.code, device_of(request))))


@post("/auth/wechat", status_code=200, opt=PUBLIC, responses=FAILURES, cache_control=NO_STORE)
async def login_wechat(
    data: JSONBody[WechatLogin], request: Connection, accounts: NamedDependency[Accounts]
) -> Answer[LoginView]:
    """Sign in with the code of `wx.login`."""
    return answer(_login_view(*await accounts.login_wechat(data.code, device_of(request))))


@post("/auth/refresh", status_code=200, opt=PUBLIC, responses=FAILURES, cache_control=NO_STORE)
async def refresh(
    data: JSONBody[Refresh], request: Connection, accounts: NamedDependency[Accounts]
) -> Answer[PairView]:
    """A new pair of tokens; the old refresh token is spent."""
    return answer(_pair_view(await accounts.refresh(data.refresh_token, device_of(request))))


@post("/auth/logout", status_code=200, opt=PUBLIC, responses=FAILURES)
async def logout(data: JSONBody[Refresh], accounts: NamedDependency[Accounts]) -> Answer[None]:
    """Sign this device out."""
    await accounts.logout(data.refresh_token)
    return answer(None)


@get("/auth/sessions", responses=FAILURES, dependencies={"paging": paging(*SESSION_SORTS)}, cache_control=NO_STORE)
async def list_sessions(
    paging: NamedDependency[Paging], principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]
) -> Answer[Page[SessionView]]:
    """The devices that are signed in."""
    page = await accounts.sessions(principal, paging)
    views = [_session_view(session, principal) for session in page.items]
    return answer(Page(views, page.page, page.page_size, page.total))


@delete("/auth/sessions/{session:str}", status_code=200, responses=FAILURES)
async def revoke_session(
    session: FromPath[str], principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]
) -> Answer[None]:
    """Sign a device out; its sockets close within a second."""
    await accounts.revoke(principal, session)
    return answer(None)


@post("/auth/socket-ticket", status_code=200, responses=FAILURES, cache_control=NO_STORE)
async def issue_socket_ticket(
    principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]
) -> Answer[TicketView]:
    """A single-use ticket for opening one WebSocket."""
    ticket: Ticket = await accounts.socket_ticket(principal)
    return answer(TicketView(ticket.ticket, ticket.expires_in))


@get("/users/me", responses=FAILURES)
async def show_me(principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]) -> Answer[UserView]:
    """Oneself."""
    return answer(_user_view(await accounts.me(principal)))


@patch("/users/me", responses=FAILURES)
async def change_me(
    data: JSONBody[ProfileChange], principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]
) -> Answer[UserView]:
    """Change one's name or avatar; what is left out stays."""
    return answer(_user_view(await accounts.change_me(principal, data.name, data.avatar)))


handlers: list[ControllerRouterHandler] = [
    send_code,
    login,
    login_wechat,
    refresh,
    logout,
    list_sessions,
    revoke_session,
    issue_socket_ticket,
    show_me,
    change_me,
]


def device_of(request: Connection) -> Device:
    """What the request says of its device: `X-Device` is a name that a client chooses."""
    headers = request.headers
    return Device(_line(headers.get("x-device", "")), _line(headers.get("user-agent", "")), address_of(request))


def _line(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:DEVICE_CHARS]


def _login_view(pair: Pair, user: User) -> LoginView:
    return LoginView(pair.token, pair.refresh_token, pair.expires_in, _user_view(user))


def _pair_view(pair: Pair) -> PairView:
    return PairView(pair.token, pair.refresh_token, pair.expires_in)


def _user_view(user: User) -> UserView:
    return UserView(user.id, user.name, user.phone, user.avatar, user.role, user.membership_level)


def _session_view(session: Session, who: Principal) -> SessionView:
    return SessionView(
        session.id,
        session.device,
        session.user_agent,
        session.address,
        rfc3339(session.created_at),
        rfc3339(session.last_seen_at),
        session.id == who.session,
    )
