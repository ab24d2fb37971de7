"""Events on the real database: handled once, in the order of their subject, whatever fails in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform import settings
from hub.platform.database import Database, open_database
from hub.platform.identifier import new_id
from hub.platform.outbox import AfterCommit, Event, Outbox, UrgentEvent, forget_handled, publish


class TeaMade(Event, frozen=True, kw_only=True):
    cup: int


class TeaSpilt(Event, frozen=True, kw_only=True):
    pass


class HouseBurns(UrgentEvent, frozen=True, kw_only=True):
    pass


@pytest_asyncio.fixture
async def clean(database: Database) -> AsyncIterator[Database]:
    """A database without events, and with a table in which handlers leave their effects."""
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM events"))
        await connection.execute(text("CREATE TABLE IF NOT EXISTS effects (cup int)"))
        await connection.execute(text("DELETE FROM effects"))
    yield database


async def happen(database: Database, *events: Event) -> None:
    async with database.transaction() as connection:
        await publish(connection, *events)


async def effect(connection: AsyncConnection, event: TeaMade) -> None:
    await connection.execute(text("INSERT INTO effects VALUES (:cup)"), {"cup": event.cup})


async def effects(database: Database) -> list[int]:
    async with database.transaction() as connection:
        return list((await connection.execute(text("SELECT cup FROM effects ORDER BY cup"))).scalars())


async def due_now(database: Database) -> None:
    """Let the pause after a failure be over."""
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE events SET due_at = clock_timestamp() WHERE done_at IS NULL"))


async def test_event_is_handled_once_when_its_transaction_commits(clean: Database) -> None:
    """What was published is handed to every handler once; what is told follows the commit."""
    told: list[int] = []

    async def tell(_connection: AsyncConnection, event: TeaMade) -> object:
        return lambda: told.append(event.cup)

    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, effect)
    outbox.subscribe(TeaMade, tell)  # type: ignore[arg-type]
    await happen(clean, TeaMade(subject=new_id(), cup=1))

    assert await outbox.drain() == 1
    assert await outbox.drain() == 0
    assert await effects(clean) == [1]
    assert told == [1]


async def test_nothing_is_handled_when_the_publishing_transaction_rolls_back(clean: Database) -> None:
    """An event that did not happen reaches nobody."""
    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, effect)

    class Spoilt(Exception):
        pass

    try:
        async with clean.transaction() as connection:
            await publish(connection, TeaMade(subject=new_id(), cup=1))
            raise Spoilt
    except Spoilt:
        pass

    assert await outbox.drain() == 0
    assert await effects(clean) == []


async def test_failed_handler_leaves_no_effect_and_is_repeated(clean: Database) -> None:
    """The effects of an event's handlers are all there, once, or none is; the failure is written beside the event."""
    failing = [True]

    async def fail(_connection: AsyncConnection, _event: TeaMade) -> None:
        if failing[0]:
            raise RuntimeError("kettle")

    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, effect)
    outbox.subscribe(TeaMade, fail)
    await happen(clean, TeaMade(subject=new_id(), cup=7))

    await outbox.drain()

    assert await effects(clean) == []
    async with clean.transaction() as connection:
        row = (await connection.execute(text("SELECT attempts, error, due_at > clock_timestamp() FROM events"))).one()
    assert tuple(row) == (1, "RuntimeError('kettle')", True)

    failing[0] = False
    await due_now(clean)
    await outbox.drain()

    assert await effects(clean) == [7]


async def test_later_event_of_a_subject_waits_for_the_earlier_one(clean: Database) -> None:
    """Events of one subject keep their order across failures; other subjects do not wait for them."""
    order: list[str] = []
    failing = [True]

    async def made(_connection: AsyncConnection, event: TeaMade) -> None:
        if failing[0] and event.cup == 1:
            raise RuntimeError("kettle")
        order.append(f"made {event.cup}")

    async def spilt(_connection: AsyncConnection, event: TeaSpilt) -> None:
        order.append("spilt")

    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, made)
    outbox.subscribe(TeaSpilt, spilt)
    mine = new_id()
    await happen(clean, TeaMade(subject=mine, cup=1), TeaSpilt(subject=mine), TeaMade(subject=new_id(), cup=2))

    await outbox.drain()
    assert order == ["made 2"]

    failing[0] = False
    await due_now(clean)
    await outbox.drain()
    assert order == ["made 2", "made 1", "spilt"]


async def test_each_event_is_handled_once_when_two_processes_share_the_work(clean: Database, database_url: str) -> None:
    """However many outboxes drain at once, an effect is there once, and each subject's order holds."""
    subjects = [new_id() for _ in range(5)]
    await happen(clean, *(TeaMade(subject=subjects[cup % 5], cup=cup) for cup in range(60)))
    seen: dict[str, list[int]] = {subject: [] for subject in subjects}

    async def note(_connection: AsyncConnection, event: TeaMade) -> None:
        seen[event.subject].append(event.cup)
        await asyncio.sleep(0)

    async with open_database(settings.Database(url=database_url)) as other:
        outboxes = [Outbox(clean), Outbox(clean), Outbox(other)]
        for outbox in outboxes:
            outbox.subscribe(TeaMade, effect)
            outbox.subscribe(TeaMade, note)
        while any(await asyncio.gather(*(outbox.drain() for outbox in outboxes))):
            pass

    assert await effects(clean) == list(range(60))
    assert all(cups == sorted(cups) for cups in seen.values())


async def test_event_is_handled_after_a_process_died_in_its_handler(clean: Database) -> None:
    """A handler that was cut off leaves nothing, and the event is free at once for the next process."""
    entered = asyncio.Event()

    async def hang(connection: AsyncConnection, event: TeaMade) -> None:
        await effect(connection, event)
        entered.set()
        await asyncio.Event().wait()

    dying, living = Outbox(clean), Outbox(clean)
    dying.subscribe(TeaMade, hang)
    living.subscribe(TeaMade, effect)
    await happen(clean, TeaMade(subject=new_id(), cup=3))
    task = asyncio.create_task(dying.run(urgent=False))
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await living.drain() == 1
    assert await effects(clean) == [3]


async def test_event_of_a_newer_version_waits_for_a_process_that_knows_it(clean: Database) -> None:
    """While a version is rolled out, an old process neither swallows what it cannot read nor lets later events pass it."""
    subject, other = new_id(), new_id()
    async with clean.transaction() as connection:
        await connection.execute(
            text("INSERT INTO events (kind, subject, payload) VALUES ('TeaFromTomorrow', :subject, '{}')"),
            {"subject": subject},
        )
    await happen(clean, TeaMade(subject=subject, cup=1), TeaMade(subject=other, cup=2), TeaSpilt(subject=other))
    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, effect)

    assert await outbox.drain() == 2  # of the other subject; nobody wants to know what was spilt
    assert await effects(clean) == [2]
    async with clean.transaction() as connection:
        waiting = (
            await connection.execute(text("SELECT kind FROM events WHERE done_at IS NULL ORDER BY number"))
        ).scalars()
        assert list(waiting) == ["TeaFromTomorrow", "TeaMade"]


async def test_run_handles_what_wake_announces(clean: Database) -> None:
    """The loop wakes for an event of its own process at once."""
    handled = asyncio.Event()

    async def note(_connection: AsyncConnection, _event: TeaMade) -> None:
        handled.set()

    outbox = Outbox(clean)
    outbox.subscribe(TeaMade, note)
    task = asyncio.create_task(outbox.run(urgent=False))
    await happen(clean, TeaMade(subject=new_id(), cup=1))
    outbox.wake()
    async with asyncio.timeout(10):
        await handled.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_forget_handled_deletes_only_what_was_handled_long_ago(clean: Database) -> None:
    """Waiting events stay, however old."""
    await happen(clean, TeaMade(subject=new_id(), cup=1), TeaSpilt(subject=new_id()))
    async with clean.transaction() as connection:
        statement = "UPDATE events SET done_at = clock_timestamp() - interval '31 days' WHERE kind = 'TeaMade'"
        await connection.execute(text(statement))

    assert await forget_handled(clean) == 1
    assert await forget_handled(clean) == 0
    async with clean.transaction() as connection:
        assert list((await connection.execute(text("SELECT kind FROM events"))).scalars()) == ["TeaSpilt"]


async def test_the_urgent_do_not_wait_behind_a_crowd(clean: Database) -> None:
    """P11: a loop of its own takes them, and leaves the others to theirs."""
    handled: list[str] = []
    alarmed = asyncio.Event()
    outbox = Outbox(clean)

    async def hear(connection: AsyncConnection, happened: Event) -> AfterCommit:
        handled.append(type(happened).__name__)
        return alarmed.set

    outbox.subscribe(TeaSpilt, hear)
    outbox.subscribe(HouseBurns, hear)
    await happen(clean, *(TeaSpilt(subject=new_id()) for _ in range(3)), HouseBurns(subject=new_id()))
    urgent = asyncio.create_task(outbox.run(urgent=True))
    async with asyncio.timeout(10):
        await alarmed.wait()
    urgent.cancel()
    await asyncio.wait([urgent])
    await outbox.drain()

    assert handled == ["HouseBurns", "TeaSpilt", "TeaSpilt", "TeaSpilt"]
