"""Months of health records: made ahead, by any number of schedulers, also after nobody made them in time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from sqlalchemy import text

from hub.care import record_store
from hub.care.indicator import assess
from hub.care.model import Measurement, Reading
from hub.care.partition import MONTHS_AHEAD, make_partitions
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer
from scheduler import ticker

NOW = datetime.now(UTC)
KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)


def steps(user: str, at: datetime) -> Reading:
    measured = Measurement("steps", 8000)
    return Reading(
        id=new_id(),
        user=user,
        actor=user,
        measurement=measured,
        assessment=assess(measured),
        source="device",
        recorded_at=at,
        created_at=at,
    )


async def add(database: Database, sealer: Sealer, readings: list[Reading]) -> None:
    key = await sealer.key_for(readings[0].user)
    async with database.transaction() as connection:
        assert len(await record_store.add(connection, key, readings)) == len(readings)


async def months(database: Database) -> list[str]:
    rows = await database.log.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'health_data_records'::regclass"
    )
    return sorted(row["name"].removeprefix("health_data_records_") for row in rows)


async def place(database: Database, reading: Reading) -> str:
    query = "SELECT tableoid::regclass::text FROM health_data_records WHERE id = $1"
    return str(await database.log.fetchval(query, reading.id)).removeprefix("health_data_records_")


async def planned(database: Database, query: str, **values: Any) -> str:
    async with database.transaction() as connection:
        return "\n".join((await connection.execute(text(f"EXPLAIN {query}"), values)).scalars())


async def test_migration_has_made_the_months_around_now(database: Database) -> None:
    """Half a year ahead and two years back; what is older has one place for all."""
    found, now = await months(database), NOW

    assert f"{now:%Y%m}" in found
    assert f"{now + relativedelta(months=MONTHS_AHEAD):%Y%m}" in found
    assert f"{now - relativedelta(months=23):%Y%m}" in found
    assert "old" in found
    assert await make_partitions(database, now) == 0


async def test_schedulers_make_the_coming_months_once(database: Database) -> None:
    """This month and the next six, from two at the same time and again."""
    later = NOW + relativedelta(years=3)
    made = await asyncio.gather(*(make_partitions(database, later) for _ in range(4)))

    assert sum(made) == MONTHS_AHEAD + 1
    assert await make_partitions(database, later) == 0
    wanted = [f"{later + relativedelta(months=ahead):%Y%m}" for ahead in range(MONTHS_AHEAD + 1)]
    assert set(wanted) <= set(await months(database))
    assert await make_partitions(database, later + relativedelta(months=1)) == 1


async def test_records_without_a_month_move_when_it_is_made(database: Database) -> None:
    """No scheduler ran for years: nothing was refused, nothing is lost, and each record ends in its month."""
    sealer, user = Sealer(KEYRING, database), new_id()
    late = NOW + relativedelta(years=5)
    first = late.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    readings = [steps(user, at) for at in (first - timedelta(milliseconds=1), first, late)]
    await add(database, sealer, readings)
    assert [await place(database, each) for each in readings] == ["old"] * 3

    await make_partitions(database, late)

    assert [await place(database, each) for each in readings] == ["old", f"{first:%Y%m}", f"{first:%Y%m}"]
    async with database.transaction() as connection:
        span = (first - timedelta(days=1), late + timedelta(days=1))
        assert await record_store.readings(connection, sealer, user, "steps", *span) == readings


async def test_made_month_refuses_a_second_reading_of_a_moment(database: Database) -> None:
    """It has the keys and indexes of its parent."""
    sealer, user, later = Sealer(KEYRING, database), new_id(), NOW + relativedelta(years=8)
    await make_partitions(database, later)
    for at in (NOW, later):
        await add(database, sealer, [steps(user, at)])
        async with database.transaction() as connection:
            key = await sealer.key_for(user)
            assert await record_store.add(connection, key, [steps(user, at)]) == set()


async def test_range_reads_its_own_months_only(database: Database) -> None:
    """The planner leaves out the others, and finds a person's type by the index."""
    now = datetime.now(UTC)
    this, last = f"health_data_records_{now:%Y%m}", f"health_data_records_{now - relativedelta(months=1):%Y%m}"
    plan = await planned(
        database,
        "SELECT * FROM health_data_records WHERE user_id = CAST(:user AS uuid) AND type = 'spo2'"
        " AND recorded_at >= :start AND recorded_at < :end",
        user=new_id(),
        start=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        end=now,
    )

    assert this in plan
    assert last not in plan
    assert "health_data_records_old" not in plan
    assert "user_id_type_recorded_at" in plan


async def test_scheduler_makes_months(database: Database) -> None:
    """It is one of its duties, once a day."""
    every_s, sweep = ticker.sweeps(Settings())["months of health records"]

    assert every_s == 86_400
    assert sweep is ticker.make_partitions
