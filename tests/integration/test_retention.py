"""What is deleted when its time is over, and what never is."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer
from hub.timers.actions import Timer, set_timers
from scheduler import retention
from scheduler.retention import forgets, in_batches
from scheduler.ticker import key_steps
from tests.integration.ledger_scene import notice

KEPT = settings.Retention(notices_days=1000, timers_days=90, events_days=30, callbacks_days=7, webhook_log_days=30)


@pytest_asyncio.fixture
async def user(database: Database) -> AsyncIterator[str]:
    """Somebody with notices; the tables are this test's own."""
    for statement in ("DELETE FROM notices", "DELETE FROM timers", "DELETE FROM events"):
        await database.log.execute(statement)
    found = new_id()
    await database.log.execute("INSERT INTO users (id, name) VALUES ($1, '张三丰')", found)
    yield found


async def sweep(database: Database, name: str, kept: settings.Retention = KEPT) -> int:
    return await forgets(Settings(retention=kept), database, SystemClock())[name]()


async def ended(database: Database, notice_id: str, days: int, waits_h: int | None = None) -> str:
    statement = """UPDATE notices SET ended_at = now() - make_interval(days => $2),
        next_at = now() + make_interval(hours => $3) WHERE id = $1"""
    await database.log.execute(statement, notice_id, days, waits_h)
    return notice_id


async def left(database: Database) -> set[str]:
    return {str(row["id"]) for row in await database.log.fetch("SELECT id FROM notices")}


async def test_old_notices_go_with_their_attempts_and_open_ones_stay(database: Database, user: str) -> None:
    """However old: one that is open, that waits for a receipt, or that a worker still looks at, is kept (P8)."""
    tried = ((0, "sms", "delivered", ""), (1, "email", "delivered", ""))
    old = await ended(database, await notice(database, user, "seen", *tried), 1001)
    young = await ended(database, await notice(database, user, "seen", *tried), 999)
    waiting = await ended(database, await notice(database, user, "delivered"), 5000, waits_h=1)
    alive = await notice(database, user, "open")
    await database.log.execute("UPDATE notices SET created_at = now() - interval '20 years' WHERE id = $1", alive)

    assert await sweep(database, "old notices") == 1
    assert await left(database) == {young, waiting, alive}
    assert await database.log.fetchval("SELECT count(*) FROM notice_attempts WHERE notice = $1", old) == 0
    assert await database.log.fetchval("SELECT count(*) FROM notice_attempts WHERE notice = $1", young) == 2


async def test_old_timers_go_and_pending_ones_stay(database: Database, user: str) -> None:
    """Fired, expired or cancelled long ago; one that is overdue for years still has to be seen."""
    at = SystemClock().now()
    fresh = [Timer(kind="visit", subject=new_id(), key=key, due_at=at) for key in ("old", "young", "pending")]
    async with database.transaction() as connection:
        await set_timers(connection, fresh)
    for key, days in (("old", 91), ("young", 89)):
        statement = "UPDATE timers SET state = 'fired', next_at = NULL, ended_at = now() - make_interval(days => $2) WHERE key = $1"
        await database.log.execute(statement, key, days)
    await database.log.execute(
        "UPDATE timers SET due_at = now() - interval '9 years', next_at = due_at WHERE key = 'pending'"
    )

    assert await sweep(database, "old timers") == 1
    rows = await database.log.fetch("SELECT key FROM timers ORDER BY key")
    assert [row["key"] for row in rows] == ["pending", "young"]


async def test_nought_days_is_for_ever(database: Database, user: str) -> None:
    """The sweep is not there at all."""
    for_ever = settings.Retention(notices_days=0, timers_days=0, events_days=0, callbacks_days=0, webhook_log_days=0)
    found = forgets(Settings(retention=for_ever), database, SystemClock())

    assert {"old notices", "old timers", "handled events", "callbacks of providers"}.isdisjoint(found)
    await found["told notice events"]()


async def test_a_sweep_takes_small_bites_and_others_share_them(
    database: Database, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, a batch a transaction; rows that another scheduler is deleting are passed over, not waited for."""
    monkeypatch.setattr(retention, "TIMERS", 2)
    subjects = [new_id() for _ in range(5)]
    async with database.transaction() as connection:
        await set_timers(connection, [Timer(kind="visit", subject=s, due_at=SystemClock().now()) for s in subjects])
    for days, subject in enumerate(reversed(subjects), 91):
        statement = "UPDATE timers SET state = 'fired', next_at = NULL, ended_at = now() - make_interval(days => $2) WHERE subject = $1"
        await database.log.execute(statement, subject, days)
    old = forgets(Settings(retention=KEPT), database, SystemClock())["old timers"]
    async with database.transaction() as held:
        await held.exec_driver_sql(f"SELECT FROM timers WHERE subject = '{subjects[0]}' FOR UPDATE")
        assert await old() == 4
    monkeypatch.setattr(retention, "BATCHES", 0)
    assert await old() == 0
    monkeypatch.undo()

    assert await sweep(database, "old timers") == 1


async def test_no_setting_and_no_sweep_touches_what_the_law_keeps(database: Database, user: str) -> None:
    """P13: no class of the retention names audit rows, health records, orders or conversations, and none of them goes."""
    fields = set(msgspec.structs.asdict(settings.Retention()))
    assert fields == {"notices_days", "timers_days", "events_days", "callbacks_days", "webhook_log_days"}

    zero = b"\x00"
    await database.log.execute(
        """INSERT INTO audit_log (chain, number, id, at, actor, person, action, subject, request_id, seen_number, seen_hash, seal, hash)
            VALUES (0, 1, $1, now() - interval '90 years', $1, $1, 'health.read', '', '', 0, $2, $2, $2)""",
        user,
        zero,
    )
    before = await database.log.fetchval("SELECT count(*) FROM audit_log")
    strictest = settings.Retention(notices_days=1, timers_days=1, events_days=1, callbacks_days=1, webhook_log_days=1)
    for forget in forgets(Settings(retention=strictest), database, SystemClock()).values():
        await forget()
    assert await database.log.fetchval("SELECT count(*) FROM audit_log") == before


async def test_the_sweep_of_keys_is_off_until_asked_for_and_goes_on_where_it_was(database: Database) -> None:
    """P12: batch by batch, in the background, and what is sealed stays readable all the while."""
    old, both = Keyring({"old": b"o" * 32}, b"s" * 32), Keyring({"new": b"n" * 32, "old": b"o" * 32}, b"s" * 32)
    await database.log.execute("DELETE FROM data_keys")
    subjects = [new_id() for _ in range(5)]
    sealed = {each: (await Sealer(old, database).key_for(each)).seal("血压".encode(), b"") for each in subjects}
    sealer = Sealer(both, database)
    assert key_steps(Settings(), sealer) == {}
    assert list(key_steps(Settings(security=settings.Security(rotate_in_background=True)), sealer)) == ["data keys"]

    async with database.transaction() as other:  # another scheduler is at one of them
        await other.exec_driver_sql(f"SELECT FROM data_keys WHERE subject = '{subjects[0]}' FOR UPDATE")
        assert await in_batches(sealer.rotate_batch) == 4
    assert await in_batches(sealer.rotate_batch) == 1
    assert await in_batches(sealer.rotate_batch) == 0
    newest = Sealer(Keyring({"new": b"n" * 32}, b"s" * 32), database)
    for subject, value in sealed.items():
        assert (await newest.key_for(subject)).open(value, b"").decode() == "血压"
