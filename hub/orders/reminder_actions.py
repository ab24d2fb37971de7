"""What people do about their reminders: see when they come, and say when they should. One use case, one transaction."""

from collections.abc import Sequence

import msgspec

from hub.orders import reminder_store as store
from hub.orders.actions import Orders
from hub.orders.reminder import checked
from hub.orders.reminder_plan import plan_all
from hub.security.token import Principal


class Wish(msgspec.Struct, frozen=True):
    """How long before, in minutes; None: as each service says, else as `usual` does."""

    minutes: Sequence[int] | None
    usual: Sequence[int]


async def show_wish(orders: Orders, who: Principal) -> Wish:
    async with orders.database.transaction() as connection:
        return _wish(orders, await store.wish(connection, who.user))


async def replace_wish(orders: Orders, who: Principal, minutes: Sequence[int] | None) -> Wish:
    """Holds for every appointment that is to come, whatever they are to it. Raises `Refusal`."""
    wanted = None if minutes is None else checked(minutes, "minutes")
    async with orders.database.transaction() as connection:
        await store.hold(connection, who.user)
        if await store.wish(connection, who.user) != wanted:
            now = orders.clock.now()
            await store.set_wish(connection, who.user, wanted)
            await plan_all(connection, await store.coming(connection, who.user, now), now)
    return _wish(orders, wanted)


def _wish(orders: Orders, minutes: Sequence[int] | None) -> Wish:
    return Wish(minutes, sorted(set(orders.settings.reminder_minutes), reverse=True))
