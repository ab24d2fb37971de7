"""Files into the directory: all of a file or nothing, in one transaction, however long it is.

Batch by batch, so that memory does not grow with the file and no statement is long; the reading and checking, which is
most of the work, is done in a thread. A dry run does everything and takes it back.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory import import_store
from hub.directory.actions import Directory
from hub.directory.edit import AREAS_OF
from hub.directory.import_kind import Kind
from hub.directory.import_report import Report, report_of
from hub.directory.import_sheet import Row, Sheet
from hub.directory.import_target import TARGETS, Target
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import Language

BATCH = 1000  # rows: about 30 ms of checking, and a statement of some 10 ms
BUSY_MS = 5000

Progress = Callable[[int], None]
"""Told the number of the last line that is done."""


class _TakenBack(Exception):
    """Ends the transaction without a commit."""


class Importer:
    """One per process; takes one file at a time, so that memory is bounded."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._busy = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold it before the file is received; refused as overloaded while another is."""
        if self._busy:
            raise Refusal(ErrorCode.OVERLOADED, "import_busy", retry_after_ms=BUSY_MS)
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    async def run(
        self,
        kind: Kind,
        content: bytes,
        *,
        dry_run: bool = False,
        language: Language = "zh",
        progress: Progress | None = None,
    ) -> Report:
        """Import, and say what was done or what is wrong. Raises `Refusal` if the file is no CSV file."""
        sheet = await asyncio.to_thread(Sheet, content, kind)
        target = TARGETS[kind](sheet)
        try:
            async with self._directory.database.transaction() as connection:
                if not await import_store.begin(connection):
                    raise Refusal(ErrorCode.CONFLICT, "import_busy")
                await self._take(connection, sheet, target, progress)
                if dry_run or sheet.problems.total:
                    raise _TakenBack
        except _TakenBack:
            pass
        else:
            await self._directory.hot_reads.forget(*AREAS_OF.get(kind.name, (kind.name,)))
            self._directory.outbox.wake()
        return report_of(sheet.rows, target.counts, sheet.problems, dry_run=dry_run, language=language)

    async def _take(self, connection: AsyncConnection, sheet: Sheet, target: Target, progress: Progress | None) -> None:
        while not sheet.ended:
            rows: Sequence[Row] = await asyncio.to_thread(sheet.next, BATCH)
            if rows:
                await target.take(connection, rows)
            if progress is not None:
                progress(sheet.line)
        await target.finish(connection)
