"""Where the rows of a file go: what they refer to is found, or is a problem of the line; then a batch is saved at once.

In the importer's transaction. After the first problem nothing more is written, because nothing will be kept.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import ensure_users
from hub.directory import import_store, schedule_store
from hub.directory.event import ScheduleChanged
from hub.directory.import_kind import DEPARTMENTS, DOCTORS, HOSPITALS, SCHEDULES, Kind, rule_of
from hub.directory.import_report import Counts, Problem
from hub.directory.import_sheet import Row, Sheet
from hub.directory.model import Rule
from hub.directory.rule import RULES_MOST, overlaps
from hub.directory.table import departments, doctors, hospitals
from hub.platform.outbox import publish

PROVIDERS_AT_ONCE = 500

Columns = dict[str, object]
Resolve = Callable[[AsyncConnection, Sheet, Sequence[Row]], Awaitable[list[Columns]]]


class Target:
    """Takes the batches of one file, in order; `counts` is right after `finish`."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.counts = Counts()

    async def take(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        raise NotImplementedError

    async def finish(self, connection: AsyncConnection) -> None:
        """After the last batch."""


class TableTarget(Target):
    """Rows that are saved as they come."""

    def __init__(self, sheet: Sheet, table: sa.Table, resolve: Resolve) -> None:
        super().__init__(sheet)
        self._table = table
        self._resolve = resolve

    async def take(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        resolved = await self._resolve(connection, self.sheet, rows)
        if self.sheet.problems.total:
            return
        if "is_active" in resolved[0]:
            providers = await import_store.turning(connection, self._table, resolved)
            await schedule_store.lock(connection, providers)
            await publish(connection, *(ScheduleChanged(subject=each) for each in providers))
        self.counts = self.counts.plus(await import_store.save(connection, self._table, resolved))


class ScheduleTarget(Target):
    """Weekly sets: each person in the file has afterwards the rules that the file has, wherever in it they stand."""

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._sets: dict[str, list[tuple[int, Rule]]] = defaultdict(list)

    async def take(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        found = await import_store.providers(connection, {row.values["phone"] for row in rows})
        for row in rows:
            provider = found.get(row.values["phone"])
            if provider is None:
                self.sheet.problems.add(row.problem(self.sheet.header, "phone", "provider_unknown"))
            else:
                self._sets[provider].append((row.line, rule_of(row.values)))

    async def finish(self, connection: AsyncConnection) -> None:
        self.sheet.problems.add(*await asyncio.to_thread(self._problems))
        if self.sheet.problems.total:
            return
        providers = sorted(self._sets)
        for at in range(0, len(providers), PROVIDERS_AT_ONCE):
            await self._replace(connection, providers[at : at + PROVIDERS_AT_ONCE])

    def _problems(self) -> list[Problem]:
        return [problem for rules in self._sets.values() for problem in self._problems_of(rules)]

    def _problems_of(self, rules: Sequence[tuple[int, Rule]]) -> list[Problem]:
        if len(rules) > RULES_MOST:
            return [Problem(rules[RULES_MOST][0], self.sheet.header["phone"], "", "rules_many", {"most": RULES_MOST})]
        pairs = [sorted((rules[n][0], rules[m][0])) for n, m in overlaps([rule for _, rule in rules])]
        column = self.sheet.header["starts"]
        return [Problem(line, column, "", "import_rule_overlaps", {"other": other}) for other, line in pairs]

    async def _replace(self, connection: AsyncConnection, providers: Sequence[str]) -> None:
        await schedule_store.lock(connection, providers)
        stored = await schedule_store.rules_of(connection, providers)
        wanted = {provider: [rule for _, rule in self._sets[provider]] for provider in providers}
        changed = {}
        for provider, rules in wanted.items():
            before, after = set(stored[provider]), set(rules)
            self.counts = self.counts.plus(
                Counts(len(after - before), 0, len(after & before), len(before - after)),
            )
            if before != after:
                changed[provider] = rules
        if changed:
            await schedule_store.replace_rules(connection, changed)
            await publish(connection, *(ScheduleChanged(subject=each) for each in changed))


async def _hospitals(_: AsyncConnection, __: Sheet, rows: Sequence[Row]) -> list[Columns]:
    return [dict(row.values) for row in rows]


async def _departments(connection: AsyncConnection, sheet: Sheet, rows: Sequence[Row]) -> list[Columns]:
    known = await import_store.hospital_ids(connection, {row.values["hospital_code"] for row in rows})
    found = []
    for row in rows:
        values = dict(row.values)
        hospital = known.get(values.pop("hospital_code"))
        if hospital is None:
            sheet.problems.add(row.problem(sheet.header, "hospital_code", "hospital_unknown"))
        else:
            found.append({**values, "hospital_id": hospital})
    return found


async def _doctors(connection: AsyncConnection, sheet: Sheet, rows: Sequence[Row]) -> list[Columns]:
    codes = {row.values["hospital_code"] for row in rows}
    known = await import_store.hospital_ids(connection, codes)
    places = await import_store.department_ids(connection, codes)
    names = {row.values["phone"]: row.values["name"] for row in rows}
    accounts = await ensure_users(connection, names, "doctor")
    found = []
    for row in rows:
        values = dict(row.values)
        code, department = values.pop("hospital_code"), values.pop("department")
        user, place = accounts.get(values.pop("phone")), places.get((code, department))
        if user is None:
            sheet.problems.add(row.problem(sheet.header, "phone", "phone_other_role"))
        if code not in known:
            sheet.problems.add(row.problem(sheet.header, "hospital_code", "hospital_unknown"))
        elif place is None:
            sheet.problems.add(row.problem(sheet.header, "department", "department_unknown"))
        found.append({**values, "user_id": user, "department_id": place})
    return found


TARGETS: Mapping[Kind, Callable[[Sheet], Target]] = {
    HOSPITALS: lambda sheet: TableTarget(sheet, hospitals, _hospitals),
    DEPARTMENTS: lambda sheet: TableTarget(sheet, departments, _departments),
    DOCTORS: lambda sheet: TableTarget(sheet, doctors, _doctors),
    SCHEDULES: ScheduleTarget,
}
