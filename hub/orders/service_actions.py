"""What people do with services: look for them; staff define them and say who does them. One use case, one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import actions as accounts
from hub.orders import service_store
from hub.orders.actions import Orders
from hub.orders.model import PROVIDER_ROLES, STAFF_ROLES
from hub.orders.reminder import checked
from hub.orders.service import UNRATED, Offer, Rated, ServiceFilter
from hub.orders.store import constraint_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging, page_of
from hub.security.token import Principal

AREA = "services"  # of the hot reads


async def list_services(orders: Orders, wanted: ServiceFilter, paging: Paging) -> Page[Rated]:
    """Kept for a minute, except for searches: of those there are too many kinds."""

    async def load() -> Page[Rated]:
        async with orders.database.transaction() as connection:
            return await _page(connection, wanted, paging)

    if wanted.q is not None:
        return await load()
    key = msgspec.json.encode((wanted, paging)).decode()
    return await orders.hot_reads.through(AREA, key, Page[Rated], load)


async def show_service(orders: Orders, service_id: str) -> Rated:
    """Only while it is offered. Raises `Refusal`."""

    async def load() -> Rated:
        async with orders.database.transaction() as connection:
            found = await service_store.services_named(connection, [service_id])
            rated = await service_store.ratings(connection, [service_id])
        service = found.get(service_id)
        if service is None or not service.is_active:
            raise Refusal(ErrorCode.NOT_FOUND)
        return Rated(service, rated.get(service_id, UNRATED))

    if not is_id(service_id):
        raise Refusal(ErrorCode.NOT_FOUND)
    return await orders.hot_reads.through(AREA, service_id, Rated, load)


async def list_all(orders: Orders, who: Principal, wanted: ServiceFilter, paging: Paging) -> Page[Rated]:
    """For staff: as it is now, and what is no longer offered, too. Raises `Refusal`."""
    _check_staff(who)
    async with orders.database.transaction() as connection:
        return await _page(connection, wanted, paging)


async def show_offer(orders: Orders, who: Principal, service_id: str) -> Offer:
    """For staff: with who does it. Raises `Refusal`."""
    _check_staff(who)
    async with orders.database.transaction() as connection:
        return await offer_of(connection, service_id)


async def define(
    orders: Orders,
    who: Principal,
    service_id: str | None,
    values: Mapping[str, object],
    providers: Sequence[str] | None,
) -> Offer:
    """A new service, or columns of one changed; with `providers`, these do it from now on. Raises `Refusal`."""
    _check_staff(who)
    if isinstance(minutes := values.get("reminder_minutes"), tuple):
        values = {**values, "reminder_minutes": checked(minutes, "reminderMinutes")}
    department = values.get("department_id")
    if department is not None and not is_id(str(department)):
        raise _no_department()
    try:
        async with orders.database.transaction() as connection:
            service_id = await _write(connection, service_id, values, orders.clock.now())
            if providers is not None:
                await _check_providers(connection, providers)
                await service_store.set_providers(connection, service_id, set(providers))
            offer = await offer_of(connection, service_id)
    except IntegrityError as error:
        if constraint_of(error) == "services_department_id_fkey":
            raise _no_department() from error
        raise
    await orders.hot_reads.forget(AREA)
    return offer


async def withdraw(orders: Orders, who: Principal, service_id: str) -> None:
    """Offer it no longer; the orders of it stay. Raises `Refusal`."""
    await define(orders, who, service_id, {"is_active": False}, None)


async def offer_of(connection: AsyncConnection, service_id: str) -> Offer:
    """A service, active or not. Raises `Refusal`."""
    offer = await service_store.offer(connection, service_id) if is_id(service_id) else None
    if offer is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return offer


async def _write(
    connection: AsyncConnection, service_id: str | None, values: Mapping[str, object], now: datetime
) -> str:
    if service_id is None:
        return await service_store.add_service(connection, values, now)
    if not is_id(service_id) or not await service_store.change_service(connection, service_id, values, now):
        raise Refusal(ErrorCode.NOT_FOUND)
    return service_id


async def _page(connection: AsyncConnection, wanted: ServiceFilter, paging: Paging) -> Page[Rated]:
    found, total = await service_store.services_page(connection, wanted, paging)
    rated = await service_store.ratings(connection, [service.id for service in found])
    return page_of([Rated(service, rated.get(service.id, UNRATED)) for service in found], paging, total)


async def _check_providers(connection: AsyncConnection, providers: Sequence[str]) -> None:
    known = await accounts.people(connection, [each for each in providers if is_id(each)])
    fields = {
        f"providers[{position}]": "provider_unknown"
        for position, each in enumerate(providers)
        if each not in known or known[each].role not in PROVIDER_ROLES
    }
    if fields:
        raise Refusal(ErrorCode.INVALID, fields=fields)


def _check_staff(who: Principal) -> None:
    if who.role not in STAFF_ROLES:
        raise Refusal(ErrorCode.FORBIDDEN)


def _no_department() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, fields={"departmentId": "department_unknown"})
