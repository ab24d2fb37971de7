"""A broadcast that is held: its notices send nothing more, from that moment on, and go on when it does."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from hub.notices import store
from hub.notices.notice_class import CLASSES
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.ledger_scene import notice
from tests.integration.notice_scene import Post, ScriptedChannel, change_class, open_post


@pytest.fixture
def push() -> ScriptedChannel:
    return ScriptedChannel("webpush")


@pytest_asyncio.fixture
async def post(database: Database, redis_url: str, push: ScriptedChannel) -> AsyncIterator[Post]:
    await database.log.execute("DELETE FROM notices")
    await change_class(database, msgspec.structs.replace(CLASSES["system"], quiet="ignore"))
    async with open_post(database, redis_url, push) as opened:
        yield opened


async def told(post: Post, state: str) -> tuple[str, str]:
    """A broadcast in this state, and a notice of it that is due."""
    broadcast, user = new_id(), await post.person()
    await post.database.log.execute(
        """INSERT INTO broadcasts (id, class, title, key_id, segment, state, estimated, created_by, created_at)
           VALUES ($1, 'system', '', $1, '{}', $2, 1, $1, now())""",
        broadcast,
        state,
    )
    await post.reach(user, "webpush")
    made = await notice(post.database, user, class_="system", broadcast=broadcast)
    await post.database.log.execute("UPDATE notices SET next_at = clock_timestamp() WHERE id = $1", made)
    return broadcast, made


async def move(post: Post, broadcast: str, state: str) -> None:
    await post.database.log.execute("UPDATE broadcasts SET state = $2 WHERE id = $1", broadcast, state)


async def deliver(post: Post) -> None:
    """Until nothing is due: what is looked at again and again would never end."""
    async with asyncio.timeout(5):
        await post.deliver()


@pytest.mark.parametrize("state", ["paused", "cancelled"])
async def test_notices_of_a_held_broadcast_are_not_sent_and_not_looked_at_all_the_time(
    post: Post, push: ScriptedChannel, state: str
) -> None:
    """Half a minute later they are looked at again; once it goes on, they go out."""
    broadcast, made = await told(post, state)
    await deliver(post)
    held = await post.database.log.fetchrow(
        "SELECT state, lease, next_at - clock_timestamp() AS wait FROM notices WHERE id = $1", made
    )
    assert push.sent == []
    assert (held["state"], held["lease"]) == ("open", None)
    assert 25 < held["wait"].total_seconds() <= 30
    await move(post, broadcast, "running")
    await post.pass_time(30)
    await deliver(post)

    assert len(push.sent) == 1


async def test_a_call_that_was_about_to_be_made_is_not_made_after_a_pause(
    post: Post, push: ScriptedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look before a call sees it too."""
    broadcast, made = await told(post, "done")
    begin = store.begin

    async def pausing(pool: asyncpg.Pool, lease: str, calls: Sequence[Any]) -> Mapping[str, datetime]:
        await move(post, broadcast, "paused")
        return await begin(pool, lease, calls)

    monkeypatch.setattr(store, "begin", pausing)
    await deliver(post)

    tried = await post.database.log.fetch("SELECT channel FROM notice_attempts WHERE notice = $1", made)
    assert push.sent == []
    assert "webpush" not in [row["channel"] for row in tried]


async def test_a_held_notice_expires_as_any_other(post: Post, push: ScriptedChannel) -> None:
    """Too late is too late, whatever it waited for."""
    _, made = await told(post, "paused")
    await post.database.log.execute("UPDATE notices SET expires_at = clock_timestamp() WHERE id = $1", made)
    await deliver(post)

    assert push.sent == []
    assert await post.database.log.fetchval("SELECT state FROM notices WHERE id = $1", made) == "expired"
