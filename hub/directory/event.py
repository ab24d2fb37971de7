"""What happened in the directory, for the areas above."""

from datetime import date

from hub.platform.outbox import Event


class ScheduleChanged(Event, frozen=True, kw_only=True):
    """The working hours of `subject`, a provider's account, are other ones: on `day`, or from now on if it is null.

    What is booked already stays booked: who keeps bookings looks whether each still lies in a window.
    """

    day: date | None = None
