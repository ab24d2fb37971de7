"""The fields of a subscribe message: what each type may hold, shortening to fit, and the check when a template is defined. Pure.

developers.weixin.qq.com, open-ability/subscribe-message, "订阅消息参数值内容限制说明". One wrong field and the message is refused (47003).
"""

import re
from collections.abc import Callable

import msgspec

DASH = "-"
ELLIPSIS = "…"

_NAME = re.compile(r"([a-z_]+?)(\d+)")
_PLACEHOLDER = re.compile(r"\{\{?[^{}]*\}?\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
_DAY = r"(?:[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日|[0-9]{4}[-/.,][0-9]{1,2}[-/.,][0-9]{1,2})"
_TIME = rf"(?:{_DAY} ?)?{_CLOCK}"
_DATE = rf"{_DAY}(?: ?{_CLOCK})?"
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\u3007"


class Unfit(Exception):
    """A value that this type of field cannot hold, however shortened. `reason` is of the text catalogue; the value is not told."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One type of field. `mark` ends what was shortened; None: cannot be shortened. `fixed`: what a fixed part may consist of."""

    most: int
    form: re.Pattern[str]
    fixed: re.Pattern[str]
    empty: str | None = None
    mark: str | None = None


def _kind(most: int, form: str, *, fixed: str = "", empty: str | None = None, mark: str | None = None) -> Kind:
    return Kind(most=most, form=re.compile(form), fixed=re.compile(fixed or form), empty=empty, mark=mark)


_ANY = r".+"
_TIME_PARTS = r"[0-9:年月日~/.,\- ]+"
_LATIN_NAME = r"[A-Za-z .,'·\-]+"

KINDS: dict[str, Kind] = {
    "thing": _kind(20, _ANY, empty=DASH, mark=ELLIPSIS),
    # Digits, letters and symbols: the ellipsis of three dots, because "…" is none of ASCII.
    "character_string": _kind(32, r"[\x20-\x7e]+", empty=DASH, mark="..."),
    "number": _kind(32, r"-?[0-9]+(\.[0-9]+)?", fixed=r"[0-9.\-]+"),
    "letter": _kind(32, r"[A-Za-z]+"),
    "symbol": _kind(5, r"[^\w\s]+", empty=DASH),
    "time": _kind(64, rf"{_TIME}(?: ?~ ?{_TIME})?", fixed=_TIME_PARTS),
    "date": _kind(64, rf"{_DATE}(?: ?~ ?{_DATE})?", fixed=_TIME_PARTS),
    "amount": _kind(18, r"[¥￥$€£]?[0-9]{1,10}(\.[0-9]{1,4})?元?", fixed=r"[¥￥$€£]?[0-9.]*元?"),
    "phone_number": _kind(17, r"[0-9+\-() ]+"),
    "car_number": _kind(8, rf"[{_HAN}A-Za-z0-9][A-Za-z0-9]*[{_HAN}A-Za-z0-9]?"),
    "name": _kind(20, _ANY),  # 10 with any Chinese in it
    "phrase": _kind(5, rf"[{_HAN}]+"),
    "enum": _kind(20, _ANY),
    "const": _kind(20, _ANY),
}


def fit(name: str, value: str) -> str:
    """`value` as the field `name` (`thing1`) takes it: on one line, shortened visibly where it may be. Raises `Unfit`."""
    kind = _kind_of(name)
    if kind is None:
        raise Unfit(name, "template_field_unknown")
    text = " ".join(_CONTROL.sub(" ", value).split())
    if not text:
        if kind.empty is None:
            raise Unfit(name, "template_field_empty")
        return kind.empty
    text = _shorten_name(text) if name.startswith("name") else _shorten(text, kind)
    if _length(text) > kind.most:
        raise Unfit(name, "template_field_long")
    if not kind.form.fullmatch(text):
        raise Unfit(name, "template_field_form")
    return text


def check_field(name: str, text: str) -> str | None:
    """Why this field of a template can never be sent, as a reason of the text catalogue; None where it can.

    `text` holds placeholders in braces. What they will bring is not known, so that only the fixed parts are judged.
    """
    kind = _kind_of(name)
    if kind is None:
        return "template_field_unknown"
    if _CONTROL.search(text):
        return "template_field_line"
    fixed = [part for part in _PLACEHOLDER.split(text) if part.strip()]
    has_placeholder = _PLACEHOLDER.search(text) is not None
    if not fixed and not has_placeholder:
        return "template_field_empty"
    # A placeholder needs room for one character at least.
    if sum(map(_length, fixed)) + has_placeholder > _most(name, kind, "".join(fixed)):
        return "template_field_long"
    form = kind.fixed if has_placeholder else kind.form
    return None if all(form.fullmatch(part.strip()) for part in fixed) else "template_field_form"


def _kind_of(name: str) -> Kind | None:
    found = _NAME.fullmatch(name)
    return KINDS.get(found[1]) if found else None


def _length(text: str) -> int:
    """In UTF-16 units, as the mini-program's own language counts: the stricter reading of "20 个字符"."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _shorten(text: str, kind: Kind) -> str:
    if kind.mark is None or _length(text) <= kind.most:
        return text
    return _cut(text, kind.most - len(kind.mark)).rstrip() + kind.mark


def _cut(text: str, most: int) -> str:
    """The longest beginning of so many units; never half a character."""
    units = text.encode("utf-16-le", "surrogatepass")[: most * 2]
    return units.decode("utf-16-le", "ignore")


def _shorten_name(text: str) -> str:
    """10 characters, or 20 where none is Chinese. A mark is neither a letter nor Chinese, so that a long name just ends."""
    is_latin: Callable[[str], object] = re.compile(_LATIN_NAME).fullmatch
    return _cut(text, 20 if is_latin(text) else 10).rstrip()


def _most(name: str, kind: Kind, fixed: str) -> int:
    is_chinese_name = name.startswith("name") and bool(fixed) and not re.fullmatch(_LATIN_NAME, fixed)
    return 10 if is_chinese_name else kind.most
