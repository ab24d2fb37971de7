"""The rules of a reading that comes in: what was measured, when, and what may be taken back. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from hub.care.model import Measurement, Original, Reading, RecordType, Scalar, Source
from hub.care.trend import SHANGHAI
from hub.care.unit import DIASTOLIC, QUANTITIES, Convert, Quantity, converter
from hub.platform.error import ErrorCode, Refusal

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)  # how far a device's clock may run fast
FRESH = timedelta(hours=24)  # a critical reading older than this is history, and no alarm

# What a reading's circumstances may be called; for other types `context` is a remark like any other.
CONTEXTS: Mapping[RecordType, tuple[str, ...]] = {
    "blood_glucose": ("fasting", "after_meal", "random", "before_sleep"),
    "heart_rate": ("resting", "exercise"),
}

_DECIMAL = r"\s*([0-9]{1,6}(?:\.[0-9]{1,4})?)\s*"  # input fields of forms give text
_NUMBER = re.compile(_DECIMAL)
_PAIR = re.compile(f"{_DECIMAL}[/／]{_DECIMAL}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNESCAPED_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")  # a query's `+` is a blank
_YEARS = range(1900, 2201)


class Given(msgspec.Struct, frozen=True):
    """A reading as it was sent, each field of the right kind by itself."""

    type: RecordType
    value: float | str
    unit: str | None
    recorded_at: str
    source: Source
    notes: str
    metadata: Mapping[str, Scalar]


class Measured(msgspec.Struct, frozen=True):
    """A measurement, and what of its sending is kept besides."""

    measurement: Measurement
    as_pair: bool
    original: Original | None
    metadata: Mapping[str, Scalar]


def measure(given: Given) -> Measured:
    """What was measured, in the standard unit; refused if it is contradictory, or nothing that anybody can have."""
    convert, metadata = converter(given.type, given.unit), dict(given.metadata)
    value = _read(given.value)
    if given.type == "blood_pressure":
        measurement = _blood_pressure(value, convert, metadata)
    elif isinstance(value, str):
        raise Refusal(ErrorCode.INVALID, fields={"value": "record_value_number"})
    else:
        kept = _kept(value, convert, QUANTITIES[given.type], "value", given.type)
        measurement = Measurement(given.type, kept, context=_context(given.type, metadata))
    original = None if convert is None else Original(given.value, (given.unit or "").strip())
    return Measured(measurement, isinstance(value, str), original, metadata)


def moment(text: str, now: datetime) -> datetime:
    """When it was measured, in whole milliseconds, which is what the wire shows; refused if it cannot be true."""
    at = parse_moment(text, "recordedAt")
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    if at > now + AHEAD:
        raise Refusal(ErrorCode.INVALID, fields={"recordedAt": "record_in_future"})
    if at < EARLIEST:
        raise Refusal(ErrorCode.INVALID, fields={"recordedAt": "record_too_old"})
    return at


def parse_moment(text: str, field: str) -> datetime:
    """RFC 3339 with an offset, in UTC; anything else is refused naming the field."""
    try:
        at = msgspec.convert(text, datetime)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        pass
    raise Refusal(ErrorCode.INVALID, fields={field: "time_zone_needed"})


def bound(text: str, field: str, *, is_end: bool = False) -> datetime:
    """Where a range begins, or the first moment after its end. Both ends belong to it: a moment, or a day in Asia/Shanghai."""
    if _DAY.fullmatch(text):
        begin, length = _beginning(text, field), timedelta(days=1)
    else:
        begin, length = parse_moment(_UNESCAPED_PLUS.sub("+", text), field), timedelta(microseconds=1)
    if begin.year not in _YEARS:
        raise Refusal(ErrorCode.INVALID, fields={field: "date_out_of_range"})
    return begin + length if is_end else begin


def is_alarming(reading: Reading, now: datetime) -> bool:
    """Whether somebody must be told at once."""
    return reading.assessment.risk == "critical" and reading.recorded_at >= now - FRESH


def check_removable(reading: Reading, who: str) -> None:
    """Only what people typed in can be taken back, by whom it is about or who typed it."""
    if who not in (reading.user, reading.actor):
        raise Refusal(ErrorCode.FORBIDDEN)
    if reading.source != "manual":
        raise Refusal(ErrorCode.CONFLICT, "record_not_manual", fields={"source": reading.source})


def _beginning(day: str, field: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(day), time(), SHANGHAI)
    except ValueError as error:
        raise Refusal(ErrorCode.INVALID, fields={field: "date_invalid"}) from error


def _blood_pressure(value: float | str, convert: Convert | None, metadata: dict[str, Scalar]) -> Measurement:
    """Takes what belongs to the measurement out of `metadata`."""
    if isinstance(value, str):
        pair = _PAIR.fullmatch(value)
        if pair is None:
            raise Refusal(ErrorCode.INVALID, fields={"value": "record_pressure_pair"})
        systolic, diastolic, field = float(pair[1]), float(pair[2]), "value"
    else:
        below = _number(metadata, "diastolic")
        if below is None:
            raise Refusal(ErrorCode.INVALID, fields={"metadata.diastolic": "field_required"})
        systolic, diastolic, field = value, below, "metadata.diastolic"
    for name, said in (("systolic", systolic), ("diastolic", diastolic)):
        if _number(metadata, name) not in (None, said):
            raise Refusal(ErrorCode.INVALID, fields={f"metadata.{name}": "record_contradicts_value"})
        metadata.pop(name, None)
    upper = _kept(systolic, convert, QUANTITIES["blood_pressure"], "value", "systolic")
    lower = _kept(diastolic, convert, DIASTOLIC, field, "diastolic")
    if upper <= lower:
        raise Refusal(ErrorCode.INVALID, fields={"value": "record_pressures_reversed"})
    pulse = _number(metadata, "heartRate")
    if pulse is not None:
        pulse = _kept(pulse, None, QUANTITIES["heart_rate"], "metadata.heartRate", "heart_rate")
    metadata.pop("heartRate", None)
    return Measurement("blood_pressure", upper, lower, pulse)


def _number(metadata: Mapping[str, Scalar], name: str) -> float | None:
    said = metadata.get(name)
    if isinstance(said, str):
        said = _read(said)
    if isinstance(said, bool | str):
        raise Refusal(ErrorCode.INVALID, fields={f"metadata.{name}": "record_value_number"})
    return said


def _read(value: float | str) -> float | str:
    """A number that was sent as text, as a number; anything else as it is."""
    number = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return value if number is None else float(number[1])


def _kept(value: float, convert: Convert | None, quantity: Quantity, field: str, name: str) -> float:
    """The value as it is kept: in the standard unit, rounded, possible."""
    kept = quantity.rounded(value if convert is None else convert(value))
    if not quantity.has(kept):
        raise Refusal(ErrorCode.INVALID, fields={field: f"range_{name}"})
    return kept


def _context(kind: RecordType, metadata: dict[str, Scalar]) -> str | None:
    known = CONTEXTS.get(kind)
    if known is None:
        return None
    said = metadata.pop("context", None)
    if said is not None and said not in known:
        raise Refusal(ErrorCode.INVALID, fields={"metadata.context": f"context_{kind}"})
    return said if isinstance(said, str) else None
