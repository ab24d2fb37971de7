"""Use cases of the health profile: see it, replace it, tag it. One use case, one transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.care import profile_store as store
from hub.care.profile import Profile, Sight, checked, seen
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal

ME = "me"  # who asks, where a person is named

# What somebody may do decides what they see; the most comes first.
_SIGHTS = ((Need.ACT, Sight.FULL), (Need.HEALTH_READ, Sight.CARE), (Need.SERVICE_READ, Sight.SERVICE))


class HealthProfiles:
    """One per process."""

    def __init__(self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock

    async def show(self, who: Principal, person: str) -> Profile:
        """As much of the profile as `who` may see; it leaves a row in the audit."""
        person = named(who, person)
        async with self._database.transaction() as connection:
            sight = await self._sight(connection, who, person)
            profile = seen(await store.find(connection, self._sealer, person), sight)
            await self._audit.record(connection, who, person, "health_profile.read", sight.value)
        return profile

    async def replace(self, who: Principal, person: str, profile: Profile) -> Profile:
        """The profile is this from now on; its tags stay. For who sees all of it: others would wipe what they do not see."""
        person = named(who, person)
        checked(profile)
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.ACT)
            key = await self._sealer.key_for(person)
            await store.save(connection, key, profile, who.user, self._clock.now())
            return await store.find(connection, self._sealer, person)

    async def tag(self, who: Principal, person: str, tags: list[str]) -> None:
        """These are the tags from now on, each once."""
        person = named(who, person)
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_WRITE)
            key = await self._sealer.key_for(person)
            await store.save_tags(connection, key, list(dict.fromkeys(tags)), who.user, self._clock.now())

    async def _sight(self, connection: AsyncConnection, who: Principal, person: str) -> Sight:
        for need, sight in _SIGHTS:
            try:
                await self._access.permit(connection, who, person, need)
            except Refusal:
                continue
            return sight
        raise Refusal(ErrorCode.NOT_FOUND)


def named(who: Principal, person: str) -> str:
    """The person that a path names; refused as not found if it names nobody."""
    if person == ME:
        return who.user
    if not is_id(person):
        raise Refusal(ErrorCode.NOT_FOUND)
    return person
