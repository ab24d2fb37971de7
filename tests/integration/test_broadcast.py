"""Broadcasts on a real database: everybody meant is reached once, whoever is interrupted; staff hold and stop them; sockets hear."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from hub.broadcasts import duty as broadcast_duty
from hub.broadcasts import store as broadcast_store
from hub.broadcasts.actions import Wanted
from hub.broadcasts.duty import advance, due_broadcasts, reach
from hub.broadcasts.model import Segment
from hub.messaging import membership, operation
from hub.messaging.model import Appended
from hub.messaging.roster import acquainted
from hub.notices.notice_class import CLASSES
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from scheduler import ticker
from tests.fake_clock import FakeClock
from tests.integration.broadcast_scene import PAGING, TEXT, Office, build_office, settings_of
from workers import worker


@pytest_asyncio.fixture
async def office(database: Database, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Chunks of ten, so that few people are many chunks."""
    monkeypatch.setattr("hub.broadcasts.model.CHUNK", 10)
    clock = FakeClock(SystemClock().now())
    return await build_office(database, clock)


async def test_everybody_meant_has_one_notice_and_an_unread_entry(office: Office) -> None:
    """The text is stored once; each reader sees that entry and nothing before it, unread and not received."""
    people = await office.people(25)
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)

    assert await office.state(broadcast) == ("done", 25, 25, {})
    assert await office.noticed(broadcast) == await office.readers(broadcast) == people
    (seen,), total = await office.scene.listing.page(people[3], PAGING)
    assert (total, seen.id, seen.kind, seen.title, seen.unread) == (1, broadcast, "broadcast", "春季体检", 1)
    assert (seen.delivered_seq, seen.read_seq, seen.from_seq, seen.head) == (1, 1, 2, 2)
    entries = (await office.scene.history.page(people[3], broadcast, after=0)).entries
    assert [(each.seq, each.sender, bytes(each.body)) for each in entries] == [
        (2, None, b'{"text":"%s"}' % TEXT.encode())
    ]
    stored = await office.run("SELECT count(*) FROM entries WHERE conversation = :id AND type = 'text'", id=broadcast)
    assert stored[0]["count"] == 1
    kept = await office.run("SELECT body, lease, next_at FROM broadcasts WHERE id = :id", id=broadcast)
    assert kept == [{"body": None, "lease": None, "next_at": None}]


async def test_notices_wait_in_the_bulk_lane(office: Office) -> None:
    """Whatever the lane of the class: nothing urgent stands behind them. They name the entry, and hold none of its words."""
    people = await office.people(3)
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)
    notices = await office.run("SELECT * FROM notices WHERE broadcast = :id ORDER BY user_id", id=broadcast)

    assert {(each["class"], each["lane"], each["state"], each["template"]) for each in notices} == {
        ("system", "bulk", "open", "system")
    }
    assert {(str(each["conversation"]), each["first_seq"], each["upto_seq"]) for each in notices} == {(broadcast, 2, 2)}
    assert [each["dedupe_key"] for each in notices] == [f"broadcast:{broadcast}:{user}" for user in people]
    assert all(each["values"] == {} for each in notices)
    grace = timedelta(seconds=CLASSES["system"].grace_s)
    assert {each["begins_at"] for each in notices} == {office.clock.now() + grace}


async def test_crash_in_a_chunk_repeats_nothing_and_skips_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies before any commit: its chunk is as if it had not been, and the next one begins where it began."""
    people = await office.people(35)
    broadcast = await office.started(people)
    change, calls = broadcast_store.change, 0

    async def dying(connection: Any, broadcast_id: str, values: Any) -> Any:
        nonlocal calls
        calls += 1
        changed = await change(connection, broadcast_id, values)
        if calls in (1, 3, 6, 8):  # after the opening, after the first chunk, and in two later chunks
            raise ConnectionError("killed")
        return changed

    monkeypatch.setattr(broadcast_store, "change", dying)
    states = []
    for _ in range(5):
        with suppress(ConnectionError):
            await advance(office.desk, broadcast)
        states.append(
            (await office.run("SELECT looked_at FROM broadcasts WHERE id = :id", id=broadcast))[0]["looked_at"]
        )
        await office.clock.advance(broadcast_duty.LEASE.total_seconds())

    assert states == [0, 0, 10, 20, 35]
    assert await office.state(broadcast) == ("done", 35, 35, {})
    assert await office.noticed(broadcast) == await office.readers(broadcast) == people


async def test_lease_keeps_a_second_worker_away_until_it_ends(office: Office) -> None:
    """A sweep may wake two; one works. What a dead one held is free after a while."""
    broadcast = await office.started(await office.people(3))
    now = office.clock.now()
    async with office.scene.database.transaction() as connection:
        assert await broadcast_store.lease(connection, broadcast, new_id(), now, now + broadcast_duty.LEASE)
    await advance(office.desk, broadcast)
    assert (await office.state(broadcast))[0] == "running"
    assert broadcast not in [due.id for due in await due_broadcasts(office.scene.database, office.clock.now(), 100)]
    await office.clock.advance(broadcast_duty.LEASE.total_seconds())
    assert broadcast in [due.id for due in await due_broadcasts(office.scene.database, office.clock.now(), 100)]
    await advance(office.desk, broadcast)

    assert (await office.state(broadcast))[0] == "done"


async def test_workers_at_once_reach_everybody_once(office: Office) -> None:
    """Also when both believe that they hold it: the row's lock and the cursor decide."""
    people = await office.people(120)
    broadcast = await office.started(people)
    key, lease, now = await office.scene.sealer.key_for(broadcast), new_id(), office.clock.now()
    async with office.scene.database.transaction() as connection:
        await broadcast_store.lease(connection, broadcast, lease, now, now + broadcast_duty.LEASE)
    chunks = [reach(office.desk, broadcast, lease, key, CLASSES["system"], now) for _ in range(16)]
    await asyncio.gather(*chunks)

    assert await office.state(broadcast) == ("done", 120, 120, {})
    assert await office.noticed(broadcast) == await office.readers(broadcast) == people


async def test_pause_holds_after_the_chunk_and_resume_goes_on(office: Office) -> None:
    """Nobody is reached while it is paused; a worker that held it does no further chunk; afterwards nobody is missing."""
    people = await office.people(30)
    broadcast = await office.started(people)
    await office.one_chunk(broadcast)
    key, lease, now = await office.scene.sealer.key_for(broadcast), new_id(), office.clock.now()
    async with office.scene.database.transaction() as connection:
        await broadcast_store.lease(connection, broadcast, lease, now, now + broadcast_duty.LEASE)
    paused = await office.broadcasts.move(office.staff, broadcast, "pause")
    assert (paused.row.state, paused.row.looked_at) == ("paused", 10)
    assert await reach(office.desk, broadcast, lease, key, CLASSES["system"], now) is None
    await advance(office.desk, broadcast)
    assert await office.state(broadcast) == ("paused", 10, 10, {})

    await office.broadcasts.move(office.staff, broadcast, "resume")
    await advance(office.desk, broadcast)

    assert await office.state(broadcast) == ("done", 30, 30, {})
    assert await office.noticed(broadcast) == people


async def test_who_did_not_agree_or_does_not_want_it_is_left_out(office: Office) -> None:
    """Counted by reason: no consent, switched off, no active account. The counts add up to who was looked at."""
    agreed, silent, off = await office.people(12), await office.people(5), await office.people(4)
    suspended = await office.people(3, status="suspended")
    await office.agree([*agreed, *off, *suspended])
    withdrawn = agreed[0]
    await office.run("UPDATE consents SET withdrawn_at = now() WHERE user_id = CAST(:id AS uuid)", id=withdrawn)
    await office.run(
        """INSERT INTO notice_preferences (user_id, classes)
           SELECT u, '{"marketing": {"off": true}}' FROM unnest(CAST(:users AS uuid[])) u""",
        users=off,
    )
    everyone = [*agreed, *silent, *off, *suspended]
    marketing = await office.started(everyone, "marketing")
    system = await office.started(everyone, "system")
    for broadcast in (marketing, system):
        await advance(office.desk, broadcast)

    assert await office.state(marketing) == ("done", 24, 11, {"consent": 6, "off": 4, "inactive": 3})
    assert await office.noticed(marketing) == await office.readers(marketing) == agreed[1:]
    assert await office.state(system) == ("done", 24, 21, {"inactive": 3})


async def test_segment_means_those_who_fit_all_of_it(office: Office) -> None:
    """Roles, levels and the time of registration; the estimate counts the same people, also those who are rare."""
    await office.people(30)
    wanted = await office.people(2, role="companion", level="premium")
    await office.people(3, role="companion")
    await office.people(30)
    segment = Segment(roles=["companion"], membership_levels=["premium"])
    shown = await office.broadcasts.create(office.staff, Wanted("通知", TEXT, "system", segment))
    await office.broadcasts.move(office.admin, shown.row.id, "start")
    await advance(office.desk, shown.row.id)

    assert (shown.row.estimated, shown.row.is_least) == (2, False)
    assert await office.noticed(shown.row.id) == wanted
    later = office.clock.now() + timedelta(days=1)
    nobody = await office.broadcasts.create(
        office.staff, Wanted("通知", TEXT, "system", Segment(registered_after=later))
    )
    assert nobody.row.estimated == 0


async def test_everyone_is_everyone_there_is(office: Office) -> None:
    """Without conditions, in order of the ids, windows and chunks whatever their size."""
    await office.people(47)
    (users,) = await office.run("SELECT count(*) FROM users")
    (active,) = await office.run("SELECT count(*) FROM users WHERE status = 'active'")
    broadcast = await office.started(None, segment=Segment())
    estimated = (await office.broadcasts.show(office.staff, broadcast)).row.estimated
    await advance(office.desk, broadcast)
    _, looked_at, reached, _ = await office.state(broadcast)

    assert (estimated, looked_at) == (users["count"], users["count"])
    assert len(await office.noticed(broadcast)) == reached == active["count"]


@pytest.mark.parametrize("window", [1, 3, 7, 100])
async def test_users_are_looked_at_once_whatever_the_window(office: Office, window: int) -> None:
    """Few of many fit: windows without anybody are passed over, and none is read twice."""
    (before,) = await office.run("SELECT id::text FROM users ORDER BY id DESC LIMIT 1")
    fitting = await office.people(9, role="companion", level="professional")
    await office.people(8)
    segment = Segment(roles=["companion"], membership_levels=["professional"])
    found: list[str] = []
    cursor: str | None = before["id"]
    while cursor is not None:
        async with office.scene.database.transaction() as connection:
            chunk = await broadcast_store.next_users(
                connection, segment, cursor, 4, code="system", consent=None, optional=True, window=window
            )
        found += [user for user, _ in chunk.users]
        assert len(found) <= len(fitting)
        cursor = chunk.until

    assert found == fitting


async def test_counting_says_at_least_when_it_takes_too_long(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody waits for the answer: what was counted in time is answered as such."""
    await office.people(10)
    monkeypatch.setattr(broadcast_store, "COUNTED", 4)

    class Hurried(FakeClock):
        def monotonic(self) -> float:
            self._elapsed += 1.5
            return self._elapsed

    hurried = await build_office(office.scene.database, Hurried(office.clock.now()))
    shown = await hurried.broadcasts.create(hurried.staff, Wanted("通知", TEXT, "system", Segment()))

    assert (shown.row.estimated, shown.row.is_least) == (8, True)


async def test_pace_is_kept(office: Office) -> None:
    """At most so many a second; the next chunk is due when the last one's people have had their time."""
    people = await office.people(25)
    broadcast = await office.started(people, per_s=5)
    reached = []
    for _ in range(6):
        await advance(office.desk, broadcast)
        reached.append((await office.state(broadcast))[2])
        await office.clock.advance(1)

    assert reached == [5, 10, 15, 20, 25, 25]


async def test_planned_one_waits_for_its_time(office: Office) -> None:
    """Started before its time it runs, and begins then; a draft that was not started never begins."""
    people = await office.people(2)
    starts_at = office.clock.now() + timedelta(hours=1)
    broadcast = await office.started(people, starts_at=starts_at)
    forgotten = await office.draft(people, starts_at=starts_at)
    await advance(office.desk, broadcast)
    assert await office.noticed(broadcast) == []
    await office.clock.advance(3600)
    assert broadcast in [due.id for due in await due_broadcasts(office.scene.database, office.clock.now(), 100)]
    for each in (broadcast, forgotten):
        await advance(office.desk, each)

    assert await office.noticed(broadcast) == people
    assert await office.noticed(forgotten) == []
    begun = (await office.broadcasts.show(office.staff, broadcast)).row
    assert (begun.started_at, begun.state) == (starts_at, "done")


async def test_cancelling_withdraws_what_is_still_open(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, also of one that was done. What was seen stays seen; what a worker is at stays with the worker, who looks
    again; what may be showing somewhere is looked at once more, to be taken back."""
    monkeypatch.setattr(broadcast_store, "WITHDRAWN", 4)
    people = await office.people(15)
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)
    seen, held, shown = people[:3]
    await office.run("UPDATE notices SET state = 'seen', next_at = NULL WHERE user_id = CAST(:id AS uuid)", id=seen)
    await office.run(
        "UPDATE notices SET lease = gen_random_uuid(), next_at = now() + interval '40 s' WHERE user_id = CAST(:id AS uuid)",
        id=held,
    )
    await office.run(
        """INSERT INTO notice_attempts (id, notice, step, channel, state)
           SELECT gen_random_uuid(), id, 0, 'webpush', 'accepted' FROM notices WHERE user_id = CAST(:id AS uuid)""",
        id=shown,
    )
    await office.broadcasts.move(office.staff, broadcast, "cancel")
    await advance(office.desk, broadcast)
    ended = (await office.broadcasts.show(office.staff, broadcast)).states
    rows = {
        str(row["user_id"]): row
        for row in await office.run("SELECT * FROM notices WHERE broadcast = :id", id=broadcast)
    }

    assert ended == {"seen": 1, "superseded": 14}
    assert rows[held]["lease"] is not None
    assert rows[held]["next_at"] is not None
    assert rows[shown]["next_at"] is not None
    assert {(rows[each]["next_at"], rows[each]["reason"]) for each in people[3:]} == {(None, "cancelled")}
    assert all(rows[each]["ended_at"] is not None for each in people[3:])
    assert await office.run("SELECT next_at, lease, state FROM broadcasts WHERE id = :id", id=broadcast) == [
        {"next_at": None, "lease": None, "state": "cancelled"}
    ]


async def test_cancelled_draft_keeps_no_words(office: Office) -> None:
    """And there is nothing for a worker to do."""
    broadcast = await office.draft(await office.people(1))
    await office.broadcasts.move(office.staff, broadcast, "cancel")

    assert await office.run("SELECT body, next_at FROM broadcasts WHERE id = :id", id=broadcast) == [
        {"body": None, "next_at": None}
    ]


async def test_words_are_sealed_while_they_wait(office: Office) -> None:
    """Neither title nor text can be read in the row of a draft."""
    broadcast = await office.draft(await office.people(1))
    (row,) = await office.run("SELECT title, body FROM broadcasts WHERE id = :id", id=broadcast)

    assert TEXT.encode() not in row["body"]
    assert "春季体检".encode() not in row["title"]


async def test_readers_are_not_shown_to_each_other(office: Office) -> None:
    """Being told the same makes nobody acquainted: no names, no presence, no going through the list of readers."""
    people = await office.people(3)
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)
    detail = await office.scene.listing.one(people[0], broadcast)

    assert [member.user for member in detail.members] == [people[0]]
    assert await acquainted(office.scene.database.log, [(people[0], people[1])]) == set()
    with pytest.raises(Refusal) as error:
        await membership.leave(office.scene.services, actor=people[0], conversation=broadcast)
    assert error.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(Refusal) as unknown:
        await membership.leave(office.scene.services, actor=await office.scene.person(), conversation=broadcast)
    assert unknown.value.code is ErrorCode.NOT_FOUND


async def test_author_reads_along_and_has_read_it(office: Office) -> None:
    """Who prepared it finds it among their conversations, as it was said; a recipient like others if they are meant."""
    people = [office.staff.user, *await office.people(1)]
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)
    (mine,), _ = await office.scene.listing.page(office.staff.user, PAGING)

    assert (mine.id, mine.unread, mine.role) == (broadcast, 0, "reader")
    assert await office.noticed(broadcast) == sorted(people)


async def test_author_says_nothing_more_to_the_readers(office: Office) -> None:
    """It was approved as it is: nobody has the ear of everybody for ever."""
    broadcast = await office.started(await office.people(1))
    await advance(office.desk, broadcast)
    sent = await office.scene.send(broadcast, office.staff.user, "还有一件事")

    assert sent.status == 6  # forbidden


async def test_staff_who_read_a_broadcast_can_take_it_back(office: Office) -> None:
    """With a reason, as anything; the hub does, for it is the hub that said it. Its log says who; a repetition is one."""
    (patient,) = await office.people(1)
    broadcast = await office.started([patient])
    await advance(office.desk, broadcast)

    async def recall(who: str, role: str, client: str, reason: str = "发错了") -> Appended:
        return await operation.recall(
            office.scene.services,
            conversation=broadcast,
            actor=who,
            role=role,
            seq=2,
            client_msg_id=client,
            body=msgspec.json.encode({"reason": reason}),
        )

    for who, role, client, code in (
        (patient, "patient", "p-1", ErrorCode.FORBIDDEN),
        (patient, "patient", "broadcast", ErrorCode.FORBIDDEN),
        (office.admin.user, "admin", "a-1", ErrorCode.NOT_FOUND),
    ):
        with pytest.raises(Refusal) as error:
            await recall(who, role, client)
        assert error.value.code is code
    with pytest.raises(Refusal) as missing:
        await recall(office.staff.user, "staff", "s-0", "")
    assert missing.value.code is ErrorCode.INVALID
    first = await recall(office.staff.user, "staff", "s-1")
    again = await recall(office.staff.user, "staff", "s-1")
    seen = (await office.scene.history.page(patient, broadcast, after=0)).entries

    assert (first.seq, first.dup, again.seq, again.dup) == (3, False, 3, True)
    assert [(each.seq, each.sender, each.type, each.recalled) for each in seen] == [
        (2, None, "text", True),
        (3, None, "recall", False),
    ]
    assert seen[1].client_msg_id == f"{office.staff.user}:s-1"


async def test_announcements_follow_the_commit_and_name_each_once(office: Office) -> None:
    """Each new reader with the entry they see; the membership's version stays, or everybody would compare notes again."""
    people = await office.people(12)
    broadcast = await office.started(people)
    await advance(office.desk, broadcast)
    changes = [change for _, changes in office.told for change in changes]

    assert sorted(change.user for change in changes) == sorted([*people, office.staff.user])
    assert {(change.conversation, change.members_version, change.to_seq) for change in changes} == {
        (broadcast, 1, None)
    }
    assert {change.from_seq for change in changes if change.user != office.staff.user} == {2}
    assert {(entry.seq, bytes(entry.body)) for entry, _ in office.told} == {(2, b'{"text":"%s"}' % TEXT.encode())}
    assert len(office.told) == 2


async def test_digest_of_those_reached_before_does_not_change_with_later_chunks(office: Office) -> None:
    """Or each chunk of a large broadcast would make everybody who is online compare notes."""
    people = await office.people(20)
    broadcast = await office.started(people)
    await office.one_chunk(broadcast)
    before = await office.scene.history.digests(people[:10])
    await advance(office.desk, broadcast)

    assert await office.scene.history.digests(people[:10]) == before
    assert set(before.values()) == {"1.2.1.0"}


async def test_scheduler_and_workers_carry_it_out(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Started by staff, found by a sweep, done by a worker: two of each at once, and everybody meant is reached once."""
    chosen = settings_of(database_url, redis_url, tmp_path)
    office = await build_office(database, SystemClock())
    people = await office.people(1200)
    broadcast = await office.started(people[:1000])
    runs = [asyncio.ensure_future(part(chosen)) for part in (ticker.run, ticker.run, worker.run, worker.run)]
    try:
        async with asyncio.timeout(60):
            while (await office.state(broadcast))[0] != "done":  # noqa: ASYNC110  the effect is a row
                await asyncio.sleep(0.05)
    finally:
        for run in runs:
            run.cancel()
        for run in runs:
            with suppress(asyncio.CancelledError):
                await run

    assert await office.state(broadcast) == ("done", 1000, 1000, {})
    assert await office.noticed(broadcast) == people[:1000]
