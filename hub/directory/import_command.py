"""`hub import`: a file into the directory from the command line, with a progress bar and the errors below each other."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hub.directory.actions import Directory
from hub.directory.import_actions import Importer
from hub.directory.import_kind import KINDS
from hub.directory.import_report import Report, faults_csv
from hub.platform.clock import SystemClock
from hub.platform.database import open_database
from hub.platform.error import Refusal
from hub.platform.hot_read import open_hot_reads
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.platform.text import text

MAX_BYTES = 64 * 1024 * 1024  # held in memory once; over HTTP it is `upload.MAX_BYTES`

Echo = Callable[[str], None]


def import_file(settings: Settings, kind: str, file: Path, *, dry_run: bool, errors: Path | None, echo: Echo) -> bool:
    """Whether the file is sound; `errors` is written if it is not."""
    if file.stat().st_size > MAX_BYTES:
        echo(f"文件超过 {MAX_BYTES // 1024 // 1024} MB")
        return False
    try:
        report = asyncio.run(_run(settings, kind, file.read_bytes(), dry_run))
    except Refusal as refusal:
        echo("；".join(text(each) for each in (*refusal.fields.values(), refusal.text)))
        return False
    for line in lines_of(report):
        echo(line)
    if report.error_total and errors is not None:
        errors.write_bytes(faults_csv(report))
    return not report.error_total


async def _run(settings: Settings, kind: str, content: bytes, dry_run: bool) -> Report:
    clock = SystemClock()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with open_database(settings.database) as database, open_hot_reads(settings.redis) as hot_reads:
        importer = Importer(Directory(database, hot_reads, Outbox(database), clock))
        # On standard error and only on a terminal, so that the output can be piped.
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(kind, total=content.count(b"\n") + 1)
            return await importer.run(
                KINDS[kind], content, dry_run=dry_run, progress=lambda line: bar.update(task, completed=line)
            )


def lines_of(report: Report) -> list[str]:
    """What the person at the terminal is told."""
    lines = [f"第 {each.line} 行 {_shown(each.column)} “{_shown(each.value)}”：{each.reason}" for each in report.errors]
    if report.error_total > len(report.errors):
        lines.append(f"… 共 {report.error_total} 处错误，以上为前 {len(report.errors)} 处")
    if report.error_total:
        return [*lines, f"共 {report.rows} 行，没有导入任何内容"]
    counts = f"新增 {report.created}，修改 {report.changed}，未变 {report.unchanged}，移除 {report.removed}"
    return [f"共 {report.rows} 行：{counts}{'（试运行，未保存）' if report.dry_run else ''}"]


def _shown(cell: str) -> str:
    """Without what would steer the terminal."""
    return "".join(each if each.isprintable() else "�" for each in cell)
