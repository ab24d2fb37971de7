"""What happened in this area, for reactions of others. Ids only."""

from hub.platform.outbox import Event


class InterpretationFinished(Event, frozen=True, kw_only=True):
    """The interpretation `subject` of a report of `user` can be read."""

    user: str
