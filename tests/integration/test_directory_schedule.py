"""Working hours over HTTP: the weekly set as a whole, exceptions one by one, and nothing sold past a change."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.directory import actions
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

WAITS = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%users%NO KEY UPDATE%')"
)
WEEK = [{"weekday": day, "starts": "09:00", "ends": "12:00", "slotMinutes": 30} for day in range(1, 8)]


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def staff(hub: CoreHub) -> Caller:
    return await hub.person("staff")


@pytest_asyncio.fixture
async def companion(hub: CoreHub) -> Caller:
    """Somebody who works, and whose hours staff keep."""
    return await hub.person("companion", "刘陪诊")


def path(who: Caller) -> str:
    return f"/admin/schedules/{who.id}"


def day(hub: CoreHub, ahead: int = 2) -> str:
    return f"{hub.clock.now() + timedelta(days=ahead):%Y-%m-%d}"


def extra(hub: CoreHub, starts: str, ends: str, **more: Any) -> dict[str, Any]:
    body = {"day": day(hub), "kind": "extra", "starts": starts, "ends": ends, "slotMinutes": 30, "capacity": 1}
    return body | more


async def events(hub: CoreHub, provider: Caller) -> list[str | None]:
    """The days of the changes that are still to be handled."""
    statement = text("SELECT payload->>'day' FROM events WHERE subject = :id AND done_at IS NULL ORDER BY number")
    async with hub.ground.database.transaction() as connection:
        return list((await connection.execute(statement, {"id": provider.id})).scalars())


async def test_schedule_has_rules_exceptions_and_a_version(hub: CoreHub, staff: Caller, companion: Caller) -> None:
    """In exactly this shape; past exceptions are no longer shown."""
    rule = {"weekday": 3, "starts": "08:30", "ends": "17:00", "slotMinutes": 60, "capacity": 2}
    dates = {"validFrom": "2026-01-01", "validUntil": "2036-12-31"}
    await hub.call(staff, "PUT", path(companion), json={"rules": [rule | dates]})
    off = await hub.call(staff, "POST", f"{path(companion)}/exceptions", json={"day": day(hub), "kind": "off"})
    schedule = await hub.call(companion, "GET", path(companion))

    assert set(schedule) == {"userId", "version", "rules", "exceptions"}
    assert schedule["rules"] == [rule | dates]
    assert schedule["exceptions"] == [off]
    assert off == {
        "id": off["id"],
        "day": day(hub),
        "kind": "off",
        "starts": "00:00",
        "ends": "23:59",
        "slotMinutes": None,
        "capacity": None,
        "reason": "",
    }
    await hub.clock.advance(3 * 86400)
    assert (await hub.call(companion, "GET", path(companion)))["exceptions"] == []


async def test_change_is_told_to_who_keeps_bookings(hub: CoreHub, staff: Caller, companion: Caller) -> None:
    """The weekly set without a day, an exception with its day; what changes nothing is not told."""
    await hub.call(staff, "PUT", path(companion), json={"rules": WEEK})
    await hub.call(staff, "PUT", path(companion), json={"rules": WEEK[::-1]})
    off = await hub.call(companion, "POST", f"{path(companion)}/exceptions", json={"day": day(hub), "kind": "off"})
    await hub.call(companion, "DELETE", f"{path(companion)}/exceptions/{off['id']}")

    assert await events(hub, companion) == [None, day(hub), day(hub)]


async def test_version_protects_the_work_of_somebody_else(hub: CoreHub, staff: Caller, companion: Caller) -> None:
    """Of two who began with the same week the second is refused; without a version the last one wins."""
    before = (await hub.call(staff, "GET", path(companion)))["version"]
    body = {"rules": WEEK, "version": before}
    await hub.call(staff, "PUT", path(companion), json=body)
    error = await hub.call(staff, "PUT", path(companion), 409, json=body | {"rules": []})

    assert error["fields"] == {"version": "排班已被他人修改，请刷新后重试"}
    assert (await hub.call(staff, "PUT", path(companion), json={"rules": []}))["rules"] == []


async def test_people_keep_their_own_exceptions_only(hub: CoreHub, staff: Caller, companion: Caller) -> None:
    """Not their weekly rules, which staff plan; and nothing of anybody else's, which looks as if it were not there."""
    other = await hub.person("companion")
    theirs = await hub.call(other, "POST", f"{path(other)}/exceptions", json={"day": day(hub), "kind": "off"})
    off = {"day": day(hub), "kind": "off"}

    await hub.call(companion, "PUT", path(companion), 403, json={"rules": WEEK})
    await hub.call(companion, "GET", path(other), 404)
    await hub.call(companion, "POST", f"{path(other)}/exceptions", 404, json=off)
    await hub.call(companion, "DELETE", f"{path(other)}/exceptions/{theirs['id']}", 404)
    await hub.call(companion, "DELETE", f"{path(companion)}/exceptions/{theirs['id']}", 404)
    await hub.call(companion, "POST", f"{path(companion)}/exceptions", json=off)


async def test_only_doctors_and_companions_have_working_hours(hub: CoreHub, staff: Caller) -> None:
    """Anybody else, and nobody, is not found."""
    patient = await hub.person()
    for user in (patient.id, staff.id, new_id(), "x"):
        await hub.call(staff, "PUT", f"/admin/schedules/{user}", 404, json={"rules": WEEK})
        await hub.call(staff, "GET", f"/admin/schedules/{user}", 404)
    await hub.call(patient, "POST", f"{path(patient)}/exceptions", 404, json={"day": day(hub), "kind": "off"})
    await hub.call(staff, "DELETE", f"{path(patient)}/exceptions/{new_id()}", 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"starts": "12:00", "ends": "09:00"}, "rules[1].ends"),
        ({"slotMinutes": 200}, "rules[1].slotMinutes"),
        ({"slotMinutes": 4}, "rules[1].slotMinutes"),
        ({"slotMinutes": 10**30}, "rules[1].slotMinutes"),
        ({"slotMinutes": "half"}, "rules[1].slotMinutes"),
        ({"slotMinutes": 30.5}, "rules[1].slotMinutes"),
        ({"capacity": 0}, "rules[1].capacity"),
        ({"capacity": 101}, "rules[1].capacity"),
        ({"weekday": 0}, "rules[1].weekday"),
        ({"weekday": "周一"}, "rules[1].weekday"),
        ({"starts": "9:00"}, "rules[1].starts"),
        ({"ends": "24:00"}, "rules[1].ends"),
        ({"ends": None}, "rules[1].ends"),
        ({"validFrom": "2026-02-30"}, "rules[1].validFrom"),
        ({"validFrom": "2026-02-02", "validUntil": "2026-02-01"}, "rules[1].validUntil"),
        ({"room": "3"}, "rules[1].room"),
    ],
)
async def test_bad_rule_is_refused_by_name(
    hub: CoreHub, staff: Caller, companion: Caller, change: dict[str, Any], field: str
) -> None:
    """And the week before stays as it was."""
    await hub.call(staff, "PUT", path(companion), json={"rules": WEEK[:1]})
    error = await hub.call(staff, "PUT", path(companion), 400, json={"rules": [WEEK[0], WEEK[1] | change]})

    assert list(error["fields"]) == [field]
    assert len((await hub.call(staff, "GET", path(companion)))["rules"]) == 1


async def test_rules_have_an_end(hub: CoreHub, staff: Caller, companion: Caller) -> None:
    """A hundred of one person, and no more."""
    rules = [WEEK[0] | {"starts": "09:00", "ends": "09:30"} for _ in range(101)]

    assert list((await hub.call(staff, "PUT", path(companion), 400, json={"rules": rules}))["fields"]) == ["rules"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ends": "08:00"}, "ends"),
        ({"capacity": None}, "capacity"),
        ({"slotMinutes": 600}, "slotMinutes"),
        ({"kind": "off"}, "slotMinutes"),
        ({"kind": "holiday"}, "kind"),
        ({"day": "2020-01-01"}, "day"),
        ({"day": "2036-01-01"}, "day"),
        ({"day": "9999-12-31"}, "day"),
        ({"day": "tomorrow"}, "day"),
        ({"reason": "停\x00诊"}, "reason"),
        ({"reason": "长" * 101}, "reason"),
        ({"until": "2026-12-31"}, "until"),
    ],
)
async def test_bad_exception_is_refused_by_name(
    hub: CoreHub, companion: Caller, change: dict[str, Any], field: str
) -> None:
    """Nothing is added."""
    body = extra(hub, "09:00", "12:00") | change
    error = await hub.call(companion, "POST", f"{path(companion)}/exceptions", 400, json=body)

    assert field in error["fields"]
    assert (await hub.call(companion, "GET", path(companion)))["exceptions"] == []


async def test_extras_of_a_day_do_not_overlap(hub: CoreHub, companion: Caller) -> None:
    """Of two at the same moment one is taken, whichever node they come to; end to end is no overlap."""
    where = f"{path(companion)}/exceptions"
    headers = {"Authorization": f"Bearer {companion.token}"}
    bodies = [extra(hub, "18:00", "20:00"), extra(hub, "19:00", "21:00")] * 2
    responses = await asyncio.gather(
        *(hub.client.post(f"/api/v1{where}", json=body, headers=headers) for body in bodies)
    )

    assert sorted(response.status_code for response in responses) == [200, 409, 409, 409]
    await hub.call(companion, "POST", where, json=extra(hub, "21:00", "22:00"))
    await hub.call(companion, "POST", where, json={"day": day(hub), "kind": "off", "starts": "18:00", "ends": "19:00"})


async def test_exceptions_of_a_day_have_an_end(hub: CoreHub, companion: Caller) -> None:
    """Twenty; another day has its own."""
    where = f"{path(companion)}/exceptions"
    for _ in range(20):
        await hub.call(companion, "POST", where, json={"day": day(hub), "kind": "off"})

    await hub.call(companion, "POST", where, 409, json={"day": day(hub), "kind": "off"})
    await hub.call(companion, "POST", where, json={"day": day(hub, 3), "kind": "off"})


async def test_reason_is_kept_as_it_was_written(hub: CoreHub, companion: Caller) -> None:
    """Quotes, emoji and marks of direction are data."""
    reason = "“学术会议” 😀 ' OR 1=1 \u202e"
    where = f"{path(companion)}/exceptions"
    await hub.call(companion, "POST", where, json={"day": day(hub), "kind": "off", "reason": reason})

    assert (await hub.call(companion, "GET", path(companion)))["exceptions"][0]["reason"] == reason


async def test_change_waits_for_the_booking_that_holds_the_schedule(
    hub: CoreHub, staff: Caller, companion: Caller
) -> None:
    """So its event comes after the booking and finds it; two bookings do not wait for each other."""
    await hub.call(staff, "PUT", path(companion), json={"rules": WEEK})
    async with hub.ground.database.transaction() as booking, hub.ground.database.transaction() as other:
        await actions.hold_schedule(booking, companion.id)
        await asyncio.wait_for(actions.hold_schedule(other, companion.id), 5)
        change = asyncio.create_task(hub.call(staff, "PUT", path(companion), json={"rules": []}))
        while not await hub.ground.database.log.fetchval(WAITS):
            assert not change.done()  # each look is a round trip, in which the change goes on
        windows = await actions.working_windows(booking, [companion.id], hub.clock.now().date())
        assert len(windows[companion.id]) == 1

    assert (await change)["rules"] == []
