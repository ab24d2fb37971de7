"""The SQL of services and who does them. Every function runs in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.service import Offer, Rating, Service, ServiceFilter
from hub.orders.table import reviews, service_providers, services
from hub.platform.identifier import new_id
from hub.platform.page import Paging

_SERVICE = tuple(services.c[name] for name in Service.__struct_fields__)
_SORTS: dict[str, sa.ColumnElement[object]] = {
    "sortOrder": services.c.sort_order,
    "price": services.c.price,
    "name": services.c.name,
    "createdAt": services.c.created_at,
}
SERVICE_SORTS = tuple(_SORTS)


async def services_page(
    connection: AsyncConnection, wanted: ServiceFilter, paging: Paging
) -> tuple[list[Service], int]:
    """One page, and how many there are. Two statements."""
    fits = _fits(wanted)
    total = (await connection.execute(sa.select(sa.func.count()).select_from(services).where(*fits))).scalar_one()
    query = sa.select(*_SERVICE).where(*fits).order_by(paging.order(_SORTS), services.c.id)
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [Service(**row._mapping) for row in rows], total


async def services_named(connection: AsyncConnection, ids: Collection[str]) -> Mapping[str, Service]:
    """Active or not; who does not exist is left out."""
    rows = await connection.execute(sa.select(*_SERVICE).where(services.c.id.in_(ids)))
    return {row.id: Service(**row._mapping) for row in rows}


async def offer(connection: AsyncConnection, service_id: str) -> Offer | None:
    """A service, active or not, with its providers. One statement."""
    order = aggregate_order_by(service_providers.c.provider, service_providers.c.provider)
    providers = (
        sa.select(sa.func.array_agg(order)).where(service_providers.c.service_id == services.c.id).scalar_subquery()
    )
    query = sa.select(*_SERVICE, providers.label("providers")).where(services.c.id == service_id)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    values = dict(row)
    found: Sequence[str] | None = values.pop("providers")
    return Offer(Service(**values), found or [])


async def ratings(connection: AsyncConnection, ids: Collection[str]) -> Mapping[str, Rating]:
    """One statement; a service that nobody reviewed is left out."""
    average = sa.cast(sa.func.round(sa.func.avg(reviews.c.rating), 1), sa.Float)
    query = sa.select(reviews.c.service_id, average, sa.func.count()).where(reviews.c.service_id.in_(ids))
    rows = await connection.execute(query.group_by(reviews.c.service_id))
    return {service: Rating(mean, count) for service, mean, count in rows}


async def add_service(connection: AsyncConnection, values: Mapping[str, object], now: datetime) -> str:
    service_id = new_id()
    row = services.insert().values(id=service_id, **values, created_at=now, updated_at=now)
    await connection.execute(row)
    return service_id


async def change_service(
    connection: AsyncConnection, service_id: str, values: Mapping[str, object], now: datetime
) -> bool:
    """False without such a service. With its row locked until the transaction ends."""
    change = sa.update(services).where(services.c.id == service_id).values(**values, updated_at=now)
    return (await connection.execute(change)).rowcount == 1


async def set_providers(connection: AsyncConnection, service_id: str, providers: Collection[str]) -> None:
    await connection.execute(sa.delete(service_providers).where(service_providers.c.service_id == service_id))
    rows = [{"service_id": service_id, "provider": each} for each in providers]
    if rows:
        await connection.execute(service_providers.insert(), rows)


def _fits(wanted: ServiceFilter) -> list[sa.ColumnElement[bool]]:
    fits: list[sa.ColumnElement[bool]] = []
    if wanted.active_only:
        fits.append(services.c.is_active)
    if wanted.category is not None:
        fits.append(services.c.category == wanted.category)
    if wanted.city is not None:
        fits.append(services.c.city.in_((wanted.city, "")))
    if wanted.department is not None:
        fits.append(services.c.department_id == wanted.department)
    if wanted.q is not None:
        fits.append(
            sa.or_(
                services.c.name.icontains(wanted.q, autoescape=True),
                services.c.description.icontains(wanted.q, autoescape=True),
            )
        )
    return fits
