"""What the schedulers note of themselves, and how staff look at it: HTTP, command line, readiness."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from hub.schedule import actions as schedule
from hub.schedule.model import Duty, Standing, moment_of
from hub.timers.actions import Timer, set_timers
from scheduler import logbook as logbooks
from scheduler.logbook import Logbook
from tests.fake_clock import settle
from tests.hub_process import ROOT
from tests.integration.conftest import Serve
from tests.integration.core_app import CoreHub, open_core
from tests.integration.wire import SECURITY

AT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    for statement in ("DELETE FROM schedule_duties", "DELETE FROM schedulers", "DELETE FROM timers"):
        await database.log.execute(statement)
    async with open_core(database, redis_url) as opened:
        yield opened


def run(name: str, **fields: Any) -> schedule.Run:
    """One that ended well a second ago."""
    usual = {"every_s": 0.5, "began_ago": 1.1, "ended_ago": 1.0, "took_ms": 3.0, "failed_ago": None, "error_kind": ""}
    return schedule.Run(name=name, **{**usual, "runs": 1, **fields})


async def hub_command(database_url: str, *arguments: str) -> tuple[int, str]:
    """Exit status and all that was said."""
    environment = {
        **os.environ,
        "COLUMNS": "200",
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": "redis://127.0.0.1:1/0",
        "HUB__SECURITY__MASTER_KEYS": SECURITY.master_keys,
        "HUB__SECURITY__SIGNING_KEY": SECURITY.signing_key,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hub", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


# What is written down


async def written(database: Database, name: str) -> dict[str, Any]:
    row = await database.log.fetchrow("SELECT * FROM schedule_duties WHERE name = $1", name)
    return dict(row) if row else {}


async def test_idle_runs_are_not_written_one_by_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once when a duty fails or is well again, else now and then: two beats a second must cost nothing."""
    monkeypatch.setattr(logbooks, "WRITE_S", 1000.0)
    writes = 0

    class Counted(Logbook):
        async def write(self, database: Database) -> None:
            nonlocal writes
            writes += 1
            await super().write(database)

    logbook, name = Counted(SystemClock()), f"任务 {new_id()}"
    logbook.add(name, 0.5)

    async def until(runs: int) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while (found := await written(database, name)).get("runs") != runs:  # noqa: ASYNC110  the effect is a row
                await asyncio.sleep(0.01)
        return found

    async with Supervisor() as supervisor:
        supervisor.run("logbook", lambda: logbook.keep(database))
        with logbook.run(name):
            pass
        assert (await until(1))["error_kind"] == ""
        for _ in range(50):
            with logbook.run(name):
                await settle()
        assert ((await written(database, name))["runs"], writes) == (1, 1)
        with pytest.raises(OSError, match="走了"), logbook.run(name):
            raise OSError("走了")
        failed = await until(52)

    assert (failed["error_kind"], failed["failed_at"] > failed["ended_at"]) == ("OSError", True)
    assert "走了" not in str(failed)


async def test_what_could_not_be_written_is_written_later(database: Database) -> None:
    """No run is lost while PostgreSQL is away."""
    logbook, name = Logbook(SystemClock()), f"任务 {new_id()}"
    logbook.add(name, 0.5)
    for _ in range(3):
        with logbook.run(name):
            pass
    await database.log.execute("ALTER TABLE schedulers RENAME TO away")
    with pytest.raises(Exception, match="schedulers"):
        await logbook.write(database)
    await database.log.execute("ALTER TABLE away RENAME TO schedulers")
    await logbook.write(database)
    await logbook.write(database)

    assert (await written(database, name))["runs"] == 3


async def test_a_run_that_went_on_during_a_write_is_written_when_it_has_ended(database: Database) -> None:
    """What runs once a day must not look late all day."""
    logbook, name = Logbook(SystemClock()), f"任务 {new_id()}"
    logbook.add(name, 86_400.0)
    with logbook.run(name):
        await logbook.write(database)
    await logbook.write(database)

    found = await written(database, name)
    assert (found["runs"], found["ended_at"] is not None, found["took_ms"] is not None) == (1, True, True)


async def test_many_schedulers_write_into_one_row(database: Database) -> None:
    """The newest of all, and all runs; whoever writes last does not take back what another has done since."""
    name = f"任务 {new_id()}"
    await schedule.note(database, new_id(), "一", [run(name, ended_ago=0.0, took_ms=7.0)])
    newest = (await written(database, name))["ended_at"]
    await schedule.note(database, new_id(), "二", [run(name, began_ago=60.0, ended_ago=60.0, took_ms=1.0, runs=4)])

    found = await written(database, name)
    assert (found["ended_at"], found["runs"]) == (newest, 5)


@pytest.mark.parametrize(
    ("ended_s", "failed_s", "standing"),
    [
        pytest.param(1, None, Standing.WELL, id="just now"),
        pytest.param(39, 50, Standing.WELL, id="failed before"),
        pytest.param(39, 5, Standing.FAILING, id="failed since"),
        pytest.param(None, 5, Standing.FAILING, id="never well"),
        pytest.param(61, None, Standing.LATE, id="three beats and 30 s"),
    ],
)
def test_the_standing_of_a_duty(ended_s: int | None, failed_s: int | None, standing: Standing) -> None:
    """By its newest end, and how often it should run."""

    def ago(seconds: int | None) -> datetime | None:
        return None if seconds is None else AT - timedelta(seconds=seconds)

    duty = Duty(
        name="任务",
        every_s=10.0,
        began_at=AT - timedelta(seconds=61),
        ended_at=ago(ended_s),
        took_ms=1.0,
        failed_at=ago(failed_s),
        error_kind="OSError",
        runs=1,
    )
    assert duty.standing(AT) is standing


# Looking at it


async def test_staff_see_how_the_schedulers_do(hub: CoreHub) -> None:
    """Duties, who runs them, what is overdue and what comes next; nobody else sees it."""
    database, soon = hub.ground.database, SystemClock().now() + timedelta(hours=1)
    failing = run("失败的", ended_ago=9.0, failed_ago=1.0, error_kind="OSError")
    await schedule.note(database, new_id(), "scheduler 1", [run("正常的"), failing])
    overdue = [Timer(kind="late", subject=new_id(), due_at=soon - timedelta(hours=2)) for _ in range(3)]
    async with database.transaction() as connection:
        await set_timers(connection, [*overdue, Timer(kind="soon", subject=new_id(), due_at=soon)])
    seen = await hub.call(await hub.person("staff"), "GET", "/schedule")

    assert (seen["ticking"], [each["name"] for each in seen["schedulers"]]) == (True, ["scheduler 1"])
    assert {each["name"]: each["standing"] for each in seen["duties"]} == {"正常的": "well", "失败的": "failing"}
    late, coming = seen["timers"]
    assert (late["kind"], late["due"], late["dueIsLeast"], late["nextDueAt"]) == ("late", 3, False, None)
    assert 3600 <= late["lateS"] == seen["lateS"]
    assert (coming["kind"], coming["due"], coming["lateS"]) == ("soon", 0, 0.0)
    assert seen["nextDueAt"] == coming["nextDueAt"] == soon.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await hub.call(await hub.person("admin"), "GET", "/schedule")
    for role in ("patient", "companion", "doctor"):
        await hub.call(await hub.person(role), "GET", "/schedule", 403)
    await hub.call(None, "GET", "/schedule", 401)


async def test_one_that_stopped_or_was_killed_is_not_shown(hub: CoreHub) -> None:
    """In order at once, killed after a while; and its row does not stay for ever."""
    database, stopped, killed = hub.ground.database, new_id(), new_id()
    for each in (stopped, killed):
        await schedule.note(database, each, "scheduler 1", [run("任务", began_ago=8 * 86400, ended_ago=8 * 86400)])
    await schedule.leave(database, stopped)
    await database.log.execute("UPDATE schedulers SET seen_at = seen_at - interval '25 hours'")
    seen = await hub.call(await hub.person("staff"), "GET", "/schedule")

    assert (seen["schedulers"], seen["ticking"]) == ([], False)
    assert [each["standing"] for each in seen["duties"]] == ["late"]
    assert await schedule.forget(database) == 2
    assert await schedule.forget(database) == 0


async def test_the_command_line_shows_the_status(hub: CoreHub, database_url: str) -> None:
    """Exit status 1 while nobody ticks, so that a check can use it."""
    status, said = await hub_command(database_url, "schedule", "--status")
    assert (status, "没有调度器" in said) == (1, True)

    await schedule.note(hub.ground.database, new_id(), "scheduler 7", [run("到期的通知")])
    async with hub.ground.database.transaction() as connection:
        await set_timers(connection, [Timer(kind="late", subject=new_id(), due_at=AT - timedelta(days=365))])
    status, said = await hub_command(database_url, "schedule", "--status")
    assert status == 0
    assert all(each in said for each in ("scheduler 7", "到期的通知", "正常", "late"))


async def test_readiness_warns_when_nobody_ticks(serve: Serve, database: Database) -> None:
    """Sockets are served without a scheduler: a warning, not red. The metrics tell how late what is."""
    await database.log.execute("DELETE FROM schedule_duties")
    await schedule.note(database, new_id(), "scheduler 1", [run("任务", began_ago=70.0, ended_ago=70.0)])
    async with database.transaction() as connection:
        kind = f"late-{new_id()}"
        await set_timers(connection, [Timer(kind=kind, subject=new_id(), due_at=AT - timedelta(days=365))])
    async with serve() as server, httpx.AsyncClient(base_url=server.http) as client:
        ready = await client.get("/readyz")
        metrics = (await client.get("/metrics")).text

    assert ready.status_code == 200
    assert "for 7" in ready.json()["warnings"]["scheduler"]
    assert f"timers: {kind}" in ready.json()["warnings"]
    assert f'hub_timers_backlog{{kind="{kind}"}} 1.0' in metrics
    assert f'hub_timers_overdue_seconds{{kind="{kind}"}}' in metrics
    assert "hub_scheduler_last_tick_seconds 7" in metrics


# What is due


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        pytest.param("2026-12-01T09:00+08:00", AT, id="with its zone"),
        pytest.param("2026-12-01T09:00", AT, id="in Shanghai"),
        pytest.param("2026-12-01 01:00Z", AT, id="in UTC"),
        pytest.param("2026-12-01", AT - timedelta(hours=9), id="a date"),
        pytest.param("2026-02-30T09:00", None, id="no such day"),
        pytest.param("0001-01-01T00:00+08:00", None, id="before time"),
        pytest.param("明天", None, id="words"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_moment_that_somebody_typed(given: str, meant: datetime | None) -> None:
    """Never guessed."""
    assert moment_of(given) == meant


async def test_due_shows_what_would_fire(hub: CoreHub, database_url: str) -> None:
    """Of one person or of all; names masked; and it leaves a row in the audit (P13)."""
    patient, other = await hub.person(name="张三丰"), await hub.person(name="李四")
    visit = Timer(kind="visit", subject=new_id(), key="60", revision=2, person=patient.id, due_at=AT)
    theirs = Timer(kind="visit", subject=new_id(), person=other.id, due_at=AT - timedelta(minutes=1))
    later = Timer(kind="visit", subject=new_id(), person=patient.id, due_at=AT + timedelta(minutes=1))
    async with hub.ground.database.transaction() as connection:
        await set_timers(connection, [visit, theirs, later])
    asked = ("due", "--at", "2026-12-01T09:00", "--dry-run", "--json")
    status, said = await hub_command(database_url, *asked)
    everybody = json.loads(said)

    assert status == 0
    assert [(each["subject"], each["name"]) for each in everybody["timers"]] == [
        (theirs.subject, "李*"),
        (visit.subject, "张*丰"),
    ]
    assert (everybody["notices"], everybody["unpaidOrders"], everybody["broadcasts"]) == (0, 0, 0)

    for person in (patient.id, patient.phone):
        status, said = await hub_command(database_url, *asked, "--person", person)
        (only,) = json.loads(said)["timers"]
        assert (only["subject"], only["revision"], only["dueAt"]) == (visit.subject, 2, "2026-12-01T01:00:00.000Z")
    rows = await hub.ground.database.log.fetch("SELECT action FROM audit_log WHERE person = $1", patient.id)
    assert [row["action"] for row in rows] == ["schedule.read", "schedule.read"]

    status, said = await hub_command(database_url, *asked[:-1], "--most", "1")
    assert (status, "李*" in said, "张" in said, visit.subject in said) == (0, True, False, False)
    assert "李四" not in said
    state = await hub.ground.database.log.fetchval("SELECT count(*) FROM timers WHERE state = 'pending'")
    assert state == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--at", "明天", "--dry-run"), "--at", id="no moment"),
        pytest.param(("--at", "2026-12-01T09:00"), "--dry-run", id="not dry"),
        pytest.param(("--at", "2026-12-01T09:00", "--dry-run", "--person", "13900000000"), "--person", id="nobody"),
        pytest.param(("--at", "2026-12-01T09:00", "--dry-run", "--most", "0"), "--most", id="none"),
    ],
)
async def test_due_refuses_nonsense(database_url: str, arguments: tuple[str, ...], named: str) -> None:
    """Names the option, and fires nothing."""
    status, said = await hub_command(database_url, "due", *arguments)

    assert (status, named in said) == (2, True), said
