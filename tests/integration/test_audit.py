"""The audit chain: a row for each read, none without its place in the chain, and every kind of tampering found (P13)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.audit import Audit, Head, chain_of, link
from hub.security.audit_check import Fault, Finding, heads, verify
from hub.security.keyring import Keyring
from hub.security.token import Principal
from tests.fake_clock import FakeClock
from tests.integration.scene import Scene

KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)
DOCTOR = Principal(new_id(), new_id(), "doctor", 0.0)


async def record(audit: Audit, database: Database, person: str, *actions: str) -> None:
    for action in actions:
        async with database.transaction() as connection:
            await audit.record(connection, DOCTOR, person, action, "blood_pressure")


@pytest_asyncio.fixture
async def audit(database: Database) -> AsyncIterator[Audit]:
    """Chains without a row."""
    await database.log.execute("TRUNCATE audit_log")
    await database.log.execute("DELETE FROM audit_heads")
    await database.log.execute("INSERT INTO audit_heads (chain) SELECT generate_series(0, 15)")
    yield Audit(KEYRING, FakeClock())


async def test_a_record_says_who_did_what_with_whose_data(audit: Audit, database: Database) -> None:
    """One row, in one statement."""
    person = new_id()
    with Scene(database).statements() as said:
        await record(audit, database, person, "health.read")
    row = await database.log.fetchrow("SELECT * FROM audit_log")

    assert len(said) == 1
    assert row is not None
    assert (str(row["actor"]), str(row["person"])) == (DOCTOR.user, person)
    assert (row["action"], row["subject"], row["request_id"]) == ("health.read", "blood_pressure", "")
    assert (row["chain"], row["number"], row["at"]) == (chain_of(person), 1, FakeClock().now())


async def test_records_of_one_chain_at_the_same_time_are_all_in_it(audit: Audit, database: Database) -> None:
    """Each goes on from the one before, whoever waited."""
    person = new_id()
    await asyncio.gather(*(record(audit, database, person, f"health.read {n}") for n in range(30)))

    numbers = await database.log.fetch("SELECT number FROM audit_log ORDER BY number")
    assert [row["number"] for row in numbers] == list(range(1, 31))


async def test_what_is_rolled_back_leaves_no_gap(audit: Audit, database: Database) -> None:
    """A read that failed was none."""
    person = new_id()
    await record(audit, database, person, "health.read")
    async with database.engine.connect() as connection:
        await audit.record(connection, DOCTOR, person, "health.read")
        await connection.rollback()
    await record(audit, database, person, "health.write")

    rows = await database.log.fetch("SELECT number, action FROM audit_log ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, "health.read"), (2, "health.write")]


async def test_nothing_is_read_when_the_chain_is_gone(audit: Audit, database: Database) -> None:
    """A head that somebody deleted does not turn the audit off silently."""
    person = new_id()
    await database.log.execute("DELETE FROM audit_heads WHERE chain = $1", chain_of(person))
    with pytest.raises(RuntimeError, match="no head"):
        await record(audit, database, person, "health.read")

    assert await database.log.fetchval("SELECT count(*) FROM audit_log") == 0


# What somebody with the whole database could do → the row of the chain of ten where it shows, and how.
FORGED = "(chain, number, id, at, actor, person, action, subject, request_id, seen_number, seen_hash, seal, hash)"
COPY = "chain, {number}, gen_random_uuid(), at, actor, person, action, subject, request_id, seen_number, seen_hash, seal, hash"
TAMPERING: dict[str, tuple[list[str], int, Fault]] = {
    **{
        f"another {column}": ([f"UPDATE audit_log SET {column} = {value} WHERE number = 4"], 4, Fault.CHANGED)  # noqa: S608
        for column, value in {
            "id": "gen_random_uuid()",
            "at": "at + interval '1 microsecond'",
            "actor": "gen_random_uuid()",
            "person": "gen_random_uuid()",
            "action": "'health.write'",
            "subject": "''",
            "request_id": "'req_1'",
            "seen_number": "0",
            "seen_hash": "''",
            "seal": "sha256('')",
        }.items()
    },
    "another hash": (["UPDATE audit_log SET hash = sha256('') WHERE number = 4"], 4, Fault.DISORDERED),
    "a row gone": (["DELETE FROM audit_log WHERE number = 4"], 5, Fault.MISSING),
    "the first row gone": (["DELETE FROM audit_log WHERE number = 1"], 2, Fault.MISSING),
    "a row gone and the gap closed": (
        [
            "DELETE FROM audit_log WHERE number = 4",
            "UPDATE audit_log SET number = -number WHERE number > 4",
            "UPDATE audit_log SET number = -number - 1 WHERE number < 0",
            "UPDATE audit_heads SET number = 9 WHERE number = 10",
        ],
        4,
        Fault.DISORDERED,
    ),
    "two rows in each other's place": (
        [
            "UPDATE audit_log SET number = -4 WHERE number = 4",
            "UPDATE audit_log SET number = 4 WHERE number = 5",
            "UPDATE audit_log SET number = 5 WHERE number = -4",
        ],
        4,
        Fault.DISORDERED,
    ),
    "the tail gone": (["DELETE FROM audit_log WHERE number > 7"], 7, Fault.CUT),
    "everything gone": (["DELETE FROM audit_log"], 0, Fault.CUT),
    "the tail gone and the number of the head": (
        ["DELETE FROM audit_log WHERE number > 7", "UPDATE audit_heads SET number = 7 WHERE number = 10"],
        7,
        Fault.HEAD,
    ),
    "the head set back": (["UPDATE audit_heads SET number = 9 WHERE number = 10"], 9, Fault.HEAD),
    "the head and its hash set back": (
        [
            """UPDATE audit_heads h SET number = 9, hash = l.hash FROM audit_log l
               WHERE h.number = 10 AND l.chain = h.chain AND l.number = 9"""
        ],
        10,
        Fault.BEYOND,
    ),
    "the head gone": (["DELETE FROM audit_heads WHERE number = 10"], 0, Fault.NO_HEAD),
    "a row made up": (
        [
            f"INSERT INTO audit_log {FORGED} SELECT {COPY.format(number=11)} FROM audit_log WHERE number = 10",  # noqa: S608
            "UPDATE audit_heads SET number = 11 WHERE number = 10",
        ],
        11,
        Fault.CHANGED,
    ),
    "a row before the first": (
        [f"INSERT INTO audit_log {FORGED} SELECT {COPY.format(number=0)} FROM audit_log WHERE number = 1"],  # noqa: S608
        0,
        Fault.MISSING,
    ),
}


@pytest.mark.parametrize("kind", TAMPERING)
async def test_tampering_shows_where_it_was_done(audit: Audit, database: Database, kind: str) -> None:
    """One finding, for the row at which it begins."""
    statements, number, fault = TAMPERING[kind]
    person = new_id()
    await record(audit, database, person, *(["health.read"] * 10))
    assert (await verify(database, KEYRING)).findings == []
    for statement in statements:
        await database.log.execute(statement)

    assert list((await verify(database, KEYRING)).findings) == [Finding(chain_of(person), number, fault)]


async def test_history_that_was_written_anew_contradicts_what_came_after(audit: Audit, database: Database) -> None:
    """Taking a row out and computing every hash again does not help: later rows name, under seal, what they had seen."""
    person = new_id()
    await record(audit, database, person, *(["health.read"] * 10))
    await database.log.execute("DELETE FROM audit_log WHERE number = 4")
    await rewrite_chain(database, chain_of(person))

    found = list((await verify(database, KEYRING)).findings)
    assert found == [Finding(chain_of(person), 5, Fault.REWRITTEN)]


async def test_a_cut_tail_shows_by_the_next_row_of_a_process_that_saw_it(audit: Audit, database: Database) -> None:
    """Head and rows set back to a moment in the past: what a running process writes next names what is gone."""
    person = new_id()
    await record(audit, database, person, *(["health.read"] * 10))
    await database.log.execute("DELETE FROM audit_log WHERE number > 6")
    await rewrite_chain(database, chain_of(person))
    assert (await verify(database, KEYRING)).findings == []
    await record(audit, database, person, "health.read")

    found = list((await verify(database, KEYRING)).findings)
    assert found == [Finding(chain_of(person), 7, Fault.REWRITTEN)]


async def test_a_head_that_was_noted_shows_any_rewriting(audit: Audit, database: Database) -> None:
    """Cut and set back with nobody writing any more: only what was written down elsewhere tells."""
    person = new_id()
    await record(audit, database, person, *(["health.read"] * 10))
    before = await heads(database)
    await record(audit, database, person, "health.read")
    assert (await verify(database, KEYRING, before)).findings == []
    await database.log.execute("DELETE FROM audit_log WHERE number > 6")
    await rewrite_chain(database, chain_of(person))

    found = list((await verify(database, KEYRING, before)).findings)
    assert found == [Finding(chain_of(person), 6, Fault.UNNOTED)]


async def test_a_chain_that_does_not_contain_the_noted_head_is_found(audit: Audit, database: Database) -> None:
    """The same number of rows, but not the same rows."""
    person = new_id()
    await record(audit, database, person, *(["health.read"] * 5))
    noted = {chain_of(person): Head(3, b"h" * 32)}

    found = list((await verify(database, KEYRING, noted)).findings)
    assert found == [Finding(chain_of(person), 3, Fault.UNNOTED)]


async def test_rows_of_a_chain_that_the_hub_does_not_have_are_found(audit: Audit, database: Database) -> None:
    """They would show up in somebody's list."""
    await record(audit, database, new_id(), "health.read")
    columns = COPY.format(number="number").replace("chain", "77", 1)
    await database.log.execute(f"INSERT INTO audit_log {FORGED} SELECT {columns} FROM audit_log")  # noqa: S608

    assert list((await verify(database, KEYRING)).findings) == [Finding(77, 0, Fault.NO_HEAD)]


async def test_another_key_verifies_nothing(audit: Audit, database: Database) -> None:
    """The seal is the hub's own: who computes it without the key gets another."""
    person = new_id()
    await record(audit, database, person, "health.read")
    stranger = Keyring({"k": b"m" * 32}, b"x" * 32)

    found = list((await verify(database, stranger)).findings)
    assert found == [Finding(chain_of(person), 1, Fault.CHANGED)]


async def test_chains_verify_while_they_are_written(audit: Audit, database: Database) -> None:
    """Many processes write, some transactions fail, two records are in one transaction: nothing is reported."""
    people = [new_id() for _ in range(4)]

    async def work(process: Audit, commit: bool) -> None:
        async with database.engine.connect() as connection:
            for person in sorted(people, key=chain_of):
                await process.record(connection, DOCTOR, person, "health.read")
                await process.record(connection, DOCTOR, person, "health.write")
            await (connection.commit() if commit else connection.rollback())

    processes = [Audit(KEYRING, FakeClock()) for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(work(each, commit) for each in processes for commit in (True, False)))
        assert (await verify(database, KEYRING)).findings == []

    assert (await verify(database, KEYRING)).rows == 3 * 3 * 2 * len(people)


async def rewrite_chain(database: Database, chain: int) -> None:
    """What a thorough forger does: number the rows afresh, and compute every hash and the head."""
    rows = await database.log.fetch("SELECT number, seal FROM audit_log WHERE chain = $1 ORDER BY number", chain)
    at = b""
    for number, row in enumerate(rows, 1):
        at = link(at, row["seal"])
        await database.log.execute(
            "UPDATE audit_log SET number = $3, hash = $4 WHERE chain = $1 AND number = $2",
            chain,
            row["number"],
            number,
            at,
        )
    await database.log.execute(
        "UPDATE audit_heads SET number = $2, hash = $3, settled_number = $2, settled_hash = $3 WHERE chain = $1",
        chain, len(rows), at,
    )  # fmt: skip
