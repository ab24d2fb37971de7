"""What people agree to and take back, and what other areas ask of it. One use case, one transaction; it holds at once."""

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import consent_store as store
from hub.accounts.consent import Standing, check_version, checked_purpose, standings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.security.token import Principal


class Consents:
    """The use cases. One per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, who: Principal) -> list[Standing]:
        """Where one stands with every purpose there is."""
        async with self._database.transaction() as connection:
            return standings(await store.history(connection, who.user))

    async def give(self, who: Principal, code: str, version: str) -> Standing:
        """Agree to the text of today; agreeing twice is agreeing once."""
        purpose = checked_purpose(code)
        check_version(purpose, version)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection, who.user)
            if await store.held_version(connection, who.user, code) != version:
                await store.end(connection, who.user, code, now)
                await store.add(connection, who.user, code, version, now)
            return await _standing(connection, who.user, code)

    async def withdraw(self, who: Principal, code: str) -> Standing:
        """Take it back; it stays so, whatever is booked later, until it is given again."""
        purpose = checked_purpose(code)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection, who.user)
            ended = await store.end(connection, who.user, code, now)
            if not ended and not await store.is_decided(connection, who.user, code):
                await store.add_refused(connection, who.user, code, purpose.version, now)
            return await _standing(connection, who.user, code)


async def _standing(connection: AsyncConnection, user: str, code: str) -> Standing:
    found = standings(await store.history(connection, user))
    return next(standing for standing in found if standing.purpose.code == code)


async def has_consent(connection: AsyncConnection, user: str, purpose: str) -> bool:
    """Whether the person agrees to this now, to whichever version. A newer text asks again; it takes nothing away."""
    return await store.held_version(connection, user, purpose) is not None
