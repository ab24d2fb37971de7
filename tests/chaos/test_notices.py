"""Notices while workers die, Valkey is flushed and restarted, and providers answer with everything they have (P6, P8, P9).

`HUB_CHAOS_NOTICES` sets how many people are away (200), `HUB_CHAOS_SEED` repeats a run's choices.
"""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import httpx
import pytest

from hub.platform import settings
from hub.platform.database import migrate
from hub.platform.embedded import open_servers
from tests.chaos.push_world import PushWorld, open_push_world

SEEN_SHARE = 0.3  # of the people read it on another device while the ladder runs
QUIET_S = 240.0
AT_ONCE = 20  # requests

_STATES = "SELECT state, reason, count(*) AS count FROM notices GROUP BY 1, 2 ORDER BY 1, 2"
_ATTEMPTS = "SELECT channel, state, count(*) AS count FROM notice_attempts GROUP BY 1, 2 ORDER BY 1, 2"
_OPEN = "SELECT count(*) FROM notices WHERE next_at IS NOT NULL"
_TWICE = "SELECT count(*) FROM (SELECT user_id FROM notices GROUP BY user_id HAVING count(*) > 1) t"
_HALF = "SELECT count(*) FROM notice_attempts WHERE state = 'leased'"
_AFTER = """
SELECT count(*) FROM notice_attempts a JOIN notices n ON n.id = a.notice
WHERE n.seen_at IS NOT NULL AND a.sent_at > n.seen_at
"""
_CALLS = "SELECT a.id::text FROM notice_attempts a WHERE a.channel = $1 AND a.sent_at IS NOT NULL"
_UNKNOWN = """
SELECT a.id::text, u.phone FROM notice_attempts a JOIN notices n ON n.id = a.notice JOIN users u ON u.id = n.user_id
WHERE a.channel = 'sms' AND a.state = 'unknown'
"""


@pytest.mark.timeout(3000)
async def test_every_notice_ends_and_none_comes_twice_or_after_the_reading_when_everything_breaks(
    data_folder: Path,
) -> None:
    """P6, P8, P9: one notice each, all terminal, nothing sent after seen, nothing twice where a provider can tell, no SMS twice."""
    count = int(os.environ.get("HUB_CHAOS_NOTICES", "200"))
    seed = int(os.environ.get("HUB_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    folder = data_folder / "notices"
    folder.mkdir(mode=0o711)
    async with open_servers(folder / "data") as servers:
        await migrate(settings.Database(url=servers.database_url))
        async with open_push_world(folder, servers, count) as world:
            faults: Counter[str] = Counter()
            breaking = asyncio.create_task(break_things(world, random.Random(seed), faults))
            try:
                await talk(world)
                await all_begin(world, count)
                await read_some(world, random.Random(seed))
                await all_end(world, count)
            finally:
                breaking.cancel()
                await asyncio.wait([breaking])
            report = await check(world, count)
    print(f"chaos notices={count} seed={seed} faults={dict(faults)} {report}")


async def talk(world: PushWorld) -> None:
    """The doctor writes into every room."""
    for start in range(0, len(world.rooms), AT_ONCE):
        await asyncio.gather(*(world.write(room) for room in list(world.rooms)[start : start + AT_ONCE]))


async def all_begin(world: PushWorld, count: int) -> None:
    """The sweep has made a notice for everybody."""
    async with asyncio.timeout(QUIET_S):
        while True:
            if await world.database.fetchval("SELECT count(*) FROM notices") >= count:
                return
            await asyncio.sleep(0.2)


async def read_some(world: PushWorld, dice: random.Random) -> None:
    """Some people read it, at moments all along the ladder."""
    readers = [(room, user) for room, members in world.rooms.items() for user in members if dice.random() < SEEN_SHARE]
    dice.shuffle(readers)
    part = max(20, len(readers) // 15)
    for number, start in enumerate(range(0, len(readers), AT_ONCE)):
        await asyncio.gather(*(world.read(room, user) for room, user in readers[start : start + AT_ONCE]))
        if number % (part // AT_ONCE) == 0:
            await asyncio.sleep(1)


async def break_things(world: PushWorld, dice: random.Random, faults: Counter[str]) -> None:
    """A worker dies every few seconds; in between Valkey is flushed, and killed for three seconds."""
    for turn in range(1000):
        await asyncio.sleep(dice.uniform(3, 6))
        match turn % 4:
            case 1:
                await flush(world)
                faults["flush"] += 1
            case 3:
                await world.servers.valkey.kill()
                await asyncio.sleep(2)
                await world.servers.valkey.start()
                faults["valkey"] += 1
            case _:
                worker = dice.choice(world.workers)
                worker.shoot()
                await worker.end()
                await worker.start()
                faults["worker"] += 1


async def flush(world: PushWorld) -> None:
    url = httpx.URL(world.servers.redis_url)
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port)
    writer.write((f"AUTH {url.password}\r\n" if url.password else "").encode() + b"FLUSHALL\r\n")
    await reader.readline()
    writer.close()


async def all_end(world: PushWorld, count: int) -> None:
    """Nothing is left to do for any notice."""
    async with asyncio.timeout(QUIET_S + count / 15):
        while True:
            if await world.database.fetchval(_OPEN) == 0:
                return
            await asyncio.sleep(0.5)


async def check(world: PushWorld, count: int) -> str:
    """What must hold, whatever happened; the answer is the counts."""
    pool = world.database
    states = {(row["state"], row["reason"]): row["count"] for row in await pool.fetch(_STATES)}
    attempts = {(row["channel"], row["state"]): row["count"] for row in await pool.fetch(_ATTEMPTS)}
    assert sum(states.values()) == count
    assert await pool.fetchval(_TWICE) == 0
    assert {state for state, _ in states} <= {"seen", "delivered", "unconfirmed", "failed"}
    assert await pool.fetchval(_HALF) == 0
    assert await pool.fetchval(_AFTER) == 0

    pushed = await world.received("webpush")
    shown = Counter(each["subscription"] for each in pushed if each["payload"]["type"] == "notice")
    tags = {each["subscription"]: each["topic"] for each in pushed}
    assert all(each["topic"] == tags[each["subscription"]] for each in pushed)  # a repetition replaces
    wechat = await world.control("weixin", {})
    texts = await world.received("sms")
    rings = Counter(each["phone"] for each in texts)
    assert max(rings.values(), default=0) <= 1
    calls = {row["id"] for row in await pool.fetch(_CALLS, "sms")}
    assert {each["attempt"] for each in texts} <= calls
    # An SMS whose outcome stays unknown is one that the provider never took: had it, the receipt or the question had told.
    unknown = {row["phone"] for row in await pool.fetch(_UNKNOWN)}
    assert unknown.isdisjoint(rings)
    return (
        f"states={states} attempts={attempts} pushes={sum(shown.values())} to {len(shown)}, "
        f"wechat shown={wechat['shown']}, sms={len(texts)}, sms unknown for good={len(unknown)}"
    )
