"""Health data: what a reading is, and what was found about it. The structs only; the rules stand in `record`, `unit`,
`guideline`, `indicator` and `profile`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

RecordType = Literal["blood_pressure", "blood_glucose", "heart_rate", "spo2", "temperature", "weight", "steps", "sleep"]
Source = Literal["manual", "device", "hospital"]

# How a value stands to its reference; `unrated` where the reference needs something that is not known.
Level = Literal["very_low", "low", "normal", "elevated", "high", "very_high", "unrated"]
RiskLevel = Literal["low", "medium", "high", "critical"]
RISK_LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")

Scalar = str | float | bool | None


class Measurement(msgspec.Struct, frozen=True):
    """What was measured, in the standard unit of its type."""

    type: RecordType
    value: float  # of a blood pressure: the systolic one
    diastolic: float | None = None
    heart_rate: float | None = None  # taken along with a blood pressure
    context: str | None = None  # under which circumstances: before a meal, during exercise


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a risk is above low: a measured quantity is on the wrong side of a limit, by the guideline named."""

    quantity: str
    side: Literal["at_least", "below"]
    limit: float
    guideline: str


class Assessment(msgspec.Struct, frozen=True, array_like=True):
    """What the guidelines of the day said of a reading. Keys of the text catalogue, so that it is told in any language."""

    level: Level
    findings: tuple[str, ...]
    risk: RiskLevel
    reasons: tuple[Reason, ...]
    bmi: float | None = None  # the one that a weight was judged by


class Original(msgspec.Struct, frozen=True, array_like=True):
    """What was sent, where it was in another unit than the standard one."""

    value: float | str
    unit: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of somebody's health record."""

    id: str
    user: str
    actor: str
    measurement: Measurement
    assessment: Assessment
    source: Source
    recorded_at: datetime
    created_at: datetime
    as_pair: bool = False  # a blood pressure that was sent as "128/82", and is answered so
    original: Original | None = None
    notes: str = ""
    metadata: Mapping[str, Scalar] = {}

    @property
    def type(self) -> RecordType:
        return self.measurement.type

    @property
    def value(self) -> float:
        """In the standard unit of the type; of a blood pressure the systolic one."""
        return self.measurement.value

    @property
    def diastolic(self) -> float | None:
        return self.measurement.diastolic


class Circumstances(msgspec.Struct, frozen=True):
    """What of a person's profile the guidelines ask for."""

    height_cm: float | None = None
    diabetic: bool = False
