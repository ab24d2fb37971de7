"""A process that dies around the append of words of an emergency: whatever was stored has its alert, and only one."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.messaging import store
from hub.messaging.alarm import LOOKS_S, alarming
from hub.messaging.emergency import sign_of
from hub.messaging.model import Draft
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import CoreHub, open_core


class Crash(Exception):
    """The process dies here."""


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        await opened.ground.outbox.drain()
        yield opened


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
    looks = 0
    while handled := await pass_time(hub):
        looks += handled
    dropped = await told(hub, room)
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
