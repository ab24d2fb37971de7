"""The sweep that derives notices from cursors: nothing missed after an outage or a late commit, nothing twice with two sweepers."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from hub.notices.derive import derive
from hub.notices.notice_class import CLASSES
from hub.notices.withdrawal import Withdrawals
from hub.platform.database import Database
from tests.integration.notice_scene import LATE_S, SHARDS, Post, open_post


@pytest_asyncio.fixture
async def post(database: Database, redis_url: str) -> AsyncIterator[Post]:
    for table in ("notices", "notice_marks", "entries"):
        await database.log.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here
    async with open_post(database, redis_url) as opened:
        await opened.sweep()
        yield opened


async def written(post: Post) -> tuple[str, str]:
    """(patient, conversation) with an entry of the doctor's."""
    patient = await post.person()
    doctor, group = await post.group(patient)
    await post.send(group, doctor, "请按时服药")
    return patient, group


async def test_outage_of_the_schedulers_is_made_up_for(post: Post) -> None:
    """The next sweep goes on from where the last one stopped."""
    patient, _ = await written(post)
    await post.pass_time(3 * 3600)
    await post.sweep()

    assert len(await post.notices(patient)) == 1


async def test_entry_that_commits_late_is_found(post: Post) -> None:
    """Its time is that of its statement, and the sweep has passed it already when it becomes visible."""
    patient, _group = await written(post)
    await post.pass_time(30)
    await post.sweep()
    await post.database.log.execute("DELETE FROM notices")
    await post.pass_time(LATE_S / 2 + 1)
    await post.sweep()

    assert len(await post.notices(patient)) == 1


async def test_two_sweepers_make_one_notice(post: Post) -> None:
    """One of them passes over the class that the other is at."""
    patient, _ = await written(post)
    await post.pass_time(11)
    await asyncio.gather(*(derive(post.database.log, CLASSES["chat"], SHARDS, LATE_S) for _ in range(4)))
    await post.sweep()

    assert len(await post.notices(patient)) == 1


async def test_muted_conversation_and_own_entries_bother_nobody(post: Post) -> None:
    """Who muted it wants no notices; who wrote knows."""
    patient, _group = await written(post)
    await post.database.log.execute("UPDATE members SET muted = true WHERE user_id = $1", patient)
    await post.pass_time(11)

    assert await post.sweep() == set()


async def test_cards_of_the_hub_are_their_own_class(post: Post) -> None:
    """What happens to an order is not a chat message; it has its own grace and ladder."""
    patient = await post.person()
    doctor, group = await post.group(patient)
    await post.database.log.execute(
        """INSERT INTO entries (conversation, seq, sender, type, body, body_digest, key_id, client_msg_id, created_at)
           VALUES ($1, 2, '00000000-0000-0000-0000-000000000000', 'card', '', '', gen_random_uuid(), 'c', clock_timestamp())""",
        group,
    )
    await post.database.log.execute("UPDATE conversations SET head = 2 WHERE id = $1", group)
    await post.sweep("order")
    await post.pass_time(31)
    assert await post.sweep("chat") == set()
    await post.sweep("order")

    assert [notice["class"] for notice in await post.notices(patient)] == ["order"]
    assert [notice["class"] for notice in await post.notices(doctor)] == ["order"]


async def test_receipt_of_reading_ends_every_notice_it_covers(post: Post) -> None:
    """Also one whose ladder is done; what comes after what was read stays open."""
    patient, group = await written(post)
    await post.pass_time(11)
    await post.sweep()
    withdrawals = Withdrawals(post.database.append)
    withdrawals.note(patient, group, 1)
    withdrawals.note(patient, group, 2)
    running = asyncio.create_task(withdrawals.run())
    try:
        async with asyncio.timeout(10):
            while (await post.notices(patient))[0]["state"] != "seen":  # noqa: ASYNC110 - nothing tells of it but the row
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.wait([running])

    [notice] = await post.notices(patient)
    assert (notice["next_at"], notice["reason"]) == (None, "read")
