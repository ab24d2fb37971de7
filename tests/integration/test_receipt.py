"""How far each member has received and read: marks only rise, gather into one statement, and are told after the commit."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.messaging import membership
from hub.messaging.receipt import Receipts
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from tests.integration.scene import Scene
from tests.integration.wire import statements

Mark = tuple[str, int, int]


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


@pytest_asyncio.fixture
async def receipts(scene: Scene) -> AsyncIterator[Receipts]:
    found = Receipts(scene.database.log, scene.announced, 100)
    async with Supervisor() as supervisor:
        supervisor.run("receipts", found.run)
        yield found
        assert supervisor.down == {}


async def all_of(receipts: Receipts, room: str, marks: list[Mark]) -> list[Refusal | None]:
    """Submit in one loop turn and wait for every answer; each comes once."""
    answers: dict[int, Refusal | None] = {}
    complete = asyncio.Event()

    def done(number: int, refusal: Refusal | None) -> None:
        assert number not in answers
        answers[number] = refusal
        if len(answers) == len(marks):
            complete.set()

    for number, (user, delivered, read) in enumerate(marks):
        answer = lambda refusal, number=number: done(number, refusal)  # noqa: E731
        receipts.submit(user, room, delivered=delivered, read=read, done=answer)
    async with asyncio.timeout(10):
        await complete.wait()
    return [answers[number] for number in range(len(marks))]


def codes(answers: list[Refusal | None]) -> list[str | None]:
    return [answer and answer.code for answer in answers]


async def a_group(scene: Scene, entries: int) -> tuple[str, str, str, str]:
    """(room, a, b, doctor) with this many entries after the first."""
    a, b = await scene.person(), await scene.person()
    doctor, room = await scene.group(a, b)
    for n in range(entries):
        await scene.send(room, doctor, str(n))
    return room, a, b, doctor


async def test_many_devices_are_one_statement_and_the_highest_wins(scene: Scene, receipts: Receipts) -> None:
    """However many report, in whatever order."""
    room, a, b, _ = await a_group(scene, 5)
    marks = [(a, 3, 0), (a, 5, 2), (a, 4, 4), (b, 6, 6), (b, 1, 0)]
    async with statements(scene.database.log) as said:
        assert await all_of(receipts, room, marks) == [None] * 5

    assert len(said) == 1
    assert sorted(scene.announced.receipts) == sorted([(a, 5, 4), (b, 6, 6)])


async def test_marks_never_fall(scene: Scene, receipts: Receipts) -> None:
    """A lower one changes nothing, is told to nobody, and is no error."""
    room, a, _, _ = await a_group(scene, 5)
    await receipts.mark(a, room, delivered=5, read=3)
    await receipts.mark(a, room, delivered=2, read=0)
    await receipts.mark(a, room, delivered=5, read=3)
    await receipts.mark(a, room, delivered=0, read=0)

    assert scene.announced.receipts == [(a, 5, 3)]


async def test_reading_is_receiving(scene: Scene, receipts: Receipts) -> None:
    """`read` implies `delivered`."""
    room, a, _, _ = await a_group(scene, 5)
    await receipts.mark(a, room, delivered=0, read=4)

    assert scene.announced.receipts == [(a, 4, 4)]


async def test_a_seq_that_is_not_there_is_refused_alone(scene: Scene, receipts: Receipts) -> None:
    """One device's mistake must not cost the other devices of the same person their marks."""
    room, a, b, _ = await a_group(scene, 5)
    answers = await all_of(receipts, room, [(a, 4, 0), (a, 7, 0), (a, 0, 3), (a, 0, 2**53 - 1), (b, 6, 0)])

    assert codes(answers) == [None, ErrorCode.INVALID, None, ErrorCode.INVALID, None]
    assert sorted(scene.announced.receipts) == sorted([(a, 4, 3), (b, 6, 0)])


async def test_strangers_are_refused(scene: Scene, receipts: Receipts) -> None:
    """As if the conversation did not exist."""
    room, a, _, _ = await a_group(scene, 1)
    stranger = await scene.person()

    assert codes(await all_of(receipts, room, [(stranger, 0, 0), (a, 1, 1)])) == [ErrorCode.NOT_FOUND, None]
    assert codes(await all_of(receipts, new_id(), [(a, 0, 0)])) == [ErrorCode.NOT_FOUND]


async def test_who_was_removed_may_mark_what_they_could_see(scene: Scene, receipts: Receipts) -> None:
    """P5: up to their last entry and nothing beyond; for themselves, the members are not told."""
    room, a, _, doctor = await a_group(scene, 2)
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=room, members=[a])
    await scene.send(room, doctor, "after")

    assert codes(await all_of(receipts, room, [(a, 4, 4), (a, 5, 5)])) == [None, ErrorCode.INVALID]
    assert scene.announced.receipts == []


async def test_a_database_that_is_away_is_said_so(own_database: Database) -> None:
    """Nobody waits for ever; the device says the same again later."""
    scene = Scene(own_database)
    room, a, _, _ = await a_group(scene, 1)
    receipts = Receipts(scene.database.log, scene.announced, 100)
    scene.database.log.terminate()
    async with Supervisor() as supervisor:
        supervisor.run("receipts", receipts.run)
        (answer,) = await all_of(receipts, room, [(a, 1, 1)])

    assert answer is not None
    assert (answer.code, answer.retry_after_ms) == (ErrorCode.UNAVAILABLE, 2000)


async def test_more_than_a_batch_is_written_in_turn(scene: Scene) -> None:
    """Nothing is left behind."""
    room, a, b, doctor = await a_group(scene, 1)
    receipts = Receipts(scene.database.log, scene.announced, 2)
    async with Supervisor() as supervisor:
        supervisor.run("receipts", receipts.run)
        answers = await all_of(receipts, room, [(user, 1, 1) for user in (a, b, doctor)])

    assert answers == [None] * 3
    assert len(scene.announced.receipts) == 3
