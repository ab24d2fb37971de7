"""What can be ordered. No I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service without a city is offered everywhere; what is not active is kept for the orders that name it."""

    id: str
    name: str
    category: str
    description: str
    price: Decimal
    duration_minutes: int
    city: str
    department_id: str | None
    is_active: bool
    sort_order: int
    reminder_minutes: Sequence[int] | None
    """How long before an appointment people are reminded; None: as the settings say."""
    created_at: datetime
    updated_at: datetime

    @property
    def duration(self) -> timedelta:
        return timedelta(minutes=self.duration_minutes)


class Rating(msgspec.Struct, frozen=True):
    """What the reviews of a service come to; no average without a review."""

    average: float | None
    count: int


UNRATED = Rating(None, 0)


class Rated(msgspec.Struct, frozen=True):
    service: Service
    rating: Rating


class Offer(msgspec.Struct, frozen=True):
    """A service, and who does it."""

    service: Service
    providers: Sequence[str]


class ServiceFilter(msgspec.Struct, frozen=True):
    category: str | None = None
    city: str | None = None
    department: str | None = None
    q: str | None = None
    active_only: bool = True
