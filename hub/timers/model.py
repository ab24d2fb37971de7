"""A timer: something that must happen at a time, once. No I/O."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=5)


class State(StrEnum):
    PENDING = "pending"
    FIRED = "fired"
    EXPIRED = "expired"
    """Its time was over when somebody looked."""
    CANCELLED = "cancelled"


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """What is set. There is one timer for a (kind, subject, key, revision), ever: setting it again changes nothing (P10).

    `person`: whom it concerns. `expires_at`: from then on it is too late and it never fires; None: late is better than never.
    """

    kind: str
    subject: str
    key: str = ""
    revision: int = 1
    person: str | None = None
    due_at: datetime
    expires_at: datetime | None = None


class Due(Timer, frozen=True, kw_only=True):
    """A timer whose time has come, locked by who handles it."""

    id: str
    attempts: int = 0


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of one kind. `due`: how many at this moment, counted up to a limit; `oldest`: since when the first of them is."""

    kind: str
    due: int
    oldest: datetime | None
    next: datetime | None


def delay_after(attempts: int) -> timedelta:
    """How long one rests that could not be handled, after so many attempts."""
    return min(FIRST_DELAY * float(2 ** min(attempts, 16)), LONGEST_DELAY)
