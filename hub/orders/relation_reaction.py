"""What follows when somebody may no longer act for another: they leave the conversations of what they ordered for them."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.event import RelationEnded
from hub.messaging import actions as messaging
from hub.messaging import membership
from hub.messaging.actions import Outcome
from hub.orders import listing_store
from hub.orders.actions import Orders
from hub.platform.outbox import AfterCommit, Outbox


class RelationReactions:
    """One per process."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(RelationEnded, self._leave)

    async def _leave(self, connection: AsyncConnection, ended: RelationEnded) -> AfterCommit | None:
        services, outcomes = self._orders.messaging, list[Outcome]()
        for order in await listing_store.open_orders_by(connection, ended.actor, ended.person):
            if order.conversation is not None and ended.actor not in (order.provider, order.coordinator):
                outcomes += await membership.assign(
                    services, connection, order.conversation, add=[], remove=[ended.actor]
                )
        return partial(self._after, outcomes) if outcomes else None

    def _after(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            messaging.tell(self._orders.messaging, outcome)
