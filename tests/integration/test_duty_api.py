"""Duty rosters over HTTP: planned, changed and ended by staff, on record, and only for who is fit."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.alerts import duty_store
from hub.alerts.duty_actions import soon_uncovered
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from tests.integration.core_app import START, Caller, CoreHub, open_core

Json = dict[str, Any]
SHANGHAI = timezone(timedelta(hours=8))
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM duty_shifts"))
    async with open_core(database, redis_url) as opened:
        yield opened


def shift(who: Caller, begin: float = 0, length: float = 8, role: str = "doctor_on_call", **more: Any) -> Json:
    """Hours from now."""
    starts = START + begin * HOUR
    times = {"startsAt": starts.isoformat(), "endsAt": (starts + length * HOUR).isoformat()}
    return {"role": role, "userId": who.id, **times, **more}


async def plan(hub: CoreHub, staff: Caller, *shifts: Json) -> list[Json]:
    found: list[Json] = await hub.call(staff, "POST", "/duties", json=list(shifts))
    return found


async def on_duty(hub: CoreHub, role: str, at: datetime) -> list[str]:
    async with hub.ground.database.transaction() as connection:
        return await duty_store.on_duty(connection, role, at)


async def audited(hub: CoreHub, person: str) -> list[tuple[str, str]]:
    rows = await hub.ground.database.log.fetch(
        "SELECT actor::text, action FROM audit_log WHERE person = $1 ORDER BY number", person
    )
    return [tuple(row) for row in rows]


async def test_a_shift_comes_in_with_its_offset_and_is_shown_in_utc(hub: CoreHub) -> None:
    """One, and who has it now; the plan is on record with who made it."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor", "李医生")
    starts = START.astimezone(SHANGHAI)
    body = shift(doctor, note="夜班") | {"startsAt": starts.isoformat()}
    (made,) = await hub.call(staff, "POST", "/duties", json=body)
    now = await hub.call(staff, "GET", "/duties/now")

    assert body["startsAt"].endswith("09:00:00+08:00")
    assert made.pop("id")
    assert made == {
        "role": "doctor_on_call",
        "userId": doctor.id,
        "name": "李医生",
        "startsAt": rfc3339(START),
        "endsAt": rfc3339(START + 8 * HOUR),
        "note": "夜班",
        "createdBy": staff.id,
        "createdAt": rfc3339(START),
    }
    assert [(each["role"], [one["userId"] for one in each["shifts"]]) for each in now] == [
        ("doctor_on_call", [doctor.id]),
        ("backup", []),
        ("coordinator", []),
    ]
    assert await audited(hub, doctor.id) == [(staff.id, "duty.added")]


async def test_the_latest_begun_shift_comes_first_and_its_end_is_not_included(hub: CoreHub) -> None:
    """P11: who came on last is told first; nobody is told twice."""
    staff = await hub.person("admin")
    early, late, double = [await hub.person("doctor", name) for name in ("早班", "晚班", "双班")]
    await plan(hub, staff, shift(early, 0), shift(late, 4), shift(double, 2, 4), shift(double, 6, 1))

    assert await on_duty(hub, "doctor_on_call", START - timedelta(microseconds=1)) == []
    assert await on_duty(hub, "doctor_on_call", START) == [early.id]
    assert await on_duty(hub, "doctor_on_call", START + 6 * HOUR) == [double.id, late.id, early.id]
    assert await on_duty(hub, "doctor_on_call", START + 8 * HOUR) == [late.id]
    assert await on_duty(hub, "backup", START) == []


@pytest.mark.parametrize(
    "change", ["status = 'suspended'", "role = 'patient'"], ids=["suspended", "no doctor any more"]
)
async def test_who_may_not_have_the_role_any_more_is_not_told(hub: CoreHub, change: str) -> None:
    """P13: an alert is health data; the roster shows the gap that is left."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor")
    await plan(hub, staff, shift(doctor, 0, 24))
    async with hub.ground.database.transaction() as connection:
        await connection.execute(text(f"UPDATE users SET {change} WHERE id = :id"), {"id": doctor.id})  # noqa: S608
    gaps = await hub.call(staff, "GET", "/duties/gaps", params={"to": rfc3339(START + 24 * HOUR)})

    assert await on_duty(hub, "doctor_on_call", START) == []
    assert {"role": "doctor_on_call", "startsAt": rfc3339(START), "endsAt": rfc3339(START + 24 * HOUR)} in gaps


async def test_gaps_are_what_no_shift_covers(hub: CoreHub) -> None:
    """P11: role by role, within what was asked; the doctor looks at the next 24 hours where rosters are used."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor")
    async with hub.ground.database.transaction() as connection:
        assert await soon_uncovered(connection, START) == ()
    await plan(hub, staff, shift(doctor, -1, 6), shift(doctor, 7, 20), shift(staff, 0, 40, "coordinator"))
    start = START.astimezone(SHANGHAI).isoformat()
    gaps = await hub.call(staff, "GET", "/duties/gaps", params={"from": start, "to": rfc3339(START + 9 * HOUR)})
    async with hub.ground.database.transaction() as connection:
        soon = await soon_uncovered(connection, START)

    assert gaps == [
        {"role": "doctor_on_call", "startsAt": rfc3339(START + 5 * HOUR), "endsAt": rfc3339(START + 7 * HOUR)},
        {"role": "backup", "startsAt": rfc3339(START), "endsAt": rfc3339(START + 9 * HOUR)},
    ]
    assert [(gap.role, gap.ends_at) for gap in soon] == [
        ("doctor_on_call", START + 7 * HOUR),
        ("backup", START + 24 * HOUR),
    ]


async def test_a_list_is_planned_wholly_or_not_at_all(hub: CoreHub) -> None:
    """P14: what is wrong is named with its place in the list."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor")
    patient = await hub.person("patient")
    wrong = [shift(doctor), shift(patient), shift(doctor, 0, 200), shift(doctor, 24 * 370) | {"userId": "无此人"}]
    refused = await hub.call(staff, "POST", "/duties", 400, json=wrong)
    twice = await hub.call(staff, "POST", "/duties", 409, json=[shift(doctor, 0), shift(doctor, 7)])
    listed = await hub.call(staff, "GET", "/duties")

    assert set(refused["fields"]) == {"[1].userId", "[2].endsAt", "[3].userId", "[3].startsAt"}
    assert set(twice["fields"]) == {"[0].startsAt", "[1].startsAt"}
    assert listed["total"] == 0


async def test_a_shift_is_changed_handed_over_and_taken_off(hub: CoreHub) -> None:
    """Both who had it and who has it find that on record; one that was taken off early stays for as long as it lasted."""
    staff = await hub.person("staff")
    one, other = await hub.person("doctor"), await hub.person("doctor")
    first, second = await plan(hub, staff, shift(one, -2), shift(one, 10))
    changed = await hub.call(staff, "PUT", f"/duties/{second['id']}", json=shift(other, 12, role="backup"))
    await hub.call(staff, "DELETE", f"/duties/{second['id']}")
    await hub.call(staff, "DELETE", f"/duties/{first['id']}")
    again = await hub.call(staff, "DELETE", f"/duties/{first['id']}", 409)
    late = await hub.call(staff, "PUT", f"/duties/{first['id']}", 409, json=shift(one))
    listed = await hub.call(staff, "GET", "/duties", params={"from": rfc3339(START - 5 * HOUR)})

    assert (changed["id"], changed["userId"], changed["role"]) == (second["id"], other.id, "backup")
    assert (again["type"], late["type"]) == ("conflict", "conflict")
    assert [(each["id"], each["endsAt"]) for each in listed["items"]] == [(first["id"], rfc3339(START))]
    assert [action for _, action in await audited(hub, one.id)] == [
        "duty.added",
        "duty.added",
        "duty.changed",
        "duty.ended",
    ]
    assert [action for _, action in await audited(hub, other.id)] == ["duty.changed", "duty.deleted"]


async def test_rosters_are_for_staff_and_admins(hub: CoreHub) -> None:
    """Also to read; what is not there is not found, and a look has an end."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor")
    for who in (doctor, await hub.person("patient"), await hub.person("companion")):
        await hub.call(who, "POST", "/duties", 403, json=shift(doctor))
        for path in ("/duties", "/duties/now", "/duties/gaps"):
            await hub.call(who, "GET", path, 403)
        await hub.call(who, "PUT", "/duties/x", 403, json=shift(doctor))
        await hub.call(who, "DELETE", "/duties/x", 403)
    await hub.call(staff, "PUT", "/duties/x", 404, json=shift(doctor))
    await hub.call(staff, "DELETE", f"/duties/{doctor.id}", 404)
    naive = await hub.call(staff, "GET", "/duties", 400, params={"from": "2026-11-26T09:00:00"})
    long = await hub.call(staff, "GET", "/duties/gaps", 400, params={"to": rfc3339(START + timedelta(days=94))})
    unzoned = shift(doctor) | {"startsAt": START.astimezone(UTC).replace(tzinfo=None).isoformat()}

    assert set(naive["fields"]) == {"from"}
    assert set(long["fields"]) == {"to"}
    assert list((await hub.call(staff, "POST", "/duties", 400, json=unzoned))["fields"])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00", "9999-12-31T00:00:00Z"])
async def test_dates_at_the_edges_are_refused(hub: CoreHub, at: str) -> None:
    """P14: nothing can be added to them; each is named."""
    staff, doctor = await hub.person("staff"), await hub.person("doctor")
    early = await hub.call(staff, "POST", "/duties", 400, json=shift(doctor) | {"startsAt": at})
    late = await hub.call(staff, "POST", "/duties", 400, json=[shift(doctor) | {"endsAt": at}])

    assert (early["fields"].keys(), late["fields"].keys()) == ({"startsAt"}, {"[0].endsAt"})
    for path in ("/duties", "/duties/gaps"):
        for name in ("from", "to"):
            assert list((await hub.call(staff, "GET", path, 400, params={name: at}))["fields"]) == [name]
