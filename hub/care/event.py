"""What happened to health data, for other areas. Ids only: who reacts opens the record, if they may."""

from hub.platform.outbox import Event, UrgentEvent


class ReadingFoundCritical(UrgentEvent, frozen=True, kw_only=True):
    """A reading of the last hours asks for somebody to act at once. `subject` is the person, `record` the reading."""

    record: str


class MeasurementMissed(UrgentEvent, frozen=True, kw_only=True):
    """Nobody measured what a critical plan asks for, in time. `subject` is the person."""

    plan: str
    occurrence: str


class PlanChanged(Event, frozen=True, kw_only=True):
    """A plan is new, or due at other times than before, paused or resumed. `subject` is the plan; it has a new revision."""


class PlanEnded(Event, frozen=True, kw_only=True):
    """Somebody ended a plan: nothing of it is due any more. `subject` is the plan."""
