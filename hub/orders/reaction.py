"""What follows from what happens to orders: the conversation of those who take part, their access, and what is said there.

Each handler runs in the transaction that marks its event handled, and looks at the order as it is then.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import access
from hub.accounts import actions as accounts
from hub.messaging import actions as messaging
from hub.messaging import membership, posting
from hub.messaging.actions import Outcome
from hub.orders import event, service_store, store
from hub.orders.actions import Orders
from hub.orders.card import NEWS, card_of
from hub.orders.event import OrderEvent
from hub.orders.model import AppointmentState, Order, State
from hub.platform.error import Refusal
from hub.platform.outbox import AfterCommit, Outbox

HAPPENED = Counter("hub_orders", "What happened to orders, counted when its effects are committed", ["event"])

Effect = Callable[[AsyncConnection, Order, OrderEvent], Awaitable[Sequence[Outcome]]]


class Reactions:
    """One per process."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def subscribe(self, outbox: Outbox) -> None:
        """Every kind of event is counted and told; some have effects before."""
        effects: dict[type[OrderEvent], Effect] = {
            event.OrderPaid: self._open,
            event.OrderAssigned: self._hand_over,
            event.OrderCompleted: self._schedule_closing,
            event.OrderCancelled: self._close_soon,
            event.OrderClosed: self._close,
        }
        shapes: list[type[OrderEvent]] = [event.OrderPlaced, *NEWS, event.OrderClosed]
        for shape in shapes:
            outbox.subscribe(shape, partial(self._handle, effects.get(shape, _nothing)))

    async def _handle(self, effect: Effect, connection: AsyncConnection, happened: OrderEvent) -> AfterCommit | None:
        # Locked, so that nothing that is decided here by the order's state is outrun by a move of it.
        order = await store.order(connection, happened.subject, lock=True)
        if order is None:
            return None
        try:
            outcomes = list(await effect(connection, order, happened))
            outcomes += await self._tell(connection, order.id, happened)
        except Refusal as refusal:
            if refusal.text != "erased":
                raise
            outcomes = []  # to and about somebody whose key is destroyed, nothing is said any more
        return partial(self._after, outcomes, type(happened).__name__)

    async def _open(self, connection: AsyncConnection, order: Order, happened: OrderEvent) -> Sequence[Outcome]:
        """Patient, who ordered, who does it and who looks after it come together; what they may see begins."""
        if order.conversation is not None or order.state is State.CANCELLED:
            return ()
        others = {order.user_id, order.actor_id, order.provider}
        coordinator = order.coordinator or await store.least_busy_staff(connection, [each for each in others if each])
        members = [each for each in (order.actor_id, order.provider, coordinator) if each is not None]
        services = await service_store.services_named(connection, [order.service_id])
        opened = await messaging.open_care(
            self._orders.messaging,
            connection,
            source=order.id,
            patient=order.user_id,
            members=members,
            title=services[order.service_id].name,
        )
        order = await store.change_order(
            connection, order.id, order.updated_at, conversation=opened.conversation, coordinator=coordinator
        )
        await self._grant(connection, order, happened)
        return [opened]

    async def _hand_over(self, connection: AsyncConnection, order: Order, happened: OrderEvent) -> Sequence[Outcome]:
        """Who does it now comes in, and who did goes out."""
        assert isinstance(happened, event.OrderAssigned)
        if order.conversation is None or order.closed_at is not None:
            return ()
        staying = {order.user_id, order.actor_id, order.provider, order.coordinator}
        gone = [each for each in happened.former if each not in staying]
        fresh = [each for each in (order.provider, order.coordinator) if each is not None]
        outcomes = await membership.assign(
            self._orders.messaging, connection, order.conversation, add=fresh, remove=gone
        )
        await access.end_grants(connection, source=order.id, at=happened.at, members=gone)
        await self._grant(connection, order, happened)
        return outcomes

    async def _schedule_closing(
        self, connection: AsyncConnection, order: Order, happened: OrderEvent
    ) -> Sequence[Outcome]:
        closes_at = happened.at + timedelta(days=self._orders.settings.read_only_days)
        await store.change_order(connection, order.id, order.updated_at, closes_at=closes_at)
        return ()

    async def _close_soon(self, connection: AsyncConnection, order: Order, happened: OrderEvent) -> Sequence[Outcome]:
        """Nothing is done for who has cancelled, so nobody needs to see anything of them any more."""
        assert isinstance(happened, event.OrderCancelled)
        if happened.was_paid:
            await store.change_order(connection, order.id, order.updated_at, closes_at=happened.at)
        return ()

    async def _close(self, connection: AsyncConnection, order: Order, happened: OrderEvent) -> Sequence[Outcome]:
        await access.end_grants(connection, source=order.id, at=happened.at)
        if order.conversation is None:
            return ()
        services = self._orders.messaging
        return [await messaging.set_read_only(services, connection, order.conversation, read_only=True)]

    async def _grant(self, connection: AsyncConnection, order: Order, happened: OrderEvent) -> None:
        """Doctors see what care needs, everybody else what the service needs."""
        serving = [each for each in (order.provider, order.coordinator) if each not in (None, order.user_id)]
        people = await accounts.people(connection, [each for each in serving if each is not None])
        doctors = [each for each in people if each == order.provider and people[each].role == "doctor"]
        others = [each for each in people if each not in doctors]
        give = partial(access.grant, connection, person=order.user_id, source=order.id, now=happened.at)
        if doctors:
            await give(members=doctors, scope="care")
        if others:
            await give(members=others, scope="service")

    async def _tell(self, connection: AsyncConnection, order_id: str, happened: OrderEvent) -> Sequence[Outcome]:
        """Into the conversation, or, when there is none, to the patient."""
        news = NEWS.get(type(happened))
        order = await store.order(connection, order_id)
        appointment = await store.appointment_of_order(connection, order_id)
        if news is None or order is None:
            return ()
        if appointment is not None and appointment.state is AppointmentState.NO_SHOW and news.silent_after_no_show:
            return ()
        services = await service_store.services_named(connection, [order.service_id])
        body = card_of(news, order, services[order.service_id], appointment)
        name = news.name(order, happened)
        if order.conversation is not None:
            return [await posting.post(self._orders.messaging, connection, order.conversation, body, name)]
        if news.to_inbox:
            return await posting.post_to_inbox(self._orders.messaging, connection, order.user_id, body, name)
        return ()

    def _after(self, outcomes: Sequence[Outcome], kind: str) -> None:
        HAPPENED.labels(kind).inc()
        for outcome in outcomes:
            messaging.tell(self._orders.messaging, outcome)


async def _nothing(_connection: AsyncConnection, _order: Order, _happened: OrderEvent) -> Sequence[Outcome]:
    return ()
