"""The use case of trends: what somebody's readings of one type come to."""

import asyncio
from datetime import date

import msgspec

from hub.accounts.access import Access, Need
from hub.care import profile_store, record_store
from hub.care.model import Circumstances, Reading, RecordType
from hub.care.profile import circumstances
from hub.care.trend import POINTS, Period, span_of
from hub.care.trend_summary import Summary, shown, summarize
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal


class Trend(msgspec.Struct, frozen=True):
    """All readings count for the summary; at most `POINTS` of them are shown."""

    summary: Summary
    shown: list[Reading]


class HealthTrends:
    """One per process."""

    def __init__(self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock

    async def show(
        self,
        who: Principal,
        person: str | None,
        type: RecordType,
        period: Period | None,
        start: date | None,
        end: date | None,
    ) -> Trend:
        """Of oneself if nobody is named; it leaves a row in the audit."""
        person = person or who.user
        span = span_of(period, start, end, self._clock.now())
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            profile = await profile_store.find(connection, self._sealer, person)
            readings = await record_store.readings(connection, self._sealer, person, type, span.start, span.end)
            await self._audit.record(connection, who, person, "health_trend.read", type)
        # After the commit, so that nobody waits for the audit's chain while numbers are counted; and beside the loop,
        # because a wristband's year takes longer than others should wait.
        return await asyncio.to_thread(_trend, type, readings, circumstances(profile))


def _trend(type: RecordType, readings: list[Reading], person: Circumstances) -> Trend:
    return Trend(summarize(type, readings, person), shown(readings, POINTS))
