"""Use cases of health records: add one or many, list them, take one back. One use case, one transaction."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.care import profile_store
from hub.care import record_store as store
from hub.care.event import ReadingFoundCritical
from hub.care.indicator import assess
from hub.care.model import Circumstances, Reading, RecordType
from hub.care.profile import circumstances
from hub.care.record import EARLIEST, Given, check_removable, is_alarming, measure, moment, parse_moment
from hub.care.record_store import Place
from hub.care.trend import SHANGHAI
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.outbox import Outbox, publish
from hub.platform.page import cursor_after, place_of
from hub.security.audit import Audit
from hub.security.sealing import Sealer
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

    async def add_many(self, who: Principal, person: str | None, given: Sequence[Given]) -> list[Reading | Refusal]:
        """The same for each: what can be kept is, whatever is wrong with the others."""
        person = person or who.user
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_WRITE)
            known = circumstances(await profile_store.find(connection, self._sealer, person))
            checked: list[Reading | Refusal] = []
            for each in given:
                try:
                    checked.append(self._reading(who, person, each, known))
                except Refusal as refusal:
                    checked.append(refusal)
            kept = await self._keep(connection, person, [each for each in checked if isinstance(each, Reading)])
        self._outbox.wake()
        return [each if isinstance(each, Refusal) else kept[each.id] for each in checked]

    def _reading(self, who: Principal, person: str, given: Given, known: Circumstances) -> Reading:
        now, measured = self._clock.now(), measure(given)
        return Reading(
            id=new_id(),
            user=person,
            actor=who.user,
            measurement=measured.measurement,
            assessment=assess(measured.measurement, known),
            source=given.source,
            recorded_at=moment(given.recorded_at, now),
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
            for each in others:
                found = standing[store.moment_of(each)]
                alike = found.digest == store.digest(key, each)
                conflict = Refusal(ErrorCode.CONFLICT, fields={"recordedAt": "record_conflict"})
                became[each.id] = found.reading if alike else conflict
        return became

    async def page(self, who: Principal, person: str | None, wanted: Wanted) -> tuple[list[Reading], str | None]:
        """The newest first, and the cursor to what is older; it leaves a row in the audit."""
        person = person or who.user
        start = _bound(wanted.start, "start") or EARLIEST
        end = _bound(wanted.end, "end", after=True) or self._clock.now() + timedelta(days=1)
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


def _bound(text: str | None, field: str, *, after: bool = False) -> datetime | None:
    """A moment, or the beginning of a day in Asia/Shanghai; with `after` the moment at which that day is over."""
    if text is None:
        return None
    if len(text) > len("2026-01-31"):
        return parse_moment(text, field)
    try:
        day = date.fromisoformat(text) + timedelta(days=1 if after else 0)
    except (ValueError, OverflowError) as error:
        raise Refusal(ErrorCode.INVALID, fields={field: "date_invalid"}) from error
    if not 1900 <= day.year <= 2200:
        raise Refusal(ErrorCode.INVALID, fields={field: "date_out_of_range"})
    return datetime.combine(day, time(), SHANGHAI)
