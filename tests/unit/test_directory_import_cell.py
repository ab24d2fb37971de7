"""Cells as people type them and as spreadsheets write them become values; anything else has a reason."""

from collections.abc import Callable
from datetime import date, time
from decimal import Decimal

import pytest

from hub.directory import import_cell as cell
from hub.directory.import_cell import Unfit


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (cell.weekday, "周一", 1),
        (cell.weekday, "星期三", 3),
        (cell.weekday, "礼拜天", 7),
        (cell.weekday, "周日", 7),
        (cell.weekday, "1", 1),
        (cell.weekday, "７", 7),
        (cell.weekday, "Monday", 1),
        (cell.weekday, "SUN", 7),
        (cell.clock, "09:00", time(9)),
        (cell.clock, "9:05", time(9, 5)),
        (cell.clock, "9：00", time(9)),
        (cell.clock, "13:30:00", time(13, 30)),
        (cell.day, "2026-01-05", date(2026, 1, 5)),
        (cell.day, "2026/1/5", date(2026, 1, 5)),
        (cell.day, "2026年1月5日", date(2026, 1, 5)),
        (cell.day, "2026/1/5 0:00", date(2026, 1, 5)),
        (cell.phone, "13800138000", "13800138000"),
        (cell.phone, "138 0013 8000", "13800138000"),
        (cell.phone, "+86-138-0013-8000", "13800138000"),
        (cell.phone, "１３８００１３８０００", "13800138000"),
        (cell.money, "50", Decimal("50.00")),
        (cell.money, "¥1,280.5", Decimal("1280.50")),
        (cell.mark, "是", True),
        (cell.mark, "停用", False),
        (cell.mark, "TRUE", True),
        (cell.mark, "0", False),
        (cell.level, "三级甲等", "三级甲等"),
        (cell.level, "三甲", "三级甲等"),
        (cell.level, "二级乙", "二级乙等"),
        (cell.level, "未定级", "未定级"),
        (cell.specialties, "高血压、冠心病；心律失常 | 心衰,", ["高血压", "冠心病", "心律失常", "心衰"]),
        (cell.name, "阿依古丽·买买提", "阿依古丽·买买提"),
        (cell.code, "H-001", "H-001"),
        (cell.whole, "30", 30),
        (cell.prose, "第一行\n第二行 😀", "第一行\n第二行 😀"),
        (cell.line_of(10), "=1+1", "=1+1"),
    ],
)
def test_cell_becomes_its_value(read: Callable[[str], object], written: str, value: object) -> None:
    """Full-width characters, other separators and spreadsheets' own forms are understood."""
    assert read(written) == value


@pytest.mark.parametrize(
    ("read", "written", "reason"),
    [
        (cell.weekday, "0", "weekday_invalid"),
        (cell.weekday, "8", "weekday_invalid"),
        (cell.weekday, "工作日", "weekday_invalid"),
        (cell.clock, "24:00", "time_invalid"),
        (cell.clock, "9:60", "time_invalid"),
        (cell.clock, "9点", "time_invalid"),
        (cell.clock, "09:00:30", "time_invalid"),
        (cell.clock, "٠٩:٠٠", "time_invalid"),
        (cell.day, "2026-02-30", "date_invalid"),
        (cell.day, "46027", "date_invalid"),
        (cell.day, "0000-01-01", "date_invalid"),
        (cell.day, "5/1/2026", "date_invalid"),
        (cell.phone, "1.38E+10", "phone_invalid"),
        (cell.phone, "12800138000", "phone_invalid"),
        (cell.phone, "138001380001", "phone_invalid"),
        (cell.money, "-1", "money_invalid"),
        (cell.money, "五十", "money_invalid"),
        (cell.money, "1.005", "money_invalid"),
        (cell.mark, "也许", "mark_invalid"),
        (cell.level, "五星", "level_unknown"),
        (cell.specialties, "、".join("病" * n for n in range(1, 22)), "specialties_many"),
        (cell.specialties, "长" * 51, "text_long"),
        (cell.name, "名" * 51, "name_invalid"),
        (cell.name, "王\x00", "name_invalid"),
        (cell.code, "医院1", "code_invalid"),
        (cell.whole, "3.5", "number_invalid"),
        (cell.whole, "-1", "number_invalid"),
        (cell.whole, "9999999999", "number_invalid"),
        (cell.place, "1000001", "number_invalid"),
        (cell.line_of(3), "四个字符", "text_long"),
        (cell.line_of(9), "两\n行", "text_control"),
        (cell.line_of(9), "空\x00字", "text_control"),
        (cell.prose, "空\x00字", "text_control"),
        (cell.prose, "长" * 2001, "text_long"),
    ],
)
def test_cell_is_unfit_with_a_reason(read: Callable[[str], object], written: str, reason: str) -> None:
    """Nothing is guessed, rounded or cut."""
    with pytest.raises(Unfit) as unfit:
        read(written)

    assert unfit.value.reason == reason
