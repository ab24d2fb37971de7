"""A process that dies around the append of words of an emergency: whatever was stored has its alert, and only one."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.messaging import store
from hub.messaging.alarm import ANSWERED_MOST, LOOKS_S, UNWRITTEN_MOST, alarming
from hub.messaging.emergency import RULES, sign_of
from hub.messaging.model import Draft
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.integration.core_app import CoreHub, open_core


class Crash(Exception):
    """The process dies here."""


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        await opened.ground.outbox.drain()
        yield opened


def saying(draft: Draft, words: str, client_msg_id: str) -> Draft:
    return msgspec.structs.replace(draft, client_msg_id=client_msg_id, body=msgspec.json.encode({"text": words}))


async def a_room(hub: CoreHub) -> tuple[str, Draft]:
    patient, room = (await hub.person()).id, new_id()
    async with hub.ground.database.transaction() as connection:
        await connection.execute(text("INSERT INTO conversations (id, kind) VALUES (:id, 'group')"), {"id": room})
        await store.admit(connection, room, {patient: "member"}, 1)
    body = msgspec.json.encode({"text": "我喘不上气"})
    return room, Draft(conversation=room, sender=patient, client_msg_id="m", type="text", body=body)


async def append(hub: CoreHub, draft: Draft, *, crash_before: bool = False, crash_after: bool = False) -> None:
    key = await hub.ground.sealer.key_for(draft.sender)
    async with alarming(hub.ground.messaging, draft, sign_of("patient", draft)):
        if crash_before:
            raise Crash
        async with hub.ground.database.transaction() as connection:
            await store.append(connection, draft, key)
        if crash_after:
            raise Crash


async def pass_time(hub: CoreHub) -> int:
    """Whatever waits is due; the answer is how many events were handled."""
    async with hub.ground.database.transaction() as connection:
        await connection.execute(text("UPDATE events SET due_at = clock_timestamp() WHERE done_at IS NULL"))
    return await hub.ground.outbox.drain()


async def told(hub: CoreHub, room: str) -> tuple[int, int]:
    """(alerts, entries of advice)"""
    log = hub.ground.database.log
    alerts = await log.fetchval("SELECT count(*) FROM alerts WHERE conversation = $1", room)
    advice = await log.fetchval("SELECT count(*) FROM entries WHERE conversation = $1 AND type = 'system'", room)
    return alerts, advice


async def events(hub: CoreHub, room: str) -> list[dict[str, object]]:
    rows = await hub.ground.database.log.fetch(
        "SELECT payload FROM events WHERE kind = 'EmergencyWritten' AND payload ->> 'conversation' = $1", room
    )
    return [row["payload"] for row in rows]


async def test_a_crash_before_the_append_is_made_good_by_the_retry(hub: CoreHub) -> None:
    """P3, P11: the event of the first attempt is looked at in vain, then finds the entry; one alert."""
    room, draft = await a_room(hub)
    with pytest.raises(Crash):
        await append(hub, draft, crash_before=True)
    await hub.ground.outbox.drain()
    before = await told(hub, room)
    await append(hub, draft)
    await pass_time(hub)
    await append(hub, draft)
    await pass_time(hub)

    assert before == (0, 0)
    assert await told(hub, room) == (1, 1)


async def test_a_crash_after_the_append_loses_nothing(hub: CoreHub) -> None:
    """P11: the event lies there already; whoever handles events next finds the entry."""
    room, draft = await a_room(hub)
    with pytest.raises(Crash):
        await append(hub, draft, crash_after=True)
    await hub.ground.outbox.drain()

    assert await told(hub, room) == (1, 1)


async def test_words_that_never_came_are_forgotten_and_may_come_later(hub: CoreHub) -> None:
    """Looked for a few times, then dropped; a retry after that is made known again."""
    room, draft = await a_room(hub)
    with pytest.raises(Crash):
        await append(hub, draft, crash_before=True)
    while await pass_time(hub):
        pass
    looks, dropped = len(await events(hub, room)), await told(hub, room)
    await append(hub, draft)
    await hub.ground.outbox.drain()

    assert looks == 1 + len(LOOKS_S)
    assert dropped == (0, 0)
    assert await told(hub, room) == (1, 1)


async def test_nothing_is_stored_while_it_cannot_be_made_known(hub: CoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """P14: the send fails as the append would, and can be tried again."""
    room, draft = await a_room(hub)

    async def away(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("hub.messaging.alarm.publish", away)
    with pytest.raises(ConnectionError):
        await append(hub, draft)
    async with hub.ground.database.transaction() as connection:
        stored = await store.is_used(connection, room, draft.sender, "m")

    assert not stored


async def test_what_was_said_stands_in_the_entry_only(hub: CoreHub) -> None:
    """P12: neither the event, which is kept for long, nor the id of the advice says what it was about."""
    room, draft = await a_room(hub)
    await append(hub, draft)
    await hub.ground.outbox.drain()
    (event,) = await events(hub, room)
    names = await hub.ground.database.log.fetch("SELECT client_msg_id FROM entries WHERE conversation = $1", room)

    assert await told(hub, room) == (1, 1)
    assert set(event) == {"subject", "conversation", "sender", "client_msg_id", "looks"}
    assert not any(rule.name in name["client_msg_id"] for rule in RULES for name in names)


async def test_nothing_is_raised_where_the_key_is_destroyed(hub: CoreHub) -> None:
    """P12: what was said cannot be read any more; the event is done with."""
    room, draft = await a_room(hub)
    await append(hub, draft)
    async with hub.ground.database.transaction() as connection:
        await hub.ground.sealer.destroy(connection, draft.sender)
    await hub.ground.outbox.drain()
    await pass_time(hub)

    assert await told(hub, room) == (0, 0)
    assert len(await events(hub, room)) == 1


@pytest.mark.parametrize("handled", [True, False], ids=["answered", "waiting"])
async def test_a_flood_of_one_kind_is_made_known_a_few_times(hub: CoreHub, handled: bool) -> None:
    """P11, P15: there is an alert by then. Another kind is not silenced by it, nor what somebody else says."""
    room, draft = await a_room(hub)
    for number in range(3 * ANSWERED_MOST):
        await append(hub, saying(draft, f"我喘不上气{number}", f"m{number}"))
        if handled:
            await hub.ground.outbox.drain()
    flood = len(await events(hub, room))
    await append(hub, saying(draft, "我不想活了", "graver"))
    await hub.ground.outbox.drain()

    assert flood == ANSWERED_MOST
    assert len(await events(hub, room)) == ANSWERED_MOST + 1
    assert await told(hub, room) == (2, ANSWERED_MOST + 1)


async def test_what_never_came_silences_nothing(hub: CoreHub) -> None:
    """P11: only what was stored counts as said; and who sets off nothing but that is told to wait, never stored in silence."""
    room, draft = await a_room(hub)
    for number in range(UNWRITTEN_MOST - 1):
        with pytest.raises(Crash):
            await append(hub, saying(draft, "我喘不上气", f"m{number}"), crash_before=True)
    await append(hub, draft)
    with pytest.raises(Crash):
        await append(hub, saying(draft, "我喘不上气", "last"), crash_before=True)
    with pytest.raises(Refusal) as refused:
        await append(hub, saying(draft, "我喘不上气", "more"))
    await hub.ground.outbox.drain()

    assert refused.value.code == ErrorCode.RATE_LIMITED
    assert await told(hub, room) == (1, 1)


async def test_an_edit_that_was_answered_is_not_made_known_again(hub: CoreHub) -> None:
    """P15: it would add nothing, however often it is edited."""
    room, draft = await a_room(hub)
    await append(hub, draft)
    await hub.ground.outbox.drain()
    for number in range(3):
        edited = saying(draft, f"我喘不上气{number}", f"e{number}")
        await append(hub, msgspec.structs.replace(edited, type="edit", target=1))

    assert len(await events(hub, room)) == 1
