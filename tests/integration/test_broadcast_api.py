"""Broadcasts over HTTP and from the command line: the whole story, and clear answers to what is not possible."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from click.testing import CliRunner
from litestar import Litestar, Router
from litestar.di import Provide
from rich.console import Console

from hub.broadcasts import api as broadcast_api
from hub.broadcasts import command as broadcast_command
from hub.broadcasts.command import follow
from hub.broadcasts.duty import advance
from hub.cli import cli
from hub.messaging.api import list_conversations, show_conversation
from hub.messaging.model import SYSTEM
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.http import Connection, RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.security.token import Principal
from tests.fake_clock import FakeClock
from tests.integration.broadcast_scene import TEXT, Json, Office, build_office, settings_of


@pytest_asyncio.fixture
async def office(database: Database, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Chunks of ten, so that few people are many chunks."""
    monkeypatch.setattr("hub.broadcasts.model.CHUNK", 10)
    clock = FakeClock(SystemClock().now())
    return await build_office(database, clock)


@pytest_asyncio.fixture
async def client(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    parts: Json = {"broadcasts": office.broadcasts, "listing": office.scene.listing}
    people: dict[str, Principal] = {}

    async def signed_in(request: Connection) -> Principal:
        role, _, user = request.headers["authorization"].partition(" ")
        return people.setdefault(user, Principal(user, new_id(), role, 0))

    def provide(part: object) -> Provide:
        return Provide(lambda: part, sync_to_thread=False)

    router = Router(
        "/api/v1",
        route_handlers=[*broadcast_api.handlers, list_conversations, show_conversation],
        dependencies={
            **{name: provide(part) for name, part in parts.items()},
            "principal": Provide(signed_in),
        },
    )
    application = Litestar(
        [router],
        exception_handlers=exception_handlers,
        middleware=[RequestContext()],
        before_send=[echo_request_id],
        logging_config=None,
    )
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as opened:
        yield opened


async def call(
    client: httpx.AsyncClient, who: Principal, method: str, path: str, status: int = 200, **request: Any
) -> Any:
    response = await client.request(
        method, f"/api/v1{path}", headers={"Authorization": f"{who.role} {who.user}"}, **request
    )
    assert response.status_code == status, response.text
    body = response.json()
    return body["data"] if body["success"] else body["error"]


def wanted(**changes: object) -> Json:
    return {"title": "春季体检", "text": TEXT, "class": "system", "segment": {}, **changes}


async def test_whole_story_over_http(office: Office, client: httpx.AsyncClient) -> None:
    """Prepared, looked at, started, paused, resumed, done; each step says how far it is, and leaves a line in the audit."""
    people = await office.people(30)
    made = await call(
        client, office.staff, "POST", "/admin/broadcasts", json=wanted(segment={"users": people}, perS=10)
    )
    broadcast = made["id"]
    assert (made["state"], made["estimated"], made["estimateIsLeast"], made["perS"]) == ("draft", 30, False, 10)
    assert (made["title"], made["class"], made["segment"]) == ("春季体检", "system", {"users": people})
    for move, state in (("start", "running"), ("pause", "paused"), ("resume", "running")):
        moved = await call(client, office.staff, "POST", f"/admin/broadcasts/{broadcast}/{move}")
        assert moved["state"] == state
    await advance(office.desk, broadcast)
    halfway = await call(client, office.staff, "GET", f"/admin/broadcasts/{broadcast}")
    assert (halfway["lookedAt"], halfway["reached"], halfway["leftOut"]) == (10, 10, {})
    assert halfway["notices"] == {"open": 10}
    for _ in range(3):
        await office.clock.advance(1)
        await advance(office.desk, broadcast)
    listed = await call(client, office.staff, "GET", "/admin/broadcasts")
    assert (listed["items"][0]["id"], listed["items"][0]["state"]) == (broadcast, "done")
    assert (listed["items"][0]["secondsLeft"], listed["items"][0]["notices"]) == (0, None)

    someone = Principal(people[0], new_id(), "patient", 0)
    mine = await call(client, someone, "GET", "/conversations")
    assert [(each["id"], each["unread"]) for each in mine["items"]] == [(broadcast, 1)]
    seen = await call(client, someone, "GET", f"/conversations/{broadcast}")
    assert [member["user"] for member in seen["members"]] == [people[0]]
    audited = await office.run(
        "SELECT action, subject FROM audit_log WHERE subject LIKE :id || '%' ORDER BY number", id=broadcast
    )
    assert [(row["action"], row["subject"]) for row in audited] == [
        ("broadcast.created", f'{broadcast} system {{"users":30}}'),
        ("broadcast.started", f'{broadcast} system {{"users":30}}'),
        ("broadcast.paused", broadcast),
        ("broadcast.resumed", broadcast),
    ]


async def test_what_needs_no_consent_and_names_nobody_is_started_by_admins(
    office: Office, client: httpx.AsyncClient
) -> None:
    """Staff may prepare it, and hold it; the audit has whom it was for."""
    people = await office.people(2)
    wide = {"roles": ["patient"], "registeredAfter": "2026-01-01T00:00:00Z"}
    made = {}
    for name, class_, segment in (
        ("all", "system", wide),
        ("few", "system", {"users": people}),
        ("agreed", "marketing", {}),
    ):
        body = wanted(**{"class": class_, "segment": segment})
        made[name] = (await call(client, office.staff, "POST", "/admin/broadcasts", json=body))["id"]
    refused = await call(client, office.staff, "POST", f"/admin/broadcasts/{made['all']}/start", 403)
    assert refused["fields"] == {"segment": "面向不限名单的系统通知须由管理员发送"}
    for name, who in (("all", office.admin), ("few", office.staff), ("agreed", office.staff)):
        assert (await call(client, who, "POST", f"/admin/broadcasts/{made[name]}/start"))["state"] == "running"
        assert (await call(client, office.staff, "POST", f"/admin/broadcasts/{made[name]}/cancel"))[
            "state"
        ] == "cancelled"
    (row,) = await office.run(
        "SELECT actor::text, subject FROM audit_log WHERE action = 'broadcast.started' AND subject LIKE :id || '%'",
        id=made["all"],
    )

    assert row["actor"] == office.admin.user
    assert row["subject"] == f'{made["all"]} system {{"roles":["patient"],"registeredAfter":"2026-01-01T00:00:00Z"}}'


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"segment": {"cities": ["北京"]}}, "segment.cities"),
        ({"class": "chat"}, "class"),
        ({"class": "news"}, "class"),
        ({"title": "  "}, "title"),
        ({"title": "题" * 101}, "title"),
        ({"text": ""}, "text"),
        ({"perS": 0}, "perS"),
        ({"startsAt": "2020-01-01T00:00:00Z"}, "startsAt"),
        ({"segment": {"users": ["x"]}}, "segment.users[0]"),
        ({"segment": {"users": ["00000000-0000-7000-8000-000000000000"]}}, "segment.users[0]"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(
    office: Office, client: httpx.AsyncClient, changes: Json, named: str
) -> None:
    """Before anything is stored."""
    before = await office.run("SELECT count(*) FROM broadcasts")
    error = await call(client, office.staff, "POST", "/admin/broadcasts", 400, json=wanted(**changes))

    assert list(error["fields"]) == [named]
    assert await office.run("SELECT count(*) FROM broadcasts") == before


async def test_moves_that_do_not_fit_are_conflicts(office: Office, client: httpx.AsyncClient) -> None:
    """They change nothing; and one that does not exist is not found."""
    broadcast = await office.draft(await office.people(1))
    for move in ("pause", "resume"):
        error = await call(client, office.staff, "POST", f"/admin/broadcasts/{broadcast}/{move}", 409)
        assert (error["type"], error["fields"]) == ("conflict", {"state": "群发尚未开始，不能执行此操作"})
    assert (await office.state(broadcast))[0] == "draft"
    for path in (f"/admin/broadcasts/{new_id()}", "/admin/broadcasts/nothing"):
        await call(client, office.staff, "GET", path, 404)
        await call(client, office.staff, "POST", f"{path}/start", 404)


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_only_staff_send_broadcasts(office: Office, client: httpx.AsyncClient, role: str) -> None:
    """Nor may others look at them."""
    other = Principal(await office.scene.person(role), new_id(), role, 0)
    broadcast = await office.draft(await office.people(1))

    await call(client, other, "POST", "/admin/broadcasts", 403, json=wanted())
    await call(client, other, "GET", "/admin/broadcasts", 403)
    await call(client, other, "GET", f"/admin/broadcasts/{broadcast}", 403)
    for move in ("start", "pause", "resume", "cancel"):
        await call(client, other, "POST", f"/admin/broadcasts/{broadcast}/{move}", 403)


@pytest.mark.parametrize("shown", [True, False])
async def test_command_line_holds_and_stops(office: Office, database_url: str, shown: bool) -> None:
    """On the machine itself, without signing in; a move that does not fit, and one that is not there, are one line."""
    broadcast = await office.started(await office.people(3))
    chosen = settings_of(database_url, "redis://127.0.0.1:1", Path())
    lines: list[str] = []

    async def say(command: Any, *arguments: Any) -> Any:
        lines.clear()
        return await asyncio.to_thread(command, chosen, *arguments, lines.append)

    if shown:
        await say(broadcast_command.list_all)
        assert any(broadcast in line and "春季体检" in line for line in lines)
        assert await say(broadcast_command.show, broadcast)
        assert lines[0].startswith(f"{broadcast}  进行中  0/3")
        assert not await say(broadcast_command.show, new_id())
        assert lines == ["内容不存在"]
        return
    assert await say(broadcast_command.move, broadcast, "pause")
    assert not await say(broadcast_command.move, broadcast, "pause")
    assert lines == ["群发已暂停，不能执行此操作；与现有数据冲突"]
    assert await say(broadcast_command.move, broadcast, "resume")
    assert await say(broadcast_command.move, broadcast, "cancel")
    assert await say(broadcast_command.watch, broadcast)
    assert "已取消" in lines[0]
    audited = await office.run(
        "SELECT actor::text FROM audit_log WHERE subject = :id ORDER BY at DESC LIMIT 1", id=broadcast
    )
    assert audited == [{"actor": SYSTEM}]


@pytest.mark.parametrize("command", ["list", "show", "watch", "pause", "resume", "cancel"])
def test_command_explains_itself(command: str) -> None:
    """Each one, without a database."""
    result = CliRunner().invoke(cli, ["broadcast", command, "--help"])

    assert result.exit_code == 0, result.output


async def test_watching_ends_with_the_broadcast(office: Office) -> None:
    """The bar is the command line's; what it shows comes from the row."""
    broadcast = await office.started(await office.people(3))
    await advance(office.desk, broadcast)
    await follow(office.broadcasts, broadcast, Console(quiet=True))
    with pytest.raises(Refusal):
        await follow(office.broadcasts, new_id(), Console(quiet=True))
