"""What happened to alerts. Ids only."""

from hub.platform.outbox import UrgentEvent


class AlertOpened(UrgentEvent, frozen=True, kw_only=True):
    """An alert is open, and its ladder begins. `subject` is the alert."""
