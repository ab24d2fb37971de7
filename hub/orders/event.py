"""What happens to orders and appointments. The subject is the order, so that its events are handled in their order."""

from datetime import datetime

from hub.orders.model import Attendance, Trigger
from hub.platform.outbox import Event


class OrderEvent(Event, frozen=True, kw_only=True):
    """`by`: the person who did it; None for the hub itself."""

    at: datetime
    by: str | None


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderPaid(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderStarted(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderCompleted(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """`trigger` says why; `was_paid`: there was a conversation, and money goes back."""

    trigger: Trigger
    was_paid: bool


class OrderRefunded(OrderEvent, frozen=True, kw_only=True):
    """The refund is started; when the money arrives is the payment's to tell."""


class OrderAssigned(OrderEvent, frozen=True, kw_only=True):
    """Somebody else does it, or looks after it, from now on. `former`: who does no longer."""

    id: str
    former: list[str]


class OrderClosed(OrderEvent, frozen=True, kw_only=True):
    """The time after the service is over: nothing more is said about it, and access to health data ends."""


class AppointmentMoved(OrderEvent, frozen=True, kw_only=True):
    """To another time. Whatever was due for an older `revision` is due no longer."""

    appointment: str
    revision: int


class AppointmentAnswered(OrderEvent, frozen=True, kw_only=True):
    """Somebody said whether the patient comes, and the order goes on."""

    id: str
    appointment: str
    attendance: Attendance


class AppointmentMissed(OrderEvent, frozen=True, kw_only=True):
    """The patient did not come."""

    appointment: str
