"""A report as it was written, as an object or as text, becomes readings of known items. Pure.

In doubt nothing is read: a wrong number would be worse than a missing one.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from hub.content.reference import Item, Kind, Sex, unit_named
from hub.content.reference_glucose import BLOOD_PRESSURE
from hub.content.reference_urine import KINDS, OTHERS_NAMES, vocabulary

Json = str | int | float | bool | None | Sequence[Any] | Mapping[str, Any]  # Any: JSON is recursive, the types are not

NAME_KEYS = ("name", "item", "项目", "项目名称", "检验项目", "名称", "指标")
VALUE_KEYS = ("value", "result", "值", "结果", "检测结果", "检验结果", "测定值")
UNIT_KEYS = ("unit", "units", "单位")


class Reading(NamedTuple):
    """One item as reported. A value is in the item's own unit; `why_not` says why it cannot be judged."""

    item: Item
    value: float | None = None
    sign: str | None = None
    """`negative`, `weak` or `positive`."""
    has_unit: bool = True
    why_not: str = ""


class Report(msgspec.Struct, frozen=True):
    readings: Sequence[Reading]
    unknown: int
    """How many more values there are, of items that the rules do not know."""
    sex: Sex | None = None
    age: int | None = None


def read(kind: Kind | None, data: Json) -> Report:
    """What a report of this kind says."""
    text = _pressures(kind, _plain("\n".join(_lines(data))))
    names = _names(kind.code if kind else "")
    readings: dict[str, Reading] = {}
    unknown = 0
    for clause in re.split(r"[\n,;。、]", text):
        found = [names.reading(clause, match, end) for match, end in names.places(clause)]
        for reading in found:
            if reading is not None:
                readings.setdefault(reading.item.name, reading)
        unknown += not any(found) and _is_measured(clause)
    return Report(list(readings.values()), unknown, _sex(text), _age(text))


def _lines(data: Json, name: str = "") -> Iterator[str]:
    """An object as lines of text: 「白细胞: 11.2 10^9/L」."""
    if isinstance(data, Mapping):
        value = _first(data, VALUE_KEYS)
        if value is not None:
            yield f"{_first(data, NAME_KEYS) or name}: {value} {_first(data, UNIT_KEYS) or ''}"
            return
        for key, each in data.items():
            yield from _lines(each, key)
    elif isinstance(data, str) or not isinstance(data, Sequence):
        if data is not None and not isinstance(data, bool):
            yield f"{name}: {data}" if name else str(data)
    else:
        for each in data:
            yield from _lines(each, name)


def _first(data: Mapping[str, Any], keys: Sequence[str]) -> str | int | float | None:
    folded = {key.lower(): value for key, value in data.items()}
    for key in keys:
        value = folded.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return value
    return None


def _plain(text: str) -> str:
    """In form KC and lower case, without the commas in 11,200; 10⁹ is 10^9 before it could become 109."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda raised: "^" + unicodedata.normalize("NFKC", raised[0]), text)
    text = unicodedata.normalize("NFKC", text).lower().replace("μ", "u").replace("_", " ")
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)


_PRESSURES = re.compile(
    r"(?P<name>(?:血压|bp|blood ?pressure)[^\d\n,;。]{0,12})?(?<![\d/.])(?P<high>\d{2,3}(?:\.\d+)?)\s?/\s?"
    r"(?P<low>\d{2,3}(?:\.\d+)?)(?![\d/.])\s*(?P<unit>mmhg|kpa|毫米汞柱)?"
)


def _pressures(kind: Kind | None, text: str) -> str:
    """「血压 135/85 mmHg」 as two lines."""

    def parted(match: re.Match[str]) -> str:
        if not (match["name"] or match["unit"] or kind is BLOOD_PRESSURE):
            return match[0]
        unit = match["unit"] or ""
        return f"\n收缩压 {match['high']} {unit}\n舒张压 {match['low']} {unit}\n"

    return _PRESSURES.sub(parted, text)


_UNIT = re.compile(
    r"[x×*·]?\s?10\s?[\^*e]?\s?(?:12|9)\s?/\s?l(?![a-z])"
    r"|(?<![a-z/])(?:ml/min(?:/1\.73\s?m\^?2)?|ml/\(min·1\.73m\^?2\)|[mu]mol/l|m?g/dl|m?g/l|i?u/l|l/l|fl|pg|mmhg|kpa|bpm)(?![a-z/])"
    r"|个?/(?:hpf?|高倍视野|ul|mm3)(?![a-z])|次/(?:分钟?|min)|毫米汞柱|%"
)
_RANGE = re.compile(r"(?<!\d)\d{1,9}(?:\.\d{1,9})?\s?(?:[-~–—]|至)\s?\d{1,9}(?:\.\d{1,9})?")
# A number that is no part of a name or of another number.
_NUMBER = re.compile(r"(?<![\d.^a-z-])[<>≤≥]?\s?(\d+(?:\.\d+)?)(?![\d.])")
# What may stand between a name and its value. Possessive: 「()()()」 could be taken apart in very many ways.
_BETWEEN = re.compile(
    r"(?:\([^)]*\)|[\s:=()\[\]|*↑↓<>≤≥]|计数|测定|检测|浓度|水平|结果|数值|值|为|是|约|达|偏高|偏低|升高|降低"
    r"|count|value|level|result)*+"
)
_FOREIGN_UNIT = re.compile(r"\s*(?:[hl](?![a-z/])|[↑↓*])?\s*[a-z/]")
_SIGN = re.compile(
    r"(?P<weak>弱阳性?|微量|trace|±|\+-|\+/-)|(?P<positive>阳性|pos(?:itive)?|[1-4]?\++)"
    r"|(?P<negative>阴性|neg(?:ative)?|未检出|未见|正常|(?<![\d.])-(?![\d.]))"
)


class _Names:
    """The names of items in a report of one kind, to be found the longest first."""

    def __init__(self, known: Mapping[str, Item]) -> None:
        self._known = known
        names = sorted((*known, *OTHERS_NAMES), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_name_pattern, names)))

    def places(self, clause: str) -> list[tuple[re.Match[str], int]]:
        """Each name in the clause, and where the next one begins."""
        matches = list(self._pattern.finditer(clause))
        ends = [match.start() for match in matches[1:]] + [len(clause)]
        return list(zip(matches, ends, strict=False))  # without a name there is one end too many

    def reading(self, clause: str, name: re.Match[str], end: int) -> Reading | None:
        item = self._known.get(re.sub(r"\s+", "", name[0]))
        return None if item is None else _reading(item, clause[name.end() : end])


def _name_pattern(name: str) -> str:
    """Latin letters stand apart: 「alt」 is not in 「salt」."""
    before = r"(?<![a-z0-9])" if name[0].isascii() else ""
    after = r"(?![a-z])" if name[-1].isascii() and name[-1].isalnum() else ""
    return before + r"\s?".join(map(re.escape, name)) + after


@cache
def _names(code: str) -> _Names:
    return _Names(vocabulary(next((kind for kind in KINDS if kind.code == code), None)))


def _reading(item: Item, said: str) -> Reading | None:
    """What follows a name. None if there is no value."""
    unit = _UNIT.search(said)
    masked = _masked(said)
    number = _NUMBER.search(masked)
    if number is None or not _BETWEEN.fullmatch(masked[: number.start()]):
        sign = _SIGN.search(said)
        may_be_sign = item.is_qualitative or item.unit == "/HP"
        return Reading(item, sign=sign.lastgroup) if sign and may_be_sign else None
    if item.is_qualitative:
        return _qualitative(item, said, number)
    if unit is None and _FOREIGN_UNIT.match(masked, number.end()):
        return Reading(item, why_not="单位无法识别")
    factor = item.factors.get(unit_named(unit[0])) if unit else 1.0
    if factor is None:
        return Reading(item, why_not="单位无法识别")
    value = round(float(number[1]) * factor, 6)
    if not item.possible.holds(value):
        return Reading(item, why_not="数值超出可能的范围，请核对数值和单位")
    return Reading(item, value, has_unit=unit is not None or not item.unit)


def _masked(said: str) -> str:
    """Without units and ranges, so that their numbers are not taken for the value: 「白细胞(10^9/L) 3.5-9.5 11.2」."""
    for taken in (_UNIT, _RANGE):
        said = taken.sub(lambda match: " " * len(match[0]), said)
    return said


def _qualitative(item: Item, said: str, number: re.Match[str]) -> Reading:
    """「2+」 is a sign that begins like a number."""
    sign = _SIGN.search(said, max(0, number.start(1)))
    if sign is None:
        return Reading(item, why_not="只能判断阴性或阳性")
    return Reading(item, sign=sign.lastgroup)


_OTHER_NUMBERS = re.compile(r"岁|年龄|age|性别|日期|时间|date|time|\d{4}|编号|号码|电话|手机|证号|床|号:|住院号|门诊号")


def _is_measured(clause: str) -> bool:
    """Whether a clause without a known name says the value of something."""
    number = _NUMBER.search(_masked(clause))
    return number is not None and not _OTHER_NUMBERS.search(clause) and bool(re.search(r"[^\W\d_]", clause))


def _sex(text: str) -> Sex | None:
    found = re.search(r"(?:性别|sex|gender)\s*:?\s*(男|女|male|female)|(?<![^\W\d])(男|女)(?:性|士)?(?![^\W\d])", text)
    if found is None:
        return None
    return "male" if (found[1] or found[2]) in ("男", "male") else "female"


def _age(text: str) -> int | None:
    found = re.search(r"(?:年龄|(?<![a-z])age)\s*:?\s*(\d{1,3})(?!\d)|(?<!\d)(\d{1,3})\s*岁", text)
    return int(found[1] or found[2]) if found else None
