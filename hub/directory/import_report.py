"""What an import answers: counts, and what is wrong in which line; and the same as a file for a spreadsheet."""

import csv
import io
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from hub.platform.text import Language, text

PROBLEMS_SHOWN = 200
VALUE_CHARS = 60

# OWASP, "CSV Injection": a spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Problem(NamedTuple):
    """`reason` is a key of the text catalogue, `values` what goes into its sentence; `column` as the file calls it."""

    line: int
    column: str
    value: str
    reason: str
    values: Mapping[str, object] = {}


class Problems:
    """The first ones are kept, all are counted."""

    def __init__(self) -> None:
        self.total = 0
        self.first: list[Problem] = []

    def add(self, *found: Problem) -> None:
        self.total += len(found)
        self.first += found[: max(0, PROBLEMS_SHOWN - len(self.first))]


class Counts(NamedTuple):
    """Of the rows that were taken. `removed`: weekly rules that the file no longer has."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(one + two for one, two in zip(self, other, strict=True)))


class Fault(msgspec.Struct, frozen=True):
    line: int
    column: str
    value: str
    reason: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """`imported`: the file is in the directory now. With a single error nothing is, and the counts are 0.

    A dry run counts what would happen. `errors` are the first 200 of `errorTotal`.
    """

    imported: bool
    dry_run: bool
    rows: int
    created: int
    changed: int
    unchanged: int
    removed: int
    error_total: int
    errors: list[Fault]


def report_of(rows: int, counts: Counts, problems: Problems, *, dry_run: bool, language: Language) -> Report:
    found = [
        Fault(each.line, each.column, each.value[:VALUE_CHARS], text(each.reason, language, **each.values))
        for each in sorted(problems.first, key=lambda each: each.line)
    ]
    counted = Counts() if problems.total else counts
    imported = not problems.total and not dry_run
    return Report(imported, dry_run, rows, *counted, problems.total, found)


def faults_csv(report: Report) -> bytes:
    """The errors as a file that a spreadsheet opens, and in which it runs nothing."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(("行", "列", "值", "原因"))
    lines.writerows(
        (each.line, *(inert(cell) for cell in (each.column, each.value, each.reason))) for each in report.errors
    )
    return written.getvalue().encode("utf-8-sig")  # with a byte order mark, or Excel takes it for the local encoding


def inert(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
