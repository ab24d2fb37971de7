"""The demo: the people that the contract promises, conversations that read well, and nothing twice."""

import asyncio
import time
from pathlib import Path

import pytest

from hub import demo
from hub.accounts.model import Role
from hub.demo_talk import CAST, TALKS, name_of
from hub.messaging.history import History
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.settings import Settings
from hub.security.keyring import create_key_file, key_path, load_keyring
from hub.security.sealing import Sealer

STATE = """SELECT (SELECT count(*) FROM users), (SELECT max(updated_at) FROM users), (SELECT count(*) FROM entries),
                  (SELECT max(created_at) FROM entries), (SELECT sum(head + members_version) FROM conversations)"""


@pytest.fixture
def chosen(database_url: str, tmp_path: Path) -> Settings:
    found = Settings(database=settings.Database(url=database_url), data=settings.Data(dir=str(tmp_path)))
    create_key_file(key_path(found))
    return found


async def test_a_second_seed_changes_nothing(chosen: Settings, database: Database) -> None:
    """Also when two processes seed at once, as two that start together do; and it is quick."""
    assert (await demo.describe(chosen)).endswith("还没有演示数据，请先运行 ./dev hub seed")
    started = time.monotonic()
    first = await asyncio.gather(demo.seed(chosen), demo.seed(chosen))
    took = time.monotonic() - started
    before = await database.log.fetchrow(STATE)
    again = await demo.seed(chosen)
    shown = await demo.describe(chosen)

    assert [each is None for each in first].count(True) == 1
    assert again is None
    assert await database.log.fetchrow(STATE) == before
    assert took < 3
    await check_people(database)
    await check_conversations(chosen, database)
    assert "13800000001–13800000050  黄书恒 等（有会话的：尾号 01、02、03、04、05、07）" in shown
    assert "[陪诊] 陪诊服务 · 消化内科复诊（4 人，2 条未读）：我已到东门" in shown
    assert (await demo.describe(chosen, "13899999999")).endswith("没有手机号为 13899999999 的用户")


async def check_people(database: Database) -> None:
    """Everybody has the phone and the role that the contract names."""
    rows = await database.log.fetch("SELECT role, min(phone), max(phone), count(*) FROM users GROUP BY role")
    found = {row[0]: (int(row[1]), int(row[2]), row[3]) for row in rows}

    assert found == {role: (first, first + count - 1, count) for role, (first, count) in CAST.items()}


async def check_conversations(chosen: Settings, database: Database) -> None:
    """Each reads as written, in time order, sealed with the keys of the people in it."""
    sealer = Sealer(load_keyring(chosen), database)
    history = History(database.log, sealer, 50)
    for talk in TALKS:
        reader = await database.log.fetchval(
            "SELECT id::text FROM users WHERE name = $1", name_of(role_of(talk.people[0]), int(talk.people[0][1:]))
        )
        entries = (await history.page(reader, demo._id_of(talk), after=0, limit=100)).entries
        assert len(entries) == len(talk.lines) + bool(talk.title)
        assert not any(entry.erased for entry in entries)
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def role_of(place: str) -> Role:
    return next(role for role in CAST if role[0] == place[0])


def test_names_are_hardly_ever_repeated() -> None:
    """People tell each other apart by name."""
    names = [name_of(role, number) for role, (_, count) in CAST.items() for number in range(1, count + 1)]

    assert len(set(names)) == len(names)
