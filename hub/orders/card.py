"""What is said of orders in their conversations: a card for each step. It names the service and the time, nothing of health."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from hub.directory.model import SHANGHAI
from hub.messaging.model import CardBody
from hub.orders import event
from hub.orders.event import OrderEvent
from hub.orders.model import Appointment, Order
from hub.orders.service import Service


class News(msgspec.Struct, frozen=True, kw_only=True):
    """`step` and what `revision` finds make the entry's client id, so that saying it again adds nothing."""

    step: str
    title: str
    to_inbox: bool = False
    """Whether the patient hears of it where there is no conversation yet."""
    silent_after_no_show: bool = False
    """The steps that an order takes only because nobody came."""

    def name(self, order: Order, happened: OrderEvent) -> str:
        if isinstance(happened, event.OrderAssigned):
            return f"order-{self.step}-{happened.id}"
        if isinstance(happened, event.AppointmentMoved):
            return f"order-{self.step}-{order.id}-{happened.revision}"
        return f"order-{self.step}-{order.id}"


NEWS: Mapping[type[OrderEvent], News] = MappingProxyType(
    {
        event.OrderPaid: News(step="paid", title="订单已支付"),
        event.OrderConfirmed: News(step="confirmed", title="订单已确认", silent_after_no_show=True),
        event.OrderStarted: News(step="started", title="服务已开始", silent_after_no_show=True),
        event.OrderCompleted: News(step="completed", title="服务已完成", silent_after_no_show=True),
        event.OrderCancelled: News(step="cancelled", title="订单已取消", to_inbox=True),
        event.OrderRefunded: News(step="refunded", title="退款已受理", to_inbox=True),
        event.OrderAssigned: News(step="assigned", title="服务人员已变更"),
        event.AppointmentMoved: News(step="moved", title="预约时间已变更"),
        event.AppointmentMissed: News(step="missed", title="已登记为未到诊"),
    }
)

DECLINED = News(step="declined", title="客户表示无法前来，请处理")
OUTSIDE = News(step="outside", title="排班变动，预约需要改约或改派")


def card_of(news: News, order: Order, service: Service, appointment: Appointment | None) -> CardBody:
    """A pointer to the appointment, or to the order where there is none."""
    if appointment is None:
        return CardBody(card="order", id=order.id, title=news.title, summary=f"{service.name} · {order.order_no}")
    at = appointment.starts_at.astimezone(SHANGHAI)
    summary = f"{service.name} · {at.year}年{at.month}月{at.day}日 {at:%H:%M}"
    return CardBody(card="appointment", id=appointment.id, title=news.title, summary=summary)
