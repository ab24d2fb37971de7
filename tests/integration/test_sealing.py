"""Data keys in PostgreSQL: made once, shared by all nodes, re-wrapped by rotation, and gone once destroyed (P12)."""

import asyncio

import asyncpg
import pytest
from cryptography.exceptions import InvalidTag

from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring
from hub.security.rotation import OutdatedMasterKey
from hub.security.sealing import CACHE_S, Sealer, UnknownMasterKey
from tests.fake_clock import FakeClock

OLD = {"old": b"o" * 32}
NEW = {"new": b"n" * 32}


def sealer(database: Database, masters: dict[str, bytes] | None = None, clock: FakeClock | None = None) -> Sealer:
    return Sealer(Keyring(masters or OLD, b"s" * 32), database, clock or FakeClock())


async def destroy(database: Database, on: Sealer, subject: str) -> None:
    async with database.transaction() as connection:
        await on.destroy(connection, subject)


async def test_a_key_is_made_once_and_is_the_same_on_every_node(database: Database) -> None:
    """Two nodes that seal for one new person at once agree on one key."""
    one, other, subject = sealer(database), sealer(database), new_id()

    first, second = await asyncio.gather(one.key_for(subject), other.key_for(subject))
    assert first.id == second.id
    assert second.open(first.seal(b"text", b"place"), b"place") == b"text"
    assert one.cached(subject) is first
    assert one.cached_id(first.id) is first


async def test_callers_share_one_statement_and_none_is_hurt_by_another_giving_up(database: Database) -> None:
    """A hundred messages of one author read the key once, also when the first of them is cancelled."""
    node, subject = sealer(database), new_id()
    callers = [asyncio.create_task(node.key_for(subject)) for _ in range(100)]
    await asyncio.sleep(0)
    callers[0].cancel()
    keys = await asyncio.gather(*callers[1:])

    assert len({id(key) for key in keys}) == 1
    assert callers[0].cancelled()


async def test_keys_come_by_id_and_a_destroyed_one_is_none(database: Database) -> None:
    """A page of entries by several people opens with one statement; the erased ones say so."""
    node, alive, erased = sealer(database), new_id(), new_id()
    keys = [await node.key_for(alive), await node.key_for(erased)]
    await destroy(database, node, erased)
    found = await sealer(database).by_ids([key.id for key in keys])

    assert found[keys[1].id] is None
    assert found[keys[0].id] is not None
    assert await node.by_ids([keys[1].id]) == {keys[1].id: None}
    assert await node.by_ids([]) == {}


async def test_a_destroyed_key_is_gone_here_at_once_and_elsewhere_within_its_life(database: Database) -> None:
    """After the commit nothing opens on this node, and a minute later nowhere."""
    clock, subject = FakeClock(), new_id()
    here, elsewhere = sealer(database, clock=clock), sealer(database, clock=clock)
    await here.key_for(subject)
    key = await elsewhere.key_for(subject)
    await destroy(database, here, subject)

    assert here.cached(subject) is None
    assert here.cached_id(key.id) is None
    with pytest.raises(Refusal) as refused:
        await here.key_for(subject)
    assert refused.value.code is ErrorCode.NOT_FOUND
    await clock.advance(CACHE_S)
    assert elsewhere.cached(subject) is None
    assert await elsewhere.by_ids([key.id]) == {key.id: None}


async def test_a_key_read_while_its_destruction_commits_is_not_kept(database: Database) -> None:
    """A reader between the statement and the commit may still open; it leaves nothing in the cache."""
    node, subject = sealer(database), new_id()
    await node.key_for(subject)
    async with database.transaction() as connection:
        await node.destroy(connection, subject)
        await node.key_for(subject)
        assert node.cached(subject) is None
    with pytest.raises(Refusal):
        await node.key_for(subject)


async def test_a_person_erased_before_anything_was_sealed_never_gets_a_key(database: Database) -> None:
    """The tombstone stands even where no key was."""
    node, subject = sealer(database), new_id()
    await destroy(database, node, subject)

    with pytest.raises(Refusal):
        await node.key_for(subject)


async def no_keys(database: Database) -> None:
    """Those of the tests before are wrapped by master keys that others do not know."""
    await database.log.execute("DELETE FROM data_keys")
    await database.log.execute("DELETE FROM rotation_targets")


async def test_rotation_wraps_every_key_anew_and_may_be_repeated(database: Database) -> None:
    """After it the old master key is not needed, and what was sealed still opens."""
    await no_keys(database)
    before, subjects = sealer(database), [new_id() for _ in range(3)]
    sealed = [(await before.key_for(subject)).seal(b"text", b"") for subject in subjects]
    both = sealer(database, NEW | OLD)
    stale = await database.log.fetchval("SELECT count(*) FROM data_keys WHERE wrapped IS NOT NULL")

    assert await both.rotate() == stale
    assert await both.rotate() == 0
    after = sealer(database, NEW)
    assert [(await after.key_for(s)).open(b, b"") for s, b in zip(subjects, sealed, strict=True)] == [b"text"] * 3
    with pytest.raises(UnknownMasterKey, match="new"):
        await sealer(database).key_for(subjects[0])


async def test_rotation_goes_forward_only(database: Database) -> None:
    """P12: a process that seals with a followed master key wraps nothing: what it wrapped would be lost with that key."""
    subject, first, second = new_id(), {"first": b"1" * 32}, {"second": b"2" * 32}
    await no_keys(database)
    await sealer(database, first).key_for(subject)  # never aimed at, as it is without a rotation
    newest = sealer(database, second | first | OLD | NEW)
    while await newest.rotate():
        pass
    followed = sealer(database, first | second | OLD | NEW)
    for _ in range(2):
        with pytest.raises(OutdatedMasterKey, match="first was followed by second"):
            await followed.rotate()

    wrapped_by = "SELECT master_key FROM data_keys WHERE subject = $1"
    assert await database.log.fetchval(wrapped_by, subject) == "second"
    assert await newest.rotate() == 0
    third = sealer(database, {"third": b"3" * 32} | second)
    assert await third.rotate() > 0
    with pytest.raises(OutdatedMasterKey):
        await newest.rotate()


async def test_a_wrapped_key_cannot_be_moved_to_another_person(database: Database) -> None:
    """Who can write to the table still cannot open one person's data under another's name."""
    one, other = new_id(), new_id()
    node = sealer(database)
    await node.key_for(one)
    await node.key_for(other)
    moved = "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE subject = $1) WHERE subject = $2"
    await database.log.execute(moved, one, other)

    with pytest.raises(InvalidTag):
        await sealer(database).key_for(other)
    await database.log.execute("DELETE FROM data_keys WHERE subject = $1", other)


async def test_a_lost_database_fails_the_callers_and_nothing_sticks(database: Database) -> None:
    """The next call tries afresh."""
    node, subject = sealer(database), new_id()
    await database.log.execute("ALTER TABLE data_keys RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await node.key_for(subject)
    await database.log.execute("ALTER TABLE away RENAME TO data_keys")

    assert (await node.key_for(subject)).subject == subject
