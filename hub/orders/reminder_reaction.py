"""What follows when somebody answers a reminder: it is said in the conversation, and who must act is told."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.model import SystemBody
from hub.messaging.posting import Post
from hub.notices.actions import Notices, Telling, notify_all, tell_all
from hub.notices.draft import Draft
from hub.orders import service_store, store
from hub.orders.card import DECLINED, card_of
from hub.orders.event import AppointmentAnswered
from hub.orders.model import Attendance, Order
from hub.platform.clock import rfc3339
from hub.platform.outbox import AfterCommit, Outbox


class AttendanceReactions:
    """One per process."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(AppointmentAnswered, self._answered)

    async def _answered(self, connection: AsyncConnection, happened: AppointmentAnswered) -> AfterCommit | None:
        # Locked, so that its conversation is not closed meanwhile.
        order = await store.order(connection, happened.subject, lock=True)
        if order is None or order.closed_at is not None:
            return None
        name = f"attendance-{happened.id}"
        posts = []
        if order.conversation is not None:
            said = SystemBody(event=f"attendance_{happened.attendance}", by=happened.by)
            posts = [Post(conversation=order.conversation, body=said, name=name)]
        declined = happened.attendance is Attendance.DECLINED
        tellings = await self._for_staff(connection, order) if declined else []
        outcomes = await notify_all(self._services, connection, tellings, posts)
        return partial(tell_all, self._services, outcomes)

    async def _for_staff(self, connection: AsyncConnection, order: Order) -> list[Telling]:
        """To who looks after the order, or could; once for each time of the appointment, however often it is declined."""
        staff = order.coordinator or await store.least_busy_staff(connection, [order.user_id])
        appointment = await store.appointment_of_order(connection, order.id)
        if staff is None or appointment is None or appointment.attendance is not Attendance.DECLINED:
            return []
        services = await service_store.services_named(connection, [order.service_id])
        draft = Draft(
            user=staff,
            dedupe_key=f"attendance-{appointment.id}-{appointment.revision}-{Attendance.DECLINED}",
            subject=f"appointment:{appointment.id}",
            values={"time": rfc3339(appointment.starts_at)},
        )
        body = card_of(DECLINED, order, services[order.service_id], appointment)
        return [Telling(code="appointment", draft=draft, body=body)]
