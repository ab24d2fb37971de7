"""Who may act for whom, over HTTP: nothing without the will of both, nothing told of who is registered, and ended at once."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from hub.accounts.access import Need
from hub.messaging.history import History
from hub.platform import settings
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.identifier import new_id
from hub.security.token import Principal
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

Json = dict[str, Any]
KEYS = {
    "id",
    "kind",
    "direction",
    "status",
    "askedByMe",
    "other",
    "askedAt",
    "answeredAt",
    "expiresAt",
    "endedAt",
}
PATH = "/users/me/relations"
UNHANDLED = "SELECT count(*) FROM events WHERE done_at IS NULL"


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        await opened.ground.outbox.drain()  # what other tests left
        opened.announced.entries.clear()
        yield opened


async def ask(hub: CoreHub, who: Caller, expected: int = 200, **body: Any) -> Any:
    return await hub.call(who, "POST", PATH, expected, json={"kind": "family", "direction": "for_them", **body})


async def answer(hub: CoreHub, who: Caller, relation: str, verb: str, status: int = 200) -> Any:
    return await hub.call(who, "POST", f"{PATH}/{relation}/{verb}", status)


async def end(hub: CoreHub, who: Caller, relation: str, status: int = 200) -> Any:
    return await hub.call(who, "DELETE", f"{PATH}/{relation}", status)


async def listed(hub: CoreHub, who: Caller, query: str = "") -> list[Json]:
    found: list[Json] = (await hub.call(who, "GET", PATH + query))["items"]
    return found


async def may_act(hub: CoreHub, who: Caller, person: Caller) -> bool:
    async with hub.ground.database.transaction() as connection:
        try:
            await hub.ground.access.permit(connection, Principal(who.id, new_id(), "patient", 0.0), person.id, Need.ACT)
        except Refusal:
            return False
    return True


def unregistered() -> str:
    return f"137{secrets.randbelow(10**8):08d}"


async def pair(hub: CoreHub) -> tuple[Caller, Caller]:
    return await hub.person(name="张三丰"), await hub.person(name="李小四")


@pytest.mark.parametrize("by", ["userId", "userPhone"])
@pytest.mark.parametrize("direction", ["for_me", "for_them"])
async def test_a_relation_gives_nothing_until_the_other_side_accepts(hub: CoreHub, by: str, direction: str) -> None:
    """Then it gives what was asked for and no more; each side sees it from its own."""
    asker, other = await pair(hub)
    person, actor = (asker, other) if direction == "for_me" else (other, asker)
    whom = other.id if by == "userId" else other.phone
    named: Json = {by: whom}
    asked = await ask(hub, asker, direction=direction, **named)
    assert asked.keys() == KEYS
    assert (asked["status"], asked["askedByMe"], asked["answeredAt"]) == ("asked", True, None)
    assert not await may_act(hub, actor, person)
    seen = (await listed(hub, other))[0]
    assert (seen["id"], seen["askedByMe"], seen["kind"]) == (asked["id"], False, "family")
    assert seen["direction"] == {"for_me": "for_them", "for_them": "for_me"}[direction]

    accepted = await answer(hub, other, asked["id"], "accept")
    assert (accepted["status"], accepted["answeredAt"]) == ("active", rfc3339(hub.clock.now()))
    assert await may_act(hub, actor, person)
    assert not await may_act(hub, person, actor)


async def test_names_are_masked_until_the_relation_is_active(hub: CoreHub) -> None:
    """And who was asked by phone is nobody until then; the phone stays masked."""
    asker, other = await pair(hub)
    by_phone = await ask(hub, asker, userPhone=other.phone)
    masked = f"{other.phone[:3]}****{other.phone[-4:]}"
    assert by_phone["other"] == {"id": None, "name": "", "phone": masked}
    assert (await listed(hub, asker))[0] == by_phone
    assert (await listed(hub, other))[0]["other"] == {"id": asker.id, "name": "张*丰", "phone": None}

    accepted = await answer(hub, other, by_phone["id"], "accept")
    assert accepted["other"] == {"id": asker.id, "name": "张三丰", "phone": None}
    assert (await listed(hub, asker))[0]["other"] == {"id": other.id, "name": "李小四", "phone": masked}
    await end(hub, asker, by_phone["id"])
    assert (await listed(hub, asker))[0]["other"] == {"id": other.id, "name": "李*四", "phone": masked}
    by_id = await ask(hub, asker, userId=other.id)
    assert by_id["other"] == {"id": other.id, "name": "李*四", "phone": None}


async def test_asking_by_phone_tells_nothing_of_who_is_registered(hub: CoreHub) -> None:
    """Somebody, somebody suspended and nobody: the answers, the list, repeating and taking back differ in nothing."""
    asker, other = await pair(hub)
    suspended = await hub.person()
    await hub.ground.database.log.execute("UPDATE users SET status = 'suspended' WHERE id = $1", suspended.id)
    phones = [other.phone, suspended.phone, unregistered()]
    answers = [await ask(hub, asker, userPhone=phone) for phone in phones]
    again = [await ask(hub, asker, userPhone=phone) for phone in phones]
    await hub.ground.outbox.drain()

    def bare(relation: Json) -> Json:
        return relation | {"id": "", "other": relation["other"] | {"phone": "****"}}

    assert again == answers
    assert [bare(each) for each in answers] == [bare(answers[0])] * 3
    assert sorted(each["id"] for each in await listed(hub, asker)) == sorted(each["id"] for each in answers)
    for each in answers:
        await end(hub, asker, each["id"])
    assert {each["status"] for each in await listed(hub, asker)} == {"ended"}


async def test_somebody_who_registers_later_finds_what_they_were_asked(hub: CoreHub) -> None:
    """The request waits for the phone, not for an account."""
    asker, phone = await hub.person(), unregistered()
    asked = await ask(hub, asker, userPhone=phone)
    late = await hub.person()
    await hub.ground.database.log.execute("UPDATE users SET phone = $2 WHERE id = $1", late.id, phone)
    await answer(hub, late, asked["id"], "accept")

    assert await may_act(hub, asker, late)
    assert (await listed(hub, asker))[0]["other"]["id"] == late.id


async def test_only_the_asked_side_may_accept(hub: CoreHub) -> None:
    """Who asked is forbidden to; for everybody else there is no such relation."""
    asker, other = await pair(hub)
    stranger, admin = await hub.person(), await hub.person("admin")
    wishes: list[Json] = [{"userId": other.id}, {"userPhone": other.phone, "direction": "for_me"}]
    for whom in wishes:
        asked = await ask(hub, asker, **whom)
        for verb in ("accept", "decline"):
            assert (await answer(hub, asker, asked["id"], verb, 403))["type"] == "forbidden"
            for who in (stranger, admin):
                assert (await answer(hub, who, asked["id"], verb, 404))["type"] == "not_found"
        await end(hub, stranger, asked["id"], 404)
        assert (await listed(hub, asker))[0]["status"] == "asked"
    assert await listed(hub, stranger) == []


@pytest.mark.parametrize("relation", ["x", "%27%20OR%201=1", "0190a5b2-7c1e-7000-8000-000000000000"])
async def test_an_unknown_relation_is_not_found(hub: CoreHub, relation: str) -> None:
    """Whatever the id looks like."""
    who = await hub.person()
    for verb in ("accept", "decline"):
        await answer(hub, who, relation, verb, 404)
    await end(hub, who, relation, 404)


async def test_answers_may_be_repeated_and_are_final(hub: CoreHub) -> None:
    """The same again changes nothing; the other answer afterwards is a conflict that names the state."""
    asker, other = await pair(hub)
    first = await ask(hub, asker, userId=other.id)
    accepted = await answer(hub, other, first["id"], "accept")
    await hub.clock.advance(60)
    assert await answer(hub, other, first["id"], "accept") == accepted
    refused = await hub.client.post(
        f"/api/v1{PATH}/{first['id']}/decline", headers={"Authorization": f"Bearer {other.token}"}
    )
    assert (refused.status_code, refused.json()["message"]) == (409, "关系已生效，不能执行此操作")
    second = await ask(hub, asker, userId=other.id, direction="for_me")
    declined = await answer(hub, other, second["id"], "decline")
    assert (declined["status"], await answer(hub, other, second["id"], "decline")) == ("declined", declined)
    assert (await answer(hub, other, second["id"], "accept", 409))["type"] == "conflict"

    assert not await may_act(hub, other, asker)


async def test_answers_at_the_same_time_are_judged_in_turn(hub: CoreHub, database: Database) -> None:
    """Accepted twice and declined: one answer stands, and it happened once."""
    asker, other = await pair(hub)
    for _ in range(5):
        asked = await ask(hub, asker, userId=other.id)
        path, headers = f"/api/v1{PATH}/{asked['id']}", {"Authorization": f"Bearer {other.token}"}
        verbs = ("accept", "decline", "accept", "decline")
        responses = await asyncio.gather(*(hub.client.post(f"{path}/{verb}", headers=headers) for verb in verbs))
        final = (await listed(hub, other))[0]["status"]

        accepted = final == "active"
        assert [response.status_code for response in responses] == ([200, 409] * 2 if accepted else [409, 200] * 2)
        told = "SELECT count(*) FROM events WHERE subject = $1 AND kind = 'RelationAccepted'"
        assert await database.log.fetchval(told, asked["id"]) == int(accepted)
        await end(hub, asker, asked["id"])
        await hub.clock.advance(86400)


@pytest.mark.parametrize("side", [0, 1])
async def test_either_side_ends_it_at_once(hub: CoreHub, side: int) -> None:
    """Ending twice is ending once; what was ended cannot be accepted again, but asked for again."""
    people = await pair(hub)
    asker, other = people
    asked = await ask(hub, asker, userPhone=other.phone)
    await answer(hub, other, asked["id"], "accept")
    await end(hub, people[side], asked["id"])
    assert not await may_act(hub, asker, other)
    ended = await listed(hub, asker)
    await hub.clock.advance(60)
    await end(hub, people[1 - side], asked["id"])
    assert await listed(hub, asker) == ended
    await answer(hub, other, asked["id"], "accept", 409)

    again = await ask(hub, asker, userPhone=other.phone)
    assert again["id"] != asked["id"]
    await answer(hub, other, again["id"], "accept")
    assert await may_act(hub, asker, other)


async def test_ending_what_waits_takes_it_back_or_declines_it(hub: CoreHub) -> None:
    """By who deletes it; a request that was taken back cannot be accepted."""
    asker, other = await pair(hub)
    taken_back, declined = await ask(hub, asker, userId=other.id), await ask(hub, asker, userPhone=unregistered())
    await end(hub, asker, taken_back["id"])
    assert (await answer(hub, other, taken_back["id"], "accept", 409))["type"] == "conflict"
    await hub.ground.database.log.execute(
        "UPDATE user_relations SET asked_phone = $2 WHERE id = $1", declined["id"], other.phone
    )
    await end(hub, other, declined["id"])

    states = {each["id"]: each["status"] for each in await listed(hub, other)}
    assert states == {taken_back["id"]: "ended", declined["id"]: "declined"}


async def test_a_relation_expires_whether_asked_or_active(hub: CoreHub) -> None:
    """From the second on: it gives nothing, cannot be accepted, and stands in no new one's way."""
    asker, other = await pair(hub)
    until = rfc3339(hub.clock.now() + timedelta(hours=1))
    active = await ask(hub, asker, userId=other.id, expiresAt=until)
    await answer(hub, other, active["id"], "accept")
    waiting = await ask(hub, asker, userId=other.id, direction="for_me", expiresAt=until)
    by_phone = await ask(hub, asker, userPhone=other.phone, direction="for_me", expiresAt=until)
    assert active["expiresAt"] == until
    assert await may_act(hub, asker, other)
    await hub.clock.advance(3600)
    assert not await may_act(hub, asker, other)
    assert {each["status"] for each in await listed(hub, asker)} == {"expired"}
    assert len(await listed(hub, asker, "?status=expired")) == 3
    assert await listed(hub, asker, "?status=active") == []
    for late in (waiting, by_phone):
        assert (await answer(hub, other, late["id"], "accept", 409))["type"] == "conflict"
    await answer(hub, other, active["id"], "decline", 409)

    wishes: list[Json] = [{"userId": other.id}, {"userPhone": other.phone, "direction": "for_me"}]
    for whom in wishes:
        again = await ask(hub, asker, **whom)
        assert (await answer(hub, other, again["id"], "accept"))["status"] == "active"
    assert await may_act(hub, asker, other)
    assert await may_act(hub, other, asker)


async def test_the_same_wish_twice_is_one_relation(hub: CoreHub) -> None:
    """Also at the same moment, and after it was accepted; another kind or time is a conflict."""
    asker, other = await pair(hub)
    wishes: list[Json] = [{"userPhone": other.phone}, {"userId": other.id, "direction": "for_me"}]
    for whom in wishes:
        found = await asyncio.gather(*(ask(hub, asker, **whom) for _ in range(4)))
        assert {each["id"] for each in found} == {found[0]["id"]}
        await answer(hub, other, found[0]["id"], "accept")
        assert (await ask(hub, asker, **whom))["status"] == "active"
        changes: list[Json] = [{"kind": "caregiver"}, {"expiresAt": rfc3339(hub.clock.now() + timedelta(days=1))}]
        for change in changes:
            assert (await ask(hub, asker, 409, **whom, **change))["type"] == "conflict"

    assert len(await listed(hub, asker)) == 2


async def test_both_asking_for_the_same_is_one_relation(hub: CoreHub) -> None:
    """The second is told that there is one; by phone, where nobody looks, it shows when both would become active."""
    asker, other = await pair(hub)
    one = await ask(hub, asker, userId=other.id)
    await ask(hub, other, 409, userId=asker.id, direction="for_me")
    two = await ask(hub, other, userPhone=asker.phone, direction="for_me")
    assert one["id"] != two["id"]
    await answer(hub, other, one["id"], "accept")
    assert (await answer(hub, asker, two["id"], "accept", 409))["type"] == "conflict"

    assert await may_act(hub, asker, other)
    assert len(await listed(hub, other, "?status=active")) == 1


async def test_asking_is_limited_by_the_day(database: Database, redis_url: str) -> None:
    """Repetitions do not count; the refusal says when to come back."""
    chosen = settings.Settings(accounts=settings.Accounts(relations_asked_per_day=2))
    async with open_core(database, redis_url, chosen) as hub:
        asker = await hub.person()
        phones = [unregistered() for _ in range(3)]
        await ask(hub, asker, userPhone=phones[0])
        await hub.clock.advance(3600)
        await ask(hub, asker, userPhone=phones[1])
        await ask(hub, asker, userPhone=phones[1])
        response = await hub.client.post(
            f"/api/v1{PATH}",
            headers={"Authorization": f"Bearer {asker.token}"},
            json={"kind": "family", "direction": "for_me", "userPhone": phones[2]},
        )
        assert (response.status_code, response.headers["retry-after"]) == (429, str(86400 - 3600))
        await hub.clock.advance(86400 - 3600)

        await ask(hub, asker, userPhone=phones[2])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"kind": "family", "direction": "for_me"}, {"userPhone", "userId"}),
        ({"userId": "x", "userPhone": "13800138000"}, {"userPhone", "userId"}),
        ({"userPhone": "12345"}, {"userPhone"}),
        ({"userPhone": "１３８００１３８０００"}, {"userPhone"}),
        ({"userPhone": "13800138000\n"}, {"userPhone"}),
        ({"userPhone": "1" * 21}, {"userPhone"}),
        ({"userPhone": 13800138000}, {"userPhone"}),
        ({"userPhone": "13800138000", "kind": "friend"}, {"kind"}),
        ({"userPhone": "13800138000", "kind": None}, {"kind"}),
        ({"userPhone": "13800138000", "direction": "both"}, {"direction"}),
        ({"userPhone": "13800138000", "expiresAt": "2020-01-01T00:00:00Z"}, {"expiresAt"}),
        ({"userPhone": "13800138000", "expiresAt": "2026-12-01T00:00:00"}, {"expiresAt"}),
        ({"userPhone": "13800138000", "expiresAt": "9999-12-31T23:59:59-12:00"}, {"expiresAt"}),
        ({"userPhone": "13800138000", "expiresAt": "0001-01-01T00:00:00+12:00"}, {"expiresAt"}),
        ({"userPhone": "13800138000", "expiresAt": "明天"}, {"expiresAt"}),
        ({"userPhone": "13800138000", "status": "active"}, {"status"}),
        ({"userId": "0" * 65}, {"userId"}),
    ],
)
async def test_bad_input_is_refused_naming_the_field(hub: CoreHub, body: Json, fields: set[str]) -> None:
    """And nothing is asked."""
    asker = await hub.person()
    refused = await ask(hub, asker, 400, **body)

    assert set(refused["fields"]) == fields
    assert await listed(hub, asker) == []


async def test_oneself_and_nobody_cannot_be_asked(hub: CoreHub) -> None:
    """By id it may be said that there is nobody: an id cannot be guessed."""
    asker = await hub.person()

    assert set((await ask(hub, asker, 400, userPhone=asker.phone))["fields"]) == {"userPhone"}
    assert set((await ask(hub, asker, 400, userId=asker.id))["fields"]) == {"userId"}
    for nobody in (new_id(), "张三", "\u0000", "' OR 1=1"):
        assert set((await ask(hub, asker, 404, userId=nobody))["fields"]) == {"userId"}


async def test_the_list_is_paged_sorted_and_filtered(hub: CoreHub) -> None:
    """The newest first; unknown values are refused."""
    asker = await hub.person()
    ids = []
    for _ in range(3):
        ids.append((await ask(hub, asker, userPhone=unregistered()))["id"])
        await hub.clock.advance(1)
    await end(hub, asker, ids[1])

    assert [each["id"] for each in await listed(hub, asker)] == ids[::-1]
    assert [each["id"] for each in await listed(hub, asker, "?sort=askedAt&pageSize=2")] == ids[:2]
    page = await hub.call(asker, "GET", f"{PATH}?page=2&pageSize=2")
    assert (page["total"], page["page"], page["pageSize"], len(page["items"])) == (3, 2, 2, 1)
    assert [each["id"] for each in await listed(hub, asker, "?status=ended")] == [ids[1]]
    for query, field in (("?status=gone", "status"), ("?sort=name", "sort"), ("?pageSize=101", "pageSize")):
        assert field in (await hub.call(asker, "GET", PATH + query, 400))["fields"]


async def test_a_list_costs_two_statements_however_long(hub: CoreHub) -> None:
    """The page and the count."""
    asker = await hub.person()
    for _ in range(5):
        await ask(hub, asker, userPhone=unregistered())
    with Scene(hub.ground.database).statements() as said:
        await listed(hub, asker)

    assert len(said) == 2


async def test_who_is_asked_hears_of_it_once_in_the_inbox(hub: CoreHub) -> None:
    """By id and by phone; the name is masked, and the entry's client id names the relation."""
    asker, other = await pair(hub)
    by_id = await ask(hub, asker, userId=other.id)
    by_phone = await ask(hub, asker, userPhone=other.phone, direction="for_me", kind="caregiver")
    nobody = await ask(hub, asker, userPhone=unregistered())
    await ask(hub, asker, userId=other.id)
    assert await hub.ground.outbox.drain() == 3
    assert await hub.ground.database.log.fetchval(UNHANDLED) == 0

    said = [msgspec.json.decode(entry.body) for entry in hub.announced.entries]
    assert [entry.client_msg_id for entry in hub.announced.entries] == [
        f"relation-asked:{each['id']}" for each in (by_id, by_phone)
    ]
    assert nobody["id"] not in str(said)
    assert [each["note"] for each in said] == [
        "张*丰申请作为家人代您管理健康与预约，请在“我的关系”中处理",
        "张*丰请您作为照护者代其管理健康与预约，请在“我的关系”中处理",
    ]
    inbox = hub.announced.entries[0].conversation
    seen = await History(hub.ground.database.log, hub.ground.sealer, 50).page(other.id, inbox, after=0, limit=10)
    assert [entry.type for entry in seen.entries] == ["system", "system"]


async def test_what_was_answered_before_it_was_told_is_not_told(hub: CoreHub) -> None:
    """The outbox may be late; nobody is asked to answer what they have answered."""
    asker, other = await pair(hub)
    asked = await ask(hub, asker, userId=other.id)
    await answer(hub, other, asked["id"], "accept")
    await hub.ground.outbox.drain()

    assert hub.announced.entries == []
    assert await hub.ground.database.log.fetchval(UNHANDLED) == 0


async def test_events_carry_ids_only(hub: CoreHub, database: Database) -> None:
    """Asked, accepted and ended, once each, with the relation as their subject."""
    asker, other = await pair(hub)
    await hub.ground.outbox.drain()
    asked = await ask(hub, asker, userPhone=other.phone)
    for _ in range(2):
        await answer(hub, other, asked["id"], "accept")
    for _ in range(2):
        await end(hub, asker, asked["id"])
    rows = await database.log.fetch("SELECT kind, payload FROM events WHERE subject = $1 ORDER BY number", asked["id"])

    both = {"person": other.id, "actor": asker.id, "subject": asked["id"]}
    assert [(row["kind"], dict(row["payload"])) for row in rows] == [
        ("RelationAsked", {"subject": asked["id"]}),
        ("RelationAccepted", both),
        ("RelationEnded", both),
    ]


async def test_times_are_in_utc_whatever_zone_they_came_in(hub: CoreHub) -> None:
    """RFC 3339 with an offset in, with Z out."""
    asker = await hub.person()
    at: datetime = hub.clock.now() + timedelta(days=1)
    asked = await ask(hub, asker, userPhone=unregistered(), expiresAt=at.isoformat().replace("+00:00", "-00:00"))

    assert asked["expiresAt"] == rfc3339(at)
