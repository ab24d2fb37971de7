"""What happens while a worker is at a notice: reading, leaving, dying, another worker (P5, P8)."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from channels.port import Message, Outcome, Verdict
from hub.notices.notice_class import CLASSES, Step
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.delivery_scene import Desk, away, open_desk
from tests.integration.notice_scene import change_class


@pytest_asyncio.fixture
async def desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database, redis_url) as opened:
        yield opened


async def test_call_of_a_dead_worker_is_unknown(desk: Desk) -> None:
    """P8: after a kill between the call and its answer nobody knows; an SMS is not sent again."""
    patient, _, _ = await away(desk, "sms")
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()
    await desk.post.database.log.execute("UPDATE notice_attempts SET state = 'leased' WHERE channel = 'sms'")
    await desk.post.database.log.execute(
        "UPDATE notices SET lease = gen_random_uuid(), next_at = now() WHERE user_id = $1", patient
    )
    await desk.post.deliver()

    assert len(desk.aliyun.sent) == 1
    assert ("sms", "unknown", "worker_lost") in await desk.post.attempts(patient)


async def test_worker_that_lost_its_lease_changes_nothing(desk: Desk) -> None:
    """Its outcome is written beside the attempt; what becomes of the notice is the new holder's to say."""
    patient, _, _ = await away(desk, "webpush")

    def stolen(_message: object) -> Outcome:
        return Outcome(verdict=Verdict.ACCEPTED)

    desk.webpush.answers = [stolen]
    await desk.post.sweep()
    pool = desk.post.database.log
    await pool.execute(
        """CREATE OR REPLACE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN UPDATE notices SET lease = gen_random_uuid() WHERE id = NEW.notice; RETURN NULL; END $$"""
    )
    await pool.execute(
        "CREATE TRIGGER steal AFTER INSERT ON notice_attempts FOR EACH ROW WHEN (NEW.state = 'leased') EXECUTE FUNCTION steal()"
    )
    try:
        await desk.post.deliver()
    finally:
        await pool.execute("DROP TRIGGER steal ON notice_attempts")

    [notice] = await desk.post.notices(patient)
    assert (notice["state"], notice["lease"] is not None) == ("open", True)
    assert ("webpush", "accepted", "") in await desk.post.attempts(patient)


@pytest.mark.parametrize("what", ["read", "delivered"])
async def test_nothing_is_sent_to_who_saw_it_between_the_claim_and_the_call(desk: Desk, what: str) -> None:
    """P8: the last look is in the statement that writes the call down."""
    patient, _, group = await away(desk, "webpush")
    await desk.post.sweep()
    desk.between_claim_and_call(lambda: desk.post.cursor(patient, group, **{what: 2}))
    await desk.post.deliver()

    assert desk.webpush.sent == []
    [notice] = await desk.post.notices(patient)
    assert notice["state"] == ("seen" if what == "read" else "delivered")


async def test_worker_that_is_asked_to_stop_gives_back_what_it_has_not_begun(desk: Desk) -> None:
    """A deployment costs nobody a lease's time: the next worker goes on at once."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()

    async def stop() -> None:
        desk.post.delivery.stop()

    desk.between_claim_and_call(stop)
    await desk.post.delivery.drain("normal", 0)

    [notice] = await desk.post.notices(patient)
    overdue = await desk.post.database.log.fetchval("SELECT next_at <= now() FROM notices WHERE id = $1", notice["id"])
    assert (desk.webpush.sent, notice["state"], notice["lease"], overdue) == ([], "open", None, True)


async def test_entry_that_joins_while_a_worker_is_at_it_is_not_ended_with_it(desk: Desk) -> None:
    """What the worker decided is about what it had claimed."""
    patient, doctor, group = await away(desk, "webpush")
    await desk.post.sweep()
    sent = asyncio.Event()

    async def joins(message: object) -> None:
        await desk.post.send(group, doctor, "还有一件事")
        await desk.post.database.log.execute(
            "UPDATE entries SET created_at = created_at - interval '11 s' WHERE conversation = $1 AND seq = 3", group
        )
        await desk.post.sweep()
        sent.set()

    send = desk.webpush.send

    async def meanwhile(message: Message) -> Outcome:
        if not sent.is_set():
            await joins(message)
        return await send(message)

    desk.webpush.send = meanwhile  # type: ignore[method-assign]
    await desk.post.deliver()

    notices = await desk.post.notices(patient)
    assert [(each["first_seq"], each["upto_seq"]) for each in notices] == [(2, 2), (3, 3)]


@pytest.mark.parametrize("what", ["session", "account", "address"])
async def test_last_look_sees_what_changed_since_the_claim(desk: Desk, what: str) -> None:
    """P5: who signed out, was suspended, or gave the browser to somebody else in this moment, is sent nothing."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    pool = desk.post.database.log
    session = new_id()
    await pool.execute(
        """INSERT INTO sessions (id, user_id, created_at, last_seen_at, expires_at)
           VALUES ($1, $2, now(), now(), now() + interval '1 day')""",
        session,
        patient,
    )
    await pool.execute("UPDATE notice_addresses SET session_id = $1 WHERE user_id = $2", session, patient)
    changes = {
        "session": "UPDATE sessions SET revoked_at = now() WHERE user_id = $1",
        "account": "UPDATE users SET status = 'suspended' WHERE id = $1",
        "address": "UPDATE notice_addresses SET gone_at = now() WHERE user_id = $1",
    }

    desk.between_claim_and_call(lambda: pool.execute(changes[what], patient))
    await desk.post.deliver()

    assert desk.webpush.sent == []


async def test_outage_of_postgresql_cancels_no_call_that_is_out(desk: Desk) -> None:
    """A claim that fails costs nothing but time: what was sent before is written down."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    out, answered = asyncio.Event(), asyncio.Event()
    send, claim = desk.webpush.send, desk.post.delivery._classes.all

    async def slow(message: Message) -> Outcome:
        out.set()
        await answered.wait()
        return await send(message)

    async def broken(*_: object) -> object:
        if not out.is_set():
            return await claim()
        answered.set()
        raise OSError("away")

    desk.webpush.send = slow  # type: ignore[method-assign]
    desk.post.delivery._classes.all = broken  # type: ignore[assignment,method-assign]
    await desk.post.delivery.drain("normal", 0)

    assert ("webpush", "accepted", "") in await desk.post.attempts(patient)


async def test_step_that_waits_for_reading_is_not_made_when_it_was_read_in_this_moment(desk: Desk) -> None:
    """P8, where a device that has it is not enough: the reading itself is what the last look sees."""
    only = msgspec.structs.replace(CLASSES["chat"], ladder=[Step("webpush", unless="read")])
    await change_class(desk.post.database, only)
    patient, _, group = await away(desk, "webpush")
    await desk.post.sweep()
    desk.between_claim_and_call(lambda: desk.post.cursor(patient, group, read=2))
    try:
        await desk.post.deliver()
    finally:
        await desk.post.database.log.execute("DELETE FROM notice_classes")

    assert desk.webpush.sent == []
