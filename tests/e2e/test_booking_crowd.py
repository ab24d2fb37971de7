"""A slot is never sold twice: 200 people at once, three server processes, one database (contract, section 3)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest_asyncio

from hub.platform import settings
from hub.platform.identifier import new_id
from hub.security import token
from hub.security.keyring import create_key_file, load_keyring
from tests.hub_process import HubProcess, hub_processes

CROWD = 200
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest_asyncio.fixture
async def nodes(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[list[HubProcess]]:
    create_key_file(tmp_path / "keys.json")
    environment = {
        "HUB__DATA__DIR": str(tmp_path),
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": redis_url,
        "HUB__REDIS__PREFIX": tmp_path.name,
    }
    async with hub_processes(3, tmp_path, environment) as servers:
        await asyncio.gather(*(server.until("/readyz") for server in servers))
        yield servers


async def offer(database: asyncpg.Connection, at: datetime) -> str:
    """A service of one doctor who works in that hour and sees one patient at a time."""
    doctor, service = new_id(), new_id()
    await database.execute("INSERT INTO users (id, name, role) VALUES ($1, '王医生', 'doctor')", doctor)
    await database.execute(
        "INSERT INTO services (id, name, category, price, duration_minutes) VALUES ($1, '专家问诊', 'consultation', 128, 30)",
        service,
    )
    await database.execute("INSERT INTO service_providers VALUES ($1, $2)", service, doctor)
    await database.execute(
        "INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from) "
        "VALUES ($1, $2, $3, $4, $5, 30, 1, $6)",
        new_id(),
        doctor,
        at.isoweekday(),
        at.time(),
        (at + timedelta(minutes=30)).time(),
        at.date() - timedelta(days=7),
    )
    return service


async def crowd(database: asyncpg.Connection, folder: Path) -> list[str]:
    """Tokens of as many patients."""
    people = [new_id() for _ in range(CROWD)]
    await database.copy_records_to_table("users", columns=["id", "name"], records=[(each, "赵六") for each in people])
    keys = load_keyring(settings.Settings(data=settings.Data(dir=str(folder))))
    key, now = keys.derive(token.PURPOSE), datetime.now(UTC)
    return [token.issue(key, user=each, session=new_id(), role="patient", now=now, life_s=600) for each in people]


async def test_exactly_one_of_a_crowd_gets_the_slot(nodes: list[HubProcess], database_url: str, tmp_path: Path) -> None:
    """One booking, 199 clear refusals, and the database agrees."""
    at = (datetime.now(SHANGHAI) + timedelta(days=3)).replace(hour=9, minute=0, second=0, microsecond=0)
    database = await asyncpg.connect(database_url)
    try:
        service, tokens = await offer(database, at), await crowd(database, tmp_path)
        body = {
            "serviceId": service,
            "scheduledTime": at.isoformat(),
            "contactPerson": "赵六",
            "contactPhone": "13900000000",
            "notes": "首次就诊",
        }
        limits = httpx.Limits(max_connections=CROWD)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:

            async def book(number: int) -> httpx.Response:
                url = f"{nodes[number % len(nodes)].url}/api/v1/appointments"
                return await client.post(url, json=body, headers={"Authorization": f"Bearer {tokens[number]}"})

            answers = await asyncio.gather(*(book(number) for number in range(CROWD)))
        held = await database.fetchval("SELECT count(*) FROM bookings WHERE released_at IS NULL")
        orders = await database.fetchval("SELECT count(*) FROM orders")
        appointments = await database.fetchval("SELECT count(*) FROM appointments")
    finally:
        await database.close()

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: CROWD - 1}
    assert {answer.json()["error"]["type"] for answer in answers if answer.status_code == 409} == {"conflict"}
    assert (held, orders, appointments) == (1, 1, 1)
