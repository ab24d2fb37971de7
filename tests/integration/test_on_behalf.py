"""Entries in somebody's name: both are shown, and only while one may act for the other."""

import pytest
from sqlalchemy import text

from hub.messaging.collector import context_of
from hub.messaging.model import Status
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.scene import APPEND, Scene


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def relate(scene: Scene, person: str, actor: str, state: str = "active", expires: str = "1 day") -> None:
    statement = text(
        "INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at, expires_at) "
        "VALUES (:id, :person, :actor, 'family', :state, :person, clock_timestamp(), "
        "        clock_timestamp() + CAST(:expires AS text)::interval)"
    )
    values = {"id": new_id(), "person": person, "actor": actor, "state": state, "expires": expires}
    async with scene.database.transaction() as connection:
        await connection.execute(statement, values)


async def send_for(scene: Scene, conversation: str, sender: str, person: str | None) -> int:
    """The status that the append function answers."""
    key, client = await scene.sealer.key_for(sender), new_id()
    sealed = key.seal(b"{}", context_of(conversation, sender, client))
    columns = (conversation, sender, client, "text", None, sealed, key.digest(b"{}"), key.id, None, person)
    row = await scene.database.log.fetchrow(APPEND, *([value] for value in columns))
    assert row is not None
    status: int = row["status"]
    return status


async def test_entry_shows_actor_and_person_when_one_acts_for_the_other(scene: Scene) -> None:
    """The entry carries who wrote it and for whom."""
    mother, daughter = await scene.person(), await scene.person()
    _, group = await scene.group(mother, daughter)
    await relate(scene, mother, daughter)

    assert await send_for(scene, group, daughter, mother) == Status.NEW
    entry = (await scene.seen(mother, group))[-1]
    assert (entry.sender, entry.on_behalf_of) == (daughter, mother)


@pytest.mark.parametrize(
    ("state", "expires"), [("asked", "1 day"), ("declined", "1 day"), ("ended", "1 day"), ("active", "-1 second")]
)
async def test_nobody_acts_without_a_running_relation(scene: Scene, state: str, expires: str) -> None:
    """Asked, declined, ended and expired relations give nothing."""
    mother, daughter = await scene.person(), await scene.person()
    _, group = await scene.group(mother, daughter)
    await relate(scene, mother, daughter, state, expires)

    assert await send_for(scene, group, daughter, mother) == Status.MAY_NOT_ACT


async def test_a_relation_holds_in_one_direction_only(scene: Scene) -> None:
    """Who may be acted for may not act."""
    mother, daughter = await scene.person(), await scene.person()
    _, group = await scene.group(mother, daughter)
    await relate(scene, mother, daughter)

    assert await send_for(scene, group, mother, daughter) == Status.MAY_NOT_ACT


async def test_nobody_acts_for_who_is_not_in_the_conversation(scene: Scene) -> None:
    """The person must be a member, too."""
    mother, daughter = await scene.person(), await scene.person()
    _, group = await scene.group(daughter)
    await relate(scene, mother, daughter)

    assert await send_for(scene, group, daughter, mother) == Status.MAY_NOT_ACT
    assert await send_for(scene, group, daughter, None) == Status.NEW
