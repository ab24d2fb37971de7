"""Who may see or do what with whose data: every role in every relation, for every need; and what ends it at once."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from hub.accounts.access import Access, Need, Scope, end_grants, grant
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.token import Principal
from tests.fake_clock import FakeClock
from tests.integration.scene import Scene

ROLES = ("patient", "companion", "doctor", "staff", "admin")
EVERYTHING = {Need.ACT, Need.HEALTH_READ, Need.HEALTH_WRITE, Need.SERVICE_READ}
NOTHING: set[Need] = set()
# What lies between the two → what a doctor, a companion, a member of the staff, and everybody else may.
CARE = {Need.HEALTH_READ, Need.HEALTH_WRITE, Need.SERVICE_READ}
SERVICE = {Need.SERVICE_READ}
MATRIX: dict[str, tuple[set[Need], set[Need], set[Need], set[Need]]] = {
    "oneself": (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
    "stranger": (NOTHING, NOTHING, NOTHING, NOTHING),
    "relation asked": (NOTHING, NOTHING, NOTHING, NOTHING),
    "relation active": (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
    "relation for a time": (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING),
    "relation expired": (NOTHING, NOTHING, NOTHING, NOTHING),
    "relation declined": (NOTHING, NOTHING, NOTHING, NOTHING),
    "relation ended": (NOTHING, NOTHING, NOTHING, NOTHING),
    "relation the other way": (NOTHING, NOTHING, NOTHING, NOTHING),
    "care": (CARE, NOTHING, NOTHING, NOTHING),
    "care for a time": (CARE, NOTHING, NOTHING, NOTHING),
    "care ended": (NOTHING, NOTHING, NOTHING, NOTHING),
    "care, sharing withdrawn": (NOTHING, NOTHING, NOTHING, NOTHING),
    "care, withdrawn before it began": (NOTHING, NOTHING, NOTHING, NOTHING),
    "service": (NOTHING, SERVICE, SERVICE, NOTHING),
    "service, sharing withdrawn": (NOTHING, SERVICE, SERVICE, NOTHING),
    "service ended": (NOTHING, NOTHING, NOTHING, NOTHING),
}


class World:
    """A person with health data, and somebody who wants it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.scene = Scene(database)
        self.clock = FakeClock()
        self.access = Access(self.clock)

    async def relate(self, person: str, actor: str, state: str, expires_at: datetime | None = None) -> None:
        await self.database.log.execute(
            """INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at, expires_at)
               VALUES ($1, $2, $3, 'family', $4, $2, $5, $6)""",
            new_id(), person, actor, state, self.clock.now(), expires_at,
        )  # fmt: skip

    async def grant(self, person: str, member: str, scope: Scope, source: str | None = None) -> str:
        source = source or new_id()
        async with self.database.transaction() as connection:
            await grant(connection, person=person, members=[member], source=source, scope=scope, now=self.clock.now())
        return source

    async def end(self, source: str, after: timedelta = timedelta(), members: list[str] | None = None) -> None:
        async with self.database.transaction() as connection:
            await end_grants(connection, source=source, at=self.clock.now() + after, members=members)

    async def withdraw(self, person: str) -> None:
        await self.database.log.execute(
            "UPDATE consents SET withdrawn_at = $2 WHERE user_id = $1", person, self.clock.now()
        )

    async def refuse(self, person: str) -> None:
        await self.database.log.execute(
            """INSERT INTO consents (id, user_id, purpose, version, actor_id, withdrawn_at)
               VALUES ($1, $2, 'care_sharing', '1', $2, $3)""", new_id(), person, self.clock.now(),
        )  # fmt: skip

    async def allowed(self, who: Principal, person: str) -> set[Need]:
        found = set()
        for need in Need:
            if await self.refusal(who, person, need) is None:
                found.add(need)
        return found

    async def refusal(self, who: Principal, person: str, need: Need) -> ErrorCode | None:
        async with self.database.transaction() as connection:
            try:
                await self.access.permit(connection, who, person, need)
            except Refusal as refusal:
                return refusal.code
        return None

    async def arrange(self, state: str, person: str, actor: str) -> None:
        """Bring about one line of the matrix."""
        hour = timedelta(hours=1)
        match state.split(maxsplit=1):
            case ["relation", "the other way"]:
                await self.relate(actor, person, "active")
            case ["relation", "for a time"]:
                await self.relate(person, actor, "active", self.clock.now() + hour)
            case ["relation", "expired"]:
                await self.relate(person, actor, "active", self.clock.now())
            case ["relation", stored]:
                await self.relate(person, actor, stored)
            case ["care,", "withdrawn before it began"]:
                await self.refuse(person)
                await self.grant(person, actor, "care")
            case ["care" | "care," | "service" | "service,", *rest]:
                source = await self.grant(person, actor, "care" if state.startswith("care") else "service")
                if rest == ["sharing withdrawn"]:
                    await (self.withdraw if state.startswith("care") else self.refuse)(person)
                elif rest:
                    await self.end(source, hour if rest == ["for a time"] else timedelta())


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    yield World(database)


def principal(user: str, role: str = "patient") -> Principal:
    return Principal(user, new_id(), role, 0.0)


@pytest.mark.parametrize("state", MATRIX)
@pytest.mark.parametrize("role", ROLES)
async def test_everybody_may_what_the_matrix_says(world: World, role: str, state: str) -> None:
    """No more and no less: a role opens nothing by itself, and a refusal says not found."""
    person = await world.scene.person()
    actor = person if state == "oneself" else await world.scene.person(role)
    await world.arrange(state, person, actor)

    column = {"doctor": 0, "companion": 1, "staff": 2}.get(role, 3)
    assert await world.allowed(principal(actor, role), person) == MATRIX[state][column]


@pytest.mark.parametrize("need", Need)
async def test_who_may_not_sees_nobody_there(world: World, need: Need) -> None:
    """An existing person, an unknown one and nonsense look the same."""
    admin = principal(await world.scene.person("admin"), "admin")
    people = [await world.scene.person(), new_id(), "张三", "' OR 1=1 --", "\0"]

    assert {await world.refusal(admin, person, need) for person in people} == {ErrorCode.NOT_FOUND}


async def test_asking_costs_one_statement(world: World) -> None:
    """Whatever the need; and none for oneself or for an id that is none."""
    person, actor = await world.scene.person(), await world.scene.person("doctor")
    with world.scene.statements() as said:
        await world.allowed(principal(actor, "doctor"), person)
        await world.allowed(principal(person), person)
        await world.allowed(principal(actor, "doctor"), "' OR 1=1")

    assert len(said) == len(Need)


async def test_a_relation_ends_at_its_time(world: World) -> None:
    """To the second, by the clock."""
    person, actor = await world.scene.person(), await world.scene.person()
    await world.relate(person, actor, "active", world.clock.now() + timedelta(seconds=10))
    await world.clock.advance(9.9)
    assert await world.allowed(principal(actor), person) == EVERYTHING
    await world.clock.advance(0.1)

    assert await world.allowed(principal(actor), person) == NOTHING


async def test_a_grant_ends_at_its_time_and_a_later_end_does_not_lengthen_it(world: World) -> None:
    """Who was replaced does not see again when the order closes days later."""
    person, replaced, stays = [await world.scene.person(role) for role in ("patient", "doctor", "doctor")]
    source = await world.grant(person, replaced, "care")
    await world.grant(person, stays, "care", source)
    await world.end(source, members=[replaced])
    await world.end(source, after=timedelta(days=7))

    assert await world.allowed(principal(replaced, "doctor"), person) == NOTHING
    assert await world.allowed(principal(stays, "doctor"), person) == CARE
    await world.clock.advance(7 * 86400)
    assert await world.allowed(principal(stays, "doctor"), person) == NOTHING


async def test_a_grant_may_be_repeated_and_comes_back_after_its_end(world: World) -> None:
    """One row for each member and source; another source is another grant."""
    person, doctor = await world.scene.person(), await world.scene.person("doctor")
    source = await world.grant(person, doctor, "care")
    await world.grant(person, doctor, "care", source)
    other = await world.grant(person, doctor, "care")
    await world.end(other)
    assert await world.allowed(principal(doctor, "doctor"), person) == CARE
    await world.end(source)
    assert await world.allowed(principal(doctor, "doctor"), person) == NOTHING
    await world.grant(person, doctor, "care", source)

    assert await world.allowed(principal(doctor, "doctor"), person) == CARE
    count = "SELECT count(*) FROM care_grants WHERE person_id = $1"
    assert await world.database.log.fetchval(count, person) == 2


async def test_booking_agrees_to_sharing_once_and_never_against_the_person(world: World) -> None:
    """The first grant of care is the giving; what the person withdrew stays withdrawn, whatever is booked later."""
    person, doctor = await world.scene.person(), await world.scene.person("doctor")
    await world.grant(person, doctor, "service")
    count = "SELECT count(*) FROM consents WHERE user_id = $1"
    assert await world.database.log.fetchval(count, person) == 0
    await world.grant(person, doctor, "care")
    await world.withdraw(person)
    await world.grant(person, doctor, "care")

    assert await world.allowed(principal(doctor, "doctor"), person) == NOTHING
    assert await world.database.log.fetchval(count, person) == 1


async def test_a_grant_for_nobody_changes_nothing(world: World) -> None:
    """An order without a doctor yet: no row, and nobody sees more."""
    person = await world.scene.person()
    async with world.database.transaction() as connection:
        await grant(connection, person=person, members=[], source=new_id(), scope="service", now=world.clock.now())

    assert await world.database.log.fetchval("SELECT count(*) FROM care_grants WHERE person_id = $1", person) == 0


async def test_persons_are_oneself_and_those_one_may_act_for_now(world: World) -> None:
    """Asked, expired and ended relations, care, and those who may act for oneself are not among them."""
    me, mother, father, other, patient = [await world.scene.person() for _ in range(5)]
    await world.relate(mother, me, "active")
    await world.relate(father, me, "active", world.clock.now() + timedelta(seconds=1))
    await world.relate(other, me, "asked")
    await world.relate(me, other, "active")
    await world.grant(patient, me, "care")

    async def persons() -> list[str]:
        async with world.database.transaction() as connection:
            return await world.access.persons(connection, principal(me, "doctor"))

    found = await persons()
    assert (found[0], set(found[1:])) == (me, {mother, father})
    await world.clock.advance(1)
    assert await persons() == [me, mother]
