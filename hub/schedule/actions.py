"""How the schedulers do, what they are about to do, and what they note of themselves."""

from collections.abc import Sequence
from datetime import datetime

from hub.accounts import actions as accounts
from hub.accounts.admin import check_reader
from hub.broadcasts import duty as broadcast_duty
from hub.notices.due import waiting
from hub.orders import payment_duty
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.schedule import store
from hub.schedule.model import ALIVE, COUNTED, Forecast, Pulse, Status, late_s
from hub.schedule.store import Run
from hub.security.audit import Audit
from hub.security.masking import name_for
from hub.security.rotation import count_stale
from hub.security.token import Principal
from hub.timers import actions as timers

__all__ = ("Run", "Schedule", "forget", "leave", "note", "pulse")


class Schedule:
    """The use cases, for staff. One per process. `master_key`: the id of the one that seals."""

    def __init__(self, database: Database, master_key: str, audit: Audit) -> None:
        self._database = database
        self._master_key = master_key
        self._audit = audit

    async def status(self, who: Principal) -> Status:
        """Bounded reads only, whatever waits; nothing of anybody is in it."""
        check_reader(who)
        stale = await count_stale(self._database.log, self._master_key, COUNTED)
        async with self._database.transaction() as connection:
            return Status(
                now=await store.now(connection),
                duties=await store.duties(connection),
                schedulers=await store.schedulers(connection, ALIVE),
                timers=await timers.backlog(connection, COUNTED),
                stale_keys=stale,
            )

    async def person_of(self, who: Principal, given: str) -> str:
        """The id of the person with this id or this phone; refused as not found if there is none."""
        check_reader(who)
        async with self._database.transaction() as connection:
            if is_id(given):
                found = given if await accounts.people(connection, [given]) else None
            else:
                found = await accounts.id_of_phone(connection, given)
        if found is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        return found

    async def forecast(self, who: Principal, at: datetime, person: str | None, most: int) -> Forecast:
        """What would fire at that moment if nothing changed, the earliest first. Leaves a row in the audit (P13)."""
        check_reader(who)
        async with self._database.transaction() as connection:
            found = await timers.upcoming(connection, at, person, most)
            people = await accounts.people(connection, {each.person for each in found if each.person is not None})
            subject = f"{at.isoformat()} {len(found)}"
            await self._audit.record(connection, who, person or who.user, "schedule.read", subject)
        orders = broadcasts = None
        if person is None:
            orders = len(await payment_duty.unpaid_orders(self._database, at, COUNTED))
            broadcasts = len(await broadcast_duty.due_broadcasts(self._database, at, COUNTED))
        return Forecast(
            timers=found,
            names={each.id: name_for(each.name, allowed=False) for each in people.values()},
            notices=await waiting(self._database.log, at, person, COUNTED),
            unpaid_orders=orders,
            broadcasts=broadcasts,
        )


async def pulse(database: Database) -> Pulse:
    """Whether anybody ticks, and how far behind the timers are; cheap enough for every look at the readiness."""
    async with database.transaction() as connection:
        silent_s, now = await store.silence(connection)
        found = await timers.backlog(connection, COUNTED)
    return Pulse(silent_s=silent_s, timers=found, late_s={each.kind: late_s(each, now) for each in found})


async def note(database: Database, scheduler: str, name: str, runs: Sequence[Run]) -> None:
    """A scheduler lives, and this is what it did since the last time."""
    async with database.transaction() as connection:
        await store.note(connection, scheduler, name, runs)


async def leave(database: Database, scheduler: str) -> None:
    """It has stopped."""
    async with database.transaction() as connection:
        await store.leave(connection, scheduler)


async def forget(database: Database) -> int:
    """Schedulers that were killed, and duties that there are no more; the answer is how many."""
    async with database.transaction() as connection:
        return await store.forget(connection)
