"""What people say of services that they had: once for each order. One use case, one transaction."""

from collections.abc import Mapping

import msgspec

from hub.accounts import actions as accounts
from hub.accounts.model import Person
from hub.orders import review_store
from hub.orders.actions import Orders, locked_order, seen_order
from hub.orders.model import State, conflict
from hub.orders.review_store import Review
from hub.orders.service_actions import AREA, offer_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.page import Page, Paging, page_of
from hub.security.token import Principal


class Reviewed(msgspec.Struct, frozen=True):
    review: Review
    author: str


async def review(orders: Orders, who: Principal, order_id: str, rating: int, content: str) -> Reviewed:
    """Judge a completed order, for the person whom it was for. Raises `Refusal`: 409 for another state, and the second time."""
    now = orders.clock.now()
    async with orders.database.transaction() as connection:
        order, standing = await seen_order(orders, connection, who, order_id)
        if not standing.owner:
            raise Refusal(ErrorCode.FORBIDDEN)
        order = await locked_order(connection, order.id)
        if order.state is not State.COMPLETED:
            raise conflict(order.state)
        said = Review(
            id=new_id(),
            order_id=order.id,
            service_id=order.service_id,
            user_id=order.user_id,
            rating=rating,
            content=content,
            created_at=now,
        )
        if not await review_store.add_review(connection, said):
            raise Refusal(ErrorCode.CONFLICT, "review_twice")
        authors = await accounts.people(connection, [said.user_id])
    await orders.hot_reads.forget(AREA)
    return _reviewed(said, authors)


async def list_reviews(orders: Orders, service_id: str, paging: Paging) -> Page[Reviewed]:
    """What people say of a service, offered or not. Raises `Refusal`."""
    async with orders.database.transaction() as connection:
        await offer_of(connection, service_id)
        found, total = await review_store.reviews_page(connection, service_id, paging)
        authors = await accounts.people(connection, {each.user_id for each in found})
    return page_of([_reviewed(each, authors) for each in found], paging, total)


def _reviewed(said: Review, authors: Mapping[str, Person]) -> Reviewed:
    author = authors.get(said.user_id)
    return Reviewed(said, author.name if author else "")
