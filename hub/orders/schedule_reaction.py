"""What follows when a provider's working hours change: staff hear of the appointments that no longer lie in them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory import actions as directory
from hub.directory.event import ScheduleChanged
from hub.messaging import actions as messaging
from hub.messaging import posting
from hub.messaging.actions import Outcome
from hub.orders import listing_store, service_store, store
from hub.orders.actions import Orders
from hub.orders.card import OUTSIDE, card_of
from hub.orders.model import Appointment
from hub.orders.slot import Span, day_of, whole_day, working
from hub.platform.outbox import AfterCommit, Outbox


class ScheduleReactions:
    """One per process."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(ScheduleChanged, self._look)

    async def _look(self, connection: AsyncConnection, changed: ScheduleChanged) -> AfterCommit | None:
        now, provider = self._orders.clock.now(), changed.subject
        span = None if changed.day is None else whole_day(changed.day)
        by_day: dict[date, list[Appointment]] = defaultdict(list)
        for each in await listing_store.coming_appointments(connection, provider, now, span):
            by_day[day_of(each.starts_at)].append(each)
        outcomes: list[Outcome] = []
        for day, appointments in by_day.items():
            windows = await directory.working_windows(connection, [provider], day)
            for each in appointments:
                if not working(windows, Span(each.starts_at, each.ends_at)):
                    outcomes += await self._tell(connection, each)
        return partial(self._after, outcomes) if outcomes else None

    async def _tell(self, connection: AsyncConnection, appointment: Appointment) -> Sequence[Outcome]:
        """To who looks after the order, or could; what is booked stays booked until they have decided."""
        order = await store.order(connection, appointment.order_id)
        if order is None:
            return ()
        staff = order.coordinator or await store.least_busy_staff(connection, [order.user_id])
        if staff is None:
            return ()
        services = await service_store.services_named(connection, [order.service_id])
        body = card_of(OUTSIDE, order, services[order.service_id], appointment)
        name = f"order-outside-{appointment.id}-{appointment.revision}"
        return await posting.post_to_inbox(self._orders.messaging, connection, staff, body, name)

    def _after(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            messaging.tell(self._orders.messaging, outcome)
