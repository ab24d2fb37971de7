"""Where somebody was reached once, and what was sent to prove a mailbox, is not kept for ever."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio

from hub.notices import address_store
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from scheduler.retention import forgets


@pytest_asyncio.fixture
async def user(database: Database) -> AsyncIterator[str]:
    """Somebody with an openid like their id."""
    who = new_id()
    await database.log.execute("INSERT INTO users (id, wechat_openid) VALUES ($1, 'o-' || $2)", who, who)
    yield who
    await database.log.execute("DELETE FROM users WHERE id = $1", who)
    await database.log.execute("DELETE FROM wechat_quotas WHERE openid = 'o-' || $1", who)


async def address(database: Database, user: str, gone: timedelta | None, count: int = 1) -> list[str]:
    """Subscriptions of theirs that are gone for that long; None: which still stand."""
    ids = [new_id() for _ in range(count)]
    await database.log.executemany(
        "INSERT INTO notice_addresses (id, user_id, channel, value, extra, gone_at, gone_why) VALUES"
        " ($1, $2, 'webpush', $3, '{\"auth\": \"x\"}', clock_timestamp() - $4::interval, 'removed')",
        [(each, user, f"https://push.example.com/{each}", gone) for each in ids],
    )
    return ids


async def kept(database: Database, ids: list[str]) -> list[tuple[Any, ...]]:
    """Whether each still has its address, its keys, and the reason why it is gone."""
    found = await database.log.fetch(
        "SELECT value <> '', extra <> '{}', gone_why FROM notice_addresses WHERE id = ANY ($1::uuid[]) ORDER BY id", ids
    )
    return [tuple(row) for row in found]


async def code(database: Database, user: str, age: timedelta) -> str:
    found = new_id()
    await database.log.execute(
        "INSERT INTO email_codes (id, user_id, email, address, code_hash, created_at, expires_at) VALUES"
        " ($1, $2, 'wang@example.com', '10.1.2.3', '', clock_timestamp() - $3::interval, clock_timestamp())",
        found,
        user,
        age,
    )
    return found


async def quota(database: Database, openid: str, age: timedelta) -> None:
    await database.log.execute(
        "INSERT INTO wechat_quotas (openid, template, remaining, updated_at) VALUES"
        " ($1, 'wechat-chat', 1, clock_timestamp() - $2::interval)",
        openid,
        age,
    )


async def test_an_address_that_is_gone_is_emptied(database: Database, user: str) -> None:
    """After ninety days; that there was one stays for the ledger, and any number of them may be empty."""
    old = await address(database, user, timedelta(days=91), 1200)
    young = await address(database, user, timedelta(days=89))
    standing = await address(database, user, None)
    forgotten = await address_store.forget(database)

    assert forgotten == 1200
    assert set(await kept(database, old)) == {(False, False, "removed")}
    assert await kept(database, young + standing) == [(True, True, "removed")] * 2
    assert await address_store.forget(database) == 0


async def test_codes_are_forgotten_after_a_day(database: Database, user: str) -> None:
    """No limit counts them any more: the mailbox was perhaps never theirs."""
    await code(database, user, timedelta(hours=25))
    young = await code(database, user, timedelta(hours=23))
    await address_store.forget(database)

    assert await database.log.fetch("SELECT id::text FROM email_codes WHERE user_id = $1", user) == [(young,)]


async def test_quotas_of_nobody_are_forgotten(database: Database, user: str) -> None:
    """Not on the first day: what somebody agrees to may be told before they have an account."""
    stranger, newcomer, mine = f"o{secrets.token_hex(8)}", f"o{secrets.token_hex(8)}", f"o-{user}"
    await quota(database, stranger, timedelta(days=2))
    await quota(database, newcomer, timedelta(hours=1))
    await quota(database, mine, timedelta(days=400))
    forgotten = await address_store.forget(database)
    left = await database.log.fetch(
        "SELECT openid FROM wechat_quotas WHERE openid = ANY ($1)", [stranger, newcomer, mine]
    )

    assert forgotten == 1
    assert {row["openid"] for row in left} == {newcomer, mine}


async def test_the_scheduler_forgets(database: Database, user: str) -> None:
    """It is one of the classes of records that schedulers delete."""
    await address(database, user, timedelta(days=91))

    assert await forgets(Settings(), database, SystemClock())["gone addresses"]() == 1
