"""What an import answers: sentences in the person's language, and a file of errors that runs nothing."""

import csv
import io

import pytest

from hub.directory.import_command import lines_of
from hub.directory.import_report import Counts, Problem, Problems, faults_csv, inert, report_of


def problems(*found: Problem) -> Problems:
    kept = Problems()
    kept.add(*found)
    return kept


def test_report_with_errors_counts_nothing_as_done() -> None:
    """Nothing was imported, so nothing was created."""
    found = problems(
        Problem(9, "城市", "", "field_required"), Problem(2, "编码", "x" * 99, "import_row_twice", {"line": 1})
    )
    report = report_of(10, Counts(7, 1, 2), found, dry_run=False, language="zh")

    assert (report.imported, report.rows, report.created, report.changed) == (False, 10, 0, 0)
    assert [(each.line, each.reason) for each in report.errors] == [(2, "与第 1 行重复"), (9, "必填")]
    assert len(report.errors[0].value) == 60


def test_report_speaks_english_on_request() -> None:
    """The same reasons."""
    report = report_of(1, Counts(), problems(Problem(2, "", "", "import_empty")), dry_run=False, language="en")

    assert report.errors[0].reason == "There are no rows in the file"


def test_dry_run_is_not_imported() -> None:
    """It counts what would happen."""
    report = report_of(3, Counts(1, 1, 1, 2), Problems(), dry_run=True, language="zh")

    assert (report.imported, report.created, report.removed) == (False, 1, 2)
    assert lines_of(report) == ["共 3 行：新增 1，修改 1，未变 1，移除 2（试运行，未保存）"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_formula_is_made_inert(cell: str) -> None:
    """A spreadsheet shows it and runs nothing."""
    assert inert(cell) == f"'{cell}"
    assert inert("北京=1") == "北京=1"


def test_error_file_opens_in_a_spreadsheet() -> None:
    """With its mark, and with every cell that came from the file made inert."""
    wrong = problems(Problem(2, "=列", '=HYPERLINK("http://x")', "code_invalid"))
    content = faults_csv(report_of(1, Counts(), wrong, dry_run=False, language="zh"))
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))

    assert content.startswith(b"\xef\xbb\xbf")
    assert rows[0] == ["行", "列", "值", "原因"]
    assert rows[1][:3] == ["2", "'=列", '\'=HYPERLINK("http://x")']


def test_terminal_shows_no_control_characters() -> None:
    """A cell cannot steer the terminal of who imports it."""
    wrong = problems(Problem(2, "编码", "\x1b[2J红", "code_invalid"))
    lines = lines_of(report_of(1, Counts(), wrong, dry_run=False, language="zh"))

    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "共 1 行，没有导入任何内容"
