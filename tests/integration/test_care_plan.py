"""Plans over HTTP: made, changed, paused and ended, sealed, audited, and told to whoever reminds people."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from tests.integration.core_app import START, Caller, CoreHub, open_core

PLAN = {
    *("id", "userId", "kind", "title", "notes", "measurementType", "schedule", "startsAt", "timezone", "until"),
    *("critical", "state", "revision", "nextOccurrences", "adherence", "createdAt", "updatedAt"),
}
TODAY = START.date()  # 09:00 in Shanghai
DAILY = "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0"
MEDICINE = {
    "kind": "medication",
    "title": "氨氯地平 5mg",
    "notes": "饭后服用😀",
    "schedule": DAILY,
    "startsAt": f"{TODAY}",
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def make(hub: CoreHub, who: Caller, **given: Any) -> Any:
    return await hub.call(who, "POST", "/health/plans", json=MEDICINE | given)


async def events(hub: CoreHub, plan: str) -> list[str]:
    rows = await hub.ground.database.log.fetch(
        "SELECT kind, payload FROM events WHERE subject = $1 ORDER BY number", plan
    )
    assert all(set(row["payload"]) == {"subject"} for row in rows)
    return [row["kind"] for row in rows]


def shanghai(day: date, hour: int) -> str:
    return f"{datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - timedelta(hours=8):%FT%H:%M:%S}.000Z"


async def test_a_plan_comes_back_with_its_next_occurrences(hub: CoreHub) -> None:
    """The five that come next, in UTC; read again it is the same."""
    who = await hub.person()
    made = await make(hub, who)
    tomorrow, after = TODAY + timedelta(days=1), TODAY + timedelta(days=2)

    assert set(made) == PLAN
    assert MEDICINE.items() <= (made | {"startsAt": made["startsAt"][:10]}).items()
    assert (made["userId"], made["timezone"], made["until"]) == (who.id, "Asia/Shanghai", None)
    assert (made["state"], made["revision"], made["measurementType"]) == ("active", 1, None)
    assert made["startsAt"] == f"{TODAY}T00:00:00"
    assert made["nextOccurrences"] == [
        shanghai(TODAY, 20),
        shanghai(tomorrow, 8),
        shanghai(tomorrow, 20),
        shanghai(after, 8),
        shanghai(after, 20),
    ]
    assert await hub.call(who, "GET", f"/health/plans/{made['id']}") == made
    assert (await hub.call(who, "GET", "/health/plans"))["items"] == [made]
    assert await events(hub, made["id"]) == ["PlanChanged"]


async def test_a_kind_and_a_schedule_are_enough(hub: CoreHub) -> None:
    """Everything else has a default that people would expect."""
    who = await hub.person()
    made = await hub.call(who, "POST", "/health/plans", json={"kind": "exercise", "schedule": "FREQ=WEEKLY;BYDAY=SA"})

    assert (made["title"], made["notes"], made["timezone"]) == ("", "", "Asia/Shanghai")
    assert made["startsAt"] == f"{TODAY}T09:00:00"
    assert {at[11:] for at in made["nextOccurrences"]} == {"01:00:00.000Z"}
    assert {datetime.fromisoformat(at).weekday() for at in made["nextOccurrences"]} == {5}


async def test_a_zone_with_summer_time_keeps_its_local_hours(hub: CoreHub) -> None:
    """08:00 in New York is another moment after the clocks have changed."""
    who = await hub.person()
    given = {"timezone": "America/New_York", "startsAt": "2090-03-11", "schedule": "FREQ=DAILY;BYHOUR=8;BYMINUTE=0"}
    made = await make(hub, who, **given)

    assert made["nextOccurrences"][:2] == ["2090-03-11T13:00:00.000Z", "2090-03-12T12:00:00.000Z"]


async def test_changes_are_told_if_it_is_due_at_other_times(hub: CoreHub) -> None:
    """With a new revision; words change silently, and nothing at all changes nothing."""
    who = await hub.person()
    made = await make(hub, who)
    path = f"/health/plans/{made['id']}"

    assert await hub.call(who, "PATCH", path, json={}) == made
    await hub.clock.advance(1)
    words = await hub.call(who, "PATCH", path, json={"title": '\' OR 1=1 \u202e"引号"'})
    assert words == made | {"title": '\' OR 1=1 \u202e"引号"', "updatedAt": words["updatedAt"]}
    assert words["updatedAt"] > made["updatedAt"]
    assert await events(hub, made["id"]) == ["PlanChanged"]

    moved = await hub.call(who, "PATCH", path, json={"schedule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=30"})
    assert (moved["revision"], moved["nextOccurrences"][0]) == (2, f"{TODAY}T01:30:00.000Z")
    paused = await hub.call(who, "PATCH", path, json={"state": "paused"})
    assert (paused["state"], paused["revision"], paused["nextOccurrences"]) == ("paused", 3, [])
    until = await hub.call(who, "PATCH", path, json={"state": "active", "until": f"{TODAY}"})
    assert (until["revision"], until["nextOccurrences"]) == (4, [f"{TODAY}T01:30:00.000Z"])
    assert until["until"] == shanghai(TODAY, 23).replace("00:00.000", "59:59.000")
    assert (await hub.call(who, "PATCH", path, json={"until": None}))["until"] is None
    assert await events(hub, made["id"]) == ["PlanChanged"] * 5


async def test_a_plan_is_ended_and_kept(hub: CoreHub) -> None:
    """Ending again is the same; changing it is refused naming the state."""
    who = await hub.person()
    made = await make(hub, who)
    path = f"/health/plans/{made['id']}"
    ended = await hub.call(who, "DELETE", path)

    assert (ended["state"], ended["revision"], ended["nextOccurrences"]) == ("ended", 2, [])
    assert await hub.call(who, "DELETE", path) == ended
    assert await hub.call(who, "GET", path) == ended
    refused = await hub.call(who, "PATCH", path, 409, json={"state": "active"})
    assert (refused["type"], refused["fields"]) == ("conflict", {"state": "计划已结束，不能修改"})
    assert await events(hub, made["id"]) == ["PlanChanged", "PlanEnded"]


async def test_a_plan_ends_by_itself(hub: CoreHub) -> None:
    """After its last time it is listed among the ended ones, without anybody's doing."""
    who = await hub.person()
    made = await make(hub, who, until=f"{TODAY}")
    assert made["state"] == "active"
    await hub.clock.advance(86400)

    assert (await hub.call(who, "GET", f"/health/plans/{made['id']}"))["state"] == "ended"
    ended = await hub.call(who, "GET", "/health/plans", params={"state": "ended"})
    assert [each["id"] for each in ended["items"]] == [made["id"]]
    assert (await hub.call(who, "GET", "/health/plans", params={"state": "active"}))["items"] == []
    await hub.call(who, "PATCH", f"/health/plans/{made['id']}", 409, json={"until": None})


async def test_plans_are_listed_in_pages_by_kind_and_state(hub: CoreHub) -> None:
    """Newest first; one's own only."""
    who = await hub.person()
    made = []
    for kind in ("medication", "measurement", "exercise", "visit"):
        made.append((await make(hub, who, kind=kind))["id"])
        await hub.clock.advance(1)
    await hub.call(who, "PATCH", f"/health/plans/{made[0]}", json={"state": "paused"})
    await hub.clock.advance(1)
    await hub.call(who, "DELETE", f"/health/plans/{made[1]}")
    await make(hub, await hub.person())

    async def listed(**asked: object) -> list[str]:
        found = await hub.call(who, "GET", "/health/plans", params=asked)
        return [each["id"] for each in found["items"]]

    assert await listed() == made[::-1]
    assert await listed(sort="createdAt", pageSize=3) == made[:3]
    assert await listed(sort="createdAt", pageSize=3, page=2) == made[3:]
    assert await listed(sort="-updatedAt", pageSize=1) == [made[1]]
    assert await listed(kind="visit") == [made[3]]
    assert await listed(state="paused") == [made[0]]
    assert await listed(state="ended") == [made[1]]
    assert await listed(state="active") == [made[3], made[2]]
    assert await listed(state="active", kind="medication") == []
    for asked in ({"kind": "sleep"}, {"state": "done"}, {"sort": "title"}, {"pageSize": 101}):
        assert list((await hub.call(who, "GET", "/health/plans", 400, params=asked))["fields"]) == list(asked)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "sleep"}, "kind"),
        ({"schedule": ""}, "schedule"),
        ({"schedule": "FREQ=MINUTELY"}, "schedule"),
        ({"schedule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "schedule"),
        ({"schedule": "FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 200)}, "schedule"),
        ({"schedule": 7}, "schedule"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "x" * 65}, "timezone"),
        ({"startsAt": "2026-01-05T08:00:00Z"}, "startsAt"),
        ({"until": "2020-01-01"}, "until"),
        ({"until": "\x00"}, "until"),
        ({"title": "x" * 101}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": None}, "title"),
        ({"notes": "a\x00b"}, "notes"),
        ({"notes": "x" * 1001}, "notes"),
        ({"measurementType": "weight"}, "measurementType"),
        ({"kind": "measurement", "measurementType": "mood"}, "measurementType"),
        ({"state": "active"}, "state"),
        ({"revision": 7}, "revision"),
    ],
)
async def test_bad_input_is_refused_naming_the_field(hub: CoreHub, given: dict[str, Any], field: str) -> None:
    """When making a plan and, where the field can change, when changing one; nothing is left behind."""
    who = await hub.person()
    refused = await hub.call(who, "POST", "/health/plans", 400, json=MEDICINE | given)
    assert list(refused["fields"]) == [field]
    assert (await hub.call(who, "GET", "/health/plans"))["total"] == 0
    if field in ("kind", "state") or "kind" in given:
        return

    made = await make(hub, who)
    refused = await hub.call(who, "PATCH", f"/health/plans/{made['id']}", 400, json=given)
    assert list(refused["fields"]) == [field]
    assert await hub.call(who, "GET", f"/health/plans/{made['id']}") == made


@pytest.mark.parametrize("sent", [{"kind": "visit"}, {"schedule": DAILY}])
async def test_kind_and_schedule_are_needed(hub: CoreHub, sent: dict[str, str]) -> None:
    """And the one that is missing is named."""
    refused = await hub.call(await hub.person(), "POST", "/health/plans", 400, json=sent)

    assert set(refused["fields"]) == {"kind", "schedule"} - set(sent)


async def test_a_plan_cannot_be_ended_by_a_change(hub: CoreHub) -> None:
    """DELETE does that; nor can its kind or its person be changed."""
    who = await hub.person()
    made = await make(hub, who)
    for change in ({"state": "ended"}, {"kind": "visit"}, {"userId": who.id}):
        refused = await hub.call(who, "PATCH", f"/health/plans/{made['id']}", 400, json=change)
        assert list(refused["fields"]) == list(change)


async def test_changes_at_the_same_time_are_one_after_the_other(hub: CoreHub) -> None:
    """None is lost: each raises the revision, and what each changed is there."""
    who = await hub.person()
    made = await make(hub, who)
    path = f"/health/plans/{made['id']}"
    changes = [
        {"startsAt": "2026-01-01"},
        {"schedule": "FREQ=DAILY;BYHOUR=7"},
        {"until": "2099-12-31"},
        {"title": "二甲双胍"},
    ]
    await asyncio.gather(*(hub.call(who, "PATCH", path, json=change) for change in changes))
    found = await hub.call(who, "GET", path)

    assert found["revision"] == 4
    assert (found["startsAt"], found["schedule"]) == ("2026-01-01T00:00:00", "FREQ=DAILY;BYHOUR=7")
    assert (found["until"][:4], found["title"]) == ("2099", "二甲双胍")
    assert await events(hub, made["id"]) == ["PlanChanged"] * 4
