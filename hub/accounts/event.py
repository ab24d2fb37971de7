"""What happened between people, for the areas above. The subject is the relation."""

from hub.platform.outbox import Event


class RelationAsked(Event, frozen=True, kw_only=True):
    """Somebody wants to act for another, or wants the other to act for them. Whom that reaches is `relation_actions.asked`'s."""


class RelationAccepted(Event, frozen=True, kw_only=True):
    """From now on `actor` may act for `person`."""

    person: str
    actor: str


class RelationEnded(Event, frozen=True, kw_only=True):
    """`actor` may no longer act for `person`. One that expires ends without an event: nobody does anything then."""

    person: str
    actor: str
