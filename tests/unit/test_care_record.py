"""A reading that comes in: tolerant of how it is written, strict about what cannot be true."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care import record
from hub.care.indicator import assess
from hub.care.model import Measurement, Original, Reading, RecordType, Scalar, Source
from hub.care.record import Given, Measured, measure
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import TEXTS

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)


def taken(
    type: RecordType, value: float | str, unit: str | None = None, metadata: dict[str, Scalar] | None = None
) -> Measured:
    return measure(Given(type, value, unit, "2026-03-01T00:00:00Z", "manual", "", metadata or {}))


def refusal(call: Any, *arguments: Any, **named: Any) -> dict[str, str]:
    """The fields that a call is refused with, each with a reason of the catalogue."""
    with pytest.raises(Refusal) as refused:
        call(*arguments, **named)
    assert refused.value.code is ErrorCode.INVALID
    assert all(reason in TEXTS for reason in refused.value.fields.values())
    return refused.value.fields


def reading(risk_value: float = 200, **changed: Any) -> Reading:
    measured = Measurement("blood_pressure", risk_value, 100)
    plain: dict[str, Any] = {
        "id": "r",
        "user": "patient",
        "actor": "doctor",
        "measurement": measured,
        "assessment": assess(measured),
        "source": "manual",
        "recorded_at": NOW,
        "created_at": NOW,
    }
    return Reading(**(plain | changed))


@pytest.mark.parametrize("written", ["128/82", " 128 / 82 ", "128／82", "128.0/82.0"])
def test_blood_pressure_is_taken_as_a_pair(written: str) -> None:
    """As people write it, blanks and the wide slash of Chinese keyboards included."""
    assert taken("blood_pressure", written) == Measured(Measurement("blood_pressure", 128, 82), True, None, {})


def test_blood_pressure_is_taken_as_a_number_with_metadata() -> None:
    """The parts of the measurement leave the metadata, remarks stay."""
    metadata: dict[str, Scalar] = {"systolic": 128, "diastolic": 82, "heartRate": 71, "device": "欧姆龙"}
    found = taken("blood_pressure", 128, "mmHg", metadata)

    assert found == Measured(Measurement("blood_pressure", 128, 82, 71), False, None, {"device": "欧姆龙"})
    assert "systolic" in metadata  # the caller's own stays as it was


def test_both_forms_of_a_blood_pressure_are_the_same_measurement() -> None:
    """So that a retry in the other form is a retry."""
    pair, number = taken("blood_pressure", "128/82"), taken("blood_pressure", 128, None, {"diastolic": 82})

    assert repr(pair.measurement) == repr(number.measurement)


def test_number_may_be_text() -> None:
    """What a form's input field gives; it is answered as a number."""
    assert taken("blood_glucose", " 5.6 ") == Measured(Measurement("blood_glucose", 5.6), False, None, {})
    found = taken("blood_pressure", "128", None, {"diastolic": "82", "heartRate": "71"})
    assert found == Measured(Measurement("blood_pressure", 128, 82, 71), False, None, {})


def test_metadata_may_repeat_what_the_pair_says() -> None:
    """Clients send both."""
    found = taken("blood_pressure", "128/82", None, {"systolic": 128.0, "diastolic": 82})

    assert (found.measurement.value, found.measurement.diastolic, found.metadata) == (128, 82, {})


def test_other_unit_is_converted_and_what_was_sent_is_kept() -> None:
    """Also inside of a pair."""
    assert taken("blood_pressure", "16.0/10.7", "kPa").original == Original("16.0/10.7", "kPa")
    assert taken("blood_pressure", "16.0/10.7", "kPa").measurement == Measurement("blood_pressure", 120, 80)
    assert taken("blood_glucose", 126, "mg/dL").original == Original(126, "mg/dL")
    assert taken("blood_glucose", 7, "mmol/L").original is None


@pytest.mark.parametrize(
    ("type", "value", "unit", "metadata", "field"),
    [
        ("blood_pressure", "128", None, {}, "metadata.diastolic"),
        ("blood_pressure", "128/82/70", None, {}, "value"),
        ("blood_pressure", "一百二/八十", None, {}, "value"),
        ("blood_pressure", "１２８/82", None, {}, "value"),
        ("blood_pressure", "", None, {}, "value"),
        ("blood_pressure", "82/128", None, {}, "value"),
        ("blood_pressure", "120/120", None, {}, "value"),
        ("blood_pressure", "301/80", None, {}, "value"),
        ("blood_pressure", "120/19", None, {}, "value"),
        ("blood_pressure", 120, None, {}, "metadata.diastolic"),
        ("blood_pressure", 120, None, {"diastolic": None}, "metadata.diastolic"),
        ("blood_pressure", 120, None, {"diastolic": "八十"}, "metadata.diastolic"),
        ("blood_pressure", 120, None, {"diastolic": True}, "metadata.diastolic"),
        ("blood_pressure", 120, None, {"diastolic": 19}, "metadata.diastolic"),
        ("blood_pressure", 120, None, {"diastolic": 80, "systolic": 121}, "metadata.systolic"),
        ("blood_pressure", "120/80", None, {"diastolic": 81}, "metadata.diastolic"),
        ("blood_pressure", "120/80", None, {"heartRate": 19}, "metadata.heartRate"),
        ("blood_pressure", "120/80", None, {"heartRate": ""}, "metadata.heartRate"),
        ("blood_pressure", "120/80", "bar", {}, "unit"),
        ("blood_glucose", "5.6/7", None, {}, "value"),
        ("blood_glucose", "-5.6", None, {}, "value"),
        ("blood_glucose", "5.6e0", None, {}, "value"),
        ("steps", "１000", None, {}, "value"),
        ("blood_glucose", 126, None, {}, "value"),
        ("blood_glucose", 0.4, None, {}, "value"),
        ("blood_glucose", 5.6, None, {"context": "饭后"}, "metadata.context"),
        ("heart_rate", 72, None, {"context": "fasting"}, "metadata.context"),
        ("heart_rate", 301, None, {}, "value"),
        ("spo2", 101, None, {}, "value"),
        ("temperature", 46, None, {}, "value"),
        ("temperature", 37, "°F", {}, "value"),
        ("weight", 0, None, {}, "value"),
        ("weight", 501, None, {}, "value"),
        ("steps", -1, None, {}, "value"),
        ("sleep", 25, None, {}, "value"),
    ],
)
def test_impossible_reading_is_refused_naming_the_field(
    type: RecordType, value: float | str, unit: str | None, metadata: dict[str, Scalar], field: str
) -> None:
    """With a reason that people can read."""
    assert list(refusal(taken, type, value, unit, metadata)) == [field]


@given(st.text(max_size=20) | st.floats(-1e6, 1e6), st.sampled_from(["mmHg", "kPa", None]))
def test_no_blood_pressure_is_kept_that_cannot_be(value: float | str, unit: str | None) -> None:
    """Whatever is sent: a refusal, or systolic above diastolic and both within their ranges."""
    try:
        found = taken("blood_pressure", value, unit, {"diastolic": 80.0} if isinstance(value, float) else {})
    except Refusal:
        return
    measured = found.measurement
    assert measured.diastolic is not None
    assert 300 >= measured.value > measured.diastolic >= 20


@pytest.mark.parametrize("context", ["fasting", "after_meal", "random", "before_sleep"])
def test_context_belongs_to_the_measurement(context: str) -> None:
    """It decides which limits hold."""
    assert taken("blood_glucose", 5.6, None, {"context": context, "餐次": "早餐"}) == Measured(
        Measurement("blood_glucose", 5.6, context=context), False, None, {"餐次": "早餐"}
    )


def test_moment_is_kept_in_whole_milliseconds() -> None:
    """What is stored is what the wire shows, so that a cursor and a retry meet it."""
    assert record.moment("2026-03-01T11:59:59.123456+08:00", NOW) == datetime(2026, 3, 1, 3, 59, 59, 123000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("2026-03-01T04:05:00Z", True),
        ("2026-03-01T04:05:00.001Z", False),
        ("1990-01-01T00:00:00Z", True),
        ("1989-12-31T23:59:59Z", False),
        ("2026-03-01T04:00:00", False),
        ("2026-03-01", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("20260301T040000Z", False),
        ("", False),
    ],
)
def test_moment_is_neither_ahead_nor_long_ago(text: str, accepted: bool) -> None:
    """A device's clock may be five minutes fast."""
    if accepted:
        assert record.moment(text, NOW).tzinfo is UTC
    else:
        assert list(refusal(record.moment, text, NOW)) == ["recordedAt"]


def test_range_of_days_holds_both_days_of_shanghai() -> None:
    """From their first moment to the first one after them."""
    shanghai = timezone(timedelta(hours=8))

    assert record.bound("2026-03-01", "start") == datetime(2026, 3, 1, tzinfo=shanghai)
    assert record.bound("2026-03-01", "end", is_end=True) == datetime(2026, 3, 2, tzinfo=shanghai)


@pytest.mark.parametrize("text", ["2026-03-01T08:00:00+08:00", "2026-03-01T08:00:00 08:00", "2026-03-01T00:00:00Z"])
def test_range_of_moments_holds_both_moments(text: str) -> None:
    """Also where the plus sign of a query was not escaped."""
    at = datetime(2026, 3, 1, tzinfo=UTC)

    assert record.bound(text, "start") == at
    assert at < record.bound(text, "end", is_end=True) <= at + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-3-1", "2026-02-30", "20260301", "2026-W09-7", "0001-01-01", "9999-12-31", "今天", ""),
        *("2026-03-01T08:00:00", "9999-12-31T23:59:59.999999Z", "2026-03-01 08:00"),
    ],
)
def test_range_is_refused_where_it_is_no_date(text: str) -> None:
    """Naming the field, and never by an overflow."""
    assert list(refusal(record.bound, text, "end", is_end=True)) == ["end"]


@given(st.text(max_size=30))
def test_range_is_a_time_or_a_refusal(text: str) -> None:
    """Whatever is in the query."""
    try:
        found = record.bound(text, "start")
    except Refusal:
        return
    assert found.tzinfo is not None


@pytest.mark.parametrize(("value", "hours", "alarming"), [(200, 1, True), (200, 25, False), (150, 1, False)])
def test_only_a_fresh_critical_reading_alarms(value: float, hours: int, alarming: bool) -> None:
    """What a hospital adds of last year wakes nobody."""
    assert record.is_alarming(reading(value, recorded_at=NOW - timedelta(hours=hours)), NOW) is alarming


@pytest.mark.parametrize(
    ("who", "source", "refused"),
    [
        ("patient", "manual", None),
        ("doctor", "manual", None),
        ("relative", "manual", ErrorCode.FORBIDDEN),
        ("patient", "device", ErrorCode.CONFLICT),
        ("patient", "hospital", ErrorCode.CONFLICT),
    ],
)
def test_only_typed_entries_are_taken_back(who: str, source: Source, refused: ErrorCode | None) -> None:
    """By whom they are about, or who typed them."""
    entry = reading(source=source)
    if refused is None:
        record.check_removable(entry, who)
        return
    with pytest.raises(Refusal) as raised:
        record.check_removable(entry, who)
    assert raised.value.code is refused
