"""A CSV file read and checked line by line, in batches, so that a long one costs no more memory than a short one.

UTF-8 with or without its mark, or GB18030, which Excel in China writes. Nothing here waits; callers give it a thread.
"""

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hub.directory.import_cell import Unfit
from hub.directory.import_kind import Column, Kind, Values
from hub.directory.import_report import Problem, Problems
from hub.platform.error import ErrorCode, Refusal

MAX_ROWS = 100_000
_CHUNK_BYTES = 65536
_SAMPLE_BYTES = 1024 * 1024
# A workbook (zip), an old one (OLE), and "Unicode text" in UTF-16: not CSV, whatever the file is called.
_NOT_CSV = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """A checked line: its number, the cells as they were, and what they mean."""

    line: int
    cells: Mapping[str, str]
    values: Values

    def problem(self, header: Mapping[str, str], field: str, reason: str, **values: object) -> Problem:
        """A problem of this line with this field, under the name that the file gives the column."""
        return Problem(self.line, header.get(field, ""), self.cells.get(field, ""), reason, values)


class Sheet:
    """Opening reads the header; `problems` is not empty if that cannot be taken. Raises `Refusal` if it is no CSV file."""

    def __init__(self, content: bytes, kind: Kind) -> None:
        self.kind = kind
        self.rows = 0
        self.problems = Problems()
        self.header: dict[str, str] = {}  # field → as the file calls it
        self._columns: list[Column | None] = []
        self._seen: dict[tuple[object, ...], int] = {}
        decoded = io.TextIOWrapper(io.BytesIO(content), encoding_of(content), newline="")
        self._lines = csv.reader(decoded, strict=True)
        self._ended = False
        self._read_header()

    @property
    def line(self) -> int:
        """The last line that was read."""
        return self._lines.line_num

    def next(self, most: int) -> list[Row]:
        """The sound ones of the next lines, fewer than `most` where there are problems."""
        found: list[Row] = []
        for _ in range(most):
            line = self._next_cells()
            if line is None:
                break
            row = self._checked(*line)
            if row is not None:
                found.append(row)
        return found

    @property
    def ended(self) -> bool:
        return self._ended

    def _next_cells(self) -> tuple[int, list[str]] | None:
        """The next line that is not empty, and its number; a quoted cell may run over several lines."""
        while not self._ended:
            line = self.line + 1
            try:
                cells = [each.strip() for each in next(self._lines)]
            except StopIteration:
                self._ended = True
                if self.rows == 0 and not self.problems.total:
                    self.problems.add(Problem(1, "", "", "import_empty"))
            except csv.Error:
                self._end(Problem(line, "", "", "import_quotes"))
            else:
                if any(cells):
                    return line, cells
        return None

    def _end(self, problem: Problem) -> None:
        self._ended = True
        self.problems.add(problem)

    def _read_header(self) -> None:
        line = self._next_cells()
        if line is None:
            return
        number, cells = line
        while cells and not cells[-1]:
            cells.pop()
        known = {name: each for each in self.kind.columns for name in (*each.names, each.english.casefold())}
        for cell in cells:
            column = known.get(cell.casefold())
            self._columns.append(column)
            if column is None:
                self.problems.add(Problem(number, cell, cell, "import_column_unknown"))
            elif column.field in self.header:
                self.problems.add(Problem(number, cell, cell, "import_column_twice"))
            else:
                self.header[column.field] = cell
        missing = [each for each in self.kind.columns if each.needed and each.field not in self.header]
        self.problems.add(*(Problem(number, each.names[0], "", "import_column_missing") for each in missing))
        self._ended = bool(self.problems.total)

    def _checked(self, line: int, cells: Sequence[str]) -> Row | None:
        self.rows += 1
        if self.rows > MAX_ROWS:
            self._end(Problem(line, "", "", "import_rows_many", {"most": MAX_ROWS}))
            return None
        if any(cells[len(self._columns) :]):
            self.problems.add(Problem(line, "", "", "import_cells_many"))
            return None
        padded = [*cells, *[""] * (len(self._columns) - len(cells))]
        given = {column.field: cell for column, cell in zip(self._columns, padded, strict=False) if column}
        row = Row(line, given, {})
        values, problems = self._read(row)
        if not problems:
            row = Row(line, given, values)
            problems = self._problems_of(row)
        self.problems.add(*problems)
        return None if problems else row

    def _read(self, row: Row) -> tuple[Values, list[Problem]]:
        values, problems = {}, []
        for column in self._columns:
            assert column is not None  # a header with an unknown column has ended the sheet
            cell = row.cells[column.field]
            try:
                values[column.field] = self._value(column, cell)
            except Unfit as unfit:
                problems.append(row.problem(self.header, column.field, unfit.reason))
        return values, problems

    def _value(self, column: Column, cell: str) -> object:
        if cell:
            return column.read(cell)
        if column.needed:
            raise Unfit("field_required")
        return column.empty

    def _problems_of(self, row: Row) -> list[Problem]:
        """What is wrong with the row as a whole, or with it beside the ones before."""
        faults = self.kind.check(row.values)
        fields = {each.english: each.field for each in self.kind.columns}
        problems = [row.problem(self.header, fields[name], reason) for name, reason in faults.items()]
        key = tuple(row.values.get(field) for field in self.kind.key)
        first = self._seen.setdefault(key, row.line)
        if first != row.line:
            problems.append(row.problem(self.header, self.kind.key[0], "import_row_twice", line=first))
        return problems


def encoding_of(content: bytes) -> str:
    """How the file is written. Raises `Refusal` if it is no text."""
    if not content.startswith(_NOT_CSV):
        if _decodes(content, "utf-8-sig"):
            return "utf-8-sig"
        if not _is_broken_utf8(content[:_SAMPLE_BYTES]) and _decodes(content, "gb18030"):
            return "gb18030"
    raise Refusal(ErrorCode.INVALID, fields={"file": "import_not_csv"})


def _is_broken_utf8(sample: bytes) -> bool:
    """Whether most of it is UTF-8: read as GB18030 it would be other characters, and nobody would notice.

    Of Chinese text in GB18030 about one character in seven looks like UTF-8 by chance.
    """
    decoded = sample.decode("utf-8", "replace")
    bad = decoded.count("\ufffd")
    return sum(not each.isascii() for each in decoded) - bad > bad


def _decodes(content: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for at in range(0, len(content), _CHUNK_BYTES):
            decoder.decode(content[at : at + _CHUNK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
