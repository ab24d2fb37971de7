"""Use cases of health reports: make one, see one, print one, list them. One use case, one transaction."""

import asyncio
from typing import get_args

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.access import Access, Need
from hub.accounts.actions import people
from hub.care import profile_store, record_store, report_store
from hub.care.model import RecordType
from hub.care.profile import circumstances
from hub.care.report import Report, Stretch, build
from hub.care.report_store import Entry
from hub.care.trend import Period, Span, span_of
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit
from hub.security.masking import mask_name
from hub.security.sealing import Sealer
from hub.security.token import Principal


class Made(msgspec.Struct, frozen=True):
    entry: Entry
    report: Report


class HealthReports:
    """One per process."""

    def __init__(self, database: Database, sealer: Sealer, access: Access, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._access = access
        self._audit = audit
        self._clock = clock

    async def make(self, who: Principal, person: str | None, period: Period) -> Made:
        """A report on these days up to today, of oneself if nobody is named; kept as it is made."""
        person, now = person or who.user, self._clock.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as fine as the wire shows
        span = span_of(period, None, None, now)
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            known = circumstances(await profile_store.find(connection, self._sealer, person))
            stretches = {type: await self._stretch(connection, person, type, span) for type in get_args(RecordType)}
            # Beside the loop: a year of a wristband's readings takes longer than others should wait.
            report = await asyncio.to_thread(build, period, span, stretches, known)
            entry = Entry(new_id(), person, period, now)
            key = await self._sealer.key_for(person)
            await report_store.add(connection, key, entry, who.user, report)
            await self._audit.record(connection, who, person, "health_report.make", entry.id)
        return Made(entry, report)

    async def show(self, who: Principal, report: str) -> Made:
        """It leaves a row in the audit."""
        async with self._database.transaction() as connection:
            made = await self._find(connection, who, report)
            await self._audit.record(connection, who, made.entry.user, "health_report.read", report)
        return made

    async def print(self, who: Principal, report: str) -> tuple[Made, str]:
        """The report and whose it is: the full name for the person and for who may act for them, masked for others."""
        async with self._database.transaction() as connection:
            made = await self._find(connection, who, report)
            person = made.entry.user
            name = (await people(connection, [person]))[person].name
            if person not in await self._access.persons(connection, who):
                name = mask_name(name)
            await self._audit.record(connection, who, person, "health_report.print", report)
        return made, name

    async def list(self, who: Principal, person: str | None, paging: Paging) -> Page[Entry]:
        """The reports of a person, of oneself if nobody is named."""
        person = person or who.user
        async with self._database.transaction() as connection:
            await self._access.permit(connection, who, person, Need.HEALTH_READ)
            entries, total = await report_store.page(connection, person, paging)
            await self._audit.record(connection, who, person, "health_report.list")
        return page_of(entries, paging, total)

    async def _stretch(self, connection: AsyncConnection, person: str, type: RecordType, span: Span) -> Stretch:
        """One statement for both: the days of the report, and as many before."""
        begin = span.before().start
        found = await record_store.readings(connection, self._sealer, person, type, begin, span.end)
        return Stretch(
            [each for each in found if each.recorded_at >= span.start],
            [each for each in found if each.recorded_at < span.start],
        )

    async def _find(self, connection: AsyncConnection, who: Principal, report: str) -> Made:
        entry = await report_store.find(connection, report) if is_id(report) else None
        if entry is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        await self._access.permit(connection, who, entry.user, Need.HEALTH_READ)
        return Made(entry, await report_store.content(connection, self._sealer, entry))
