"""Scheduler and worker over the real queue: a sweep wakes a worker, which delivers; Valkey may be flushed and restarted (P6)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from hub.notices.draft import Draft, insert
from hub.notices.due import _OLDEST, LANES, SHARDS, backlog, due
from hub.notices.notice_class import CLASSES, Step
from hub.notices.store import _CLAIM
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.embedded import Servers
from hub.platform.identifier import new_id
from hub.platform.telemetry import serve_metrics
from hub.security.keyring import create_key_file, load_keyring
from scheduler.notice_sweep import NoticeSweeps, open_notice_sweeps
from tests.hub_process import free_port
from tests.integration.notice_scene import change_class
from tests.integration.scene import Scene
from tests.rfc8291 import base64url
from tests.standins.webpush import WebpushStandin, open_webpush_standin
from workers import notice_worker
from workers.notice_worker import queue_of
from workers.queue import open_queue

WAIT_S = 30.0


@pytest_asyncio.fixture
async def service() -> AsyncIterator[WebpushStandin]:
    async with open_webpush_standin() as opened:
        yield opened


@pytest_asyncio.fixture
async def chosen(database_url: str, redis_url: str, tmp_path: Path, service: WebpushStandin) -> settings.Settings:
    create_key_file(tmp_path / "keys.json")
    return settings.Settings(
        data=settings.Data(dir=str(tmp_path)),
        database=settings.Database(url=database_url),
        redis=settings.Redis(url=redis_url, prefix=f"test-{new_id()}"),
        webpush=settings.Webpush(private_key=base64url(b"\1" * 32), subject="mailto:ops@hub.cn", hosts=service.url),
    )


async def away(database: Database, service: WebpushStandin) -> str:
    """Somebody has not received an entry within the grace, which is none here; they have one browser."""
    scene = Scene(database)
    await change_class(
        database, msgspec.structs.replace(CLASSES["chat"], grace_s=0, ladder=[Step("webpush")], quiet="ignore")
    )
    patient = await scene.person("patient", "张三丰")
    subscription = service.subscribe()
    await database.log.execute(
        "INSERT INTO notice_addresses (id, user_id, channel, value, extra) VALUES ($1, $2, 'webpush', $3, $4)",
        new_id(),
        patient,
        subscription.endpoint,
        {"p256dh": subscription.p256dh, "auth": subscription.auth},
    )
    doctor, group = await scene.group(patient)
    await scene.send(group, doctor, "请按时复诊")
    return patient


@asynccontextmanager
async def working(chosen: settings.Settings) -> AsyncIterator["asyncio.Task[None]"]:
    """A worker as `hub work` runs it, without its supervisor."""
    task = asyncio.create_task(notice_worker.work(chosen, load_keyring(chosen)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ended(database: Database, user: str) -> asyncpg.Record:
    """The person's notice, when nothing is left to do for it."""
    query = "SELECT * FROM notices WHERE user_id = $1 AND next_at IS NULL"
    async with asyncio.timeout(WAIT_S):
        while True:
            if (row := await database.log.fetchrow(query, user)) is not None:
                return row
            await asyncio.sleep(0)


async def swept(sweeps: NoticeSweeps) -> None:
    """One beat of the scheduler; the first one ever only sets the mark."""
    await sweeps.find_unreceived()
    await sweeps.find_unreceived()
    await sweeps.wake_due()


async def test_sweep_wakes_a_worker_that_delivers(
    chosen: settings.Settings, database: Database, service: WebpushStandin
) -> None:
    """P9, over the real queue: row first, then the wake-up."""
    patient = await away(database, service)
    async with open_notice_sweeps(chosen, database, SystemClock()) as sweeps, working(chosen):
        await swept(sweeps)
        notice = await ended(database, patient)

    assert notice["state"] == "unconfirmed"
    assert [each.payload["title"] for each in service.received] == ["新消息"]


async def test_lost_wake_up_costs_a_sweep(
    chosen: settings.Settings, database: Database, service: WebpushStandin, servers: Servers
) -> None:
    """P6: Valkey is killed with the wake-up in it; what is due stays due, and the next sweep says so again."""
    patient = await away(database, service)
    async with open_notice_sweeps(chosen, database, SystemClock()) as sweeps:
        await swept(sweeps)
        await servers.valkey.kill()
        await servers.valkey.start()
        assert (
            "normal",
            await database.log.fetchval("SELECT shard FROM notices WHERE user_id = $1", patient),
        ) in await due(database.log)
        assert {each.lane for each in await backlog(database.log)} == {"normal"}
        async with working(chosen):
            await sweeps.wake_due()
            await ended(database, patient)

    assert len(service.received) == 1
    assert await backlog(database.log) == []


async def test_worker_says_that_it_is_there(chosen: settings.Settings) -> None:
    """`hub doctor` counts who consumes the lanes."""
    async with open_queue(chosen.redis, queue_of("urgent")) as queue:
        assert await queue.workers() == 0
        async with working(chosen), asyncio.timeout(WAIT_S):
            while not await queue.workers():  # noqa: ASYNC110 - the worker's heartbeat in Redis wakes nobody
                await asyncio.sleep(0)


async def test_worker_shows_its_metrics_where_it_is_asked_to(chosen: settings.Settings) -> None:
    """A process that serves nothing else has a page of its own."""
    port = free_port()
    with serve_metrics("127.0.0.1", port):
        async with httpx.AsyncClient(trust_env=False) as http:
            page = (await http.get(f"http://127.0.0.1:{port}/metrics")).text

    assert "hub_notices_ended_total" in page


@pytest.mark.parametrize("query", [_OLDEST, _CLAIM[_CLAIM.index("SELECT id") : _CLAIM.index("FOR UPDATE")]])
async def test_looking_for_what_is_due_reads_no_notice_that_waits(database: Database, query: str) -> None:
    """The time is a condition of the index: with one that changes within the statement, every waiting notice would be read."""
    values = (list(LANES), SHARDS) if query is _OLDEST else ("normal", 0, 128)
    async with database.log.acquire() as connection, connection.transaction():
        for name in ("seqscan", "bitmapscan"):
            await connection.execute(f"SET LOCAL enable_{name} = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *values))

    assert [line for line in plan.splitlines() if "Index Cond" in line and "next_at <=" in line]


async def test_what_is_urgent_leaves_without_redis(
    chosen: settings.Settings,
    database: Database,
    service: WebpushStandin,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P6, P11: nobody can be woken, so the worker looks by itself."""
    monkeypatch.setattr(notice_worker, "UNWOKEN_S", 0.0)
    doctor = await away(database, service)
    await database.log.execute("DELETE FROM notices WHERE user_id = $1", doctor)
    draft = Draft(user=doctor, dedupe_key=f"alert:{new_id()}", subject="alert")
    async with database.transaction() as connection:
        await insert(connection, CLASSES["health_alert"], chosen.notices.shards, SystemClock().now(), [draft])
    await servers.valkey.kill()
    watching = asyncio.create_task(notice_worker.watch_urgent(chosen, load_keyring(chosen)))
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                if service.received:
                    break
                await asyncio.sleep(0)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await servers.valkey.start()

    assert [each.payload["title"] for each in service.received] == ["重要提醒"]
