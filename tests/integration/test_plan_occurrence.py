"""Occurrences over HTTP: seen, done, skipped and put off, by whom they are about or who may act for them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts.access import grant
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.care_scene import audited, reading, record, relate
from tests.integration.core_app import START, Caller
from tests.integration.plan_scene import TEN, TODAY, TWENTY, PlanHub, days, open_plans

VIEW = {
    *("planId", "kind", "title", "at", "state", "snoozedUntil", "snoozes"),
    *("actedAt", "actedBy", "reading"),
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[PlanHub]:
    async with open_plans(database, redis_url) as opened:
        yield opened


async def listed(hub: PlanHub, who: Caller, plan: str, **asked: str) -> list[Any]:
    found = await hub.core.call(who, "GET", f"/health/plans/{plan}/occurrences", params=asked)
    return list(found["items"])


async def of_day(hub: PlanHub, who: Caller, day: object, **asked: str) -> list[tuple[str, str]]:
    found = await hub.core.call(who, "GET", "/health/occurrences", params={"date": str(day)} | asked)
    return [(each["title"], each["at"]) for each in found["items"]]


async def test_past_and_coming_ones_are_listed(hub: PlanHub) -> None:
    """What became of those that were due; those that are not made yet follow from the rule."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    did = await hub.act(who, plan, TEN, "done")
    await hub.pass_time(START + timedelta(days=1))
    found = await listed(hub, who, plan)

    assert set(did) == VIEW
    assert (did["state"], did["actedAt"], did["actedBy"]) == ("done", rfc3339(TEN), who.id)
    assert found[0] == did
    assert [each["at"] for each in found] == [rfc3339(at) for at in days(TEN, 8)]
    assert [each["state"] for each in found[:3]] == ["done", "missed", "due"]
    assert len(await hub.rows(plan)) < len(found)


async def test_a_range_can_be_asked_for(hub: PlanHub) -> None:
    """Days or moments, both ends included; 500 at most, the earliest first."""
    who = await hub.core.person()
    plan = await hub.make(who)
    tomorrow = f"{TODAY + timedelta(days=1)}"

    assert [each["at"] for each in await listed(hub, who, plan, **{"from": tomorrow, "to": tomorrow})] == [
        rfc3339(TEN + timedelta(days=1)),
        rfc3339(TWENTY + timedelta(days=1)),
    ]
    assert [each["at"] for each in await listed(hub, who, plan, **{"from": rfc3339(TEN), "to": rfc3339(TEN)})] == [
        rfc3339(TEN)
    ]
    assert len(await listed(hub, who, plan, to=f"{TODAY + timedelta(days=900)}")) == 500
    for asked, field in (
        ({"from": tomorrow, "to": f"{TODAY}"}, "to"),
        ({"from": "gestern"}, "from"),
        ({"to": "8"}, "to"),
    ):
        path = f"/health/plans/{plan}/occurrences"
        refused = await hub.core.call(who, "GET", path, 400, params=asked)
        assert list(refused["fields"]) == [field]


async def test_a_day_shows_all_plans(hub: PlanHub) -> None:
    """The day of each plan's zone; made ones, coming ones, and those of a plan that has ended since."""
    who = await hub.core.person()
    await hub.make(who, kind="exercise", title="太极", measurementType=None, schedule="FREQ=DAILY;BYHOUR=7")
    ended = await hub.make(who, title="体温", measurementType="temperature")
    await hub.make(who, title="睡前血压", timezone="America/New_York", schedule="FREQ=DAILY;BYHOUR=23;BYMINUTE=30")
    await hub.pass_time(TEN + timedelta(minutes=1))
    await hub.core.call(who, "DELETE", f"/health/plans/{ended}")
    await hub.make(await hub.core.person(), title="别人的")

    today = await of_day(hub, who, TODAY)
    assert [title for title, _ in today] == ["体温", "睡前血压"]
    assert today[0][1] == rfc3339(TEN)
    later = TODAY + timedelta(days=10)
    coming = await of_day(hub, who, later)
    assert [title for title, _ in coming] == ["太极", "睡前血压"]
    assert coming[0][1] == rfc3339(datetime.combine(later, TEN.time(), TEN.tzinfo) - timedelta(hours=3))
    assert coming[1][1][11:] in ("03:30:00.000Z", "04:30:00.000Z")
    for asked in ({}, {"date": "2026-13-01"}, {"date": "gestern"}):
        refused = await hub.core.call(who, "GET", "/health/occurrences", 400, params=asked)
        assert list(refused["fields"]) == ["date"]


async def test_a_reading_shows_before_it_is_written_down(hub: PlanHub) -> None:
    """In the day, too."""
    who = await hub.core.person()
    await hub.make(who)
    found = reading(who, "blood_pressure", TEN - timedelta(minutes=30), 128, 82)
    await record(hub.core, who, [found])
    await hub.go_to(TEN - timedelta(minutes=20))
    shown = (await hub.core.call(who, "GET", "/health/occurrences", params={"date": str(TODAY)}))["items"]

    assert [(each["state"], each["reading"]) for each in shown] == [("done", found.id), ("due", None)]


async def test_doing_is_safe_to_repeat(hub: PlanHub) -> None:
    """The first answer again; what contradicts it is a conflict that names the state, and changes nothing."""
    who = await hub.core.person()
    plan = await hub.make(who)
    did, left = await hub.act(who, plan, TEN, "done"), await hub.act(who, plan, TWENTY, "skip")
    await hub.core.clock.advance(60)

    assert await hub.act(who, plan, TEN, "done") == did
    assert await hub.act(who, plan, TWENTY, "skip") == left
    for at, what, said in (
        (TEN, "skip", "此项已完成"),
        (TWENTY, "done", "此项已跳过"),
    ):
        assert (await hub.act(who, plan, at, what, 409))["fields"] == {"state": said}
    assert [each["state"] for each in await listed(hub, who, plan)][:2] == ["done", "skipped"]


async def test_a_missed_one_is_done_late(hub: PlanHub) -> None:
    """Within a day; and the plan counts what became of each."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.act(who, plan, TWENTY, "skip")
    await hub.pass_time(TEN + timedelta(days=1))
    late = await hub.act(who, plan, TEN, "done")
    assert (late["state"], late["actedAt"]) == ("done", rfc3339(TEN + timedelta(days=1)))
    await hub.pass_time(TEN + timedelta(days=2, seconds=1), timedelta(hours=2))
    refused = await hub.act(who, plan, TEN + timedelta(days=1), "done", 409)

    assert refused["fields"] == {"state": "此项已错过，不能执行此操作"}
    shown = await hub.core.call(who, "GET", f"/health/plans/{plan}")
    assert shown["adherence"] == {"done": 1, "skipped": 1, "missed": 2}
    assert (await hub.core.call(who, "GET", "/health/plans"))["items"] == [shown]


@pytest.mark.parametrize("minutes", [4, 241, 7.5, None], ids=str)
async def test_a_snooze_has_bounds(hub: PlanHub, minutes: Any) -> None:
    """Refused naming the field."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.go_to(TEN)

    assert list((await hub.act(who, plan, TEN, "snooze", 400, json={"minutes": minutes}))["fields"]) == ["minutes"]


async def test_what_rests_or_is_to_come_cannot_be_put_off(hub: PlanHub) -> None:
    """A conflict that says why."""
    who = await hub.core.person()
    plan = await hub.make(who)
    assert (await hub.act(who, plan, TEN, "snooze", 409, json={"minutes": 5}))["fields"] == {
        "at": "时间未到，不能执行此操作"
    }
    await hub.pass_time(TEN)
    await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"state": "paused"})

    assert (await hub.act(who, plan, TEN, "snooze", 409, json={"minutes": 5}))["fields"] == {"state": "计划已暂停"}
    assert (await hub.rows(plan))[TEN]["snoozes"] == 0
    await hub.act(who, plan, TEN, "done")


async def test_a_moment_that_is_none_is_not_found(hub: PlanHub) -> None:
    """Nor is one that is not made yet; what is no moment at all is refused."""
    who = await hub.core.person()
    plan = await hub.make(who)

    for at in (TEN + timedelta(minutes=1), TEN + timedelta(days=9)):
        await hub.act(who, plan, at, "done", 404)
    await hub.act(who, new_id(), TEN, "done", 404)
    refused = await hub.core.call(who, "POST", f"/health/plans/{plan}/occurrences/heute/done", 400)
    assert list(refused["fields"]) == ["at"]


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff", "admin"])
async def test_somebody_elses_are_not_there(hub: PlanHub, role: str) -> None:
    """P13: 404 for everything one could try; nothing changes and nothing is audited."""
    who, other = await hub.core.person(), await hub.core.person(role)
    plan = await hub.make(who)
    await hub.go_to(TEN)
    for what in ("done", "skip"):
        await hub.act(other, plan, TEN, what, 404)
    await hub.act(other, plan, TEN, "snooze", 404, json={"minutes": 5})
    await hub.core.call(other, "GET", f"/health/plans/{plan}/occurrences", 404)
    await hub.core.call(other, "GET", f"/health/occurrences?date={TODAY}&userId={who.id}", 404)

    assert await audited(hub.core, who.id) == []
    assert (await hub.rows(plan))[TEN]["state"] == "due"


async def test_family_and_a_treating_doctor_act_for_somebody(hub: PlanHub) -> None:
    """P13: each look and each act leaves a row in the audit; the occurrence says who acted."""
    mother, daughter, doctor = [await hub.core.person(role) for role in ("patient", "patient", "doctor")]
    await relate(hub.core, mother.id, daughter.id)
    async with hub.database.transaction() as connection:
        await grant(
            connection, person=mother.id, members=[doctor.id], source=new_id(), scope="care", now=hub.core.clock.now()
        )
    plan = await hub.make(doctor, userId=mother.id, critical=True)
    await hub.pass_time(TEN)
    await hub.act(daughter, plan, TEN, "snooze", json={"minutes": 5})
    done = await hub.act(daughter, plan, TEN, "done")
    await hub.act(mother, plan, TWENTY, "skip")
    await listed(hub, doctor, plan)
    await of_day(hub, daughter, TODAY, userId=mother.id)

    assert done["actedBy"] == daughter.id
    assert await audited(hub.core, mother.id) == [
        (daughter.id, "health_plan.snooze", plan),
        (daughter.id, "health_plan.done", plan),
        (mother.id, "health_plan.skip", plan),
        (doctor.id, "health_plan.occurrences", plan),
        (daughter.id, "health_plan.day", f"{TODAY}"),
    ]


async def test_only_a_measurement_is_critical(hub: PlanHub) -> None:
    """Refused naming the field; that a plan is critical is sealed with what it says."""
    who = await hub.core.person()
    given = {"kind": "visit", "schedule": "FREQ=DAILY", "critical": True}
    assert list((await hub.core.call(who, "POST", "/health/plans", 400, json=given))["fields"]) == ["critical"]
    plan = await hub.make(who, critical=True)

    assert (await hub.core.call(who, "GET", f"/health/plans/{plan}"))["critical"] is True
    changed = await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"critical": False})
    assert (changed["critical"], changed["revision"]) == (False, 2)


async def test_the_inbox_says_what_the_lock_screen_does_not(hub: PlanHub) -> None:
    """P12: the card has the title and leads to the occurrence; the row of the entry is sealed, the notice has nothing."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    (entry,) = [each for each in hub.core.announced.entries if plan in bytes(each.body).decode()]
    body = bytes(entry.body).decode()

    for said in ('"card":"plan"', f"{plan}/{rfc3339(TEN)}", "早晚血压", f"测量 · {TODAY.month}月{TODAY.day}日 10:00"):
        assert said in body
    rows = await hub.database.log.fetch("SELECT * FROM notices WHERE user_id = $1", who.id)
    rows += await hub.database.log.fetch("SELECT * FROM entries WHERE conversation = $1", entry.conversation)
    assert len(rows) == 2
    for word in ("血压", "测量", "pressure"):
        assert word not in str(rows)
        assert str(word.encode())[2:-1] not in str(rows)
