"""Who may see or do what with somebody's data: by relation, consent and running care, not only by role."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import consent_store
from hub.accounts.consent import CARE_SHARING
from hub.platform.clock import Clock
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.token import Principal


class Need(Enum):
    """What somebody wants with a person's data."""

    ACT = "act"  # book, order, pay, record for them: oneself, or an active relation
    HEALTH_READ = "health_read"  # oneself, an active relation, or a doctor while care lasts and sharing is agreed to
    HEALTH_WRITE = "health_write"  # the same: a doctor may add to the record
    SERVICE_READ = "service_read"  # also a companion or staff member while the service lasts: what the service needs


Scope = Literal["care", "service"]

# Which grant a role may use for which need. A role alone opens nothing, and a grant only in the role it was given for.
_GRANTS: dict[Need, dict[str, Scope]] = {
    Need.ACT: {},
    Need.HEALTH_READ: {"doctor": "care"},
    Need.HEALTH_WRITE: {"doctor": "care"},
    Need.SERVICE_READ: {"doctor": "care", "companion": "service", "staff": "service"},
}

_RELATED = """SELECT FROM user_relations
  WHERE person_id = CAST(:person AS uuid) AND actor_id = CAST(:who AS uuid) AND state = 'active'
    AND (expires_at IS NULL OR expires_at > :now)"""
# Care is shared as long as the person agrees; what a service needs to know is part of the service.
_PERMIT = sa.text(f"""
SELECT EXISTS ({_RELATED}) OR EXISTS (
  SELECT FROM care_grants g
  WHERE g.person_id = CAST(:person AS uuid) AND g.member_id = CAST(:who AS uuid) AND g.scope = CAST(:scope AS text)
    AND (g.ends_at IS NULL OR g.ends_at > :now)
    AND (g.scope = 'service' OR EXISTS (
      SELECT FROM consents WHERE user_id = g.person_id AND purpose = '{CARE_SHARING}' AND withdrawn_at IS NULL)))
""")  # noqa: S608 - the parts are constants of this package
_PERSONS = sa.text("""
SELECT person_id FROM user_relations WHERE actor_id = CAST(:who AS uuid) AND state = 'active'
  AND (expires_at IS NULL OR expires_at > :now) ORDER BY answered_at, person_id
""")
# A member who comes back, or whose scope changes, has one grant for the source as before.
_GRANT = sa.text("""
INSERT INTO care_grants (person_id, member_id, source, scope, starts_at)
SELECT CAST(:person AS uuid), m, CAST(:source AS uuid), CAST(:scope AS text), :now FROM unnest(CAST(:members AS uuid[])) m
ON CONFLICT (person_id, member_id, source) DO UPDATE SET scope = excluded.scope, ends_at = NULL,
  starts_at = CASE WHEN care_grants.ends_at IS NULL THEN care_grants.starts_at ELSE excluded.starts_at END
""")
# What has ended already stays so: a source that closes does not lengthen the grant of who was replaced before.
_END = sa.text("""
UPDATE care_grants SET ends_at = LEAST(ends_at, :at) WHERE source = CAST(:source AS uuid)
  AND (CAST(:members AS uuid[]) IS NULL OR member_id = ANY (CAST(:members AS uuid[])))
""")


class Access:
    """One per process; keeps nothing, so what was withdrawn holds at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def permit(self, connection: AsyncConnection, who: Principal, person: str, need: Need) -> None:
        """Let pass, or refuse as not found: whether somebody has data here is private too."""
        if person == who.user:
            return
        values = {"person": person, "who": who.user, "now": self._clock.now(), "scope": _GRANTS[need].get(who.role)}
        if not is_id(person) or not await connection.scalar(_PERMIT, values):
            raise Refusal(ErrorCode.NOT_FOUND)

    async def persons(self, connection: AsyncConnection, who: Principal) -> list[str]:
        """Oneself and everybody for whom one may act now."""
        rows = await connection.scalars(_PERSONS, {"who": who.user, "now": self._clock.now()})
        return [who.user, *(str(person) for person in rows)]


async def grant(
    connection: AsyncConnection, *, person: str, members: Collection[str], source: str, scope: Scope, now: datetime
) -> None:
    """From now on these see what `scope` allows of the person, because of `source` (an order); repeating is safe.

    Care is booked to be shared: who never decided about `care_sharing` agrees with the first grant of that scope.
    """
    named = sorted(set(members))  # in one order, so that two grants at once do not wait for each other in a circle
    await connection.execute(_GRANT, {"person": person, "members": named, "source": source, "scope": scope, "now": now})
    if scope == "care":
        await consent_store.imply(connection, person, CARE_SHARING, source, now)


async def end_grants(
    connection: AsyncConnection, *, source: str, at: datetime, members: Collection[str] | None = None
) -> None:
    """The grants of this source (of these members, else of all) end at `at`."""
    named = None if members is None else list(members)
    await connection.execute(_END, {"source": source, "at": at, "members": named})
