"""A client signs in, keeps its tokens fresh, and turns refusals into one error."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from clients.terminal.account import Account, Refused


class Server:
    """Answers as the hub does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.dev_code: str | None = "123456"
        self.token = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, path, body))
        match path:
            case "/auth/sms-code":
                return self.success({"expiresIn": 300} | ({"devCode": self.dev_code} if self.dev_code else {}))
            case "/auth/login" | "/auth/refresh":
                self.token += 1
                return self.success({"token": f"t{self.token}", "refreshToken": f"r{self.token}", "user": {"id": "me"}})
            case "/broken":
                return httpx.Response(502, text="<html>")
            case _ if request.headers.get("Authorization") != f"Bearer t{self.token}":
                return self.failure(401, "unauthorized")
            case "/busy":
                return self.failure(429, "rate_limited", {"Retry-After": "7"})
            case _:
                return self.success({"path": path})

    def success(self, data: object) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "code": 200, "data": data})

    def failure(self, status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
        error = {"type": code, "fields": {"x": "y"}}
        return httpx.Response(status, json={"success": False, "message": "不行", "error": error}, headers=headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        yield http


async def test_sign_in_uses_the_code_of_a_development_server(server: Server, http: httpx.AsyncClient) -> None:
    """Two calls, and the account knows who it is."""
    account = await Account.sign_in(http, "http://hub/", "13800000001")

    assert server.asked[1] == ("POST", "/auth/login", {"phone": "13800000001", "code": "123456"})
    assert (account.token, account.user["id"], account.url) == ("t1", "me", "http://hub")


async def test_sign_in_needs_the_code_when_the_server_does_not_tell_it(server: Server, http: httpx.AsyncClient) -> None:
    """With a real SMS sender only the person knows it."""
    server.dev_code = None
    with pytest.raises(Refused, match="code_wrong"):
        await Account.sign_in(http, "http://hub", "13800000001")

    assert (await Account.sign_in(http, "http://hub", "13800000001", "654321")).token == "t1"


async def test_expired_token_is_exchanged_once_by_many_calls(server: Server, http: httpx.AsyncClient) -> None:
    """A refresh token is single-use: calls that fail together must not spend it twice."""
    account = await Account.sign_in(http, "http://hub", "13800000001")
    account.token = "expired"
    answers = await asyncio.gather(*(account.get(f"/{number}") for number in range(5)))

    assert [answer["path"] for answer in answers] == [f"/{number}" for number in range(5)]
    assert [path for _, path, _ in server.asked].count("/auth/refresh") == 1


async def test_refusal_carries_what_the_hub_said(server: Server, http: httpx.AsyncClient) -> None:
    """Code, fields and when to come back; programs never parse the message."""
    account = await Account.sign_in(http, "http://hub", "13800000001")
    with pytest.raises(Refused) as refused:
        await account.get("/busy")

    assert (refused.value.code, refused.value.fields, refused.value.retry_after_ms) == (
        "rate_limited",
        {"x": "y"},
        7000,
    )


async def test_proxy_page_is_a_refusal_too(http: httpx.AsyncClient) -> None:
    """What is not the hub's JSON came from something in between."""
    with pytest.raises(Refused, match="upstream"):
        await Account("http://hub", http).call("GET", "/broken")
