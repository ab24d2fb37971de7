"""HTTP of services: what is offered, and for staff its definition. Takes the dependencies `orders` and `principal`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.orders import service_actions
from hub.orders.actions import Orders
from hub.orders.service import Offer, Rated, ServiceFilter
from hub.orders.service_store import SERVICE_SORTS
from hub.orders.shape import ANY, Inbound, Key, Offsets, Outbound, Title, money
from hub.platform.clock import rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging
from hub.security.token import Principal

Price = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,2})?(?![\s\S])")]
Description = Annotated[str, Meta(max_length=2000, pattern=ANY)]
City = Annotated[str, Meta(max_length=50, pattern=ANY)]
Minutes = Annotated[int, Meta(ge=5, le=1440)]
Rank = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Providers = Annotated[tuple[Key, ...], Meta(max_length=500)]
Word = Annotated[str | None, QueryParameter(max_length=50, pattern=ANY)]


class NewService(Inbound, frozen=True):
    """A service without a city is offered everywhere; without `reminderMinutes`, the settings say when to remind."""

    name: Title
    category: Title
    price: Price
    duration_minutes: Minutes
    description: Description = ""
    city: City = ""
    department_id: Key | None = None
    is_active: bool = True
    sort_order: Rank = 0
    reminder_minutes: Offsets | None = None
    providers: Providers = ()


class ServiceChange(Inbound, frozen=True):
    """What is left out stays."""

    name: Title | UnsetType = UNSET
    category: Title | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    duration_minutes: Minutes | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    city: City | UnsetType = UNSET
    department_id: Key | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    sort_order: Rank | UnsetType = UNSET
    reminder_minutes: Offsets | UnsetType | None = UNSET
    providers: Providers | UnsetType = UNSET


class ServiceView(Outbound, frozen=True):
    id: str
    name: str
    category: str
    description: str
    price: str
    duration_minutes: int
    city: str
    department_id: str | None
    is_active: bool
    sort_order: int
    rating_average: float | None
    rating_count: int
    created_at: str
    updated_at: str


class OfferView(Outbound, frozen=True):
    """A service as staff define it."""

    id: str
    name: str
    category: str
    description: str
    price: str
    duration_minutes: int
    city: str
    department_id: str | None
    is_active: bool
    sort_order: int
    reminder_minutes: Sequence[int] | None
    providers: Sequence[str]
    created_at: str
    updated_at: str


@get("/services", responses=FAILURES, dependencies={"paging": paging(*SERVICE_SORTS, default="sortOrder")})
async def list_services(
    paging: NamedDependency[Paging],
    orders: NamedDependency[Orders],
    category: Word = None,
    city: Word = None,
    department: Word = None,
    q: Word = None,
) -> Answer[Page[ServiceView]]:
    """What is offered: by category, city, department (its id), or a part of its name or description."""
    wanted = _filter(category, city, department, q)
    return answer(_views(await service_actions.list_services(orders, wanted, paging)))


@get("/services/{service:str}", responses=FAILURES)
async def show_service(service: FromPath[str], orders: NamedDependency[Orders]) -> Answer[ServiceView]:
    """One service, while it is offered."""
    return answer(_view(await service_actions.show_service(orders, service)))


@get("/admin/services", responses=FAILURES, dependencies={"paging": paging(*SERVICE_SORTS, default="sortOrder")})
async def list_all_services(
    paging: NamedDependency[Paging],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    category: Word = None,
    city: Word = None,
    department: Word = None,
    q: Word = None,
) -> Answer[Page[ServiceView]]:
    """The same for staff, with what is no longer offered."""
    wanted = msgspec.structs.replace(_filter(category, city, department, q), active_only=False)
    return answer(_views(await service_actions.list_all(orders, principal, wanted, paging)))


@get("/admin/services/{service:str}", responses=FAILURES)
async def show_offer(
    service: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OfferView]:
    """One service and who does it."""
    return answer(_offer_view(await service_actions.show_offer(orders, principal, service)))


@post("/admin/services", status_code=200, responses=FAILURES)
async def add_service(
    data: JSONBody[NewService], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OfferView]:
    """Offer something new."""
    offer = await service_actions.define(orders, principal, None, _values(data), data.providers)
    return answer(_offer_view(offer))


@patch("/admin/services/{service:str}", responses=FAILURES)
async def change_service(
    service: FromPath[str],
    data: JSONBody[ServiceChange],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
) -> Answer[OfferView]:
    """Change what is given; orders keep the amount and the reminders that they were placed with."""
    providers = None if isinstance(data.providers, UnsetType) else data.providers
    offer = await service_actions.define(orders, principal, service, _values(data), providers)
    return answer(_offer_view(offer))


@delete("/admin/services/{service:str}", status_code=200, responses=FAILURES)
async def withdraw_service(
    service: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[None]:
    """Offer it no longer; its orders stay."""
    await service_actions.withdraw(orders, principal, service)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    list_services,
    show_service,
    list_all_services,
    show_offer,
    add_service,
    change_service,
    withdraw_service,
]


def _filter(category: str | None, city: str | None, department: str | None, q: str | None) -> ServiceFilter:
    if department is not None and not is_id(department):
        raise Refusal(ErrorCode.INVALID, fields={"department": "department_unknown"})
    return ServiceFilter(category, city, department, q)


def _values(said: NewService | ServiceChange) -> dict[str, object]:
    """The columns that were given."""
    given = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not UNSET}
    given.pop("providers", None)
    return given | ({"price": Decimal(given["price"])} if "price" in given else {})


def _views(page: Page[Rated]) -> Page[ServiceView]:
    return Page([_view(rated) for rated in page.items], page.page, page.page_size, page.total)


def _view(rated: Rated) -> ServiceView:
    service, rating = rated.service, rated.rating
    return ServiceView(
        service.id,
        service.name,
        service.category,
        service.description,
        money(service.price),
        service.duration_minutes,
        service.city,
        service.department_id,
        service.is_active,
        service.sort_order,
        rating.average,
        rating.count,
        rfc3339(service.created_at),
        rfc3339(service.updated_at),
    )


def _offer_view(offer: Offer) -> OfferView:
    service = offer.service
    return OfferView(
        service.id,
        service.name,
        service.category,
        service.description,
        money(service.price),
        service.duration_minutes,
        service.city,
        service.department_id,
        service.is_active,
        service.sort_order,
        service.reminder_minutes,
        offer.providers,
        rfc3339(service.created_at),
        rfc3339(service.updated_at),
    )
