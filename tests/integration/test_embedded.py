"""The embedded PostgreSQL and Valkey: they keep what was written, come back after a kill, and leave nothing behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import msgspec
import pytest
import redis.asyncio

from hub.platform import embedded_home
from hub.platform.database import Database
from hub.platform.embedded import NotRunning, ServerFailed, Servers, claim, open_servers, resolve
from hub.platform.process import command_line
from hub.platform.settings import Data, Settings

RUN = """
import asyncio, sys
from pathlib import Path
from hub.platform.embedded import open_servers
async def main():
    async with open_servers(Path(sys.argv[1])) as servers:
        print(servers.postgres.pid, servers.valkey.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def folder(data_folder: Path) -> Path:
    """A data folder of the test's own."""
    made = data_folder / f"own-{os.urandom(4).hex()}"
    made.mkdir(mode=0o711)
    return made


@asynccontextmanager
async def another_process(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[int]]]:
    """A process that runs servers on `folder`, and their process ids."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        pids = [int(word) for word in (await asyncio.wait_for(process.stdout.readline(), 60)).split()]
        yield process, pids
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def gone(pids: list[int]) -> None:
    """Wait until none of these processes is left."""
    async with asyncio.timeout(30):
        while any(command_line(pid) for pid in pids):  # noqa: ASYNC110  they are not our children: nothing wakes us
            await asyncio.sleep(0.02)


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_commits_are_durable_in_utf8_when_the_default_is_used(folder: Path) -> None:
    """P1 stands on these settings of the embedded server."""
    async with open_servers(folder) as servers:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "server_encoding": "UTF8"}.items():
            assert await ask(servers.database_url, f"SHOW {name}") == value


async def test_database_has_the_schema_when_a_module_gets_its_own(database: Database) -> None:
    """The template is migrated once and copied."""
    async with database.transaction() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM users")).one() == (0,)


async def test_nobody_gets_in_when_the_password_is_missing(servers: Servers) -> None:
    """Other accounts of the machine reach neither server."""
    bare = servers.database_url.replace(servers.postgres.home.memory.postgres_password, "wrong")
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await ask(bare, "SELECT 1")
    client = redis.asyncio.Redis.from_url(
        servers.redis_url.replace(servers.valkey.home.memory.valkey_password, "wrong")
    )
    with pytest.raises(redis.exceptions.AuthenticationError):
        await client.ping()
    await client.aclose()


async def test_data_and_addresses_stay_when_servers_are_started_again(folder: Path) -> None:
    """Twice in a row on one data folder, in order and after kill -9 of both servers."""
    async with open_servers(folder) as first:
        urls = first.database_url, first.redis_url
        await ask(first.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
    async with open_servers(folder) as second:
        await second.postgres.kill()
        await second.valkey.kill()
        await second.postgres.start()
        await second.valkey.start()

        assert (second.database_url, second.redis_url) == urls
        assert await ask(second.database_url, "SELECT n FROM kept") == 7


async def test_servers_end_and_start_again_when_their_parent_is_killed(folder: Path) -> None:
    """After kill -9 of the parent no process stays, and the next start finds what was committed."""
    async with another_process(folder) as (process, pids):
        resolved = resolve(Settings(data=Data(dir=str(folder))))
        await ask(resolved.database.url, "CREATE TABLE kept AS SELECT 7 AS n")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await gone(pids)

    async with open_servers(folder) as servers:
        assert await ask(servers.database_url, "SELECT n FROM kept") == 7


async def test_a_leftover_server_is_stopped_when_the_next_run_starts(folder: Path) -> None:
    """Where the kernel does not end the children of a killed parent, the next start does."""
    async with another_process(folder) as (process, pids):
        process.send_signal(signal.SIGSTOP)  # alive, but it does nothing for its children
        (folder / "servers.lock").unlink()
        async with open_servers(folder) as servers:
            assert await ask(servers.database_url, "SELECT 1") == 1
            assert not any(command_line(pid) for pid in pids)


async def test_a_copy_runs_beside_the_original_when_a_running_folder_was_copied(folder: Path) -> None:
    """Neither stops the other, and what one writes the other does not see."""
    copy = folder.with_name(f"{folder.name}-copy")
    async with open_servers(folder) as original:
        process = await asyncio.create_subprocess_exec("cp", "-a", str(folder), str(copy))
        assert await process.wait() == 0
        with pytest.raises(NotRunning):
            resolve(Settings(data=Data(dir=str(copy))))
        async with open_servers(copy) as copied:
            await ask(copied.database_url, "CREATE TABLE copied AS SELECT 1 AS n")

            assert resolve(Settings(data=Data(dir=str(copy)))).redis.url == copied.redis_url != original.redis_url
            assert await ask(original.database_url, "SELECT to_regclass('copied')") is None
            assert original.postgres.pid
            assert original.valkey.pid


async def test_data_stays_when_the_folder_is_moved(folder: Path) -> None:
    """A clone that was renamed goes on with what it had."""
    async with open_servers(folder) as servers:
        await ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
    moved = folder.with_name(f"{folder.name}-moved")
    os.rename(folder, moved)
    async with open_servers(moved) as servers:
        assert await ask(servers.database_url, "SELECT n FROM kept") == 7


async def test_second_run_is_refused_when_two_folders_share_a_home(
    folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The home is locked like the data folder, whatever the files say."""
    outside = data_folder / f"home-{os.urandom(4).hex()}"
    monkeypatch.setattr(embedded_home, "_is_ours", lambda _home, _data: True)
    async with open_servers(folder):
        pass
    memory = msgspec.json.decode((folder / "embedded.json").read_bytes()) | {"home": str(outside)}
    other = folder.with_name(f"{folder.name}-other")
    other.mkdir(mode=0o711)
    for place in (folder, other):
        (place / "embedded.json").write_bytes(msgspec.json.encode(memory))
    async with open_servers(folder):
        with pytest.raises(ServerFailed, match=f"{outside} is in use by process"):
            async with open_servers(other):
                pass


async def test_a_stranger_is_left_alone_when_it_has_the_old_process_number(folder: Path) -> None:
    """Process numbers are reused; a pid file is only believed when the process is ours."""
    async with open_servers(folder):
        pass
    (folder / "postgres.pid").write_text(str(os.getpid()))
    (folder / "valkey.pid").write_text(str(os.getppid()))
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n/nowhere\n1\n5432\n\n\n")
    async with open_servers(folder) as servers:
        assert await ask(servers.database_url, "SELECT 1") == 1


async def test_second_run_is_refused_when_the_folder_is_in_use(folder: Path) -> None:
    """One line that names the process."""
    with claim(folder), pytest.raises(ServerFailed, match=f"in use by process {os.getpid()}"):
        async with open_servers(folder):
            pass


async def test_addresses_are_found_only_while_the_servers_run(folder: Path) -> None:
    """Another command finds the embedded servers through the data folder, and says what to do when they do not run."""
    settings = Settings(data=Data(dir=str(folder)))
    async with open_servers(folder) as servers:
        found = resolve(settings)
        runtime = msgspec.json.decode((folder / "runtime.json").read_bytes())

        assert (found.database.url, found.redis.url) == (servers.database_url, servers.redis_url)
        assert (folder / "runtime.json").stat().st_mode & 0o077 == 0
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    (folder / "runtime.json").write_bytes(msgspec.json.encode(runtime | {"pid": process.pid}))  # as after kill -9
    with pytest.raises(NotRunning, match=r"start ./dev up or set HUB__DATABASE__URL"):
        resolve(settings)


async def test_configured_addresses_win_when_both_are_set(folder: Path) -> None:
    """With database.url and redis.url nothing embedded is looked for."""
    own = msgspec.convert(
        {"data": {"dir": str(folder)}, "database": {"url": "postgresql://x/y"}, "redis": {"url": "redis://z"}}, Settings
    )

    assert resolve(own) is own


async def test_another_port_is_taken_when_somebody_has_ours(folder: Path) -> None:
    """A port lost to another program costs nothing: clients ask the data folder."""
    async with open_servers(folder) as servers:
        port = servers.valkey.home.memory.valkey_port
    stranger = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    try:
        async with open_servers(folder) as servers:
            assert servers.valkey.home.memory.valkey_port != port
    finally:
        stranger.close()
        await stranger.wait_closed()
