"""`hub audit`: a readable outcome and an exit status that a nightly job can use."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest

from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.security.audit import Audit, chain_of
from hub.security.keyring import load_keyring
from hub.security.token import Principal
from tests.hub_process import ROOT
from tests.integration.wire import SECURITY


async def run(database_url: str, *arguments: str) -> tuple[int, str]:
    """Exit status and all that was said."""
    environment = {
        **os.environ,
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": "redis://127.0.0.1:1/0",
        "HUB__SECURITY__MASTER_KEYS": SECURITY.master_keys,
        "HUB__SECURITY__SIGNING_KEY": SECURITY.signing_key,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hub", "audit", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.fixture
def audit() -> Audit:
    return Audit(load_keyring(Settings(security=SECURITY)), SystemClock())


async def record(audit: Audit, database: Database, person: str, count: int) -> None:
    who = Principal(new_id(), new_id(), "doctor", 0.0)
    for _ in range(count):
        async with database.transaction() as connection:
            await audit.record(connection, who, person, "health.read")


async def test_the_commands_tell_what_holds_and_what_does_not(
    audit: Audit, database: Database, database_url: str, tmp_path: Path
) -> None:
    """Whole: status 0. Noted heads still hold after more was written. A missing row: which chain, where, status 1."""
    person, notes = new_id(), tmp_path / "heads.txt"
    chain = chain_of(person)
    await record(audit, database, person, 3)
    assert await run(database_url, "verify") == (0, "the audit is whole: 3 rows in 16 chains\n")
    status, heads = await run(database_url, "heads")
    assert status == 0
    assert [line.split()[:2] for line in heads.splitlines()] == [
        [str(n), "3" if n == chain else "0"] for n in range(16)
    ]
    notes.write_text(heads)
    await record(audit, database, person, 2)
    assert (await run(database_url, "verify", "--heads", str(notes)))[0] == 0
    await database.log.execute("DELETE FROM audit_log WHERE number = 2")
    status, said = await run(database_url, "verify")

    assert (status, said.splitlines()) == (
        1,
        [
            f"chain {chain}, row 3: the number does not follow: rows are missing before this one",
            "the audit does not verify: 1 of 16 chains are broken",
        ],
    )


async def test_notes_that_are_none_are_refused(database_url: str, tmp_path: Path) -> None:
    """A wrong file must not pass as one that holds."""
    notes = tmp_path / "heads.txt"
    notes.write_text(msgspec.json.encode({"0": 3}).decode())
    status, said = await run(database_url, "verify", "--heads", str(notes))

    assert status == 2
    assert "not a line of `hub audit heads`" in " ".join(said.replace("│", " ").split())
