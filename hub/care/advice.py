"""What people are told about a stretch of their readings: how a rule looks at facts. The rules are `advice_rule`'s. Pure."""

from typing import Literal, NamedTuple

import msgspec

from hub.care.model import Level, RecordType
from hub.care.trend import Direction
from hub.platform.text import Language

AdviceLevel = Literal["info", "attention", "warning", "urgent"]
ADVICE_LEVELS: tuple[AdviceLevel, ...] = ("info", "attention", "warning", "urgent")
ANY_COUNT = 10**9


class Advice(msgspec.Struct, frozen=True):
    """One piece of advice in both languages, because a report is read long after it was made."""

    level: AdviceLevel
    zh: str
    en: str

    def said(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Facts(NamedTuple):
    """What the rules look at."""

    type: RecordType
    counted: int
    average: tuple[str, str]
    """As people write it in Chinese and in English: with its unit, and the circumstances where they matter."""
    level: Level
    """Of the average."""
    outside: float
    """The share of rated readings that are neither normal nor slightly raised."""
    critical: int
    """How many readings asked for somebody to act at once."""
    direction: Direction


class Rule(NamedTuple):
    """Fits facts that meet everything it names; an empty tuple leaves its question open."""

    level: AdviceLevel
    zh: str
    en: str
    types: tuple[RecordType, ...] = ()
    levels: tuple[Level, ...] = ()
    direction: Direction | None = None
    outside: float = 0.0  # this share at least
    critical: int = 0  # so many at least
    counted: tuple[int, int] = (1, ANY_COUNT)

    def fits(self, facts: Facts) -> bool:
        return (
            (not self.types or facts.type in self.types)
            and (not self.levels or facts.level in self.levels)
            and self.direction in (None, facts.direction)
            and facts.outside >= self.outside
            and facts.critical >= self.critical
            and self.counted[0] <= facts.counted <= self.counted[1]
        )

    def advice(self, facts: Facts) -> Advice:
        zh, en = facts.average
        values = {"share": f"{facts.outside:.0%}", "critical": facts.critical}
        return Advice(self.level, self.zh.format(average=zh, **values), self.en.format(average=en, **values))
