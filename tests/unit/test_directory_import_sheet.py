"""A file line by line: its encodings, its header, its quotes and empty lines, and each problem with its line and column."""

import codecs
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.directory import import_sheet
from hub.directory.import_api import template_of
from hub.directory.import_kind import DEPARTMENTS, DOCTORS, HOSPITALS, KINDS, SCHEDULES, Kind
from hub.directory.import_report import Problem
from hub.directory.import_sheet import Row, Sheet, encoding_of
from hub.platform.error import Refusal

HEADER = "医院编码,医院名称,城市\n"


def sheet_of(text: str, kind: Kind = HOSPITALS, encoding: str = "utf-8") -> Sheet:
    return Sheet(text.encode(encoding), kind)


def read(sheet: Sheet, batch: int = 2) -> list[Row]:
    rows: list[Row] = []
    while not sheet.ended:
        rows += sheet.next(batch)
    return rows


def problems(text: str, kind: Kind = HOSPITALS) -> list[tuple[int, str, str]]:
    sheet = sheet_of(text, kind)
    read(sheet)
    assert sheet.problems.total == len(sheet.problems.first)
    return [(each.line, each.column, each.reason) for each in sheet.problems.first]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings_of_china_are_told_apart(encoding: str) -> None:
    """With the mark, without it, and as Excel in China saves; a character outside of GBK, too."""
    rows = read(sheet_of(HEADER + "H1,北京𠮷野医院,北京\n", encoding=encoding))

    assert rows[0].values == {"code": "H1", "name": "北京𠮷野医院", "city": "北京"}


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_what_is_unicode_is_read_as_unicode(said: str, encoding: str) -> None:
    """Never as GB18030, which would take much of it for other characters."""
    assert encoding_of(said.encode(encoding)) == "utf-8-sig" or said.startswith(("PK\x03\x04", "\ufeff"))


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04" + b"x" * 50,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        codecs.BOM_UTF16_LE + HEADER.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + HEADER.encode("utf-16-be"),
        b"\xff\x00\x81",
        HEADER.encode() + b"H1,\xe5\x8c",
    ],
    ids=["xlsx", "xls", "utf-16-le", "utf-16-be", "bytes", "cut"],
)
def test_what_is_no_text_is_refused(content: bytes) -> None:
    """A workbook under another name is told from a file with errors."""
    with pytest.raises(Refusal) as refused:
        Sheet(content, HOSPITALS)

    assert refused.value.fields == {"file": "import_not_csv"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_every_system_are_read(end: str) -> None:
    """Empty lines, and those of commas alone, count as lines and hold nothing."""
    text = end.join(["", "医院编码,医院名称,城市", "H1,甲,北京", "", " , ,", "H2,乙,上海"])
    sheet = sheet_of(text)
    rows = read(sheet)

    assert [(row.line, row.values["code"]) for row in rows] == [(3, "H1"), (6, "H2")]
    assert (sheet.rows, sheet.problems.total) == (2, 0)


def test_quoted_cells_keep_commas_quotes_and_lines() -> None:
    """And the number is that of the line where the row begins."""
    text = '医院编码,医院名称,城市,简介\nH1,"甲, ""乙""",北京,"一\n二"\nH2,,上海,\n'
    sheet = sheet_of(text)
    rows = read(sheet)

    assert rows[0].values == {"code": "H1", "name": '甲, "乙"', "city": "北京", "introduction": "一\n二"}
    assert [each[:2] for each in sheet.problems.first] == [(4, "医院名称")]


@pytest.mark.parametrize(
    "header", ["医院编码,医院名称,城市", "code,name,city", "Code , NAME,城市", "医院代码,名称,所在城市,,"]
)
def test_header_is_chinese_or_english(header: str) -> None:
    """In any case of letters, with blanks around, and with the empty columns that spreadsheets add."""
    assert read(sheet_of(f"{header}\nH1,甲,北京\n"))[0].values["name"] == "甲"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [(1, "", "import_empty")]),
        ("\n\n", [(1, "", "import_empty")]),
        (HEADER, [(1, "", "import_empty")]),
        ("医院编码,城市\n", [(1, "医院名称", "import_column_missing")]),
        ("医院编码,医院名称,城市,院长\n", [(1, "院长", "import_column_unknown")]),
        ("医院编码,医院名称,城市,code\n", [(1, "code", "import_column_twice")]),
        (HEADER + "H1,甲,北京,多余\n", [(2, "", "import_cells_many")]),
        (HEADER + "H1,甲\n", [(2, "城市", "field_required")]),
        (HEADER + "H1,甲,北京\n\nH1,乙,上海\n", [(4, "医院编码", "import_row_twice")]),
        (HEADER + "坏 码,甲,北京\n", [(2, "医院编码", "code_invalid")]),
        (HEADER + 'H1,"甲"乙,北京\nH2,丙,上海\n', [(2, "", "import_quotes")]),
        (HEADER + 'H0,零,北京\nH1,"甲,北京\nH2,丙,上海\n', [(3, "", "import_quotes")]),
        (HEADER + f"H1,{'甲' * 140_000},北京\n", [(2, "", "import_quotes")]),
        (HEADER + "H1,\x00,北京\n", [(2, "医院名称", "text_control")]),
        (HEADER + "H1,,\n,乙,\n", [(2, "医院名称", "field_required"), (2, "城市", "field_required"),
                                   (3, "医院编码", "field_required"), (3, "城市", "field_required")]),
    ],
)  # fmt: skip
def test_problem_has_its_line_and_column(text: str, found: list[tuple[int, str, str]]) -> None:
    """A header that cannot be taken ends the file; a row that cannot be does not."""
    assert problems(text) == found


def test_second_row_of_a_thing_names_the_first() -> None:
    """So that one finds both."""
    sheet = sheet_of("医院编码,科室名称\nH1,内科\nH2,内科\nH1,内科\n", DEPARTMENTS)
    read(sheet)

    assert sheet.problems.first == [Problem(4, "医院编码", "H1", "import_row_twice", {"line": 2})]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("13800138000,周一,09:00,12:00,30,1", []),
        ("13800138000,Monday,9:00,12:00,,", []),
        ("1380013800,周八,9点,12:00,30,1", ["phone_invalid", "weekday_invalid", "time_invalid"]),
        ("13800138000,周一,12:00,09:00,30,1", ["ends_early"]),
        ("13800138000,周一,09:00,09:20,30,1", ["slot_minutes_long"]),
        ("13800138000,周一,09:00,12:00,3,0", ["slot_minutes_invalid", "capacity_invalid"]),
    ],
)
def test_schedule_row_is_judged_as_a_rule(row: str, found: list[str]) -> None:
    """The reasons are those of the schedule over HTTP."""
    text = f"手机号,星期,开始时间,结束时间,时段分钟,每段人数\n{row}\n"

    assert [reason for _, _, reason in problems(text, SCHEDULES)] == found


def test_empty_cell_is_the_default_and_a_missing_column_is_nothing() -> None:
    """A file says only what it has columns for."""
    row = read(sheet_of("手机号,姓名,医院编码,科室,挂号费,擅长\n13800138000,王,H1,内科,,\n", DOCTORS))[0]

    assert row.values["specialties"] == ()
    assert str(row.values["fee"]) == "0.00"
    assert "title" not in row.values


def test_file_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's file is without end."""
    monkeypatch.setattr(import_sheet, "MAX_ROWS", 3)
    text = HEADER + "".join(f"H{n},甲,北京\n" for n in range(9))

    assert problems(text) == [(5, "", "import_rows_many")]


def test_problems_are_counted_beyond_those_shown() -> None:
    """Two hundred are enough to see what is wrong; the total says how much is."""
    sheet = sheet_of(HEADER + "".join(f"坏{n},甲,北京\n" for n in range(500)))
    read(sheet, 1000)

    assert (len(sheet.problems.first), sheet.problems.total) == (200, 500)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_template_is_a_sound_file(kind: Kind) -> None:
    """What we hand out, we take; and Excel shows it right."""
    content = template_of(kind)
    sheet = Sheet(content, kind)

    assert content.startswith(codecs.BOM_UTF8)
    assert len(read(sheet)) == 1
    assert (sheet.problems.total, len(sheet.header)) == (0, len(kind.columns))


_cells = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(_cells, _cells, _cells, _cells), max_size=8), st.sampled_from(["utf-8-sig", "gb18030"]))
def test_no_file_breaks_the_reading(rows: list[tuple[str, str, str, str]], encoding: str) -> None:
    """Each row is sound or has a problem, whatever its cells hold."""
    written = io.StringIO()
    csv.writer(written).writerows([("医院编码", "医院名称", "城市", "简介"), *rows])
    sheet = Sheet(written.getvalue().encode(encoding), HOSPITALS)
    sound = read(sheet)

    assert len(sound) <= sheet.rows <= len(rows)
    assert sheet.problems.total or len(sound) == sheet.rows


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(content: bytes) -> None:
    """They are a file with problems, or none at all."""
    try:
        sheet = Sheet(HEADER.encode() + content, HOSPITALS)
    except Refusal:
        return
    read(sheet)
