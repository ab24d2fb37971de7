"""Alerts over HTTP: who may see and take one (P13), that taking it ends the ladder (P11), and that nothing of health goes outside."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from channels.wecom_event import Pressed
from hub.accounts.access import grant
from hub.alerts.gauge import DRILLS, OPEN, UNACKNOWLEDGED, measure
from hub.care.event import MeasurementMissed
from hub.notices.acknowledgement import acknowledge
from hub.notices.message import key_of
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.outbox import publish
from tests.integration.alert_scene import Ward
from tests.integration.care_scene import audited, erase, relate
from tests.integration.core_app import START, Caller, CoreHub, open_core

CRITICAL_PLAN = {
    "kind": "measurement",
    "title": "早晚测量",
    "schedule": "FREQ=DAILY;BYHOUR=10,20",
    "startsAt": f"{START.date()}",
    "critical": True,
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def ward(hub: CoreHub) -> Ward:
    return await Ward(hub).clear()


async def take(
    ward: Ward, who: Caller, alert: str, how: str = "acknowledge", status: int = 200, note: str = ""
) -> Any:  # Any: JSON
    return await ward.hub.call(who, "POST", f"/alerts/{alert}/{how}", status, json={"note": note})


async def test_acknowledging_ends_the_ladder_and_the_others_hear_who_has_it(ward: Ward) -> None:
    """P11: no further step fires; open notices of the others are withdrawn, and their inbox says who took it."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    patient = await ward.hub.person(name="张三丰")
    alert = await ward.open(patient)
    await ward.fire()
    await ward.fire(120)
    story = await take(ward, backup, alert, note="已电话联系，患者由家属送往急诊")
    pending = await ward.pool.fetchval("SELECT count(*) FROM timers WHERE state = 'pending'")
    await ward.fire(7200)

    assert (story["state"], story["acknowledgedBy"], story["nextAt"]) == (
        "acknowledged",
        {"id": backup.id, "name": "李医生"},
        None,
    )
    assert story["acknowledgeNote"] == "已电话联系，患者由家属送往急诊"
    assert [(step["step"], [each["id"] for each in step["told"]]) for step in story["steps"]] == [
        ("doctor_on_call", [doctor.id]),
        ("backup", [backup.id]),
    ]
    assert len(await ward.told(alert)) == 2
    assert pending == 0
    assert await ward.notices(doctor) == [(f"alert:{alert}", "superseded", "taken")]
    assert await ward.notices(backup) == [(f"alert:{alert}", "seen", "acknowledged")]
    said = (await ward.inbox(doctor))[-1]
    assert (said["event"], said["by"]) == ("alert_acknowledged", backup.id)
    assert "李医生已确认接手" in said["note"]
    assert len(await ward.inbox(backup)) == 1


async def test_reading_the_inbox_is_not_acknowledging(ward: Ward) -> None:
    """P11: seen and read by everybody, and the ladder goes on."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await ward.hub.call(doctor, "GET", f"/alerts/{alert}")
    await ward.pool.execute("UPDATE members SET read_seq = 1 WHERE user_id = $1", doctor.id)
    await ward.pool.execute("UPDATE notices SET state = 'seen', seen_at = now() WHERE user_id = $1", doctor.id)
    await ward.fire(120)

    assert (await ward.told(alert))[-1] == ("backup", {backup.id})


async def test_repeated_by_the_same_person_is_the_same_and_by_another_a_conflict(ward: Ward) -> None:
    """P14: with the name of who has it."""
    doctor, other = [await ward.on_duty("doctor_on_call", "doctor", name) for name in ("王医生", "李医生")]
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    first = await take(ward, doctor, alert, note="一")
    again = await take(ward, doctor, alert, note="二")
    conflict = await take(ward, other, alert, status=409)
    resolved = await take(ward, doctor, alert, "resolve", note="血压已回落")
    twice = await take(ward, doctor, alert, "resolve")
    over = await take(ward, other, alert, "resolve", status=409)
    late = await take(ward, other, alert, status=409)

    assert again == first
    assert conflict == {"type": "conflict", "fields": {"acknowledgedBy": "王医生"}}
    assert (resolved["state"], resolved["resolveNote"], resolved["acknowledgeNote"]) == ("resolved", "血压已回落", "一")
    assert twice == resolved
    assert over == late == {"type": "conflict", "fields": {"resolvedBy": "王医生"}}


async def test_resolving_without_acknowledging_ends_the_ladder_too(ward: Ward) -> None:
    await ward.on_duty("doctor_on_call", "doctor", "王医生")
    staff = await ward.hub.person("staff", "孙客服")
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await take(ward, staff, alert, "resolve", note="误报")
    await ward.fire(7200)

    assert len(await ward.told(alert)) == 1


async def test_step_that_was_set_meanwhile_tells_nobody(ward: Ward) -> None:
    """P11: one that a scheduler set while somebody acknowledged finds the alert taken, and is void."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await take(ward, doctor, alert)
    await ward.pool.execute("UPDATE timers SET state = 'pending', next_at = due_at, ended_at = NULL WHERE key = '1'")
    await ward.fire(7200)

    assert len(await ward.told(alert)) == 1
    assert await ward.pool.fetchval("SELECT state FROM timers WHERE key = '1'") == "cancelled"


async def test_step_that_fires_meanwhile_does_not_outlive_the_acknowledgement(ward: Ward) -> None:
    """P11: whichever comes first, afterwards nobody is told any more."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    alerts = [await ward.open(await ward.hub.person()) for _ in range(6)]
    now = ward.hub.clock.now()
    await asyncio.gather(ward.firing().fire("alert_step", now), *(take(ward, doctor, alert) for alert in alerts))
    told = [len(await ward.told(alert)) for alert in alerts]
    await ward.fire(7200)

    assert [len(await ward.told(alert)) for alert in alerts] == told
    assert {state for _, state, _ in await ward.notices(doctor)} <= {"seen"}


@pytest.mark.parametrize(
    ("role", "relation", "status"),
    [
        pytest.param("doctor", "none", 404, id="a-doctor-who-is-a-stranger"),
        pytest.param("doctor", "care", 200, id="a-doctor-with-the-person-in-care"),
        pytest.param("staff", "none", 200, id="staff"),
        pytest.param("admin", "none", 200, id="admin"),
        pytest.param("patient", "none", 404, id="another-patient"),
        pytest.param("companion", "none", 404, id="a-companion"),
        pytest.param("patient", "family", 403, id="family-that-sees-it-and-cannot-take-it"),
    ],
)
async def test_who_may_take_it(ward: Ward, role: str, relation: str, status: int) -> None:
    """By what they have to do with it; for strangers it does not exist."""
    patient, who = await ward.hub.person(), await ward.hub.person(role, "钱某")
    alert = await ward.open(patient)
    if relation == "care":
        async with ward.hub.ground.database.transaction() as connection:
            now = ward.hub.clock.now()
            await grant(connection, person=patient.id, members=[who.id], source=new_id(), scope="care", now=now)
    elif relation == "family":
        await relate(ward.hub, patient.id, who.id)
    await take(ward, who, alert, status=status)

    assert (await ward.row(alert))["state"] == ("acknowledged" if status == 200 else "open")


async def test_patient_sees_their_own_without_what_staff_say(ward: Ward) -> None:
    """P13: and each look, by whomever, is in the audit."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    patient = await ward.hub.person(name="张三丰")
    alert = await ward.open(patient)
    await ward.fire()
    await take(ward, doctor, alert, note="仅供内部")
    mine = await ward.hub.call(patient, "GET", f"/alerts/{alert}")
    page = await ward.hub.call(patient, "GET", "/alerts")
    await ward.hub.call(await ward.hub.person(), "GET", f"/alerts/{alert}", 404)

    assert (mine["state"], mine["acknowledgedBy"]["name"]) == ("acknowledged", "王医生")
    assert (mine["steps"], mine["sources"], mine["acknowledgeNote"], mine["phone"]) == ([], [], "", None)
    assert [each["id"] for each in page["items"]] == [alert]
    assert await audited(ward.hub, patient.id) == [
        (doctor.id, "alert.acknowledged", alert),
        (doctor.id, "alert.read", alert),
        (patient.id, "alert.read", alert),
        (patient.id, "alerts.read", ""),
    ]


async def test_list_shows_what_concerns_one(ward: Ward) -> None:
    """Staff all, by filter; a doctor on duty what is open; another doctor what they were told."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    staff, stranger = await ward.hub.person("staff", "孙客服"), await ward.hub.person("doctor", "冯医生")
    waits = await ward.open(await ward.hub.person(name="张三丰"))
    await ward.fire()
    mild = await ward.open(await ward.hub.person(), severity="warning")

    async def seen(who: Caller, query: str = "") -> set[str]:
        page = await ward.hub.call(who, "GET", f"/alerts{query}")
        assert page["total"] == len(page["items"])
        return {each["id"] for each in page["items"]}

    assert await seen(staff) == await seen(doctor) == {waits, mild}
    assert await seen(stranger) == set()
    assert await seen(staff, "?severity=warning&state=open") == {mild}
    assert await seen(staff, "?step=doctor_on_call") == {waits}
    assert await seen(staff, "?step=phone_task") == await seen(staff, "?drill=true") == set()
    await ward.pool.execute("DELETE FROM duty_shifts")
    assert await seen(doctor) == {waits}
    [masked] = (await ward.hub.call(staff, "GET", "/alerts?severity=critical"))["items"]
    assert masked["person"]["name"] == "张*丰"


async def test_critical_reading_opens_an_alert_and_the_person_is_advised_at_once(ward: Ward) -> None:
    """P11, P13: from the reading to inbox and notice; nothing of it outside."""
    patient = await ward.hub.person(name="张三丰")
    at = ward.hub.clock.now().isoformat()
    body = {"type": "spo2", "value": 79, "unit": "%", "recordedAt": at, "source": "device"}
    record = await ward.hub.call(patient, "POST", "/health/records", json=body)
    await ward.hub.ground.outbox.drain()
    [alert] = (await ward.hub.call(patient, "GET", "/alerts"))["items"]

    assert (alert["kind"], alert["severity"], alert["state"]) == ("reading", "critical", "open")
    rule, version, sources = await ward.found_by(alert["id"])
    assert (rule, len(version), sources) == ("reading_critical:spo2", 12, [record["id"]])
    [advice] = await ward.inbox(patient)
    assert "请立即拨打120" in advice["note"]
    [notice] = await ward.pool.fetch(
        "SELECT class, template, values, subject FROM notices WHERE user_id = $1", patient.id
    )
    assert dict(notice) == {
        "class": "health_alert",
        "template": "health_alert",
        "values": {},
        "subject": f"alert-advice:{alert['id']}",
    }


async def test_missed_measurements_of_a_kind_are_one_warning(ward: Ward) -> None:
    """P11: however many plans ask for it, those on duty are called once while it is open."""
    patient = await ward.hub.person()
    kinds = ("blood_pressure", "blood_pressure", "spo2")
    for kind in kinds:
        plan = await ward.hub.call(patient, "POST", "/health/plans", json=CRITICAL_PLAN | {"measurementType": kind})
        async with ward.hub.ground.database.transaction() as connection:
            await publish(connection, MeasurementMissed(subject=patient.id, plan=plan["id"], occurrence=new_id()))
    await ward.hub.ground.outbox.drain()
    alerts = (await ward.hub.call(patient, "GET", "/alerts"))["items"]

    assert sorted((each["kind"], each["severity"], each["count"]) for each in alerts) == [
        ("missed", "warning", 1),
        ("missed", "warning", 2),
    ]
    assert "尽快测量" in (await ward.inbox(patient))[0]["note"]


async def test_alert_by_hand(ward: Ward) -> None:
    """By who deals with the person; the second joins, and what each said is kept sealed (P12), and gone with the key."""
    patient, doctor = await ward.hub.person(name="张三丰"), await ward.hub.person("doctor", "王医生")
    body = {"userId": patient.id, "severity": "critical", "note": "电话中诉胸闷"}
    await ward.hub.call(doctor, "POST", "/alerts", 404, json=body)
    await ward.hub.call(patient, "POST", "/alerts", 403, json=body)
    async with ward.hub.ground.database.transaction() as connection:
        now = ward.hub.clock.now()
        await grant(connection, person=patient.id, members=[doctor.id], source=new_id(), scope="care", now=now)
    first = await ward.hub.call(doctor, "POST", "/alerts", json=body)
    second = await ward.hub.call(doctor, "POST", "/alerts", json=body | {"note": "症状加重"})
    rows = await ward.pool.fetch("SELECT note FROM alert_sources")

    assert (first["kind"], first["person"]["name"], first["phone"]) == ("manual", "张三丰", patient.phone)
    assert (second["id"], second["count"]) == (first["id"], 2)
    assert [each["note"] for each in second["sources"]] == ["电话中诉胸闷", "症状加重"]
    assert all("胸闷".encode() not in row["note"] for row in rows)
    await take(ward, doctor, first["id"], note="已处理")
    await erase(ward.hub, patient)
    staff = await ward.hub.person("staff", "孙客服")
    kept = await ward.hub.call(staff, "GET", f"/alerts/{first['id']}")
    assert [kept["acknowledgeNote"], *(each["note"] for each in kept["sources"])] == ["", "", ""]


async def test_drill_runs_the_same_ladder_and_says_so(ward: Ward) -> None:
    """For staff and admins, about themselves; no advice, and counted apart."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    staff = await ward.hub.person("staff", "孙客服")
    await ward.hub.call(doctor, "POST", "/alerts/drill", 403, json={})
    drill = await ward.hub.call(staff, "POST", "/alerts/drill", json={})
    await ward.hub.ground.outbox.drain()
    await ward.fire()
    await measure(ward.pool)

    assert (drill["drill"], drill["person"]["id"], drill["severity"]) == (True, staff.id, "critical")
    assert await ward.told(drill["id"]) == [("doctor_on_call", {doctor.id})]
    assert (await ward.inbox(doctor))[0]["title"].startswith("【演练】")
    assert await ward.inbox(staff) == []
    values = [gauge._value.get() for gauge in (OPEN.labels("critical"), DRILLS, UNACKNOWLEDGED)]
    assert values == [0, 1, 0]
    await take(ward, doctor, drill["id"])
    assert "【演练】" not in (await ward.hub.call(doctor, "GET", f"/alerts/{drill['id']}"))["person"]["name"]


async def test_button_of_a_wecom_card_acknowledges(ward: Ward) -> None:
    """P11: by who was told; the audit has it. Pressed late, it changes nothing."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    alert = await ward.open(await ward.hub.person())
    late = await ward.open(await ward.hub.person())
    await ward.fire()
    staff = await ward.hub.person("staff", "孙客服")
    await take(ward, staff, late)
    for each in (alert, late):
        await press(ward, doctor, each)
    await ward.hub.ground.outbox.drain()

    row, other = await ward.row(alert), await ward.row(late)
    assert (row["state"], str(row["acknowledged_by"])) == ("acknowledged", doctor.id)
    assert str(other["acknowledged_by"]) == staff.id
    assert await ward.pool.fetchval("SELECT count(*) FROM events WHERE done_at IS NULL") == 0
    assert (doctor.id, "alert.acknowledged", alert) in await audited(ward.hub, str(row["person"]))


async def press(ward: Ward, who: Caller, alert: str) -> None:
    """The card of this alert that shows in WeCom."""
    address, name = new_id(), f"WangYi{new_id()[-6:]}"
    await ward.pool.execute(
        "UPDATE notice_addresses SET gone_at = now() WHERE user_id = $1 AND channel = 'wecom'", who.id
    )
    await ward.pool.execute(
        "INSERT INTO notice_addresses (id, user_id, channel, value) VALUES ($1, $2, 'wecom', $3)", address, who.id, name
    )
    notice = await ward.pool.fetchval(
        "SELECT id::text FROM notices WHERE user_id = $1 AND subject = $2", who.id, f"alert:{alert}"
    )
    await ward.pool.execute(
        "INSERT INTO notice_attempts (id, notice, step, channel, provider, address, state, sent_at)"
        " VALUES ($1, $2, 1, 'wecom', 'qyapi', $3, 'accepted', now())",
        new_id(),
        notice,
        address,
    )
    async with ward.hub.ground.database.transaction() as connection:
        pressed = Pressed(name, key_of(notice, 1, address), "acknowledge", "code", "corp", "1000002", 0)
        assert await acknowledge(connection, pressed) == "zh"


async def test_ladder_that_an_admin_changes_holds_from_the_next_step(ward: Ward) -> None:
    """Audited; staff only look; a critical one keeps its phone task."""
    admin, staff = await ward.hub.person("admin", "管理员"), await ward.hub.person("staff", "孙客服")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    wanted = {"version": 0, "steps": [{"role": "backup", "withinS": 30}, {"role": "phone_task", "withinS": 60}]}
    path = "/admin/alert-ladders/critical"
    await ward.hub.call(staff, "PUT", path, 403, json=wanted)
    refused = await ward.hub.call(admin, "PUT", path, 400, json=wanted | {"steps": wanted["steps"][:1]})  # type: ignore[index]
    held = await ward.hub.call(admin, "PUT", path, json=wanted)
    await ward.hub.call(admin, "PUT", path, 409, json=wanted | {"steps": [{"role": "phone_task", "withinS": 90}]})
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await ward.fire(30)

    assert "steps[0].role" in refused["fields"]
    assert held["changed"]
    assert [step for step, _ in await ward.told(alert)] == ["backup", "phone_task"]
    assert (await ward.told(alert))[0][1] == {backup.id}
    shown = {each["severity"]: each for each in await ward.hub.call(staff, "GET", "/admin/alert-ladders")}
    assert shown["critical"]["steps"] == wanted["steps"]
    back = await ward.hub.call(admin, "DELETE", path)
    assert (back["changed"], len(back["steps"])) == (False, 4)
    changes = [action for _, action, _ in await audited(ward.hub, admin.id)]
    assert changes == ["alert_ladder.changed"] * 2
