"""HTTP of reviews. Takes the dependencies `orders` and `principal`."""

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.orders import review_actions
from hub.orders.actions import Orders
from hub.orders.review_actions import Reviewed
from hub.orders.review_store import REVIEW_SORTS
from hub.orders.shape import ANY, Inbound, Outbound
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.masking import mask_name
from hub.security.token import Principal


class NewReview(Inbound, frozen=True):
    rating: Annotated[int, Meta(ge=1, le=5)]
    content: Annotated[str, Meta(max_length=1000, pattern=ANY)] = ""


class ReviewView(Outbound, frozen=True):
    """`author`: the masked name of the person whom the order was for."""

    id: str
    service_id: str
    rating: int
    content: str
    author: str
    created_at: str


@post("/orders/{order:str}/review", status_code=200, responses=FAILURES)
async def review(
    order: FromPath[str],
    data: JSONBody[NewReview],
    orders: NamedDependency[Orders],
    principal: NamedDependency[Principal],
) -> Answer[ReviewView]:
    """Judge a completed order, once; everybody can read it."""
    return answer(_view(await review_actions.review(orders, principal, order, data.rating, data.content)))


@get("/services/{service:str}/reviews", responses=FAILURES, dependencies={"paging": paging(*REVIEW_SORTS)})
async def list_reviews(
    service: FromPath[str], paging: NamedDependency[Paging], orders: NamedDependency[Orders]
) -> Answer[Page[ReviewView]]:
    """What people say of a service."""
    page = await review_actions.list_reviews(orders, service, paging)
    return answer(Page([_view(each) for each in page.items], page.page, page.page_size, page.total))


handlers: list[ControllerRouterHandler] = [review, list_reviews]


def _view(reviewed: Reviewed) -> ReviewView:
    said = reviewed.review
    return ReviewView(
        said.id, said.service_id, said.rating, said.content, mask_name(reviewed.author), rfc3339(said.created_at)
    )
