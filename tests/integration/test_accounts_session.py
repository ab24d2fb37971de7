"""Staying signed in: refresh tokens rotate and betray a copy, devices are listed and revoked, tickets open one socket."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts.actions import ensure_user, sweep
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.token import RevokedSessions, read_revocations, watch_revocations
from tests.fake_clock import FakeClock
from tests.integration.accounts_app import Hub, open_hub

_phones = count(13700000000)


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[Hub]:
    async with open_hub(database, redis_url) as opened:
        yield opened


@pytest.fixture
def phone() -> str:
    return str(next(_phones))


async def refresh(hub: Hub, token: str, status: int = 200) -> dict[str, Any]:
    pair: dict[str, Any] = await hub.call("POST", "/auth/refresh", status, json={"refreshToken": token})
    return pair


async def signed_in(hub: Hub, token: str) -> bool:
    response = await hub.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code in (200, 401)
    return response.status_code == 200


async def sessions_of(hub: Hub, token: str) -> list[dict[str, object]]:
    page = await hub.call("GET", "/auth/sessions", token=token, params={"sort": "createdAt"})
    assert page["total"] == len(page["items"])
    items: list[dict[str, object]] = page["items"]
    return items


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer ", "Bearer x.y.z", "bearer \xff"])
async def test_without_a_good_token_nothing_is_answered(hub: Hub, header: str) -> None:
    """401 before the body is read, for every handler that does not say it is public."""
    headers = {b"Authorization": header.encode("latin-1")} if header else {}
    for method, path in [("GET", "/users/me"), ("PATCH", "/users/me"), ("POST", "/auth/socket-ticket")]:
        response = await hub.client.request(method, f"/api/v1{path}", headers=headers)
        assert (response.status_code, response.json()["error"]["type"]) == (401, "unauthorized")


async def test_an_access_token_ends_and_a_refresh_gives_the_next(hub: Hub, phone: str) -> None:
    """After its life the token is refused as expired; the pair from the refresh works."""
    login = await hub.login(phone)
    await hub.clock.advance(7200)
    assert not await signed_in(hub, login["token"])
    pair = await refresh(hub, login["refreshToken"])

    assert set(pair) == {"token", "refreshToken", "expiresIn"}
    assert await signed_in(hub, pair["token"])


async def test_a_refresh_whose_answer_was_lost_may_be_repeated(hub: Hub, phone: str) -> None:
    """Within the grace the same token gives another pair, also for two tabs at the same time."""
    login = await hub.login(phone)
    pairs = await asyncio.gather(*(refresh(hub, login["refreshToken"]) for _ in range(3)))
    await hub.clock.advance(30)
    pairs.append(await refresh(hub, login["refreshToken"]))

    for pair in pairs:
        assert await signed_in(hub, pair["token"])
        await refresh(hub, pair["refreshToken"])


async def test_a_refresh_token_that_comes_back_later_ends_the_session(hub: Hub, phone: str) -> None:
    """Somebody has a copy: neither the thief nor the owner goes on, and the owner signs in again."""
    login = await hub.login(phone)
    pair = await refresh(hub, login["refreshToken"])
    await hub.clock.advance(31)

    assert (await refresh(hub, login["refreshToken"], 401))["type"] == "unauthorized"
    assert not await signed_in(hub, pair["token"])
    await refresh(hub, pair["refreshToken"], 401)
    assert len(await sessions_of(hub, (await hub.login(phone))["token"])) == 1


async def test_a_refresh_token_ends_unless_it_is_used(hub: Hub, phone: str) -> None:
    """Its life counts from the last use."""
    token = (await hub.login(phone))["refreshToken"]
    for _ in range(2):
        await hub.clock.advance(2592000 - 1)
        token = (await refresh(hub, token))["refreshToken"]
    await hub.clock.advance(2592000)

    await refresh(hub, token, 401)


async def test_an_invented_refresh_token_is_refused(hub: Hub) -> None:
    """Nothing is learned from trying."""
    assert (await refresh(hub, "invented", 401))["fields"] == {}


async def test_a_suspended_person_gets_no_next_token(hub: Hub, phone: str, database: Database) -> None:
    """Suspension ends the stay with the current access token."""
    login = await hub.login(phone)
    await database.log.execute("UPDATE users SET status = 'suspended' WHERE phone = $1", phone)

    assert (await refresh(hub, login["refreshToken"], 403))["type"] == "forbidden"


async def test_logout_ends_the_session_and_may_be_repeated(hub: Hub, phone: str) -> None:
    """This device is out at once; another of the same person stays."""
    login, other = await hub.login(phone), await hub.login(phone)
    for _ in range(2):
        assert await hub.call("POST", "/auth/logout", json={"refreshToken": login["refreshToken"]}) is None

    assert not await signed_in(hub, login["token"])
    await refresh(hub, login["refreshToken"], 401)
    assert await signed_in(hub, other["token"])


async def test_devices_are_listed_and_one_is_revoked(hub: Hub, phone: str) -> None:
    """Each sign-in is a device with its name; the revoked one is refused at once."""
    login = await hub.login(phone, headers={"X-Device": "old phone", "User-Agent": "wx/8"})
    await hub.clock.advance(10)
    here = (await hub.login(phone, headers={"X-Device": "new phone"}))["token"]
    old, new = await sessions_of(hub, here)

    assert (old["device"], old["userAgent"], old["current"], new["current"]) == ("old phone", "wx/8", False, True)
    assert old["createdAt"] == "2026-01-02T03:04:05.000Z"
    assert await hub.call("DELETE", f"/auth/sessions/{old['id']}", token=here) is None
    assert not await signed_in(hub, login["token"])
    assert [session["device"] for session in await sessions_of(hub, here)] == ["new phone"]


async def test_a_page_of_devices_is_sorted_and_counted(hub: Hub, phone: str) -> None:
    """Paging is the common one."""
    for name in ("a", "b", "c"):
        token = (await hub.login(phone, headers={"X-Device": name}))["token"]
        await hub.clock.advance(61)
    page = await hub.call("GET", "/auth/sessions", token=token, params={"pageSize": 2, "page": 2})

    assert [item["device"] for item in page["items"]] == ["a"]
    assert (page["page"], page["pageSize"], page["total"]) == (2, 2, 3)
    assert list((await hub.call("GET", "/auth/sessions?sort=address", 400, token=token))["fields"]) == ["sort"]


async def test_only_an_admin_revokes_a_stranger(hub: Hub, phone: str, database: Database) -> None:
    """For everybody else it looks as if there were no such device."""
    victim, stranger = await hub.login(phone), await hub.login(str(next(_phones)))
    session = (await sessions_of(hub, victim["token"]))[0]["id"]
    for unknown in (session, new_id(), "no-id"):
        refused = await hub.call("DELETE", f"/auth/sessions/{unknown}", 404, token=stranger["token"])
        assert refused["type"] == "not_found"
    assert await signed_in(hub, victim["token"])
    admin_phone = str(next(_phones))
    async with database.transaction() as connection:
        await ensure_user(connection, phone=admin_phone, name="管理员", role="admin")
    admin = await hub.login(admin_phone)

    await hub.call("DELETE", f"/auth/sessions/{session}", token=admin["token"])
    assert not await signed_in(hub, victim["token"])


async def test_a_revocation_elsewhere_is_announced_by_the_watch(hub: Hub, phone: str, database: Database) -> None:
    """Another node learns it from PostgreSQL within its next poll, closes the sockets once, and refuses the token."""
    clock, elsewhere, told = FakeClock(), RevokedSessions(7200), asyncio.Queue[set[str]]()
    await read_revocations(database, elsewhere, clock)
    login = await hub.login(phone)
    session = hub.gate.authenticate(login["token"], hub.clock.now()).session
    watch = asyncio.create_task(
        watch_revocations(database, elsewhere, told.put_nowait, clock=clock, sleep=lambda _: asyncio.sleep(0.01))
    )
    await hub.call("POST", "/auth/logout", json={"refreshToken": login["refreshToken"]})
    announced = await asyncio.wait_for(told.get(), 5)
    watch.cancel()

    assert announced == {session}
    assert session in elsewhere
    assert session in hub.revoked
    assert await read_revocations(database, elsewhere, clock) == set()
    assert session in await read_revocations(database, RevokedSessions(7200), clock)


async def test_a_ticket_opens_one_socket_in_time(hub: Hub, phone: str) -> None:
    """It says who it is for, once, within 30 seconds, while the session lives."""
    login = await hub.login(phone)
    issued = await hub.call("POST", "/auth/socket-ticket", token=login["token"])
    principal = await hub.accounts.redeem(issued["ticket"])

    assert issued["expiresIn"] == 30
    assert (principal.user, principal.role) == (login["user"]["id"], "patient")
    assert principal.session == hub.gate.authenticate(login["token"], hub.clock.now()).session
    assert principal.expires_at == hub.clock.now().timestamp() + 7200
    late = (await hub.call("POST", "/auth/socket-ticket", token=login["token"]))["ticket"]
    revoked = (await hub.call("POST", "/auth/socket-ticket", token=login["token"]))["ticket"]
    await hub.call("POST", "/auth/logout", json={"refreshToken": login["refreshToken"]})
    refused = [issued["ticket"], revoked, "forged", ""]
    for ticket in refused:
        with pytest.raises(Refusal) as caught:
            await hub.accounts.redeem(ticket)
        assert caught.value.code is ErrorCode.UNAUTHORIZED
    await hub.clock.advance(30)
    with pytest.raises(Refusal):
        await hub.accounts.redeem(late)


async def test_a_ticket_is_redeemed_once_by_many_at_once(hub: Hub, phone: str) -> None:
    """Two nodes cannot both accept it."""
    login = await hub.login(phone)
    ticket = (await hub.call("POST", "/auth/socket-ticket", token=login["token"]))["ticket"]
    answers = await asyncio.gather(*(hub.accounts.redeem(ticket) for _ in range(4)), return_exceptions=True)

    assert sorted(type(each).__name__ for each in answers) == ["Principal"] + ["Refusal"] * 3


async def test_a_sweep_deletes_what_is_over_and_nothing_else(hub: Hub, phone: str, database: Database) -> None:
    """Codes of yesterday, spent tickets, dead tokens and sessions go; who is signed in stays."""
    await database.log.execute("TRUNCATE users, sms_codes CASCADE")
    login = await hub.login(phone)
    await hub.call("POST", "/auth/socket-ticket", token=login["token"])
    gone = await hub.login(phone)
    await hub.call("POST", "/auth/logout", json={"refreshToken": gone["refreshToken"]})
    now = hub.clock.now()
    assert await sweep(database, now) == 0
    session = hub.gate.authenticate(login["token"], now).session

    assert await sweep(database, now + timedelta(days=1, seconds=1)) > 0
    assert await database.log.fetchval("SELECT count(*) FROM sms_codes") == 0
    assert await database.log.fetchval("SELECT count(*) FROM socket_tickets") == 0
    assert await database.log.fetchval("SELECT count(*) FROM sessions WHERE id = $1", session) == 1
    await refresh(hub, login["refreshToken"])
    await sweep(database, now + timedelta(days=3650))
    assert await database.log.fetchval("SELECT count(*) FROM sessions") == 0
    assert await database.log.fetchval("SELECT count(*) FROM refresh_tokens") == 0


async def test_openapi_describes_accounts(hub: Hub) -> None:
    """Every path is in the schema, and the optional devCode is no obligation."""
    schema = (await hub.client.get("/schema/openapi.json")).json()

    assert {"/api/v1/auth/login", "/api/v1/users/register", "/api/v1/auth/sessions/{session}"} <= set(schema["paths"])
    assert schema["components"]["schemas"]["CodeAnswer"]["required"] == ["expiresIn"]
