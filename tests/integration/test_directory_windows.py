"""What other areas are told about working hours: right, only of who may work, in a fixed number of statements."""

from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import text

from hub.directory import actions, schedule_store
from hub.directory.model import Rule, ScheduleException
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.scene import Scene

MONDAY = date(2026, 11, 23)
MORNING = Rule(weekday=1, starts=time(9), ends=time(12), slot_minutes=30, capacity=2)


async def run(database: Database, statement: str, **values: Any) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement), values)


async def works(database: Database, status: str = "active") -> str:
    """Somebody who works on Monday mornings."""
    user = new_id()
    statement = "INSERT INTO users (id, name, role, status) VALUES (:id, '李', 'doctor', :status)"
    await run(database, statement, id=user, status=status)
    async with database.transaction() as connection:
        await schedule_store.replace_rules(connection, {user: [MORNING]})
    return user


async def test_windows_follow_rules_and_exceptions(database: Database) -> None:
    """A rule gives the morning; `off` cuts out of it, `extra` adds to it; another day has nothing."""
    user = await works(database)
    async with database.transaction() as connection:
        off = ScheduleException(new_id(), MONDAY, "off", time(10), time(11), None, None, "会诊")
        await schedule_store.add_exception(connection, user, off)
        extra = ScheduleException(new_id(), MONDAY, "extra", time(20), time(21), 20, 1, "")
        await schedule_store.add_exception(connection, user, extra)
        monday = await actions.working_windows(connection, [user], MONDAY)
        tuesday = await actions.working_windows(connection, [user], date(2026, 11, 24))

    spans = [(f"{each.starts_at:%H:%M}", f"{each.ends_at:%H:%M}", each.capacity) for each in monday[user]]
    assert spans == [("09:00", "10:00", 2), ("11:00", "12:00", 2), ("20:00", "21:00", 1)]
    assert list(tuesday[user]) == []


async def test_suspended_people_do_not_work(database: Database) -> None:
    """Whoever may not sign in is not offered."""
    working, suspended = await works(database), await works(database, "suspended")
    async with database.transaction() as connection:
        windows = await actions.working_windows(connection, [working, suspended], MONDAY)

    assert len(windows[working]) == 1
    assert list(windows[suspended]) == []


async def test_windows_of_many_cost_two_statements(database: Database) -> None:
    """However many are asked about."""
    scene = Scene(database)
    users = [await works(database) for _ in range(8)]
    async with database.transaction() as connection:
        with scene.statements() as said:
            windows = await actions.working_windows(connection, users, MONDAY)

    assert all(windows[user] for user in users)
    assert len(said) == 2


async def entry(database: Database, user: str) -> dict[str, str]:
    """The account as a doctor of a new hospital; the ids of hospital, department and doctor."""
    ids = {"hospitals": new_id(), "departments": new_id(), "doctors": new_id()}
    await run(database, "INSERT INTO hospitals (id, name, city) VALUES (:id, '清河医院', '北京')", id=ids["hospitals"])
    statement = "INSERT INTO departments (id, hospital_id, name) VALUES (:id, :hospital, '内科')"
    await run(database, statement, id=ids["departments"], hospital=ids["hospitals"])
    statement = "INSERT INTO doctors (id, user_id, department_id, name) VALUES (:id, :user, :department, '李医生')"
    await run(database, statement, id=ids["doctors"], user=user, department=ids["departments"])
    return ids


@pytest.mark.parametrize("table", ["hospitals", "departments", "doctors"])
async def test_nobody_works_where_it_is_closed(database: Database, table: str) -> None:
    """Neither by rule nor by extra hours; and `is_open` says so."""
    user = await works(database)
    ids = await entry(database, user)
    async with database.transaction() as connection:
        extra = ScheduleException(new_id(), MONDAY, "extra", time(20), time(21), 20, 1, "")
        await schedule_store.add_exception(connection, user, extra)
        before = await actions.working_windows(connection, [user], MONDAY)
        statement = text(f"UPDATE {table} SET is_active = false WHERE id = :id")  # noqa: S608 - a name of ours
        await connection.execute(statement, {"id": ids[table]})
        after = await actions.working_windows(connection, [user], MONDAY)
        found = await actions.doctor_of(connection, ids["doctors"])

    assert (len(before[user]), len(after[user])) == (2, 0)
    assert found is not None
    assert (found.is_open, found.is_active) == (False, table != "doctors")


async def test_entries_are_found_by_id_and_by_account(database: Database) -> None:
    """Who is no doctor is left out, and an id that names nothing is nobody."""
    doctor, companion = await works(database), await works(database)
    ids = await entry(database, doctor)
    async with database.transaction() as connection:
        by_user = await actions.doctors_by_user(connection, [doctor, companion])
        by_id = await actions.doctor_of(connection, ids["doctors"])
        hospital = await actions.hospital_of(connection, ids["hospitals"])
        nobody = [await actions.doctor_of(connection, each) for each in (new_id(), "x")]
        nowhere = [await actions.hospital_of(connection, each) for each in (new_id(), "x")]

    assert by_user == {doctor: by_id}
    assert by_id is not None
    assert (by_id.user, by_id.hospital, by_id.department_name, by_id.is_open) == (
        doctor,
        ids["hospitals"],
        "内科",
        True,
    )
    assert hospital is not None
    assert hospital.name == "清河医院"
    assert [*nobody, *nowhere] == [None] * 4
