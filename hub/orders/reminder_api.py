"""HTTP of when somebody is reminded of appointments. Takes the dependencies `orders` and `principal`."""

from collections.abc import Sequence

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from hub.orders import reminder_actions
from hub.orders.actions import Orders
from hub.orders.reminder_actions import Wish
from hub.orders.shape import Inbound, Offsets, Outbound
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal


class WishWanted(Inbound, frozen=True):
    """`minutes` before an appointment; null: as each service says, or as usual; empty: never."""

    minutes: Offsets | None


class WishView(Outbound, frozen=True):
    minutes: Sequence[int] | None
    usual: Sequence[int]


@get("/users/me/reminder-preferences", responses=FAILURES)
async def show_wish(orders: NamedDependency[Orders], principal: NamedDependency[Principal]) -> Answer[WishView]:
    """When one wants to be reminded of appointments, as patient, as who ordered, or as who does it."""
    return answer(_view(await reminder_actions.show_wish(orders, principal)))


@put("/users/me/reminder-preferences", responses=FAILURES)
async def replace_wish(
    data: JSONBody[WishWanted], orders: NamedDependency[Orders], principal: NamedDependency[Principal]
) -> Answer[WishView]:
    """Holds at once, also for appointments that are booked."""
    return answer(_view(await reminder_actions.replace_wish(orders, principal, data.minutes)))


handlers: list[ControllerRouterHandler] = [show_wish, replace_wish]


def _view(wish: Wish) -> WishView:
    return WishView(wish.minutes, wish.usual)
