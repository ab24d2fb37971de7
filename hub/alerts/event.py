"""What happened to alerts. Ids only."""

from hub.platform.outbox import Event


class AlertOpened(Event, frozen=True, kw_only=True):
    """An alert is open, and its ladder begins. `subject` is the alert."""
