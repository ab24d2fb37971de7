"""What happened to notices, for the areas above."""

from hub.platform.outbox import UrgentEvent


class NoticeAcknowledged(UrgentEvent, frozen=True, kw_only=True):
    """`user` pressed the button of a card. `subject` is the notice; `about` is what it told of, as its draft named it."""

    about: str
    user: str
