"""What alerts keep of people: sealed, gone with the key (P12), bounded, and shown to who may see it, with a trace (P13)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts.access import grant
from hub.alerts.actions import open_alert
from hub.alerts.model import Found
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.alert_scene import Ward
from tests.integration.care_scene import audited, erase
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.test_alert_api import press


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def ward(hub: CoreHub) -> Ward:
    return await Ward(hub).clear()


async def show(ward: Ward, who: Caller, alert: str, status: int = 200) -> Any:  # Any: JSON
    return await ward.hub.call(who, "GET", f"/alerts/{alert}", status)


async def test_no_row_says_what_was_found(ward: Ward) -> None:
    """P12: rule and source are sealed; equal ones of two people do not look alike."""
    alerts = [await ward.open(await ward.hub.person(), rule="self_harm") for _ in range(2)]
    source = f"{new_id()}:7:self_harm"
    await ward.open(await ward.hub.person(), rule="self_harm", source=source)
    rows = [await ward.row(alert) for alert in alerts]
    sources = await ward.pool.fetch("SELECT * FROM alert_sources")

    for row in (*rows, *sources):
        assert not any(b"self_harm" in value for value in row.values() if isinstance(value, bytes))
        assert "self_harm" not in str(row)
    assert rows[0]["rule_digest"] != rows[1]["rule_digest"]


async def test_with_the_key_of_the_person_the_alert_ends(ward: Ward) -> None:
    """P12: nothing new is raised; at the next step the hub resolves it, its ladder is void, and nobody is woken any more."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    staff = await ward.hub.person("staff", "孙客服")
    patient = await ward.hub.person()
    alert, other = await ward.open(patient), await ward.open(await ward.hub.person())
    await ward.fire()
    await erase(ward.hub, patient)
    async with ward.hub.ground.database.transaction() as connection:
        found = Found(
            person=patient.id, kind="reading", severity="critical", rule="reading_critical:spo2", source=new_id()
        )
        again = await open_alert(ward.alerts, connection, found)
    await ward.fire(120)
    row, shown = await ward.row(alert), await show(ward, staff, alert)

    assert again is None
    assert (row["state"], row["resolved_by"], row["next_at"], row["number"]) == ("resolved", None, None, 1)
    assert await ward.pool.fetchval("SELECT count(*) FROM timers WHERE subject = $1 AND state = 'pending'", alert) == 0
    assert (f"alert:{alert}", "superseded", "taken") in await ward.notices(doctor)
    assert [each["id"] for each in await ward.inbox(backup)] == [other]
    assert (shown["rule"], [each["source"] for each in shown["sources"]]) == ("", [""])


async def test_flood_of_sources_is_counted(ward: Ward) -> None:
    """Twenty of a minute are kept, and the newest fifty shown."""
    patient, staff = await ward.hub.person(), await ward.hub.person("staff", "孙客服")
    for minute in range(3):
        for number in range(25):
            alert = await ward.open(patient, source=f"{minute}:{number}")
        await ward.hub.clock.advance(61)
    shown = await show(ward, staff, alert)

    assert shown["count"] == 75
    assert await ward.pool.fetchval("SELECT count(*) FROM alert_sources") == 60
    assert len(shown["sources"]) == 50
    assert [each["source"].partition(":")[0] for each in shown["sources"]] == ["0"] * 10 + ["1"] * 20 + ["2"] * 20


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("status = 'inactive'", id="suspended"),
        pytest.param("role = 'patient'", id="no-clinician-any-more"),
    ],
)
async def test_old_card_of_who_may_not_take_it_changes_nothing(ward: Ward, change: str) -> None:
    """P11: the ladder goes on, and nobody is in the audit for it."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    patient = await ward.hub.person()
    alert = await ward.open(patient)
    await ward.fire()
    await ward.pool.execute(f"UPDATE users SET {change} WHERE id = $1", doctor.id)  # noqa: S608 - from here
    await press(ward, doctor, alert)
    await ward.hub.ground.outbox.drain()

    assert (await ward.row(alert))["state"] == "open"
    assert await audited(ward.hub, patient.id) == []


async def test_list_leaves_a_trace_for_each_person_it_showed(ward: Ward) -> None:
    """P13: and none in the chain of somebody else."""
    staff = await ward.hub.person("staff", "孙客服")
    people = [await ward.hub.person() for _ in range(3)]
    for each in (*people, people[0]):
        await ward.open(each, rule=new_id())
    await ward.hub.call(staff, "GET", "/alerts?state=open")

    assert [await audited(ward.hub, each.id) for each in people] == [[(staff.id, "alerts.read", "state=open")]] * 3
    assert await audited(ward.hub, staff.id) == []


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_list_of_a_stranger_is_not_found_and_leaves_no_trace(ward: Ward, role: str) -> None:
    """P13: nor for staff that of nobody."""
    patient, who, staff = await ward.hub.person(), await ward.hub.person(role), await ward.hub.person("staff", "孙客服")
    await ward.open(patient)
    await ward.hub.call(who, "GET", f"/alerts?person={patient.id}", 404)
    await ward.hub.call(staff, "GET", f"/alerts?person={new_id()}", 404)

    assert await audited(ward.hub, patient.id) == []


@pytest.mark.parametrize("role", ["doctor", "staff", "admin"])
async def test_nobody_takes_their_own_alert(ward: Ward, role: str) -> None:
    """P11: they see it as any person does; it is somebody else's to answer."""
    who = await ward.on_duty("coordinator", role, "孙某")
    alert = await ward.open(who)
    shown = await show(ward, who, alert)
    await ward.hub.call(who, "POST", f"/alerts/{alert}/acknowledge", 403, json={})

    assert (shown["rule"], shown["sources"], shown["steps"], shown["phone"]) == ("", [], [], None)
    assert (await ward.row(alert))["state"] == "open"


async def test_doctor_on_duty_sees_what_is_open(ward: Ward) -> None:
    """P13: once it is over, only who was told or has the person in their care."""
    told = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await show(ward, backup, alert)
    await ward.hub.call(told, "POST", f"/alerts/{alert}/acknowledge", json={})

    await show(ward, backup, alert, 404)
    assert (await ward.hub.call(told, "POST", f"/alerts/{alert}/resolve", json={}))["state"] == "resolved"


async def test_alert_by_hand_names_a_conversation_of_the_person(ward: Ward) -> None:
    """And only who may take the alert reads which."""
    doctor, patient, other = [await ward.hub.person(role) for role in ("doctor", "patient", "patient")]
    rooms = []
    for member in (patient, other):
        room = await ward.pool.fetchval(
            "INSERT INTO conversations (id, kind) VALUES (gen_random_uuid(), 'group') RETURNING id::text"
        )
        await ward.pool.execute("INSERT INTO members (conversation, user_id) VALUES ($1, $2)", room, member.id)
        rooms.append(room)
    async with ward.hub.ground.database.transaction() as connection:
        now = ward.hub.clock.now()
        await grant(connection, person=patient.id, members=[doctor.id], source=new_id(), scope="care", now=now)
    body = {"userId": patient.id, "severity": "critical"}
    refused = [
        await ward.hub.call(doctor, "POST", "/alerts", 400, json=body | {"conversation": room})
        for room in (rooms[1], new_id(), "没有")
    ]
    raised = await ward.hub.call(doctor, "POST", "/alerts", json=body | {"conversation": rooms[0]})

    assert {tuple(each["fields"]) for each in refused} == {("conversation",)}
    assert raised["conversation"] == rooms[0]
    assert (await show(ward, patient, raised["id"]))["conversation"] is None
