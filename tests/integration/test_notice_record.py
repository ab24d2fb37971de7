"""Writing down what came of notices: whatever a provider said, and whatever cannot be written, costs no other notice anything."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
import structlog

from channels.port import Outcome, Verdict
from channels.word import NOT_A_CODE
from hub.notices.model import State
from hub.notices.record import Recorder, Result
from hub.notices.store import Claimed, claim
from hub.platform.database import Database
from tests.integration.notice_scene import ACCEPTED, Post, ScriptedChannel, open_post


class Desk:
    """A worker with web push, and three patients who did not receive what a doctor wrote."""

    def __init__(self, post: Post, webpush: ScriptedChannel, patients: list[str]) -> None:
        self.post = post
        self.webpush = webpush
        self.patients = patients


@pytest_asyncio.fixture
async def desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    for table in ("notices", "notice_marks", "entries"):
        await database.log.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here
    webpush = ScriptedChannel("webpush")
    async with open_post(database, redis_url, webpush) as post:
        await post.sweep()  # the mark
        patients = [await away(post) for _ in range(3)]
        await post.pass_time(11)
        await post.sweep()
        yield Desk(post, webpush, patients)


async def away(post: Post) -> str:
    patient = await post.person("patient", "张三丰")
    await post.reach(patient, "webpush")
    doctor, group = await post.group(patient)
    await post.send(group, doctor, "请今天量血压")
    return patient


def failed(claimed: Claimed, reason: str) -> Result:
    return Result(
        notice=claimed.notice.id,
        class_=claimed.notice.class_,
        lease=claimed.lease,
        claimed_at=claimed.now,
        end=State.FAILED,
        reason=reason,
    )


async def test_a_bad_answer_costs_no_other_notice_its_end(desk: Desk) -> None:
    """It may hold what PostgreSQL does not take, or what nobody may read: the ledger gets neither."""
    bad = Outcome(verdict=Verdict.DEAD, code="张三\x00", provider_id="1\x00")
    desk.webpush.answers = [bad, ACCEPTED, ACCEPTED]
    await desk.post.deliver()
    made = sorted([(await desk.post.attempts(each))[0] for each in desk.patients])

    assert made == [("webpush", "accepted", ""), ("webpush", "accepted", ""), ("webpush", "dead", NOT_A_CODE)]


async def test_one_result_that_cannot_be_written_costs_no_other(desk: Desk) -> None:
    """They are collected into one statement; where that fails, each is written alone, and the log quotes no value."""
    pool = desk.post.database.log
    claimed = await claim(pool, "normal", 0, 10, 60)
    recorder = Recorder(pool, {})
    said = ["no_address", "张三\x00", "no_address"]
    with structlog.testing.capture_logs() as logged:
        submitted = [
            asyncio.create_task(recorder.submit(failed(each, reason)))
            for each, reason in zip(claimed, said, strict=True)
        ]
        await asyncio.sleep(0)  # all three wait before the first statement
        writing = asyncio.create_task(recorder.run())
        await asyncio.gather(*submitted)
        writing.cancel()
        await asyncio.wait([writing])
    rows = [await pool.fetchrow("SELECT state, reason FROM notices WHERE id = $1", each.notice.id) for each in claimed]

    assert [tuple(row) for row in rows] == [("failed", "no_address"), ("open", ""), ("failed", "no_address")]
    assert [each["event"] for each in logged] == ["notices not written together", "notice not written"]
    assert "张三" not in repr(logged)
