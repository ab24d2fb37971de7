"""P11: a critical alert is told up its ladder until somebody acknowledges, whatever the rosters say and whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.firing import AlertSteps
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.timers.firing import Done, Firing
from hub.timers.model import Due
from tests.integration.alert_scene import Ward
from tests.integration.core_app import CoreHub, open_core


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def ward(hub: CoreHub) -> Ward:
    return await Ward(hub).clear()


async def test_nobody_answers_and_it_goes_on_for_ever(ward: Ward) -> None:
    """P11: doctor on call, backup, coordinator, and then phone tasks every ten minutes; each is told in inbox and notice."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    coordinator = await ward.on_duty("coordinator", "staff", "赵协调")
    patient = await ward.hub.person(name="张三丰")
    alert = await ward.open(patient)
    for after_s in (0, 120, 120, 300, 600, 600):
        await ward.fire(after_s)

    assert await ward.told(alert) == [
        ("doctor_on_call", {doctor.id}),
        ("backup", {backup.id}),
        *[("coordinator", {coordinator.id})],
        *[("phone_task", {coordinator.id})] * 3,
    ]
    row = await ward.row(alert)
    assert (row["state"], row["step"], row["number"]) == ("open", "phone_task", 6)
    [card] = await ward.inbox(doctor)
    assert (card["card"], card["id"], card["title"]) == ("alert", alert, "【危急】健康警报，请立即处理")
    assert "看提醒详情" in card["summary"]
    assert all(word not in card["summary"] for word in ("张", "测量"))
    assert len(await ward.inbox(coordinator)) == 4
    assert await ward.notices(doctor) == [(f"alert:{alert}", "open", "")]


async def test_no_step_before_its_deadline(ward: Ward) -> None:
    """Whoever was told has all of their time."""
    await ward.on_duty("doctor_on_call", "doctor", "王医生")
    await ward.on_duty("backup", "doctor", "李医生")
    alert = await ward.open(await ward.hub.person())
    await ward.fire()
    await ward.fire(119.999)
    before = len(await ward.told(alert))
    await ward.fire(0.001)

    assert (before, len(await ward.told(alert))) == (1, 2)


async def test_nobody_on_duty_is_written_down_and_all_staff_are_told_at_once(ward: Ward) -> None:
    """P11: an empty roster costs no second; who is inactive hears nothing."""
    staff = [(await ward.hub.person("staff", name)).id for name in ("孙客服", "周客服")]
    alert = await ward.open(await ward.hub.person())
    now = await ward.fire()

    told = await ward.told(alert)
    assert told == [("doctor_on_call", set()), ("backup", set()), ("coordinator", set()), ("phone_task", set(staff))]
    untils = await ward.pool.fetch("SELECT until, fired_at FROM alert_steps WHERE alert = $1 ORDER BY number", alert)
    assert [each["until"] is None for each in untils] == [True, True, True, False]
    assert {each["fired_at"] for each in untils} == {now}


async def test_warning_without_any_roster_is_not_silent_either(ward: Ward) -> None:
    """Its last step falls to all staff too."""
    staff = await ward.hub.person("staff", "孙客服")
    alert = await ward.open(await ward.hub.person(), severity="warning")
    await ward.fire()

    assert (await ward.told(alert))[-1] == ("coordinator", {staff.id})


async def test_doctor_on_call_is_not_asked_about_themselves(ward: Ward) -> None:
    """P11: their own alert is somebody else's to answer, at once."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    backup = await ward.on_duty("backup", "doctor", "李医生")
    alert = await ward.open(doctor)
    await ward.fire()

    assert await ward.told(alert) == [("doctor_on_call", set()), ("backup", {backup.id})]


async def test_scheduler_that_dies_in_a_step_leaves_it_to_the_next(ward: Ward) -> None:
    """P11: nothing half done; after all statements were made and none committed, the step fires once, whole."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    alert = await ward.open(await ward.hub.person())
    steps = AlertSteps(ward.alerts.notices)

    async def die(connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        await steps._fire(connection, due, now)
        raise asyncio.CancelledError

    dying = Firing(ward.hub.ground.database)
    dying.subscribe("alert_step", die)
    with pytest.raises(asyncio.CancelledError):
        await dying.fire("alert_step", ward.hub.clock.now())
    after_death = (await ward.told(alert), await ward.inbox(doctor))
    await ward.fire()

    assert after_death == ([], [])
    assert await ward.told(alert) == [("doctor_on_call", {doctor.id})]
    assert len(await ward.inbox(doctor)) == 1


async def test_many_schedulers_tell_once(ward: Ward) -> None:
    """P10, P11: each step of each alert is one scheduler's."""
    doctor = await ward.on_duty("doctor_on_call", "doctor", "王医生")
    alerts = [await ward.open(await ward.hub.person()) for _ in range(12)]
    now = ward.hub.clock.now()
    await asyncio.gather(*(ward.firing().fire("alert_step", now) for _ in range(3)))

    assert [await ward.told(alert) for alert in alerts] == [[("doctor_on_call", {doctor.id})]] * 12
    assert len(await ward.inbox(doctor)) == 12


async def test_source_raises_one_alert_ever(ward: Ward) -> None:
    """Again after it was resolved, too; and several at once."""
    patient, source = await ward.hub.person(), new_id()
    alerts = await asyncio.gather(*(ward.open(patient, source=source) for _ in range(4)))
    await ward.pool.execute("UPDATE alerts SET state = 'resolved', next_at = NULL WHERE id = $1", alerts[0])
    again = await ward.open(patient, source=source)

    assert {*alerts, again} == {alerts[0]}
    assert (await ward.row(alerts[0]))["count"] == 1


async def test_other_source_joins_while_it_is_open_and_no_second_ladder_begins(ward: Ward) -> None:
    """Of the same person and rule only; after an acknowledgement it is news again."""
    patient = await ward.hub.person()
    first = await ward.open(patient)
    joined = await ward.open(patient)
    other_rule = await ward.open(patient, rule="reading_critical:heart_rate")
    other_person = await ward.open(await ward.hub.person())
    in_drill = await ward.open(patient, kind="drill", drill=True)
    row = await ward.row(first)
    await ward.pool.execute("UPDATE alerts SET state = 'acknowledged', next_at = NULL WHERE id = $1", first)
    afterwards = await ward.open(patient)

    assert joined == first
    assert row["count"] == 2
    assert len({first, other_rule, other_person, in_drill, afterwards}) == 5
    timers = await ward.pool.fetchval("SELECT count(*) FROM timers WHERE subject = $1", first)
    assert timers == 1


async def test_critical_finding_does_not_wait_in_a_warning(ward: Ward) -> None:
    """P11: it begins its own ladder; a warning joins a critical one."""
    patient = await ward.hub.person()
    warning = await ward.open(patient, severity="warning")
    critical = await ward.open(patient, severity="critical")
    also = await ward.open(patient, severity="warning")

    assert warning != critical
    assert also == critical
