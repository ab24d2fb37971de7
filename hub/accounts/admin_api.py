"""HTTP of looking after accounts, under /admin. Takes the dependencies `administration` and `principal`."""

from typing import Annotated

import msgspec
from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.accounts.admin import Account, Change, Membership, Search, Status, may_see_phones
from hub.accounts.admin_actions import Administration
from hub.accounts.admin_store import SORTS
from hub.accounts.model import Role
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.masking import phone_for
from hub.security.token import Principal

NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps every character but this one


class AccountChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is left out stays."""

    status: Status | UnsetType = UNSET
    membership_level: Membership | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class AccountView(msgspec.Struct, frozen=True, rename="camel"):
    """The phone is masked for staff."""

    id: str
    name: str
    phone: str | None
    avatar: str
    role: Role
    membership_level: Membership
    status: Status
    created_at: str


@get("/admin/users", responses=FAILURES, dependencies={"paging": paging(*SORTS)})
async def list_users(
    paging: NamedDependency[Paging],
    principal: NamedDependency[Principal],
    administration: NamedDependency[Administration],
    role: Annotated[Role | None, QueryParameter(name="role")] = None,
    status: Annotated[Status | None, QueryParameter(name="status")] = None,
    q: Annotated[
        str | None,
        QueryParameter(name="q", max_length=50, pattern=NO_NUL, description="a phone number, or how a name begins"),
    ] = None,
) -> Answer[Page[AccountView]]:
    """Find people. For staff and admins."""
    search = Search(role=role, status=status, q=q)
    page = await administration.search(principal, search, paging)
    views = [_view(account, principal) for account in page.items]
    return answer(Page(views, page.page, page.page_size, page.total))


@patch("/admin/users/{user:str}", responses=FAILURES)
async def change_user(
    user: FromPath[str],
    data: JSONBody[AccountChange],
    principal: NamedDependency[Principal],
    administration: NamedDependency[Administration],
) -> Answer[AccountView]:
    """Change an account. For admins; who is suspended or gets another role is signed out everywhere."""
    change = Change(
        status=data.status or None,
        membership_level=data.membership_level or None,
        role=data.role or None,
        name=None if data.name is UNSET else data.name,
    )
    return answer(_view(await administration.change(principal, user, change), principal))


handlers: list[ControllerRouterHandler] = [list_users, change_user]


def _view(account: Account, viewer: Principal) -> AccountView:
    return AccountView(
        id=account.id,
        name=account.name,
        phone=phone_for(account.phone, allowed=may_see_phones(viewer)),
        avatar=account.avatar,
        role=account.role,
        membership_level=account.membership_level,
        status=account.status,
        created_at=rfc3339(account.created_at),
    )
