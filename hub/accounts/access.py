"""Who may see or do what with somebody's data: by relation, consent and running care, not only by role."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import Clock
from hub.security.token import Principal


class Need(Enum):
    """What somebody wants with a person's data."""

    ACT = "act"  # book, order, pay, record for them: oneself, or an active relation
    HEALTH_READ = "health_read"  # oneself, an active relation, or a doctor while care lasts and sharing is agreed to
    HEALTH_WRITE = "health_write"  # the same: a doctor may add to the record
    SERVICE_READ = "service_read"  # also a companion or staff member while the service lasts: what the service needs


Scope = Literal["care", "service"]


class Access:
    """One per process; keeps nothing, so what was withdrawn holds at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def permit(self, connection: AsyncConnection, who: Principal, person: str, need: Need) -> None:
        """Let pass, or refuse as not found: whether somebody has data here is private too."""
        raise NotImplementedError

    async def persons(self, connection: AsyncConnection, who: Principal) -> list[str]:
        """Oneself and everybody for whom one may act now."""
        raise NotImplementedError


async def grant(
    connection: AsyncConnection, *, person: str, members: Collection[str], source: str, scope: Scope, now: datetime
) -> None:
    """From now on these see what `scope` allows of the person, because of `source` (an order); repeating is safe."""
    raise NotImplementedError


async def end_grants(
    connection: AsyncConnection, *, source: str, at: datetime, members: Collection[str] | None = None
) -> None:
    """The grants of this source (of these members, else of all) end at `at`."""
    raise NotImplementedError
