"""The units that readings come in, and the standard unit that each type is kept and answered in."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hub.care.model import RecordType
from hub.platform.error import ErrorCode, Refusal

KPA_IN_MMHG = 7.50062  # 1 mmHg = 133.322 Pa
GLUCOSE_MG_PER_MMOL = 18.0  # dL/mg per L/mmol; 18.016 by molar mass, 18 on every meter
POUND_KG = 0.45359237
JIN_KG = 0.5

Convert = Callable[[float], float]


class Quantity(NamedTuple):
    """How a type is kept: in which unit, within what anybody alive has shown or a meter can show, how finely."""

    unit: str
    least: float
    most: float
    decimals: int
    units: Mapping[str, Convert | None]  # spelling in lower case → into the standard unit; None: it is that unit

    def rounded(self, value: float) -> float:
        """A value of the standard unit, as fine as it is kept."""
        return round(float(value), self.decimals)

    def has(self, value: float) -> bool:
        return self.least <= value <= self.most


def _per_minute() -> dict[str, Convert | None]:
    return dict.fromkeys(("bpm", "次/分", "次/分钟", "/min", "beats/min"))


# The ranges are ours, wide on purpose: they keep slips of the finger out, not the very ill.
QUANTITIES: Mapping[RecordType, Quantity] = {
    "blood_pressure": Quantity(
        "mmHg", 40, 300, 0, {"mmhg": None, "毫米汞柱": None, "kpa": lambda kpa: kpa * KPA_IN_MMHG}
    ),
    "blood_glucose": Quantity(
        "mmol/L", 0.5, 70, 2, {"mmol/l": None, "mg/dl": lambda mg_per_dl: mg_per_dl / GLUCOSE_MG_PER_MMOL}
    ),
    "heart_rate": Quantity("bpm", 20, 300, 0, _per_minute()),
    "spo2": Quantity("%", 30, 100, 1, {"%": None}),
    "temperature": Quantity(
        "°C",
        25,
        45,
        1,
        {
            **dict.fromkeys(("°c", "℃", "c", "摄氏度")),
            **dict.fromkeys(("°f", "℉", "f", "华氏度"), lambda fahrenheit: (fahrenheit - 32) / 1.8),
        },
    ),
    "weight": Quantity(
        "kg",
        0.5,
        500,
        2,
        {
            **dict.fromkeys(("kg", "公斤", "千克")),
            **dict.fromkeys(("斤", "市斤", "jin"), lambda jin: jin * JIN_KG),
            **dict.fromkeys(("lb", "lbs", "磅"), lambda pound: pound * POUND_KG),
        },
    ),
    "steps": Quantity("steps", 0, 200_000, 0, dict.fromkeys(("steps", "step", "步"))),
    "sleep": Quantity(
        "h",
        0,
        24,
        2,
        {
            **dict.fromkeys(("h", "hour", "hours", "小时")),
            **dict.fromkeys(("min", "minute", "minutes", "分钟"), lambda minutes: minutes / 60),
        },
    ),
}
DIASTOLIC = QUANTITIES["blood_pressure"]._replace(least=20, most=200)


def converter(kind: RecordType, unit: str | None) -> Convert | None:
    """How to get from this unit to the type's standard one; None if it is that unit, or none is named."""
    units = QUANTITIES[kind].units
    spelling = (unit or QUANTITIES[kind].unit).strip().lower()
    if spelling not in units:
        raise Refusal(ErrorCode.INVALID, fields={"unit": f"unit_{kind}"})
    return units[spelling]
