"""Appends, collected: one call for what gathered, each told once after its commit, in order, and none lost to its neighbours."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from hub.messaging import model, operation
from hub.messaging.collector import Collector, Outcome
from hub.messaging.model import Appended, Draft
from hub.messaging.roster import Rosters
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.supervisor import Supervisor
from tests.fake_clock import FakeClock, settle
from tests.integration.scene import Scene
from tests.integration.wire import statements

LOCK = sa.text("SELECT 1 FROM conversations WHERE id = :id FOR NO KEY UPDATE")
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def collector_of(scene: Scene, **changes: float) -> Collector:
    chosen = msgspec.structs.replace(settings.Messaging(), **changes)
    pool = scene.database.log
    return Collector(pool, scene.sealer, Rosters(pool, 50), scene.announced, SystemClock(), chosen)


@pytest_asyncio.fixture
async def collector(scene: Scene) -> AsyncIterator[Collector]:
    found = collector_of(scene)
    async with Supervisor() as supervisor:
        supervisor.run("append", found.run)
        yield found
        assert supervisor.down == {}


def text(conversation: str, sender: str, words: str = "x", name: str | None = None) -> Draft:
    body = msgspec.json.encode({"text": words})
    return model.draft(conversation, sender, name or new_id(), "text", body, None, 5000)


async def all_of(collector: Collector, drafts: list[Draft]) -> list[Outcome]:
    """Submit in one loop turn, and wait for every answer; each comes once."""
    answers: list[Outcome | None] = [None] * len(drafts)
    complete = asyncio.Event()

    def done(number: int, outcome: Outcome) -> None:
        assert answers[number] is None
        answers[number] = outcome
        if None not in answers:
            complete.set()

    for number, draft in enumerate(drafts):
        collector.submit(draft, lambda outcome, number=number: done(number, outcome))  # type: ignore[misc]
    async with asyncio.timeout(10):
        await complete.wait()
    return [answer for answer in answers if answer is not None]


def seqs(outcomes: list[Outcome]) -> list[int]:
    assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
    return [outcome.seq for outcome in outcomes if isinstance(outcome, Appended)]


def code(outcome: Outcome) -> str:
    return outcome.code.value if isinstance(outcome, Refusal) else "appended"


async def test_what_gathers_in_a_turn_is_one_statement(scene: Scene, collector: Collector) -> None:
    """For many conversations and senders, when rosters and keys are at hand."""
    people = [await scene.person() for _ in range(4)]
    rooms = [(await scene.group(*people))[1] for _ in range(3)]
    drafts = [text(room, sender) for room in rooms for sender in people]
    await all_of(collector, drafts)
    async with statements(scene.database.log) as said:
        outcomes = await all_of(
            collector, [text(room, sender) for room in rooms for sender in people for _ in range(5)]
        )

    assert len(said) == 1
    assert "append_entries" in said[0]
    assert seqs(outcomes) == [*range(6, 26)] * 3


async def test_order_is_kept_beyond_a_batch(scene: Scene) -> None:
    """One conversation is in one call at a time, however many wait."""
    sender = await scene.person()
    _, room = await scene.group(sender)
    collector = collector_of(scene, batch=7)
    async with Supervisor() as supervisor:
        supervisor.run("append", collector.run)
        outcomes = await all_of(collector, [text(room, sender) for _ in range(40)])

    assert seqs(outcomes) == list(range(2, 42))
    assert [entry.seq for entry in scene.announced.entries if entry.type == "text"] == list(range(2, 42))


async def test_a_busy_conversation_does_not_hold_up_the_others(scene: Scene) -> None:
    """A batch is filled from those that wait in turn."""
    sender = await scene.person()
    (_, busy), (_, quiet) = await scene.group(sender), await scene.group(sender)
    collector = collector_of(scene, batch=10, batches=1)
    order: list[str] = []
    drafts = [text(busy, sender) for _ in range(40)] + [text(quiet, sender)]
    for draft in drafts:
        collector.submit(draft, lambda _, room=draft.conversation: order.append(room))  # type: ignore[misc]
    async with Supervisor() as supervisor:
        supervisor.run("append", collector.run)
        await all_of(collector, [text(busy, sender)])

    assert order.index(quiet) <= 20


async def test_answers_come_after_the_commit(scene: Scene, collector: Collector) -> None:
    """P1: whoever looks when the answer comes finds the entry, on another connection."""
    sender = await scene.person()
    _, room = await scene.group(sender)
    await collector.append(text(room, sender, "found"))

    assert bytes((await scene.seen(sender, room))[-1].body) == b'{"text":"found"}'


async def test_a_retry_is_answered_as_the_first_was(scene: Scene, collector: Collector) -> None:
    """P3: in the same turn and later; another body conflicts."""
    sender = await scene.person()
    _, room = await scene.group(sender)
    first, again = await all_of(collector, [text(room, sender, name="m"), text(room, sender, name="m")])
    later, other = await all_of(collector, [text(room, sender, name="m"), text(room, sender, "y", name="m")])

    assert isinstance(first, Appended)
    assert again == later == msgspec.structs.replace(first, dup=True)
    assert code(other) == ErrorCode.CONFLICT
    assert [entry.client_msg_id for entry in scene.announced.entries].count("m") == 1


async def test_refusals_are_each_one_s_own(scene: Scene, collector: Collector) -> None:
    """A stranger, an unknown conversation, and a row that PostgreSQL cannot take, beside one that is fine."""
    sender, stranger = await scene.person(), await scene.person()
    _, room = await scene.group(sender)
    poisoned = msgspec.structs.replace(text(room, sender), attachment="no id")
    drafts = [text(room, stranger), text(new_id(), sender), poisoned, text(room, sender)]
    outcomes = await all_of(collector, drafts)

    assert list(map(code, outcomes)) == ["not_found", "not_found", "internal", "appended"]
    assert await scene.seqs(sender, room) == [1, 2]


async def test_nothing_is_sealed_for_an_erased_person(scene: Scene, collector: Collector) -> None:
    """P12: their key is gone for good; others go on."""
    sender, erased = await scene.person(), await scene.person()
    _, room = await scene.group(sender, erased)
    await all_of(collector, [text(room, sender), text(room, erased)])
    async with scene.database.transaction() as connection:
        await scene.sealer.destroy(connection, erased)
    outcomes = await all_of(collector, [text(room, erased), text(room, sender)])

    assert list(map(code, outcomes)) == ["forbidden", "appended"]


async def test_a_listener_that_fails_does_not_cost_the_others(scene: Scene, collector: Collector) -> None:
    """Each is told, whatever another does with its answer."""
    sender = await scene.person()
    _, room = await scene.group(sender)

    def fail(_: Outcome) -> None:
        raise RuntimeError

    collector.submit(text(room, sender), fail)

    assert seqs(await all_of(collector, [text(room, sender)])) == [3]
    assert [entry.seq for entry in scene.announced.entries] == [1, 2, 3]


async def test_too_many_waiting_are_refused(scene: Scene) -> None:
    """P15: at once, and taken again when there is room."""
    sender = await scene.person()
    _, room = await scene.group(sender)
    collector = collector_of(scene, waiting=3)
    waiting = [asyncio.ensure_future(collector.append(text(room, sender))) for _ in range(3)]
    await settle()
    with pytest.raises(Refusal) as refused:
        await collector.append(text(room, sender))
    assert (refused.value.code, refused.value.retry_after_ms) == (ErrorCode.OVERLOADED, 1000)
    async with Supervisor() as supervisor:
        supervisor.run("append", collector.run)
        assert seqs([*await asyncio.gather(*waiting)]) == [2, 3, 4]
        assert (await collector.append(text(room, sender))).seq == 5


async def test_a_connection_that_breaks_is_no_refusal(scene: Scene, collector: Collector) -> None:
    """P1, P3: the call is repeated; what was committed unheard is found by its id."""
    sender = await scene.person()
    _, room = await scene.group(sender)
    await collector.append(text(room, sender))
    await scene.database.log.execute(TERMINATE)
    outcomes = await all_of(collector, [text(room, sender) for _ in range(5)])

    assert seqs(outcomes) == [3, 4, 5, 6, 7]


async def test_a_database_that_stays_away_is_said_so(own_database: Database) -> None:
    """After `retry_s` each is told to come back; nothing waits for ever."""
    scene = Scene(own_database)
    sender = await scene.person()
    _, room = await scene.group(sender)
    clock = FakeClock()
    pool = scene.database.log
    collector = Collector(
        pool, scene.sealer, Rosters(pool, 50), scene.announced, clock, settings.Messaging(retry_s=0.01)
    )
    pool.terminate()
    async with Supervisor() as supervisor:
        supervisor.run("append", collector.run)
        (outcome,) = await all_of(collector, [text(room, sender)])

    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.retry_after_ms) == (ErrorCode.UNAVAILABLE, 2000)


async def test_neighbours_go_on_when_somebody_holds_one_conversation(scene: Scene, collector: Collector) -> None:
    """P15: a process that froze inside a transaction costs its own conversation only, and that one goes on when it is let go."""
    patient = await scene.person()
    (owner, stuck), (other, free) = await scene.group(patient), await scene.group(patient)
    held: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    async with scene.database.transaction() as frozen:
        await frozen.execute(LOCK, {"id": stuck})
        collector.submit(text(stuck, owner), held.set_result)
        first = await collector.append(text(free, other))
        second = await collector.append(text(free, other))
        assert not held.done()
    async with asyncio.timeout(10):
        outcome = await held

    assert second.seq == first.seq + 1
    assert isinstance(outcome, Appended)


async def test_a_retry_is_told_again_but_not_when_it_was_recalled(scene: Scene, collector: Collector) -> None:
    """P3, P12: whoever committed it may have died before telling anybody; what was taken back is never told in clear."""
    owner, room = await scene.group(await scene.person())
    draft = text(room, owner, name="once")
    ack = await collector.append(draft)
    await collector.append(draft)
    told = [entry.seq for entry in scene.announced.again]
    await operation.recall(
        scene.services, conversation=room, actor=owner, role="doctor", seq=ack.seq, client_msg_id="back", body=b"{}"
    )
    again = await collector.append(draft)

    assert told == [ack.seq]
    assert (again.seq, again.dup) == (ack.seq, True)
    assert [entry.seq for entry in scene.announced.again] == [ack.seq]
