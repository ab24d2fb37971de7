"""Plans of others: who may read and change them, what is sealed, what is audited, and what it costs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts.access import grant
from hub.care import plan_actions
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.care_scene import audited, erase, relate, statements
from tests.integration.core_app import START, Caller, CoreHub, open_core

MEDICINE = {
    "kind": "medication",
    "title": "氨氯地平 5mg",
    "notes": "饭后服用",
    "schedule": "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0",
    "startsAt": f"{START.date()}",
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def make(hub: CoreHub, who: Caller, **given: Any) -> Any:
    return await hub.call(who, "POST", "/health/plans", json=MEDICINE | given)


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff", "admin"])
async def test_somebody_elses_plan_is_not_there(hub: CoreHub, role: str) -> None:
    """404 for everything one could try, and it stays as it is."""
    who, other = await hub.person(), await hub.person(role)
    made = await make(hub, who)
    path = f"/health/plans/{made['id']}"
    for method, place, body in (
        ("GET", path, None),
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("GET", f"/health/plans?userId={who.id}", None),
        ("POST", "/health/plans", MEDICINE | {"userId": who.id}),
        ("GET", "/health/plans/%00", None),
        ("GET", f"/health/plans/{new_id()}", None),
    ):
        assert (await hub.call(other, method, place, 404, json=body))["type"] == "not_found"

    assert await audited(hub, who.id) == []
    assert await hub.call(who, "GET", path) == made


async def test_family_and_a_treating_doctor_may_plan_for_somebody(hub: CoreHub) -> None:
    """By `userId`; the audit says who read and who changed."""
    mother, daughter, doctor = await hub.person(), await hub.person(), await hub.person("doctor")
    await relate(hub, mother.id, daughter.id)
    async with hub.ground.database.transaction() as connection:
        await grant(
            connection, person=mother.id, members=[doctor.id], source=new_id(), scope="care", now=hub.clock.now()
        )
    made = await make(hub, daughter, userId=mother.id)
    path = f"/health/plans/{made['id']}"
    await hub.call(doctor, "GET", path)
    await hub.call(doctor, "PATCH", path, json={"notes": "改为早晨服用"})
    await hub.call(daughter, "GET", "/health/plans", params={"userId": mother.id})
    await hub.call(mother, "DELETE", path)

    assert await audited(hub, mother.id) == [
        (doctor.id, "health_plan.read", made["id"]),
        (doctor.id, "health_plan.change", made["id"]),
        (daughter.id, "health_plan.list", ""),
        (mother.id, "health_plan.end", made["id"]),
    ]


async def test_what_a_plan_says_is_sealed(hub: CoreHub) -> None:
    """The row tells when, not what; without the key it is not there."""
    who = await hub.person()
    made = await make(hub, who, kind="measurement", measurementType="blood_glucose")
    row = await hub.ground.database.log.fetchrow("SELECT * FROM health_plans WHERE id = $1", made["id"])
    for word in ("氨氯地平", "饭后", "blood_glucose"):
        assert word not in str(row)
        assert str(word.encode())[2:-1] not in str(row)
    await erase(hub, who)

    await hub.call(who, "GET", f"/health/plans/{made['id']}", 404)
    await hub.call(who, "POST", "/health/plans", 404, json=MEDICINE)


async def test_one_person_cannot_have_plans_without_end(hub: CoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the next is refused, until one has ended."""
    monkeypatch.setattr(plan_actions, "OPEN_PLANS", 2)
    who = await hub.person()
    made = [await make(hub, who) for _ in range(2)]
    assert (await hub.call(who, "POST", "/health/plans", 409, json=MEDICINE))["type"] == "conflict"
    await hub.call(who, "DELETE", f"/health/plans/{made[0]['id']}")

    await make(hub, who)


async def test_one_person_cannot_have_critical_plans_without_end(hub: CoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: each that is missed calls whoever is on duty; neither a new nor a changed plan is one too many."""
    monkeypatch.setattr(plan_actions, "OPEN_CRITICAL", 2)
    who = await hub.person()
    critical, mild = {"kind": "measurement", "measurementType": "spo2", "critical": True}, {"kind": "measurement"}
    made = [await make(hub, who, **critical) for _ in range(2)]
    other = await make(hub, who, **mild)
    await hub.call(who, "POST", "/health/plans", 409, json=MEDICINE | critical)
    await hub.call(who, "PATCH", f"/health/plans/{other['id']}", 409, json={"critical": True})
    await hub.call(who, "PATCH", f"/health/plans/{made[1]['id']}", json={"critical": True, "title": "血氧"})
    await hub.call(who, "DELETE", f"/health/plans/{made[0]['id']}")

    await hub.call(who, "PATCH", f"/health/plans/{other['id']}", json={"critical": True})


async def test_plans_cost_a_fixed_number_of_statements(hub: CoreHub) -> None:
    """However many are listed."""
    who = await hub.person()
    made = [await make(hub, who) for _ in range(5)]
    with statements(hub) as said:
        await hub.call(who, "GET", "/health/plans")
    assert len(said) == 4  # the page, its total, what became of them, the audit
    with statements(hub) as said:
        await hub.call(who, "PATCH", f"/health/plans/{made[0]['id']}", json={"state": "paused"})
    # The plan, its change, its timers (2), its occurrences, the event, what became of them, the audit.
    assert len(said) == 8
