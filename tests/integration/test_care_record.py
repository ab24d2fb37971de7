"""Health records over HTTP, in the exact shapes of the contract."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def patient(hub: CoreHub) -> Caller:
    return await hub.person()


def pressure(hub: CoreHub, minutes: int = 0, **changed: Any) -> dict[str, Any]:
    """A reading of some minutes ago."""
    at = (hub.clock.now() - timedelta(minutes=minutes)).isoformat()
    body = {
        "type": "blood_pressure",
        "value": 152,
        "unit": "mmHg",
        "recordedAt": at,
        "source": "device",
        "notes": "晨起，静坐五分钟后测量",
        "metadata": {"systolic": 152, "diastolic": 95, "heartRate": 78},
    }
    return body | changed


async def test_record_answers_indicators_and_risk(hub: CoreHub, patient: Caller) -> None:
    """The contract's answer, in Chinese."""
    body = pressure(hub)
    kept = await hub.call(patient, "POST", "/health/records", json=body)

    assert {name: kept[name] for name in ("type", "value", "unit", "notes", "source")} == {
        "type": "blood_pressure",
        "value": 152,
        "unit": "mmHg",
        "notes": body["notes"],
        "source": "device",
    }
    assert kept["metadata"] == body["metadata"]
    assert kept["indicators"]["level"] == "high"
    assert "1 级高血压" in kept["indicators"]["description"]
    assert kept["risk"]["level"] == "medium"
    assert any("收缩压" in reason for reason in kept["risk"]["reasons"])
    assert (kept["userId"], kept["actorId"]) == (patient.id, patient.id)
    assert await hub.call(patient, "GET", f"/health/records/{kept['id']}") == kept


async def test_repeated_record_is_the_same_record(hub: CoreHub, patient: Caller) -> None:
    """A retry is free; another content at the same moment is a conflict."""
    body = pressure(hub)
    first = await hub.call(patient, "POST", "/health/records", json=body)

    assert await hub.call(patient, "POST", "/health/records", json=body) == first
    other = body | {"value": 150, "metadata": {"diastolic": 90}}
    error = await hub.call(patient, "POST", "/health/records", 409, json=other)
    assert list(error["fields"]) == ["recordedAt"]
    assert len((await hub.call(patient, "GET", "/health/records"))["items"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "mood"}, "type"),
        ({"unit": "bar"}, "unit"),
        ({"value": 999, "metadata": {"diastolic": 95}}, "value"),
        ({"value": 90, "metadata": {"diastolic": 95}}, "value"),
        ({"metadata": {}}, "metadata.diastolic"),
        ({"metadata": {"systolic": 151, "diastolic": 95}}, "metadata.systolic"),
        ({"recordedAt": "2026-01-31T08:00:00"}, "recordedAt"),
        ({"recordedAt": "2999-01-31T08:00:00Z"}, "recordedAt"),
        ({"recordedAt": "yesterday"}, "recordedAt"),
        ({"source": "rumour"}, "source"),
        ({"mood": 1}, "mood"),
    ],
)
async def test_record_is_refused_naming_the_field(
    hub: CoreHub, patient: Caller, change: dict[str, Any], field: str
) -> None:
    """Impossible, contradictory and unknown values are no readings."""
    error = await hub.call(patient, "POST", "/health/records", 400, json=pressure(hub) | change)

    assert list(error["fields"]) == [field]
    assert (await hub.call(patient, "GET", "/health/records"))["items"] == []


@pytest.mark.parametrize(
    ("type", "value", "unit", "kept", "standard"),
    [
        ("blood_glucose", 126, "mg/dL", 7.0, "mmol/L"),
        ("temperature", 98.6, "°F", 37.0, "°C"),
        ("weight", 140, "斤", 70.0, "kg"),
        ("sleep", 450, "min", 7.5, "h"),
        ("blood_pressure", "128/82", None, "128/82", "mmHg"),
        ("steps", 8000, None, 8000, "steps"),
    ],
)
async def test_record_is_kept_in_the_standard_unit(
    hub: CoreHub, patient: Caller, type: str, value: Any, unit: str | None, kept: Any, standard: str
) -> None:
    """Units are converted; what was sent stays readable."""
    body = pressure(hub, type=type, value=value, unit=unit, metadata={})
    found = await hub.call(patient, "POST", "/health/records", json=body)

    assert (found["value"], found["unit"]) == (kept, standard)


async def test_range_takes_days_of_shanghai_inclusively(hub: CoreHub, patient: Caller) -> None:
    """A day as an end is included; a reversed range and a bad cursor are refused."""
    await hub.call(patient, "POST", "/health/records", json=pressure(hub))
    day = f"{hub.clock.now() + timedelta(hours=8):%Y-%m-%d}"

    assert len((await hub.call(patient, "GET", f"/health/records?start={day}&end={day}"))["items"]) == 1
    assert (await hub.call(patient, "GET", "/health/records?end=2020-01-01"))["items"] == []
    for query, field in (("start=2026-02-01&end=2026-01-01", "end"), ("start=1", "start"), ("cursor=x", "cursor")):
        error = await hub.call(patient, "GET", f"/health/records?{query}", 400)
        assert list(error["fields"]) == [field]


async def test_only_what_was_typed_in_can_be_taken_back(hub: CoreHub, patient: Caller) -> None:
    """A manual entry goes; a device's stays; a stranger's is not found."""
    manual = await hub.call(patient, "POST", "/health/records", json=pressure(hub, source="manual"))
    device = await hub.call(patient, "POST", "/health/records", json=pressure(hub, 1))
    await hub.call(await hub.person(), "DELETE", f"/health/records/{manual['id']}", 404)
    await hub.call(patient, "DELETE", f"/health/records/{device['id']}", 409)
    await hub.call(patient, "DELETE", f"/health/records/{manual['id']}")

    await hub.call(patient, "GET", f"/health/records/{manual['id']}", 404)
    await hub.call(patient, "GET", f"/health/records/{new_id()}", 404)


async def test_erased_person_has_no_readable_records(hub: CoreHub, patient: Caller) -> None:
    """With the key the content is gone: not found, and no server error."""
    await hub.call(patient, "POST", "/health/records", json=pressure(hub))
    async with hub.ground.database.transaction() as connection:
        await hub.ground.sealer.destroy(connection, patient.id)

    await hub.call(patient, "GET", "/health/records", 404)
    await hub.call(patient, "POST", "/health/records", 404, json=pressure(hub, 1))


async def test_critical_reading_is_an_event(hub: CoreHub, patient: Caller) -> None:
    """Whoever must react is told once, by ids only."""
    body = pressure(hub, value=205, metadata={"diastolic": 125})
    kept = await hub.call(patient, "POST", "/health/records", json=body)
    await hub.call(patient, "POST", "/health/records", json=body)
    async with hub.ground.database.transaction() as connection:
        found = await connection.execute(
            text("SELECT payload::text FROM events WHERE kind = 'ReadingFoundCritical' AND subject = :u"),
            {"u": patient.id},
        )
        payloads = [str(each) for each in found.scalars()]

    assert kept["risk"]["level"] == "critical"
    assert len(payloads) == 1
    assert kept["id"] in payloads[0]
    assert "205" not in payloads[0].replace(kept["id"], "").replace(patient.id, "")
