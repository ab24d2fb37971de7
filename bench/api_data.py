"""The large database of `bench api`: the demo, and beside it thousands of patients with their readings and orders."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg

from bench.api_mix import Patient, World
from bench.target import Storage
from hub.care import record_store
from hub.care.indicator import assess
from hub.care.model import Measurement, Reading
from hub.demo import seed
from hub.orders.detail import Contact, Details, seal_details
from hub.platform import settings
from hub.platform.database import open_database
from hub.platform.identifier import new_id
from hub.security import keyring, token
from hub.security.sealing import DataKey, Sealer

PATIENTS = 5_000
BATCH = 100  # patients whose rows are made and copied together
TOKEN_LIFE_S = 7200
_ORDER = (
    "id",
    "order_no",
    "user_id",
    "actor_id",
    "service_id",
    "quantity",
    "amount",
    "state",
    "details",
    "key_id",
    "expires_at",
    "created_at",
    "updated_at",
)


async def fill(storage: Storage, records: int, orders: int) -> World:
    """Everything copied in; the answer names what requests can ask for."""
    chosen = settings.Settings(
        data=settings.Data(dir=str(storage.folder)),
        database=settings.Database(url=storage.database_url),
        redis=settings.Redis(url=storage.redis_url),
    )
    await seed(chosen)
    keys = keyring.load_keyring(chosen)
    async with open_database(chosen.database) as database:
        connection = await asyncpg.connect(storage.database_url, command_timeout=300)
        try:
            sealer = Sealer(keys, database)
            services = [
                row["id"] for row in await connection.fetch("SELECT id::text FROM services ORDER BY sort_order")
            ]
            patients = await _people(connection, keys)
            for start in range(0, PATIENTS, BATCH):
                some = [(patient, await sealer.key_for(patient.user)) for patient in patients[start : start + BATCH]]
                await _readings(connection, some, records // PATIENTS)
                await _orders(connection, some, orders // PATIENTS, services)
            await connection.execute("ANALYZE")
            return await _world(connection, patients)
        finally:
            await connection.close()


async def _people(connection: asyncpg.Connection, keys: keyring.Keyring) -> list[Patient]:
    key, now = keys.derive(token.PURPOSE), datetime.now(UTC)
    people = [
        Patient(
            user := new_id(),
            token.issue(key, user=user, session=new_id(), role="patient", now=now, life_s=TOKEN_LIFE_S),
            [],
        )
        for _ in range(PATIENTS)
    ]
    rows = [(each.user, "测试员") for each in people]
    await connection.copy_records_to_table("users", columns=["id", "name"], records=rows)
    return people


async def _readings(connection: asyncpg.Connection, some: Sequence[tuple[Patient, DataKey]], each: int) -> None:
    rows = [record_store.seal(key, reading) for patient, key in some for reading in _year(patient.user, each)]
    await connection.copy_records_to_table("health_data_records", columns=record_store.COLUMNS, records=rows)


def _year(user: str, count: int) -> Iterator[Reading]:
    """Blood pressure, spread over the last year."""
    dice, now = random.Random(user), datetime.now(UTC).replace(microsecond=0)
    for number in range(count):
        systolic = dice.gauss(128, 12)
        measured = Measurement("blood_pressure", round(systolic), round(systolic * 0.62), float(dice.randint(58, 90)))
        at = now - timedelta(days=365 * number / count, seconds=dice.randint(1, 3600))
        yield Reading(
            id=new_id(),
            user=user,
            actor=user,
            measurement=measured,
            assessment=assess(measured),
            source="device",
            recorded_at=at,
            created_at=at,
        )


async def _orders(
    connection: asyncpg.Connection, some: Sequence[tuple[Patient, DataKey]], each: int, services: Sequence[str]
) -> None:
    dice, now, rows = random.Random(some[0][0].user), datetime.now(UTC), []
    for patient, key in some:
        for _ in range(each):
            order, at = new_id(), now - timedelta(days=dice.uniform(1, 365))
            patient.orders.append(order)
            details = seal_details(key, order, Details(Contact("赵六", "13900000000"), {}))
            who = (patient.user, patient.user, dice.choice(services))
            state = dice.choice(("completed", "completed", "cancelled"))
            rows.append((order, f"BENCH{order}", *who, 1, Decimal("128.00"), state, details, key.id, at, at, at))
    await connection.copy_records_to_table("orders", columns=_ORDER, records=rows)


async def _world(connection: asyncpg.Connection, patients: list[Patient]) -> World:
    async def ids(statement: str) -> list[str]:
        return [row[0] for row in await connection.fetch(statement)]

    bookable = await connection.fetch(
        "SELECT p.service_id::text, d.id::text FROM service_providers p JOIN doctors d ON d.user_id = p.provider"
    )
    return World(
        patients,
        await ids("SELECT id::text FROM services"),
        [(row[0], row[1]) for row in bookable],
        await ids("SELECT id::text FROM hospitals"),
        await ids("SELECT id::text FROM doctors"),
        await ids("SELECT id::text FROM health_knowledge WHERE status = 'published'"),
        datetime.now(ZoneInfo("Asia/Shanghai")).replace(second=0, microsecond=0),
    )
