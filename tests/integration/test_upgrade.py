"""The WebSocket upgrade: who asks is known before the 101, and every refusal is an HTTP answer in the one wrapper."""

import time
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from clients.terminal.account import Account
from hub.platform.identifier import new_id
from hub.realtime.protocol import JSON, MSGPACK
from tests.integration.conftest import Serve
from tests.integration.wire import Server


async def refused(server: Server, **options: Any) -> tuple[int, dict[str, Any], Any]:
    """Status, body and headers of an upgrade that is denied."""
    with pytest.raises(InvalidStatus) as caught:
        await server.socket(**options)
    response = caught.value.response
    body: dict[str, Any] = msgspec.json.decode(bytes(response.body or b""))
    assert body["code"] == response.status_code
    assert body["requestId"] == response.headers["X-Request-ID"]
    assert {"success", "message", "data", "timestamp", "error"} <= body.keys()
    return response.status_code, body["error"], response.headers


async def signed_in(http: httpx.AsyncClient, server: Server) -> Account:
    return await Account.sign_in(http, server.http, f"138{time.time_ns() % 10**8:08d}")


@pytest.mark.parametrize("packed", [False, True])
async def test_a_token_in_the_header_opens_a_socket(hub: Server, packed: bool) -> None:
    """The way of mini-programs; the first subprotocol of ours is taken."""
    user = await hub.person()
    device = await hub.socket(user, packed=packed)

    assert device.connection.subprotocol == (MSGPACK if packed else JSON)
    assert (await device.hello())["user"] == user


async def test_a_token_among_the_subprotocols_opens_a_socket(hub: Server) -> None:
    """The way of browsers, which can send no header."""
    user = await hub.person()
    device = await hub.socket(offer=["chat", MSGPACK, JSON, f"bearer.{hub.token(user)}"])

    assert device.connection.subprotocol == MSGPACK
    assert (await device.hello())["user"] == user


async def test_a_ticket_opens_one_socket(hub: Server) -> None:
    """Single use: whoever reads it later in some log has nothing."""
    async with httpx.AsyncClient() as http:
        account = await signed_in(http, hub)
        ticket = (await account.post("/auth/socket-ticket", {}))["ticket"]
    device = await hub.socket(offer=[JSON, f"ticket.{ticket}"])

    assert (await device.hello())["user"] == account.user["id"]
    assert (await refused(hub, offer=[JSON, f"ticket.{ticket}"]))[0] == 401


async def test_who_is_unknown_is_refused(hub: Server) -> None:
    """Without a token, with a forged one, an expired one, another's algorithm, or in the URL: 401, without saying why not."""
    user = await hub.person()
    good = hub.token(user)
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    for bad in (
        "x",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        jwt.encode(claims, "k" * 32, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        "\xff\xfe",
    ):
        assert (await refused(hub, bearer=bad))[:2] == (401, {"type": "unauthorized", "fields": {}})
    status, error, _ = await refused(hub, bearer=hub.token(user, life_s=-1))
    assert (status, error["type"]) == (401, "unauthorized")
    assert (await refused(hub, offer=[JSON]))[0] == 401
    assert (await refused(hub, offer=[JSON, "ticket.forged"]))[0] == 401
    assert (await refused(hub, offer=[JSON, "bearer."]))[0] == 401


async def test_a_token_in_the_url_is_not_looked_at(hub: Server) -> None:
    """It would end in access logs; so it never helps."""
    user = await hub.person()
    hub.ws += f"?token={hub.token(user)}"
    try:
        assert (await refused(hub, offer=[JSON]))[0] == 401
    finally:
        hub.ws = hub.ws.partition("?")[0]


async def test_strangers_cost_no_statement(hub: Server) -> None:
    """No database read before a token is verified."""
    async with hub.statements() as said:
        await refused(hub, bearer="x")
        await refused(hub, offer=[JSON, "ticket.forged.by-somebody"])
        await refused(hub, offer=[JSON, f"bearer.{hub.token(new_id(), life_s=-1)}"])
        await hub.socket(new_id())

    assert said == []


async def test_a_client_without_our_subprotocol_is_told_which_there_are(hub: Server) -> None:
    """The field is named, as everywhere."""
    status, error, _ = await refused(hub, offer=["soap"])

    assert status == 400
    assert error == {"type": "invalid", "fields": {"Sec-WebSocket-Protocol": "hub.v1.json or hub.v1.msgpack"}}


async def test_a_full_node_says_when_to_come_back(serve: Serve) -> None:
    """P15: refused early, with a hint."""
    async with serve(server={"max_connections": 1}) as hub:
        user = await hub.person()
        await hub.device(user)
        status, error, headers = await refused(hub, user=user)

        assert (status, error["type"]) == (503, "overloaded")
        assert 2 <= int(headers["Retry-After"]) <= 10


async def test_a_revoked_session_loses_its_sockets_within_a_second(hub: Server) -> None:
    """Both ways of being online; and the token opens nothing any more."""
    async with httpx.AsyncClient() as http:
        account = await signed_in(http, hub)
        device, other = await hub.socket(bearer=account.token), await hub.device(account.user["id"])
        await device.hello()
        async with http.stream(
            "GET", f"{hub.http}/api/v1/events", headers={"Authorization": f"Bearer {account.token}"}
        ) as stream:
            await account.signed("POST", "/auth/logout", {"refreshToken": account._refresh_token})
            began = time.monotonic()
            assert await device.closed() == (4401, "Please sign in")
            assert "event: close\ndata: 4401" in (await stream.aread()).decode()

        assert time.monotonic() - began < 1.5
        assert (await refused(hub, bearer=account.token))[0] == 401
        assert await other.so_far() is not None


async def test_an_expired_token_loses_its_socket(hub: Server) -> None:
    """4401: come back with a fresh one."""
    user = await hub.person()
    device = await hub.socket(bearer=hub.token(user, life_s=1))
    await device.hello()

    assert await device.closed() == (4401, "Please sign in")
