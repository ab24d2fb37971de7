"""Every HTTP answer has the one wrapper, names what was wrong, and carries the request's id (P14)."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio
import structlog
from litestar import Litestar, get, post
from litestar.di import NamedDependency
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.testing import AsyncTestClient
from msgspec import Meta
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, RequestContext, answer, echo_request_id, paging
from hub.platform.http_error import exception_handlers, is_outage
from hub.platform.page import Page, Paging, page_of

Client = AsyncTestClient[Litestar]


class Contact(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    full_name: Annotated[str, Meta(max_length=5)]


class Order(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    quantity: int
    contact: Contact | None = None


@post("/orders", status_code=200, responses=FAILURES)
async def place(data: JSONBody[Order]) -> Answer[Order]:
    return answer(data)


@get("/orders", dependencies={"paging": paging("createdAt", "amount")})
async def browse(paging: NamedDependency[Paging]) -> Answer[Page[int]]:
    return answer(page_of([paging.offset], paging, 1))


@get("/refused/{code:str}")
async def refuse(code: FromPath[str]) -> Answer[None]:
    raise Refusal(ErrorCode(code), fields={"phone": "phone_invalid", "x": "as it is"}, retry_after_ms=1500)


@get("/broken")
async def break_down() -> Answer[None]:
    structlog.get_logger().info("working")
    raise ValueError("the patient's blood pressure")


@get("/own-cause")
async def blame_itself() -> Answer[None]:
    error = ValueError("round and round")
    raise error from error


@get("/converted")
async def convert(given: FromQuery[str]) -> Answer[Order]:
    return answer(msgspec.json.decode(given, type=Order))


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    app = Litestar(
        route_handlers=[place, browse, refuse, break_down, blame_itself, convert],
        exception_handlers=exception_handlers,
        middleware=[RequestContext()],
        before_send=[echo_request_id],
        logging_config=None,
        openapi_config=OpenAPIConfig(title="test", version="1"),
    )
    async with AsyncTestClient(app) as opened:
        yield opened


async def failed(client: Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    response = await client.request(method, path, **request)
    body = response.json()
    assert set(body) == {"success", "code", "message", "data", "timestamp", "requestId", "error"}
    assert (body["success"], body["code"], body["data"]) == (False, response.status_code, None)
    assert response.headers["x-request-id"] == body["requestId"]
    error: dict[str, Any] = body["error"]
    return {"status": response.status_code, **error}


async def test_a_success_is_wrapped(client: Client) -> None:
    """The wrapper has exactly the contract's keys, camelCase inside too."""
    response = await client.post("/orders", json={"quantity": 2, "contact": {"fullName": "张三"}})
    body = response.json()

    assert set(body) == {"success", "code", "message", "data", "timestamp", "requestId"}
    assert (body["success"], body["code"], body["message"]) == (True, 200, "操作成功")
    assert body["data"] == {"quantity": 2, "contact": {"fullName": "张三"}}
    assert body["timestamp"] > 1_700_000_000_000
    assert body["requestId"].startswith("req_")
    assert response.headers["x-request-id"] == body["requestId"]


@pytest.mark.parametrize(
    ("asked", "kept"), [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("", False)]
)
async def test_a_request_id_is_kept_if_it_is_sane(client: Client, asked: str, kept: bool) -> None:
    """A client's own id is echoed; one that could confuse a log is replaced."""
    response = await client.post("/orders", json={"quantity": 2}, headers={"X-Request-ID": asked})

    assert (response.headers["x-request-id"] == asked) is kept
    assert response.json()["requestId"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"quantity": 1, "amount": 2}, "amount"),
        ({}, "quantity"),
        ({"quantity": "two"}, "quantity"),
        ({"quantity": 1, "contact": {"fullName": "x", "nick": "y"}}, "contact.nick"),
        ({"quantity": 1, "contact": {"fullName": "too long"}}, "contact.fullName"),
        ({"quantity": 1, "contact": {}}, "contact.fullName"),
        ([], "body"),
        (1, "body"),
    ],
)
async def test_a_bad_body_is_refused_naming_the_field(client: Client, sent: object, field: str) -> None:
    """An unknown, missing or wrong field is named by its path as the client wrote it."""
    refused = await failed(client, "POST", "/orders", json=sent)

    assert (refused["status"], refused["type"]) == (400, "invalid")
    assert list(refused["fields"]) == [field]


async def test_a_missing_body_is_refused(client: Client) -> None:
    """Nothing at all is a bad request, not a fault."""
    assert await failed(client, "POST", "/orders") == {"status": 400, "type": "invalid", "fields": {"body": "必填"}}


@pytest.mark.parametrize("sent", [b"{", b"\xff", b'{"quantity": 1} x'])
async def test_a_body_that_is_no_json_is_malformed(client: Client, sent: bytes) -> None:
    """Bytes that do not parse are told from fields that do not fit."""
    refused = await failed(client, "POST", "/orders", content=sent, headers={"Content-Type": "application/json"})

    assert (refused["status"], refused["type"]) == (400, "malformed")


async def test_a_value_converted_by_a_handler_is_refused_the_same_way(client: Client) -> None:
    """Wherever msgspec finds the fault, the field is named alike."""
    refused = await failed(client, "GET", "/converted", params={"given": '{"quantity":1,"contact":{"nick":""}}'})

    assert (refused["status"], list(refused["fields"])) == (400, ["contact.nick"])


async def test_an_unknown_path_and_another_method_are_wrapped(client: Client) -> None:
    """What no handler answers has the wrapper and the request id, too."""
    assert (await failed(client, "GET", "/nowhere"))["type"] == "not_found"
    refused = await failed(client, "DELETE", "/orders")
    assert (refused["status"], refused["type"]) == (405, "method_not_allowed")


async def test_a_refusal_says_when_to_come_back(client: Client) -> None:
    """429 and 503 carry Retry-After in whole seconds, rounded up (P15)."""
    response = await client.get("/refused/rate_limited")

    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"


async def test_a_refusal_is_in_the_language_asked_for(client: Client) -> None:
    """Chinese first; English when that is what the client prefers; reasons of fields, too."""
    chinese = (await client.get("/refused/conflict")).json()
    english = (await client.get("/refused/conflict", headers={"Accept-Language": "en-GB,zh;q=0.5"})).json()

    assert (chinese["message"], english["message"]) == ("与现有数据冲突", "This conflicts with what is stored")
    assert chinese["error"]["fields"] == {"phone": "请输入正确的手机号码", "x": "as it is"}
    assert english["error"]["type"] == chinese["error"]["type"] == "conflict"


async def test_a_fault_is_logged_without_content(client: Client) -> None:
    """The answer is 500 and the log says where, with the request's id, but nothing of the data."""
    with capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        refused = await failed(client, "GET", "/broken", headers={"X-Request-ID": "mine"})

    assert (refused["status"], refused["type"], refused["fields"]) == (500, "internal", {})
    assert logs[0]["request_id"] == "mine"
    assert logs[1]["error"] == "ValueError"
    assert "break_down" in logs[1]["at"]
    assert "blood pressure" not in str(logs)


async def test_a_fault_that_is_its_own_cause_is_answered(client: Client) -> None:
    """Following the causes of an error comes to an end."""
    refused = await failed(client, "GET", "/own-cause")

    assert (refused["status"], refused["type"]) == (500, "internal")


async def test_a_list_is_paged_and_sorted(client: Client) -> None:
    """One mechanism reads page, pageSize and sort, and the answer repeats the page."""
    body = (await client.get("/orders", params={"page": 3, "pageSize": 10, "sort": "-amount"})).json()

    assert body["data"] == {"items": [20], "page": 3, "pageSize": 10, "total": 1}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"page": 0}, "page"), ({"pageSize": 101}, "pageSize"), ({"page": "x"}, "page"), ({"sort": "phone"}, "sort")],
)
async def test_bad_paging_is_refused_naming_the_field(client: Client, query: dict[str, Any], field: str) -> None:
    """A page size over 100 or an unknown sort is refused, not silently bent."""
    refused = await failed(client, "GET", "/orders", params=query)

    assert (refused["status"], list(refused["fields"])) == (400, [field])


async def test_openapi_describes_the_wrapper(client: Client) -> None:
    """The schema shows the wrapper around the data, and failures as they are."""
    schema = (await client.get("/schema/openapi.json")).json()
    responses = schema["paths"]["/orders"]["post"]["responses"]
    wrapper = schema["components"]["schemas"][
        responses["200"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
    ]

    assert "requestId" in wrapper["properties"]
    assert "quantity" in str(schema["components"]["schemas"][wrapper["properties"]["data"]["$ref"].split("/")[-1]])
    assert responses["400"]["content"]["application/json"]["schema"]["$ref"].endswith("Failure")


def test_a_lost_database_is_told_from_a_bug() -> None:
    """An outage may be tried again (503); a mistake in our SQL may not (500)."""
    assert is_outage(ConnectionResetError())
    assert is_outage(asyncpg.AdminShutdownError())
    assert is_outage(DBAPIError("SELECT", {}, asyncpg.CannotConnectNowError()))
    assert not is_outage(DBAPIError("SELECT", {}, asyncpg.UndefinedTableError()))
    assert not is_outage(KeyError())
