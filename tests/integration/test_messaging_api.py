"""Conversations over HTTP: the paths and fields of the contract, one wrapper, and faults named by field (P14)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from litestar import Litestar, Router
from litestar.di import Provide

from hub.messaging import api
from hub.messaging.collector import Collector
from hub.messaging.receipt import Receipts
from hub.messaging.roster import Rosters
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.http import Connection, RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from hub.security.token import Principal
from tests.integration.scene import Scene

NOBODY = "01890000-0000-7000-8000-000000000000"  # an id that no row has; fixed, because test names must be the same in every process

Json = dict[str, Any]


class Asked:
    """A client that says who it is; the guard has its own tests."""

    def __init__(self, client: httpx.AsyncClient, app: Litestar) -> None:
        self.client = client
        self.app = app

    async def ask(self, user: str, method: str, path: str, body: Json | None = None, role: str = "patient") -> Json:
        headers = {"x-user": user, "x-role": role}
        found = await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        answer: Json = found.json()
        assert (answer["code"], answer["success"]) == (found.status_code, found.is_success)
        return answer

    async def data(self, user: str, method: str, path: str, body: Json | None = None, role: str = "patient") -> Any:
        answer = await self.ask(user, method, path, body, role)
        assert answer["success"], answer
        return answer["data"]


def principal(request: Connection) -> Principal:
    return Principal(request.headers["x-user"], new_id(), request.headers["x-role"], expires_at=2.0**40)


@asynccontextmanager
async def served(scene: Scene) -> AsyncIterator[Litestar]:
    pool, services = scene.database.log, scene.services
    collector = Collector(pool, scene.sealer, Rosters(pool, 50), scene.announced, SystemClock(), services.settings)
    receipts = Receipts(pool, scene.announced, 100)
    provided: dict[str, object] = {
        "messaging": services,
        "listing": scene.listing,
        "history": scene.history,
        "collector": collector,
        "receipts": receipts,
    }
    router = Router(
        "/api/v1",
        route_handlers=api.handlers,
        dependencies={
            "principal": Provide(principal, sync_to_thread=False),
            **{name: Provide(_constant(each), sync_to_thread=False) for name, each in provided.items()},
        },
    )
    async with Supervisor() as supervisor:
        supervisor.run("collector", collector.run)
        supervisor.run("receipts", receipts.run)
        yield Litestar(
            [router],
            middleware=[RequestContext()],
            before_send=[echo_request_id],
            exception_handlers=exception_handlers,
        )


def _constant(value: object) -> Any:
    return lambda: value


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


@pytest_asyncio.fixture
async def http(scene: Scene) -> AsyncIterator[Asked]:
    # In this loop, unlike Litestar's own test client: the connections belong to it.
    async with (
        served(scene) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client,
    ):
        yield Asked(client, app)


async def test_two_people_talk_without_a_socket(http: Asked, scene: Scene) -> None:
    """Start, send, read, list: the contract's section 7 beside the wire."""
    doctor, patient = await scene.person("doctor", "王医生"), await scene.person("patient", "赵六")
    made = await http.data(doctor, "POST", "/conversations", {"kind": "direct", "members": [patient]}, "doctor")
    path = f"/conversations/{made['id']}"
    sending = {"clientMsgId": "m1", "type": "text", "body": {"text": "您好"}}
    ack = await http.data(doctor, "POST", f"{path}/entries", sending, "doctor")
    again = await http.data(doctor, "POST", f"{path}/entries", sending, "doctor")
    page = await http.data(patient, "GET", f"{path}/entries?after=0&limit=10")
    (before,) = (await http.data(patient, "GET", "/conversations"))["items"]
    assert await http.data(patient, "POST", f"{path}/read", {"seq": 1}) is None
    (after,) = (await http.data(patient, "GET", "/conversations?page=1&pageSize=5&sort=-updatedAt"))["items"]

    assert ack == {"conversation": made["id"], "clientMsgId": "m1", "seq": 1, "at": ack["at"], "dup": False}
    assert again == ack | {"dup": True}
    assert page["more"] is False
    assert [(entry["seq"], entry["sender"], entry["body"]) for entry in page["entries"]] == [
        (1, doctor, {"text": "您好"})
    ]
    assert (before["unread"], before["title"], before["lastEntry"]["body"]) == (1, "王医生", {"text": "您好"})
    assert (after["unread"], after["readSeq"], after["deliveredSeq"], after["head"]) == (0, 1, 1, 1)
    assert {member["name"] for member in made["members"]} == {"王医生", "赵六"}
    assert scene.announced.receipts == [(patient, 1, 1)]


async def test_a_group_is_managed(http: Asked, scene: Scene) -> None:
    """Members in and out, roles, title, mute and pin, leaving."""
    doctor, one, two = await scene.person("doctor"), await scene.person(), await scene.person()
    made = await http.data(
        doctor, "POST", "/conversations", {"kind": "group", "title": "随访", "members": [one]}, "doctor"
    )
    path = f"/conversations/{made['id']}"
    await http.data(doctor, "POST", f"{path}/members", {"members": [two]}, "doctor")
    await http.data(doctor, "PATCH", f"{path}/members/{one}", {"role": "admin"}, "doctor")
    await http.data(one, "DELETE", f"{path}/members", {"members": [two]})
    await http.data(one, "PATCH", path, {"title": "康复", "muted": True, "pinned": True})
    seen = await http.data(one, "GET", path)
    await http.data(doctor, "POST", f"{path}/leave", role="doctor")
    left = await http.data(one, "GET", path)

    assert (seen["title"], seen["muted"], seen["pinned"], seen["memberCount"]) == ("康复", True, True, 2)
    assert {member["user"]: member["role"] for member in seen["members"]} == {doctor: "owner", one: "admin"}
    assert [(member["user"], member["role"]) for member in left["members"]] == [(one, "owner")]


async def test_an_entry_is_edited_and_recalled(http: Asked, scene: Scene) -> None:
    """The same acks as for sending; operations come with the page of what they aim at."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一片")
    path = f"/conversations/{group}/entries"
    edited = await http.data(patient, "PATCH", f"{path}/2", {"clientMsgId": "e", "body": {"text": "两片"}})
    page = await http.data(patient, "GET", f"{path}?before=3&limit=1")
    recalled = await http.data(patient, "DELETE", f"{path}/2", {"clientMsgId": "r"})
    last = await http.data(patient, "GET", path)

    assert (edited["seq"], recalled["seq"]) == (3, 4)
    assert ([entry["seq"] for entry in page["entries"]], page["more"]) == ([2], True)
    assert [(each["type"], each["target"], each["body"]) for each in page["operations"]] == [
        ("edit", 2, {"text": "两片"})
    ]
    assert [entry.get("recalled", False) for entry in last["entries"]] == [False, True, True, False]


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "field"),
    [
        ("POST", "", {"kind": "care", "members": []}, 400, "kind"),
        ("POST", "", {"kind": "direct", "members": []}, 400, "members"),
        ("POST", "", {"kind": "direct", "members": ["x"]}, 400, "members[0]"),
        ("POST", "", {"kind": "direct", "members": [], "colour": 1}, 400, "colour"),
        ("POST", "", {"kind": "group"}, 400, "members"),
        ("GET", "?page=0", None, 400, "page"),
        ("GET", "?sort=title", None, 400, "sort"),
        ("GET", "/x", None, 404, "conversation"),
        ("GET", f"/{NOBODY}", None, 404, "conversation"),
        ("GET", f"/{NOBODY}/entries", None, 404, "conversation"),
        ("GET", "/{group}/entries?limit=201", None, 400, "limit"),
        ("GET", "/{group}/entries?after=-1", None, 400, "after"),
        ("GET", "/{group}/entries?after=1&before=2", None, 400, "before"),
        ("POST", "/{group}/members", {"members": []}, 400, "members"),
        ("POST", "/{group}/members", {"members": [NOBODY]}, 403, None),
        ("POST", "/{group}/read", {"seq": 99}, 400, "seq"),
        ("POST", "/{group}/delivered", {"seq": -1}, 400, "seq"),
        ("POST", f"/{NOBODY}/read", {"seq": 1}, 404, "conversation"),
        ("POST", "/x/read", {"seq": 1}, 404, "conversation"),
        ("PATCH", "/{group}", {"title": "x"}, 403, None),
        ("PATCH", "/{group}/members/x", {"role": "admin"}, 404, "conversation"),
        ("PATCH", f"/{{group}}/members/{NOBODY}", {"role": "boss"}, 400, "role"),
        ("POST", "/{group}/entries", {"clientMsgId": "a", "type": "text", "body": {}}, 400, "body.text"),
        ("POST", "/{group}/entries", {"clientMsgId": "a", "type": "text", "body": {"text": 1}}, 400, "body.text"),
        ("POST", "/{group}/entries", {"clientMsgId": "a", "type": "text", "body": {"x": 1}}, 400, "body.x"),
        ("POST", "/{group}/entries", {"clientMsgId": "a", "type": "text", "body": []}, 400, "body"),
        ("POST", "/{group}/entries", {"clientMsgId": "a", "type": "system", "body": {}}, 400, "type"),
        ("POST", "/{group}/entries", {"clientMsgId": "", "type": "text", "body": {}}, 400, "clientMsgId"),
        ("POST", "/{group}/entries", {"clientMsgId": "a\0", "type": "text", "body": {}}, 400, "clientMsgId"),
        ("POST", "/{group}/entries", {"type": "text", "body": {}}, 400, "clientMsgId"),
        ("POST", "/x/entries", {"clientMsgId": "a", "type": "text", "body": {"text": "a"}}, 404, "conversation"),
        ("PATCH", "/{group}/entries/1", {"clientMsgId": "a", "body": {"text": ""}}, 400, "body.text"),
        ("PATCH", "/{group}/entries/1", {"clientMsgId": "a", "body": {"text": "a"}}, 403, "seq"),
        ("PATCH", "/{group}/entries/99", {"clientMsgId": "a", "body": {"text": "a"}}, 404, "seq"),
        ("DELETE", "/{group}/entries/1", {"clientMsgId": "a"}, 404, "seq"),
        ("DELETE", f"/{{group}}/entries/{2**70}", {"clientMsgId": "a"}, 400, "seq"),
        ("DELETE", "/{group}/entries/1", {}, 400, "clientMsgId"),
    ],
)
async def test_bad_requests_are_named_by_field(
    http: Asked, scene: Scene, method: str, path: str, body: Json | None, code: int, field: str | None
) -> None:
    """P14: and nothing is appended."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    answer = await http.ask(patient, method, "/conversations" + path.format(group=group), body)

    assert answer["code"] == code, answer
    assert list(answer["error"]["fields"]) == ([] if field is None else [field])
    assert await scene.seqs(patient, group) == [1]


async def test_openapi_describes_every_route(http: Asked) -> None:
    """The schema comes from the code's own types."""
    schema = http.app.openapi_schema.to_schema()

    assert {"/api/v1/conversations", "/api/v1/conversations/{conversation}/entries"} <= schema["paths"].keys()
    assert "EntryBody" not in str(schema)
