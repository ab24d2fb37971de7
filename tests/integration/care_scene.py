"""What people measured and who may act for them, for the tests of trends, reports and plans."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import event

from hub.care import profile_store, record_store
from hub.care.indicator import assess
from hub.care.model import Circumstances, Measurement, Reading, RecordType
from hub.care.profile import Profile
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub

UNKNOWN = Circumstances()


def reading(
    who: Caller,
    type: RecordType,
    at: datetime,
    value: float,
    diastolic: float | None = None,
    context: str | None = None,
    person: Circumstances = UNKNOWN,
) -> Reading:
    measured = Measurement(type, value, diastolic, context=context)
    return Reading(
        id=new_id(),
        user=who.id,
        actor=who.id,
        measurement=measured,
        assessment=assess(measured, person),
        source="device",
        recorded_at=at,
        created_at=at,
    )


async def record(hub: CoreHub, who: Caller, readings: Sequence[Reading]) -> None:
    key = await hub.ground.sealer.key_for(who.id)
    async with hub.ground.database.transaction() as connection:
        await record_store.add(connection, key, readings)


async def profile(hub: CoreHub, who: Caller, known: Profile) -> None:
    key = await hub.ground.sealer.key_for(who.id)
    async with hub.ground.database.transaction() as connection:
        await profile_store.save(connection, key, known, who.id, hub.clock.now())


async def relate(hub: CoreHub, person: str, actor: str) -> None:
    """From now on `actor` may act for `person`."""
    await hub.ground.database.log.execute(
        "INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at, answered_at)"
        " VALUES (gen_random_uuid(), $1, $2, 'family', 'active', $1, now(), now())",
        person,
        actor,
    )


async def audited(hub: CoreHub, person: str) -> list[tuple[str, str, str]]:
    """Who did what with which data of this person, in order."""
    rows = await hub.ground.database.log.fetch(
        "SELECT actor, action, subject FROM audit_log WHERE person = $1 ORDER BY number", person
    )
    return [(str(row["actor"]), row["action"], row["subject"]) for row in rows]


async def erase(hub: CoreHub, who: Caller) -> None:
    """Destroy the key of somebody's data."""
    async with hub.ground.database.transaction() as connection:
        await hub.ground.sealer.destroy(connection, who.id)


@contextmanager
def statements(hub: CoreHub) -> Iterator[list[str]]:
    """The statements that transactions run meanwhile."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    engine = hub.ground.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)
