"""P11 with real processes: a ladder that nobody answers, one that is answered at its third step, schedulers killed in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from clients.terminal.account import Account
from hub.security.keyring import create_key_file
from tests.hub_process import Helper, HubProcess

DOCTOR, BACKUP, COORDINATOR, PATIENT = "13820000001", "13820000002", "13830000001", "13800000001"
ROLES = ("doctor_on_call", "backup", "coordinator", "phone_task")
LATE = timedelta(seconds=5)  # never silent for longer, past a deadline
WAIT_S = 40.0


@dataclass
class House:
    """An installation with people on duty and two schedulers: while one is dead, the other goes on."""

    server: HubProcess
    schedulers: list[Helper]
    logs: list[Path]
    database: asyncpg.Pool
    http: httpx.AsyncClient

    async def sign_in(self, phone: str) -> Account:
        return await Account.sign_in(self.http, self.server.url, phone)

    async def steps(self, alert: str, least: int) -> list[asyncpg.Record]:
        """The ladder so far, once it has so many steps."""

        async def look() -> list[asyncpg.Record] | None:
            found = await self.database.fetch("SELECT * FROM alert_steps WHERE alert = $1 ORDER BY number", alert)
            return found if len(found) >= least else None

        return list(await until(look))

    async def kill_scheduler(self, number: int) -> None:
        """As a power cut, and somebody who turns it on again."""
        scheduler = self.schedulers[number]
        scheduler.shoot()
        await scheduler.end()
        self.logs[number].unlink()
        await scheduler.start()

    async def ready(self, number: int) -> None:
        """This scheduler has begun: what the promise is about is one that runs, not one that is starting."""

        async def look() -> bool:
            return self.logs[number].exists() and "scheduler ready" in self.logs[number].read_text()

        await until(look)

    async def let_steps_take(self, *within_s: int) -> None:
        """Shorter than the API allows, so that the story takes seconds."""
        steps = [{"role": role, "withinS": each} for role, each in zip(ROLES, within_s, strict=True)]
        await self.database.execute(
            "INSERT INTO alert_ladders (severity, value, version, changed_by) VALUES ('critical', $1, 1, gen_random_uuid())"
            " ON CONFLICT (severity) DO UPDATE SET value = excluded.value",
            json.dumps({"severity": "critical", "steps": steps}),
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the keys of this module's database."""
    made: Path = tmp_path_factory.mktemp("hub")
    create_key_file(made / "keys.json")
    return made


@pytest_asyncio.fixture
async def house(database_url: str, redis_url: str, folder: Path, tmp_path: Path) -> AsyncIterator[House]:
    environment = {
        "HUB__DATA__DIR": str(folder),
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": redis_url,
        "HUB__REDIS__PREFIX": tmp_path.name,
    }
    server = HubProcess(tmp_path / "server.log", environment)
    logs = [tmp_path / f"scheduler-{number}.log" for number in range(2)]
    schedulers = [Helper("schedule", each, environment) for each in logs]
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=2) as database,
        httpx.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        await database.execute("DELETE FROM alerts")
        await _people(database)
        try:
            await server.start()
            await asyncio.gather(*(each.start() for each in schedulers))
            await server.until("/readyz")
            opened = House(server, schedulers, logs, database, http)
            await asyncio.gather(*(opened.ready(number) for number in range(2)))
            yield opened
        finally:
            await asyncio.gather(server.kill(), *(each.end() for each in schedulers))


async def _people(database: asyncpg.Pool) -> None:
    people = (
        (DOCTOR, "王医生", "doctor", "doctor_on_call"),
        (BACKUP, "李医生", "doctor", "backup"),
        (COORDINATOR, "赵协调", "staff", "coordinator"),
        (PATIENT, "张三丰", "patient", None),
    )
    for phone, name, account, role in people:
        user = await database.fetchval(
            "INSERT INTO users (id, phone, name, role) VALUES (gen_random_uuid(), $1, $2, $3)"
            " ON CONFLICT (phone) DO UPDATE SET name = excluded.name RETURNING id",
            phone,
            name,
            account,
        )
        if role is not None:
            await database.execute(
                "INSERT INTO duty_shifts (id, role, user_id, starts_at, ends_at, created_by)"
                " VALUES (gen_random_uuid(), $1, $2, now() - interval '1 hour', now() + interval '1 day', $2)",
                role,
                user,
            )


async def until(find: Callable[[], Awaitable[Any]]) -> Any:
    """What is found, as soon as it is something."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await find()):  # noqa: ASYNC110  other processes change it: nothing wakes us
            await asyncio.sleep(0.05)
        return found


async def measure(house: House, patient: Account) -> str:
    """A reading that nobody should have; the alert that it opened."""
    at = (await house.database.fetchval("SELECT now()")).isoformat()
    body = {"type": "spo2", "value": 78, "unit": "%", "recordedAt": at, "source": "device"}
    await patient.post("/health/records", body)

    async def opened() -> str | None:
        found: str | None = await house.database.fetchval(
            "SELECT id::text FROM alerts WHERE kind = 'reading' AND state = 'open'"
        )
        return found

    return str(await until(opened))


def silence(steps: list[asyncpg.Record]) -> timedelta:
    """The longest that a step was late."""
    return max((step["fired_at"] - step["due_at"] for step in steps), default=timedelta())


@pytest.mark.timeout(120)
async def test_nobody_answers_and_a_scheduler_is_killed_between_steps(house: House) -> None:
    """P11: up to the phone task and on and on, each step once, never silent past its deadline and 5 s."""
    patient, coordinator = await house.sign_in(PATIENT), await house.sign_in(COORDINATOR)
    await house.let_steps_take(3, 3, 3, 3)
    alert = await measure(house, patient)
    await house.steps(alert, 1)
    await house.kill_scheduler(0)
    await house.steps(alert, 3)
    await house.ready(0)
    await house.kill_scheduler(1)
    steps = await house.steps(alert, 6)

    assert [step["step"] for step in steps[:6]] == [*ROLES, "phone_task", "phone_task"]
    assert [step["number"] for step in steps] == list(range(len(steps)))
    assert all(step["told"] for step in steps)
    assert silence(steps) < LATE, [step["fired_at"] - step["due_at"] for step in steps]
    opened_at = await house.database.fetchval("SELECT opened_at FROM alerts WHERE id = $1", alert)
    assert steps[0]["fired_at"] - opened_at < LATE
    told = await house.database.fetch("SELECT user_id, dedupe_key FROM notices WHERE subject = $1", f"alert:{alert}")
    assert len(told) == len({row["dedupe_key"] for row in told}) >= 6
    waits = (await coordinator.get("/alerts?step=phone_task&state=open"))["items"]
    assert alert in {each["id"] for each in waits}
    inbox = await house.database.fetchval(
        "SELECT count(*) FROM entries e JOIN conversations c ON c.id = e.conversation"
        " WHERE c.kind = 'inbox' AND e.client_msg_id = $1",
        f"alert-advice:{alert}",
    )
    assert inbox == 1
    metrics = (await house.http.get(f"{house.server.url}/metrics")).text
    assert 'hub_alerts_open{severity="critical"} 1.0' in metrics


@pytest.mark.timeout(120)
async def test_answered_at_the_third_step(house: House) -> None:
    """P11: then nobody is told any more, and the story says who was told when and who has it."""
    patient, coordinator = await house.sign_in(PATIENT), await house.sign_in(COORDINATOR)
    await house.let_steps_take(2, 2, 60, 60)
    alert = await measure(house, patient)
    await house.steps(alert, 2)
    await house.kill_scheduler(0)
    told = await house.steps(alert, 3)
    story = await coordinator.post(f"/alerts/{alert}/acknowledge", {"note": "已联系家属"})

    assert [step["step"] for step in told] == list(ROLES[:3])
    assert silence(told) < LATE, [step["fired_at"] - step["due_at"] for step in told]
    assert (story["state"], story["acknowledgedBy"]["name"]) == ("acknowledged", "赵协调")
    assert [each["step"] for each in story["steps"]] == list(ROLES[:3])
    states = {
        row["state"]
        for row in await house.database.fetch("SELECT state FROM notices WHERE subject = $1", f"alert:{alert}")
    }
    assert "open" not in states
    assert (
        await house.database.fetchval("SELECT count(*) FROM timers WHERE subject = $1 AND state = 'pending'", alert)
        == 0
    )
