"""How a cell of a file becomes a value: as people type it and as spreadsheets write it. Raises `Unfit` with the reason."""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import cast, get_args

from hub.accounts.model import checked_name, checked_phone
from hub.directory.model import Level
from hub.directory.rule import (
    CODE,
    LINE,
    PROSE,
    PROSE_CHARS,
    SORT_ORDER_MOST,
    SPECIALTIES,
    SPECIALTY_CHARS,
    money_of,
    time_of,
)
from hub.platform.error import Refusal

_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?: 0:00(?::00)?)?", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::00)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_BETWEEN_SPECIALTIES = re.compile(r"[、，,；;|]")

_LEVELS = {each: each for each in get_args(Level)} | {
    short: f"{grade}级{kind}等"
    for grade in "一二三"
    for kind in "特甲乙丙"
    for short in (f"{grade}{kind}", f"{grade}级{kind}")
    if f"{grade}级{kind}等" in get_args(Level)
}
_DAYS = ("一", "二", "三", "四", "五", "六", "日")
_ENGLISH_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = {
    name: number
    for number, (day, english) in enumerate(zip(_DAYS, _ENGLISH_DAYS, strict=True), 1)
    for name in (f"周{day}", f"星期{day}", f"礼拜{day}", english, english[:3], str(number))
} | {"周天": 7, "星期天": 7, "礼拜天": 7}
_MARKS = {"是": True, "启用": True, "有效": True, "1": True, "true": True, "yes": True, "y": True} | {
    "否": False, "停用": False, "无效": False, "0": False, "false": False, "no": False, "n": False
}  # fmt: skip


class Unfit(Exception):
    """The cell cannot be taken; the argument is the key of the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def line_of(most: int) -> Callable[[str], str]:
    """One line of at most so many characters."""

    def read(cell: str) -> str:
        return _fitting(cell, LINE, most)

    return read


def prose(cell: str) -> str:
    return _fitting(cell, PROSE, PROSE_CHARS)


def code(cell: str) -> str:
    if not re.search(CODE, cell):
        raise Unfit("code_invalid")
    return cell


def level(cell: str) -> Level:
    if cell not in _LEVELS:
        raise Unfit("level_unknown")
    return cast("Level", _LEVELS[cell])


def name(cell: str) -> str:
    """Of a person, as an account takes it."""
    return _accepted(checked_name, cell, "name_invalid")


def phone(cell: str) -> str:
    return _accepted(checked_phone, plain(cell).replace(" ", "").replace("-", "").removeprefix("+86"), "phone_invalid")


def specialties(cell: str) -> list[str]:
    found = [each.strip() for each in _BETWEEN_SPECIALTIES.split(cell) if each.strip()]
    if len(found) > SPECIALTIES:
        raise Unfit("specialties_many")
    return [_fitting(each, LINE, SPECIALTY_CHARS) for each in found]


def money(cell: str) -> Decimal:
    amount = money_of(plain(cell).removeprefix("¥").replace(",", ""))
    if amount is None:
        raise Unfit("money_invalid")
    return amount


def whole(cell: str) -> int:
    """Its range is checked with the row."""
    if not _WHOLE.fullmatch(plain(cell)):
        raise Unfit("number_invalid")
    return int(plain(cell))


def place(cell: str) -> int:
    found = whole(cell)
    if found > SORT_ORDER_MOST:
        raise Unfit("number_invalid")
    return found


def weekday(cell: str) -> int:
    found = _WEEKDAYS.get(plain(cell).casefold())
    if found is None:
        raise Unfit("weekday_invalid")
    return found


def clock(cell: str) -> time:
    found = _TIME.fullmatch(plain(cell))
    at = time_of(f"{int(found[1]):02d}:{found[2]}") if found else None
    if at is None:
        raise Unfit("time_invalid")
    return at


def day(cell: str) -> date:
    found = _DATE.fullmatch(plain(cell))
    if found is None:
        raise Unfit("date_invalid")
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise Unfit("date_invalid") from None


def mark(cell: str) -> bool:
    found = _MARKS.get(plain(cell).casefold())
    if found is None:
        raise Unfit("mark_invalid")
    return found


def plain(cell: str) -> str:
    """Full-width digits and signs, as Chinese input methods type them, are the plain ones."""
    return unicodedata.normalize("NFKC", cell).strip()


def _fitting(cell: str, pattern: str, most: int) -> str:
    if len(cell) > most:
        raise Unfit("text_long")
    if not re.search(pattern, cell):
        raise Unfit("text_control")
    return cell


def _accepted(check: Callable[[str], str], cell: str, reason: str) -> str:
    try:
        return check(cell)
    except Refusal:
        raise Unfit(reason) from None
