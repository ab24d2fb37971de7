"""Lists of orders and appointments: whose, and what the asker sees of them."""

from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.actions import Orders
from hub.orders.listing_store import Scope, appointed_page, orders_page
from hub.orders.model import PROVIDER_ROLES, STAFF_ROLES, AppointmentState, Order, State
from hub.orders.reading import facts_of
from hub.orders.standing import Standing
from hub.orders.view import AppointmentSummary, OrderSummary, appointment_summary, order_summary
from hub.platform.error import ErrorCode, Refusal
from hub.platform.page import Page, Paging, page_of
from hub.security.token import Principal

View = Literal["owner", "provider", "coordinator", "all"]
"""As what one looks: at one's own and those of whom one acts for, at what one does, at what one looks after, at everything."""


async def list_orders(
    orders: Orders, who: Principal, view: View | None, state: State | None, paging: Paging
) -> Page[OrderSummary]:
    """Raises `Refusal`: everything is for staff."""
    view, now = view or _usual(who), orders.clock.now()
    async with orders.database.transaction() as connection:
        found, total = await orders_page(connection, await _scope(orders, connection, who, view), state, paging)
        facts = await facts_of(connection, found)
    return page_of([order_summary(each, facts, masked=_masked(view, who, each, now)) for each in found], paging, total)


async def list_appointments(
    orders: Orders, who: Principal, view: View | None, state: AppointmentState | None, paging: Paging
) -> Page[AppointmentSummary]:
    """Raises `Refusal`: everything is for staff."""
    view, now = view or _usual(who), orders.clock.now()
    async with orders.database.transaction() as connection:
        found, total = await appointed_page(connection, await _scope(orders, connection, who, view), state, paging)
        facts = await facts_of(connection, found)
    return page_of(
        [appointment_summary(each, facts, masked=_masked(view, who, each, now)) for each in found], paging, total
    )


def _usual(who: Principal) -> View:
    if who.role in PROVIDER_ROLES:
        return "provider"
    return "all" if who.role in STAFF_ROLES else "owner"


async def _scope(orders: Orders, connection: AsyncConnection, who: Principal, view: View) -> Scope:
    match view:
        case "owner":
            return Scope(persons=await orders.access.persons(connection, who))
        case "provider":
            return Scope(provider=who.user)
        case "coordinator":
            return Scope(coordinator=who.user)
        case "all":
            if who.role not in STAFF_ROLES:
                raise Refusal(ErrorCode.FORBIDDEN, fields={"role": "forbidden"})
            return Scope()


def _masked(view: View, who: Principal, order: Order, now: datetime) -> bool:
    standing = Standing(
        owner=view == "owner" or order.user_id == who.user,
        provider=order.provider == who.user,
        coordinator=order.coordinator == who.user,
    )
    return not standing.sees_details(order, now)
