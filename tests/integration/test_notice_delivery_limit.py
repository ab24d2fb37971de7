"""How much is sent: quotas, limits of providers, digests, places of a lane. What is held back comes later (P9)."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from channels.port import Outcome, Pause, Scope, Verdict
from hub.platform.database import Database
from tests.integration.delivery_scene import Desk, away, clear, open_desk
from tests.integration.notice_scene import ScriptedChannel, open_post


@pytest_asyncio.fixture
async def desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database, redis_url) as opened:
        yield opened


async def test_quota_is_spent_given_back_and_emptied(desk: Desk) -> None:
    """One accept is one send: a send that was certainly not taken costs nothing, and 43101 means that nothing is left."""
    patient, _, _ = await away(desk, "wechat")
    desk.wechat.answers = [
        Outcome(verdict=Verdict.RETRY, code="-1"),
        Outcome(verdict=Verdict.REFUSED, code="43101"),
    ]
    query = "SELECT remaining FROM wechat_quotas WHERE openid = $1 AND template = 'wechat-chat'"
    await desk.post.sweep()
    await desk.post.deliver()
    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 5
    await desk.post.pass_time(5)
    await desk.post.deliver()

    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 0
    assert ("wechat", "refused", "43101") in await desk.post.attempts(patient)


async def test_later_entries_bother_again_only_after_the_digest_window(desk: Desk) -> None:
    """A conversation bothers once in ten minutes, and what came meanwhile is told then."""
    patient, doctor, group = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.send(group, doctor, "在吗")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.deliver()
    assert len(desk.webpush.sent) == 1
    await desk.post.pass_time(1800)
    await desk.post.deliver()
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 2
    assert [notice["first_seq"] for notice in await desk.post.notices(patient)] == [2, 3]


async def test_limit_of_a_provider_holds_calls_back_and_loses_none(desk: Desk) -> None:
    """A bucket that is empty delays; every notice is sent in the end."""
    desk.webpush.per_s = 2
    for _ in range(4):
        await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.deliver()
    assert len(desk.webpush.sent) == 2
    desk.webpush.per_s = 1000
    await desk.post.pass_time(3)
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 4


async def test_limit_of_one_provider_holds_back_no_other_step(desk: Desk) -> None:
    """WeChat is paused for half a day; the text message comes at its time all the same."""
    patient, _, _ = await away(desk, "wechat", "sms")
    desk.wechat.per_s = 1
    wait = Outcome(verdict=Verdict.RETRY, code="45009", pause=Pause(Scope.PROVIDER, 43_200))
    desk.wechat.answers = [wait]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(1801)
    await desk.post.deliver()

    assert (len(desk.wechat.sent), len(desk.aliyun.sent)) == (1, 1)
    assert ("sms", "accepted", "") in await desk.post.attempts(patient)


async def test_43101_after_a_lost_answer_means_that_it_arrived(desk: Desk) -> None:
    """The call whose answer was lost took the last of the quota."""
    patient, _, _ = await away(desk, "wechat")
    desk.wechat.answers = [Outcome(verdict=Verdict.UNKNOWN), Outcome(verdict=Verdict.REFUSED, code="43101")]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(5)
    await desk.post.deliver()

    assert ("wechat", "accepted", "43101") in await desk.post.attempts(patient)


async def test_quota_is_spent_by_each_of_two_notices_at_once(desk: Desk) -> None:
    """Two conversations of one person in one claim: two sends, two less."""
    patient, _, _ = await away(desk, "wechat")
    doctor, group = await desk.post.group(patient)
    await desk.post.send(group, doctor, "另一件事")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.deliver()
    query = "SELECT remaining FROM wechat_quotas WHERE openid = $1 AND template = 'wechat-chat'"

    assert len(desk.wechat.sent) == 2
    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 3


async def test_many_conversations_cost_nobody_their_alerts(desk: Desk) -> None:
    """Carriers cut off a phone that gets too many text messages: whoever writes often gets no more than so many through."""
    patient = await desk.post.person()
    await desk.post.reach(patient, "sms")
    for _ in range(7):
        doctor, group = await desk.post.group(patient)
        await desk.post.send(group, doctor, "您好")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    for _ in range(7):
        await desk.post.pass_time(1801)
        await desk.post.deliver()
        await desk.post.database.log.execute("UPDATE notices SET next_at = now() WHERE state = 'open'")

    assert len(desk.aliyun.sent) == 5
    more, group = await desk.post.group(patient)
    await desk.post.send(group, more, "在吗")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()

    assert ("sms", "suppressed", "texts_enough") in await desk.post.attempts(patient)


async def test_as_many_are_under_way_as_may_be_however_many_shards_there_are(
    database: Database, redis_url: str
) -> None:
    """Drains of one lane share its places; and one that is stopped meanwhile claims nothing."""
    channel = ScriptedChannel("webpush")
    out = asyncio.Event()
    channel.answers = [out] * 100
    async with open_post(database, redis_url, channel, in_flight=8) as post:
        await clear(database)
        await post.sweep()
        for _ in range(40):
            patient = await post.person()
            await post.reach(patient, "webpush")
            doctor, group = await post.group(patient)
            await post.send(group, doctor, "您好")
        await post.pass_time(11)
        await post.sweep()
        rows = await database.log.fetch("SELECT id FROM notices")
        for number, row in enumerate(rows):
            await database.log.execute("UPDATE notices SET shard = $2 WHERE id = $1", row["id"], number % 8)
        drains = [asyncio.create_task(post.delivery.drain("normal", shard)) for shard in range(8)]
        async with asyncio.timeout(10):
            while len(channel.sent) < 4:  # noqa: ASYNC110 - half of the places for one provider
                await asyncio.sleep(0)
        assert post.delivery._busy["normal"] <= 8
        post.delivery.stop()
        out.set()
        await asyncio.gather(*drains)

    assert len(channel.sent) <= 8
