"""Looking after accounts: staff find people, admins change them, and who is suspended is out at once."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from clients.terminal.account import Account
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.conftest import Serve
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

Json = dict[str, Any]
WAITS_FOR_ME = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
KEYS = {"id", "name", "phone", "avatar", "role", "membershipLevel", "status", "createdAt"}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def found(hub: CoreHub, who: Caller, **query: Any) -> list[Json]:
    items: list[Json] = (await hub.call(who, "GET", "/admin/users", params=query))["items"]
    return items


async def change(hub: CoreHub, who: Caller, user: str, expected: int = 200, **body: Any) -> Any:
    return await hub.call(who, "PATCH", f"/admin/users/{user}", expected, json=body)


async def sign_in(hub: CoreHub, phone: str, expected: int = 200) -> Any:
    sent = await hub.call(None, "POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
    return await hub.call(None, "POST", "/auth/login", expected, json={"phone": phone, "code": sent["devCode"]})


def signed_in(hub: CoreHub, login: Json) -> Caller:
    return Caller(login["user"]["id"], login["token"], login["user"]["phone"])


async def audited(hub: CoreHub, person: str) -> list[tuple[str, str, str]]:
    rows = await hub.ground.database.log.fetch(
        "SELECT actor::text, action, subject FROM audit_log WHERE person = $1 ORDER BY number", person
    )
    return [tuple(row) for row in rows]


async def test_staff_see_phones_masked_and_admins_see_them(hub: CoreHub) -> None:
    """The rest of an account is the same to both."""
    person = await hub.person(name="王小明")
    staff, admin = await hub.person("staff"), await hub.person("admin")
    seen_by_staff = (await found(hub, staff, q=person.phone))[0]
    seen_by_admin = (await found(hub, admin, q=person.phone))[0]

    assert seen_by_admin.keys() == KEYS
    assert (seen_by_admin["id"], seen_by_admin["phone"]) == (person.id, person.phone)
    assert seen_by_staff == seen_by_admin | {"phone": f"{person.phone[:3]}****{person.phone[-4:]}"}


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_others_may_not_look(hub: CoreHub, role: str) -> None:
    """Nor change anything, themselves included; staff may look, but not change."""
    who, staff = await hub.person(role), await hub.person("staff")

    await hub.call(who, "GET", "/admin/users", 403)
    for each in (who, staff):
        assert (await change(hub, each, who.id, 403, membershipLevel="premium"))["type"] == "forbidden"


async def test_people_are_found_by_role_status_and_the_beginning_of_a_name(hub: CoreHub) -> None:
    """Together, too. A part of a phone finds nobody, and wildcards are letters like others."""
    admin = await hub.person("admin")
    mark = f"赵{secrets.token_hex(6)}%_\\'"
    doctor, patient = await hub.person("doctor", f"{mark}一"), await hub.person("patient", f"{mark}二")
    await change(hub, admin, patient.id, status="inactive")

    async def ids(**query: Any) -> list[str]:
        return [each["id"] for each in await found(hub, admin, **query)]

    assert await ids(q=mark) == [patient.id, doctor.id]
    assert await ids(q=mark, sort="name") == [doctor.id, patient.id]
    assert await ids(q=mark, role="doctor") == [doctor.id]
    assert await ids(q=mark, status="inactive") == [patient.id]
    assert await ids(q=mark, status="suspended") == []
    assert await ids(q=doctor.phone) == [doctor.id]
    for nobody in (doctor.phone[:10], mark[1:], mark.replace("%", "X"), "%" + mark, "' OR '1'='1"):
        assert await ids(q=nobody) == []
    page = await hub.call(admin, "GET", "/admin/users", params={"q": mark, "pageSize": 1, "page": 2})
    assert (page["total"], [each["id"] for each in page["items"]]) == (2, [doctor.id])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"role": "king"}, "role"),
        ({"status": "gone"}, "status"),
        ({"sort": "phone"}, "sort"),
        ({"q": "张" * 51}, "q"),
        ({"q": "张\u0000"}, "q"),
        ({"page": 0}, "page"),
    ],
)
async def test_bad_queries_are_refused_naming_the_field(hub: CoreHub, query: Json, field: str) -> None:
    """400, before anything is looked for."""
    refused = await hub.call(await hub.person("admin"), "GET", "/admin/users", 400, params=query)

    assert list(refused["fields"]) == [field]


async def test_a_list_costs_two_statements(hub: CoreHub) -> None:
    """The page and the count."""
    staff = await hub.person("staff")
    for _ in range(3):
        await hub.person()
    with Scene(hub.ground.database).statements() as said:
        await found(hub, staff)

    assert len(said) == 2


async def test_an_admin_changes_an_account_and_it_is_audited(hub: CoreHub) -> None:
    """What is left out stays; what stays the same is no change; a name is not copied into the audit."""
    admin, person = await hub.person("admin"), await hub.person(name="张三丰")
    changed = await change(hub, admin, person.id, membershipLevel="premium", name="  张四丰 ")
    assert changed.keys() == KEYS
    assert (changed["membershipLevel"], changed["name"], changed["status"]) == ("premium", "张四丰", "active")
    assert await change(hub, admin, person.id, membershipLevel="premium") == changed
    assert await change(hub, admin, person.id) == changed

    assert await audited(hub, person.id) == [(admin.id, "user.changed", "membership_level=premium name")]
    await hub.call(person, "GET", "/users/me")


async def test_the_same_change_at_the_same_time_is_one_change(hub: CoreHub) -> None:
    """Changes of one account take turns: the second finds nothing to do."""
    admin, person = await hub.person("admin"), await hub.person()
    await asyncio.gather(*(change(hub, admin, person.id, membershipLevel="premium") for _ in range(4)))

    assert len(await audited(hub, person.id)) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "gone"}, "status"),
        ({"status": None}, "status"),
        ({"role": "king"}, "role"),
        ({"membershipLevel": "gold"}, "membershipLevel"),
        ({"name": ""}, "name"),
        ({"name": "张\u0000"}, "name"),
        ({"name": "张" * 201}, "name"),
        ({"phone": "13800138000"}, "phone"),
    ],
)
async def test_bad_changes_are_refused_naming_the_field(hub: CoreHub, body: Json, field: str) -> None:
    """And nothing is changed or audited."""
    admin, person = await hub.person("admin"), await hub.person()
    refused = await change(hub, admin, person.id, 400, **body)

    assert list(refused["fields"]) == [field]
    assert await audited(hub, person.id) == []


async def test_who_is_not_there_cannot_be_changed(hub: CoreHub) -> None:
    """404, whatever the id looks like."""
    admin = await hub.person("admin")
    for user in (new_id(), "x", "%00"):
        assert (await change(hub, admin, user, 404, status="suspended"))["type"] == "not_found"


async def test_an_admin_cannot_lock_themself_out(hub: CoreHub) -> None:
    """Neither status nor role of one's own; the rest may be changed."""
    admin = await hub.person("admin")
    for body in ({"status": "suspended"}, {"status": "inactive"}, {"role": "patient"}):
        assert (await change(hub, admin, admin.id, 403, **body))["type"] == "forbidden"

    assert (await change(hub, admin, admin.id, status="active", role="admin", name="李管"))["name"] == "李管"


@pytest.mark.parametrize("body", [{"status": "suspended"}, {"status": "inactive"}, {"role": "companion"}])
async def test_who_is_suspended_or_gets_another_role_is_signed_out_everywhere(hub: CoreHub, body: Json) -> None:
    """Every device, at once on this node; others keep theirs."""
    admin, other = await hub.person("admin"), await hub.person()
    phone = other.phone[:-1] + str((int(other.phone[-1]) + 1) % 10)
    first, second = await sign_in(hub, phone), await sign_in(hub, phone)
    await change(hub, admin, first["user"]["id"], **body)

    for login in (first, second):
        await hub.call(signed_in(hub, login), "GET", "/users/me", 401)
        await hub.call(
            None,
            "POST",
            "/auth/refresh",
            json={"refreshToken": login["refreshToken"]},
            status=403 if "status" in body else 401,
        )
    await hub.call(other, "GET", "/users/me")


async def test_a_suspended_person_cannot_sign_in_or_refresh_until_they_are_active_again(hub: CoreHub) -> None:
    """The refusals say why; the old sessions stay ended afterwards."""
    admin = await hub.person("admin")
    phone = f"136{secrets.randbelow(10**8):08d}"
    login = await sign_in(hub, phone)
    await change(hub, admin, login["user"]["id"], status="suspended")
    refresh = {"refreshToken": login["refreshToken"]}
    response = await hub.client.post("/api/v1/auth/refresh", json=refresh)
    assert (response.status_code, response.json()["message"]) == (403, "账号已被停用，请联系客服")
    assert (await sign_in(hub, phone, 403))["type"] == "forbidden"
    await change(hub, admin, login["user"]["id"], status="active")
    await hub.call(None, "POST", "/auth/refresh", 401, json=refresh)

    await hub.call(signed_in(hub, await sign_in(hub, phone)), "GET", "/users/me")


async def test_a_role_is_in_the_next_token(hub: CoreHub) -> None:
    """After signing in again, the person may what the new role may."""
    admin, phone = await hub.person("admin"), f"136{secrets.randbelow(10**8):08d}"
    before = await sign_in(hub, phone)
    await change(hub, admin, before["user"]["id"], role="staff")
    after = await sign_in(hub, phone)

    assert after["user"]["role"] == "staff"
    await hub.call(signed_in(hub, after), "GET", "/admin/users")


async def test_signing_in_while_being_suspended_leaves_no_session(hub: CoreHub) -> None:
    """Whichever comes first: afterwards nobody is signed in."""
    admin = await hub.person("admin")
    for _ in range(5):
        phone = f"136{secrets.randbelow(10**8):08d}"
        user = (await sign_in(hub, phone))["user"]["id"]
        sent = await hub.call(None, "POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
        login = {"phone": phone, "code": sent["devCode"]}
        await asyncio.gather(
            hub.client.post("/api/v1/auth/login", json=login), change(hub, admin, user, status="suspended")
        )

        live = "SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL"
        assert await hub.ground.database.log.fetchval(live, user) == 0


async def test_a_sign_in_waits_for_a_suspension_and_sees_it(hub: CoreHub, database: Database) -> None:
    """The account is locked while it is changed: a login that began before does not slip past."""
    phone = f"136{secrets.randbelow(10**8):08d}"
    user = (await sign_in(hub, phone))["user"]["id"]
    sent = await hub.call(None, "POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
    async with database.log.acquire() as other:
        suspending = other.transaction()
        await suspending.start()
        await other.execute("UPDATE users SET status = 'suspended' WHERE id = $1", user)
        login = asyncio.create_task(
            hub.client.post("/api/v1/auth/login", json={"phone": phone, "code": sent["devCode"]})
        )
        while not await other.fetchval(WAITS_FOR_ME):
            pass  # each look is a round trip, in which the login goes on
        await suspending.commit()
        response = await login

    assert response.status_code == 403


async def test_a_suspended_persons_open_socket_closes_within_a_second(serve: Serve) -> None:
    """On a real server, by the watch over revoked sessions; a socket of somebody else stays."""
    async with serve() as server, httpx.AsyncClient() as http:
        phone = f"138{secrets.randbelow(10**8):08d}"
        account = await Account.sign_in(http, server.http, phone)
        device = await server.socket(bearer=account.token)
        await device.hello()
        other = await server.device(await server.person())
        admin = await server.person("admin")
        began = time.monotonic()
        response = await http.patch(
            f"{server.http}/api/v1/admin/users/{account.user['id']}",
            headers={"Authorization": f"Bearer {server.token(admin, role='admin')}"},
            json={"status": "suspended"},
        )
        assert response.status_code == 200, response.text

        assert await device.closed() == (4401, "Please sign in")
        assert time.monotonic() - began < 1.5
        assert await other.so_far() is not None
