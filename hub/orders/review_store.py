"""The SQL of reviews. In the caller's transaction."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.table import reviews
from hub.platform.page import Paging


class Review(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    order_id: str
    service_id: str
    user_id: str
    """The person whom the order was for."""
    rating: int
    content: str
    created_at: datetime


_REVIEW = tuple(reviews.c[name] for name in Review.__struct_fields__)
_SORTS: dict[str, sa.ColumnElement[object]] = {"createdAt": reviews.c.created_at, "rating": reviews.c.rating}
REVIEW_SORTS = tuple(_SORTS)


async def add_review(connection: AsyncConnection, review: Review) -> bool:
    """False if the order has one."""
    fresh = insert(reviews).values(**msgspec.structs.asdict(review)).on_conflict_do_nothing(index_elements=["order_id"])
    return (await connection.execute(fresh)).rowcount == 1


async def reviews_page(connection: AsyncConnection, service_id: str, paging: Paging) -> tuple[list[Review], int]:
    """One page, and how many there are. Two statements."""
    same = reviews.c.service_id == service_id
    total = (await connection.execute(sa.select(sa.func.count()).select_from(reviews).where(same))).scalar_one()
    query = sa.select(*_REVIEW).where(same).order_by(paging.order(_SORTS), reviews.c.id.desc())
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [Review(**row._mapping) for row in rows], total
