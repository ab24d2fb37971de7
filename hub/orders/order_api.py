"""HTTP of orders: placing, seeing and moving them. Takes the dependencies `orders` and `principal`."""

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.orders import assignment, listing, order_actions
from hub.orders.actions import Orders
from hub.orders.assignment import Assignment
from hub.orders.booking_actions import Purchase
from hub.orders.booking_api import ClientKey
from hub.orders.detail import Contact
from hub.orders.listing_store import ORDER_SORTS
from hub.orders.model import State, Trigger
from hub.orders.shape import Fields, Inbound, Key, Name, Phone, Reason
from hub.orders.view import OrderSummary, OrderView
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

As = Annotated[
    listing.View | None,
    QueryParameter(
        name="role",
        description="As whom one looks; left out: doctors and companions as `provider`, staff at `all`, others as `owner`",
    ),
]


class ContactInfo(Inbound, frozen=True):
    name: Name
    phone: Phone


class NewOrder(Inbound, frozen=True):
    """`userId`: somebody for whom one may act; oneself if it is left out."""

    service_id: Key
    contact_info: ContactInfo
    quantity: Annotated[int, Meta(ge=1, le=99)] = 1
    service_info: Fields = {}  # noqa: RUF012  msgspec copies it
    user_id: Key | None = None


class Why(Inbound, frozen=True):
    reason: Reason = ""


class Handover(Inbound, frozen=True):
    """One of `doctorId` and `providerId`, or a `staffId`, or both."""

    doctor_id: Key | None = None
    provider_id: Key | None = None
    staff_id: Key | None = None


@post("/orders", status_code=200, responses=FAILURES)
async def place(
    data: JSONBody[NewOrder],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    idempotency_key: ClientKey = None,
) -> Answer[OrderView]:
    """Order a service without a time of its own; what has one is booked as an appointment."""
    wanted = Purchase(
        person=data.user_id or principal.user,
        service=data.service_id,
        quantity=data.quantity,
        contact=Contact(data.contact_info.name, data.contact_info.phone),
        service_info=data.service_info,
    )
    return answer(await order_actions.place(orders, principal, wanted, idempotency_key))


@get("/orders", responses=FAILURES, dependencies={"paging": paging(*ORDER_SORTS)})
async def list_orders(
    paging: NamedDependency[Paging],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    role: As = None,
    status: FromQuery[State | None] = None,
) -> Answer[Page[OrderSummary]]:
    """One's own and those of whom one acts for; what one does; what one looks after; for staff, all."""
    return answer(await listing.list_orders(orders, principal, role, status, paging))


@get("/orders/{order:str}", responses=FAILURES)
async def show(
    order: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OrderView]:
    """One order; masked for staff who do not look after it."""
    return answer(await order_actions.show(orders, principal, order))


@post("/orders/{order:str}/confirm", status_code=200, responses=FAILURES)
async def confirm(
    order: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OrderView]:
    """The provider, or staff, takes a paid order on."""
    return answer(await order_actions.drive(orders, principal, order, Trigger.CONFIRM))


@post("/orders/{order:str}/start", status_code=200, responses=FAILURES)
async def start(
    order: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OrderView]:
    """The service begins."""
    return answer(await order_actions.drive(orders, principal, order, Trigger.START_SERVICE))


@post("/orders/{order:str}/complete", status_code=200, responses=FAILURES)
async def complete(
    order: FromPath[str], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[OrderView]:
    """The service has been done."""
    return answer(await order_actions.drive(orders, principal, order, Trigger.COMPLETE_SERVICE))


@post("/orders/{order:str}/cancel", status_code=200, responses=FAILURES)
async def cancel(
    order: FromPath[str],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    data: JSONBody[Why | None] = None,
) -> Answer[OrderView]:
    """Give up an order that is not confirmed yet; what was paid goes back."""
    return answer(await order_actions.drive(orders, principal, order, Trigger.CANCEL, data.reason if data else ""))


@post("/orders/{order:str}/refund", status_code=200, responses=FAILURES)
async def refund(
    order: FromPath[str],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
    data: JSONBody[Why | None] = None,
) -> Answer[OrderView]:
    """Get back what was paid for a completed order."""
    return answer(await order_actions.drive(orders, principal, order, Trigger.REFUND, data.reason if data else ""))


@post("/orders/{order:str}/assign", status_code=200, responses=FAILURES)
async def assign(
    order: FromPath[str],
    data: JSONBody[Handover],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
) -> Answer[OrderView]:
    """Staff hand the order over; the time of its appointment stays."""
    wanted = Assignment(doctor=data.doctor_id, provider=data.provider_id, staff=data.staff_id)
    return answer(await assignment.assign(orders, principal, order, wanted))


handlers: list[ControllerRouterHandler] = [
    place,
    list_orders,
    show,
    confirm,
    start,
    complete,
    cancel,
    refund,
    assign,
]
