"""Use cases of health records: add one or many, list them, take one back. One use case, one transaction."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.care import profile_store
from hub.care import record_store as store
from hub.care.event import ReadingFoundCritical
from hub.care.indicator import assess
from hub.care.model import Circumstances, Reading, RecordType
from hub.care.profile import circumstances
from hub.care.record import AHEAD, EARLIEST, Given, bound, check_removable, is_alarming, measure, moment
from hub.care.record_store import Place, Standing
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import Outbox, publish
from hub.platform.page import cursor_after, place_of
from hub.security.audit import Audit
from hub.security.sealing import DataKey, Sealer
from hub.security.token import Principal


class Wanted(msgspec.Struct, frozen=True):
    """Which records, as somebody asked for them."""

    type: RecordType | None
    start: str | None
    end: str | None
    cursor: str | None
    limit: int


class HealthRecords:
    """One per process."""

    def __init__(
        self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock, outbox: Outbox
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock
        self._outbox = outbox

    async def add(self, who: Principal, person: str | None, given: Given) -> Reading:
        """Keep a reading; one that is there already, alike, is answered again. Raises `Refusal`."""
        (kept,) = await self.add_many(who, person, [given])
        if isinstance(kept, Refusal):
            raise kept
        return kept

    async def add_many(
        self, who: Principal, person: str | None, given: Sequence[Given | Refusal]
    ) -> list[Reading | Refusal]:
        """The same for each: what can be kept is, whatever is wrong with the others. A refusal stays one."""
        person = person or who.user
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_WRITE)
            known = circumstances(await profile_store.find(connection, self._sealer, person))
            checked = [self._reading(who, person, each, known) for each in given]
            kept = await self._keep(connection, person, [each for each in checked if isinstance(each, Reading)])
        self._outbox.wake()
        return [each if isinstance(each, Refusal) else kept[each.id] for each in checked]

    def _reading(self, who: Principal, person: str, given: Given | Refusal, known: Circumstances) -> Reading | Refusal:
        if isinstance(given, Refusal):
            return given
        now = self._clock.now()
        try:
            measured, recorded_at = measure(given), moment(given.recorded_at, now)
        except Refusal as refusal:
            return refusal
        return Reading(
            id=new_id(),
            user=person,
            actor=who.user,
            measurement=measured.measurement,
            assessment=assess(measured.measurement, known),
            source=given.source,
            recorded_at=recorded_at,
            created_at=now,
            as_pair=measured.as_pair,
            original=measured.original,
            notes=given.notes,
            metadata=measured.metadata,
        )

    async def _keep(
        self, connection: AsyncConnection, person: str, readings: Sequence[Reading]
    ) -> Mapping[str, Reading | Refusal]:
        """What became of each, by the id that it would have had."""
        if not readings:
            return {}
        key = await self._sealer.key_for(person)
        fresh = await store.add(connection, key, readings)
        alarming = [each for each in readings if each.id in fresh and is_alarming(each, self._clock.now())]
        await publish(connection, *(ReadingFoundCritical(subject=person, record=each.id) for each in alarming))
        became: dict[str, Reading | Refusal] = {each.id: each for each in readings}
        if others := [each for each in readings if each.id not in fresh]:
            standing = await store.standing(connection, self._sealer, person, others)
            became |= {each.id: _repeated(each, standing.get(store.moment_of(each)), key) for each in others}
        return became

    async def page(self, who: Principal, person: str | None, wanted: Wanted) -> tuple[list[Reading], str | None]:
        """The newest first, and the cursor to what is older; it leaves a row in the audit."""
        person = person or who.user
        start = EARLIEST if wanted.start is None else bound(wanted.start, "start")
        # Of another node's clock, too, nothing lies further ahead.
        end = self._clock.now() + 2 * AHEAD if wanted.end is None else bound(wanted.end, "end", is_end=True)
        if end <= start:
            raise Refusal(ErrorCode.INVALID, fields={"end": "range_reversed"})
        after = None if wanted.cursor is None else Place(*place_of(wanted.cursor))
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            found = await store.page(connection, self._sealer, person, wanted.type, start, end, after, wanted.limit + 1)
            await self._audit.record(connection, who, person, "health_records.read", wanted.type or "")
        shown = found[: wanted.limit]
        more = len(found) > len(shown)
        return shown, cursor_after(shown[-1].recorded_at, shown[-1].id) if more else None

    async def show(self, who: Principal, record: str) -> Reading:
        """One of them; it leaves a row in the audit."""
        async with self._database.transaction() as connection:
            found = await self._found(connection, who, record, Need.HEALTH_READ)
            await self._audit.record(connection, who, found.user, "health_record.read", record)
        return found

    async def remove(self, who: Principal, record: str) -> None:
        """Take back what somebody typed in by mistake. Raises `Refusal`."""
        async with self._database.transaction() as connection:
            found = await self._found(connection, who, record, Need.HEALTH_WRITE)
            check_removable(found, who.user)
            await store.delete(connection, found)
            await self._audit.record(connection, who, found.user, "health_record.removed", record)

    async def _found(self, connection: AsyncConnection, who: Principal, record: str, need: Need) -> Reading:
        found = await store.find(connection, self._sealer, record) if is_id(record) else None
        if found is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        await self._access.permit(connection, who, found.user, need)
        return found


def _repeated(reading: Reading, standing: Standing | None, key: DataKey) -> Reading | Refusal:
    """What a reading is whose moment was not free."""
    if standing is None:  # it was, and somebody took back what stood there since
        return Refusal(ErrorCode.UNAVAILABLE)
    if standing.digest == store.digest(key, reading):
        return standing.reading
    return Refusal(ErrorCode.CONFLICT, fields={"recordedAt": "record_conflict"})
