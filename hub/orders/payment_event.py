"""What happens to money that goes back. The subject is the order, as with everything else that happens to it."""

from hub.orders.event import OrderEvent


class RefundSucceeded(OrderEvent, frozen=True, kw_only=True):
    """The provider says that the payer has the money."""

    refund: str


class RefundFailed(OrderEvent, frozen=True, kw_only=True):
    """The provider will not do it; staff must."""

    refund: str
