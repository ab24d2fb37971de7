"""What people hear of money that goes back: a card in the inbox of the patient and of who ordered; of trouble, staff too."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.actions import Outcome
from hub.messaging.model import CardBody
from hub.notices.actions import Notices, notify, tell_all
from hub.notices.draft import Draft
from hub.orders import store
from hub.orders.payment_event import RefundFailed, RefundSucceeded
from hub.platform.outbox import AfterCommit, Outbox

ARRIVED = "退款已到账"
FAILED = "退款遇到问题，客服会与您联系"
FAILED_FOR_STAFF = "退款失败，请处理"


class PaymentReactions:
    """One per process."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(RefundSucceeded, self._arrived)
        outbox.subscribe(RefundFailed, self._failed)

    async def _arrived(self, connection: AsyncConnection, happened: RefundSucceeded) -> AfterCommit | None:
        return await self._tell(connection, happened, ARRIVED, ARRIVED)

    async def _failed(self, connection: AsyncConnection, happened: RefundFailed) -> AfterCommit | None:
        return await self._tell(connection, happened, FAILED, FAILED_FOR_STAFF)

    async def _tell(
        self, connection: AsyncConnection, happened: RefundSucceeded | RefundFailed, title: str, staff_title: str
    ) -> AfterCommit | None:
        order = await store.order(connection, happened.subject)
        if order is None:
            return None
        titles = dict.fromkeys((order.user_id, order.actor_id), title)
        if isinstance(happened, RefundFailed) and order.coordinator is not None:
            titles[order.coordinator] = staff_title
        outcomes: list[Outcome] = []
        for user, said in titles.items():
            body = CardBody(card="order", id=order.id, title=said, summary=order.order_no)
            draft = Draft(
                user=user,
                dedupe_key=f"{type(happened).__name__}-{happened.refund}",
                subject=f"order:{order.id}",
                values={"orderNo": order.order_no},
            )
            outcomes += await notify(self._services, connection, "order", draft, body)
        return partial(tell_all, self._services, outcomes)
