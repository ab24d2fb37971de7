"""Many records: batches of devices, retries at the same time, whom one records for, and what a request costs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.accounts.access import grant
from hub.care import record_store
from hub.care.profile import Profile
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.care_scene import audited, profile, reading, relate, statements
from tests.integration.core_app import Caller, CoreHub, open_core

# Of this database: others of the same server may wait as well.
WAITING = """SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%health_data_records%'"""


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def patient(hub: CoreHub) -> Caller:
    return await hub.person()


def pulse(hub: CoreHub, minutes: float = 0, **changed: Any) -> dict[str, Any]:
    """A heart rate of some minutes ago, from a wristband."""
    at = (hub.clock.now() - timedelta(minutes=minutes)).isoformat()
    return {"type": "heart_rate", "value": 72, "unit": "bpm", "recordedAt": at, "source": "device"} | changed


async def send(hub: CoreHub, who: Caller, records: list[Any], **more: Any) -> Any:
    return await hub.call(who, "POST", "/health/records/batch", json={"records": records, **more})


async def stored(hub: CoreHub, person: Caller) -> int:
    query = "SELECT count(*) FROM health_data_records WHERE user_id = $1"
    return int(await hub.ground.database.log.fetchval(query, person.id))


async def granted(hub: CoreHub, person: Caller, member: Caller, scope: Literal["care", "service"]) -> None:
    async with hub.ground.database.transaction() as connection:
        await grant(
            connection, person=person.id, members=[member.id], source=new_id(), scope=scope, now=hub.clock.now()
        )


async def critical(hub: CoreHub, person: Caller) -> list[str]:
    rows = await hub.ground.database.log.fetch(
        "SELECT payload FROM events WHERE kind = 'ReadingFoundCritical' AND subject = $1 ORDER BY number", person.id
    )
    assert all(set(row["payload"]) == {"subject", "record"} for row in rows)
    return [row["payload"]["record"] for row in rows]


async def test_batch_keeps_what_is_right_and_may_be_sent_again(hub: CoreHub, patient: Caller) -> None:
    """Each is kept or refused by itself, with its index and field; the same batch again changes nothing."""
    records = [
        pulse(hub, 1),
        pulse(hub, 2, unit="bar"),
        pulse(hub, 3, type="mood"),
        pulse(hub, 4, value=True),
        pulse(hub, 5, mood=1),
        {"type": "heart_rate", "value": 72},
        pulse(hub, -10),
        pulse(hub, 6, notes="夜间\u0000"),
        pulse(hub, 7, metadata={"context": "exercise"}, value=150),
    ]
    first = await send(hub, patient, records)
    again = await send(hub, patient, records)

    faults = {item["index"]: list(item["error"]["fields"]) for item in first["items"] if item["error"]}
    assert faults == {
        1: ["unit"],
        2: ["type"],
        3: ["value"],
        4: ["mood"],
        5: ["recordedAt"],
        6: ["recordedAt"],
        7: ["notes"],
    }
    assert (first["kept"], first["refused"]) == (2, 7)
    assert [item["index"] for item in first["items"]] == list(range(9))
    assert all((item["id"] is None) == (item["error"] is not None) for item in first["items"])
    assert again == first
    assert await stored(hub, patient) == 2


async def test_batch_tells_conflicts_and_repetitions_apart(hub: CoreHub, patient: Caller) -> None:
    """Also within itself: the first of two at one moment stays."""
    answered = await send(hub, patient, [pulse(hub), pulse(hub), pulse(hub, value=73), pulse(hub, source="manual")])
    ids = [item["id"] for item in answered["items"]]

    assert ids[0] == ids[1]
    assert answered["items"][2]["error"]["type"] == "conflict"
    assert list(answered["items"][2]["error"]["fields"]) == ["recordedAt"]
    assert ids[3] not in (None, ids[0])
    assert await stored(hub, patient) == 2


@pytest.mark.parametrize("records", [[], [{}] * 501, [1], "x", None])
async def test_batch_that_is_none_is_refused_as_a_whole(hub: CoreHub, patient: Caller, records: Any) -> None:
    """Naming the field."""
    error = await hub.call(patient, "POST", "/health/records/batch", 400, json={"records": records})

    assert all(field.startswith("records") for field in error["fields"])


async def test_batch_of_500_is_one_round_trip(hub: CoreHub, patient: Caller) -> None:
    """Key and access at hand, the profile, the insert: two statements; sent again, one more that looks."""
    records = [pulse(hub, minutes) for minutes in range(500)]
    await send(hub, patient, [pulse(hub, 501)])
    with statements(hub) as said:
        assert (await send(hub, patient, records))["kept"] == 500
    assert len(said) == 2
    with statements(hub) as said:
        assert (await send(hub, patient, records))["kept"] == 500
    assert len(said) == 3
    assert await stored(hub, patient) == 501


async def test_batches_that_cross_become_one(hub: CoreHub, patient: Caller) -> None:
    """Two phones send the same readings at once, in opposite order: no deadlock, no second copy, the same ids."""
    records = [pulse(hub, minutes) for minutes in range(3)]
    blocker = reading(patient, "heart_rate", hub.clock.now() - timedelta(minutes=1), 72)
    key = await hub.ground.sealer.key_for(patient.id)
    async with hub.ground.database.engine.connect() as connection:
        await record_store.add(connection, key, [blocker])  # both run into this one, in the middle of their rows
        sending = [asyncio.ensure_future(send(hub, patient, order)) for order in (records, records[::-1])]
        while await hub.ground.database.log.fetchval(WAITING) < 2:  # noqa: ASYNC110  the lock queue has no event
            await asyncio.sleep(0.01)
        await connection.rollback()
    ids = [[item["id"] for item in (await sent)["items"]] for sent in sending]

    assert ids[0] == ids[1][::-1]
    assert None not in ids[0]
    assert await stored(hub, patient) == 3


async def test_one_reading_sent_at_the_same_time_is_one_record(hub: CoreHub, patient: Caller) -> None:
    """All who send it get the first one; another content at that moment conflicts whoever comes first."""
    body = pulse(hub, 1)
    answers = await asyncio.gather(*(hub.call(patient, "POST", "/health/records", json=body) for _ in range(8)))

    assert all(answered == answers[0] for answered in answers)
    assert await stored(hub, patient) == 1


async def test_forms_of_one_blood_pressure_are_one_record(hub: CoreHub, patient: Caller) -> None:
    """Sent again the other way it is the same reading, answered as it came first."""
    body = pulse(hub, type="blood_pressure", unit="mmHg", value="128/82")
    first = await hub.call(patient, "POST", "/health/records", json=body)
    again = await hub.call(
        patient, "POST", "/health/records", json=body | {"value": 128, "metadata": {"diastolic": 82}}
    )

    assert again == first
    assert (first["value"], first["metadata"]) == ("128/82", {"systolic": 128, "diastolic": 82})


async def test_one_records_for_whom_one_may_act(hub: CoreHub, patient: Caller) -> None:
    """A child for a parent, a doctor in care; the record says whose it is and who sent it. Others find nobody."""
    child, doctor, companion = await hub.person(), await hub.person("doctor"), await hub.person("companion")
    await relate(hub, patient.id, child.id)
    await granted(hub, patient, doctor, "care")
    await granted(hub, patient, companion, "service")
    for minutes, who in enumerate((child, doctor)):
        kept = await hub.call(who, "POST", "/health/records", json=pulse(hub, minutes, userId=patient.id))
        assert (kept["userId"], kept["actorId"]) == (patient.id, who.id)
        listed = await hub.call(who, "GET", f"/health/records?userId={patient.id}&limit=1")
        assert listed["items"][0]["userId"] == patient.id
    assert (await send(hub, child, [pulse(hub, 5)], userId=patient.id))["kept"] == 1

    for who in (companion, await hub.person("doctor"), await hub.person("admin")):
        for person in (patient.id, new_id(), "张三"):
            batch = {"records": [pulse(hub, 9)], "userId": person}
            await hub.call(who, "POST", "/health/records", 404, json=pulse(hub, 9, userId=person))
            await hub.call(who, "POST", "/health/records/batch", 404, json=batch)
            await hub.call(who, "GET", f"/health/records?userId={person}", 404)
    assert await stored(hub, patient) == 3


async def test_each_read_leaves_one_audit_row(hub: CoreHub, patient: Caller) -> None:
    """A page and a single record, one's own included; a refused look leaves none."""
    child = await hub.person()
    await relate(hub, patient.id, child.id)
    kept = await hub.call(patient, "POST", "/health/records", json=pulse(hub))
    await hub.call(await hub.person(), "GET", f"/health/records/{kept['id']}", 404)
    await hub.call(child, "GET", f"/health/records?userId={patient.id}&type=heart_rate")
    await hub.call(patient, "GET", f"/health/records/{kept['id']}")

    assert await audited(hub, patient.id) == [
        (child.id, "health_records.read", "heart_rate"),
        (patient.id, "health_record.read", kept["id"]),
    ]


async def test_profile_decides_how_a_reading_is_judged(hub: CoreHub, patient: Caller) -> None:
    """As it was when it was recorded: a later profile changes nothing of it."""
    await profile(hub, patient, Profile(height=170, chronic_diseases=["2型糖尿病"]))
    sugar = pulse(hub, type="blood_glucose", unit="mmol/L", value=7.5, metadata={"context": "fasting"})
    first = await hub.call(patient, "POST", "/health/records", json=sugar)
    weight = await hub.call(patient, "POST", "/health/records", json=pulse(hub, type="weight", unit="斤", value=150))
    await profile(hub, patient, Profile())

    assert (first["indicators"], first["risk"]["level"]) == (
        {"level": "elevated", "description": "血糖高于控制目标"},
        "medium",
    )
    assert weight["indicators"] == {"level": "elevated", "description": "超重，BMI 26.0"}
    assert weight["metadata"] == {"originalValue": 150, "originalUnit": "斤"}
    listed = await hub.call(patient, "GET", "/health/records?type=blood_glucose", headers={"Accept-Language": "en"})
    assert listed["items"][0]["indicators"]["description"] == "Blood glucose above target"


async def test_critical_readings_of_a_batch_are_events_once(hub: CoreHub, patient: Caller) -> None:
    """Fresh ones only, and not again with a retry; events carry ids and nothing else."""
    records = [
        pulse(hub, 1, value=170),
        pulse(hub, 2, value=35),
        pulse(hub, 3),
        pulse(hub, 60 * 25, value=170),
        pulse(hub, 4, value=170, metadata={"context": "exercise"}),
    ]
    ids = [item["id"] for item in (await send(hub, patient, records))["items"]]
    await send(hub, patient, records)

    assert sorted(await critical(hub, patient)) == sorted(ids[:2])


async def test_pages_lead_through_all_records_once(hub: CoreHub, patient: Caller) -> None:
    """The newest first, across months and types, with equal moments apart; none twice, none missing."""
    records = [pulse(hub, days * 1440) for days in range(0, 120, 7)]
    records += [pulse(hub, days * 1440, type="spo2", unit="%", value=98) for days in range(0, 120, 7)]
    assert (await send(hub, patient, records))["kept"] == len(records)
    seen: list[tuple[str, str]] = []
    cursor = ""
    while cursor is not None:
        page = await hub.call(
            patient, "GET", "/health/records", params={"limit": 5} | ({"cursor": cursor} if cursor else {})
        )
        seen += [(item["recordedAt"], item["id"]) for item in page["items"]]
        cursor = page["nextCursor"]

    assert len(set(seen)) == len(seen) == len(records)
    assert seen == sorted(seen, reverse=True)


async def test_page_takes_two_statements(hub: CoreHub, patient: Caller) -> None:
    """The records and the audit row, however many there are."""
    await send(hub, patient, [pulse(hub, minutes) for minutes in range(60)])
    for query in ("?limit=1", "?limit=50", "?type=heart_rate&limit=50"):
        with statements(hub) as said:
            await hub.call(patient, "GET", f"/health/records{query}")
        assert len(said) == 2


async def test_record_at_rest_tells_nothing(hub: CoreHub, patient: Caller) -> None:
    """P12: a look at the table shows ids, types, units, sources and times."""
    body = pulse(hub, type="blood_pressure", value="187/113", unit="mmHg", notes="胸闷-4711", metadata={"体位": "平卧"})
    kept = await hub.call(patient, "POST", "/health/records", json=body)
    async with hub.ground.database.transaction() as connection:
        found = await connection.execute(
            text("SELECT * FROM health_data_records WHERE user_id = :user"), {"user": patient.id}
        )
        row = found.mappings().one()

    clear = {name: cell for name, cell in row.items() if not isinstance(cell, bytes)}
    assert set(clear) == {
        *("id", "user_id", "actor_id", "key_id", "type", "unit", "source", "recorded_at", "created_at"),
    }
    assert (str(clear["id"]), clear["type"], clear["unit"]) == (kept["id"], "blood_pressure", "mmHg")
    sealed = b"|".join(cell for cell in row.values() if isinstance(cell, bytes))
    for secret in ("胸闷", "187", "平卧", "bp_grade_3", "critical", "guideline"):
        assert secret.encode() not in sealed
