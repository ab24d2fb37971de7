"""What reports are judged by: kinds of report, their items, ranges and units. The figures are in `reference_blood`,
`reference_chemistry`, `reference_glucose` and `reference_urine`, each with where it is published. Pure.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

Sex = Literal["male", "female"]


class Limits(NamedTuple):
    """From `low` to `high`, both inside; None is open."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class Grade(NamedTuple):
    """From `at_least` on, values are called this."""

    at_least: float
    name: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report. Names are as `named` folds them; `inside` are names that mean it only in its own kind of report."""

    name: str
    aliases: tuple[str, ...]
    inside: tuple[str, ...] = ()
    unit: str = ""
    factors: Mapping[str, float] = {}
    """Other units, as `unit_named` writes them → what to multiply by."""
    normal: Limits = Limits()
    female: Limits | None = None
    """Where women's range is another; `normal` is men's then."""
    grades: tuple[Grade, ...] = ()
    """Instead of one upper limit."""
    possible: Limits = Limits()
    """Beyond it is a slip of the pen or another unit, and nothing is said about it."""
    critical: Limits = Limits()
    """Beyond it somebody should see a doctor now."""
    is_qualitative: bool = False
    """Negative or positive; negative is normal."""
    when_high: str = ""
    when_low: str = ""
    advice: str = ""
    source: str = ""

    def limits(self, sex: Sex | None) -> Limits:
        """Of unknown sex: what is normal for either."""
        if self.female is None or sex == "male":
            return self.normal
        if sex == "female":
            return self.female
        return Limits(_wider(self.normal.low, self.female.low, min), _wider(self.normal.high, self.female.high, max))


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of report that the rules know."""

    code: str
    name: str
    aliases: tuple[str, ...]
    items: Sequence[Item]
    advice: str


def named(text: str) -> str:
    """Names are compared so: 「ＷＢＣ」, 「wbc」 and 「W B C」 are one."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text).lower())


def unit_named(text: str) -> str:
    """One spelling of a unit: `10^9/l`, `umol/l`, `/hp`."""
    # Before form KC, in which 10⁹ is 109.
    text = _RAISED.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = named(text).replace("μ", "u").lstrip("x×*·")
    text = re.sub(r"^10[\^*e]?(9|12)/", r"10^\1/", text)
    return _SAME_UNIT.get(text, text)


_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SAME_UNIT = {
    "iu/l": "u/l",
    "个/ul": "/ul",
    "个/hp": "/hp",
    "/hpf": "/hp",
    "个/hpf": "/hp",
    "/高倍视野": "/hp",
    "ml/min": "ml/min/1.73m2",
    "ml/min/1.73m^2": "ml/min/1.73m2",
    "ml/(min·1.73m2)": "ml/min/1.73m2",
    "毫米汞柱": "mmhg",
    "次/分": "bpm",
    "次/min": "bpm",
}


def _wider(one: float | None, other: float | None, choose: Callable[[float, float], float]) -> float | None:
    return None if one is None or other is None else choose(one, other)
