"""What somebody is to an order, and so what they may see and do. No I/O."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec

from hub.orders.model import Order, State, Trigger
from hub.platform.error import ErrorCode, Refusal


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`owner`: the person whom it is for, or who may act for them now. `provider`: who does it. `staff`: by role."""

    owner: bool = False
    provider: bool = False
    coordinator: bool = False
    staff: bool = False

    @property
    def sees(self) -> bool:
        """Whether the order exists for them."""
        return self.owner or self.provider or self.coordinator or self.staff

    def sees_details(self, order: Order, now: datetime) -> bool:
        """Contact, notes and what the service needs: the owner always, who serves only from payment until it is closed."""
        serving = self.provider or self.coordinator
        over = order.closes_at is not None and order.closes_at <= now
        return self.owner or (serving and order.paid_at is not None and not over)


def _serves(standing: Standing) -> bool:
    return standing.provider or standing.staff


def _decides(standing: Standing) -> bool:
    return standing.owner or standing.staff


# What people bring about; payments move orders by themselves.
MAY: Mapping[Trigger, Callable[[Standing], bool]] = MappingProxyType(
    {
        Trigger.CONFIRM: _serves,
        Trigger.START_SERVICE: _serves,
        Trigger.COMPLETE_SERVICE: _serves,
        Trigger.CANCEL: _decides,
        Trigger.REFUND: _decides,
    }
)


def permit(standing: Standing, trigger: Trigger) -> None:
    """Raises `Refusal` for who may see the order but not do this."""
    if not MAY[trigger](standing):
        raise Refusal(ErrorCode.FORBIDDEN)


def permit_decide(standing: Standing) -> None:
    """Raises `Refusal` for who may see the order but not change its time."""
    if not _decides(standing):
        raise Refusal(ErrorCode.FORBIDDEN)


def permit_staff(standing: Standing) -> None:
    if not standing.staff:
        raise Refusal(ErrorCode.FORBIDDEN)


def check_refund_time(standing: Standing, order: Order, now: datetime, days: int) -> None:
    """Staff may always give back; the owner asks within so many days after completion. Raises `Refusal`."""
    late = order.completed_at is not None and now > order.completed_at + timedelta(days=days)
    if order.state is State.COMPLETED and late and not standing.staff:
        raise Refusal(ErrorCode.TOO_LATE, "refund_late")
