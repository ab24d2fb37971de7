"""The doctor names what would lose messages or keep the hub from starting."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from hub.doctor import examine
from hub.platform import settings
from hub.platform.database import migrate
from hub.platform.embedded import Servers, open_servers
from hub.platform.embedded_home import free_port
from hub.security.keyring import create_key_file


@pytest_asyncio.fixture(scope="module")
async def servers(data_folder: Path) -> AsyncIterator[Servers]:
    """As users run them: of the PostgreSQL that other tests share it would say that it does not wait for the disk."""
    folder = data_folder / "doctor"
    folder.mkdir(mode=0o711)
    async with open_servers(folder) as running:
        await migrate(settings.Database(url=running.database_url))
        yield running


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, servers: Servers) -> pytest.MonkeyPatch:
    """An installation where all is well, made of environment variables."""
    create_key_file(tmp_path / "keys.json")
    monkeypatch.setenv("HUB__DATA__DIR", str(tmp_path))
    monkeypatch.setenv("HUB__DATABASE__URL", servers.database_url)
    monkeypatch.setenv("HUB__REDIS__URL", servers.redis_url)
    monkeypatch.setenv("HUB__SERVER__PORT", str(free_port()))
    return monkeypatch


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncIterator[str]:
    """A database that nobody migrated."""
    name = f"t_{uuid4().hex}"
    connection = await asyncpg.connect(servers.postgres.url_of("postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    yield servers.postgres.url_of(name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def report() -> tuple[int, str]:
    lines: list[str] = []
    return await examine(lines.append), "\n".join(lines)


async def test_all_is_well_when_nothing_is_wrong(installed: pytest.MonkeyPatch) -> None:
    """Exit status 0 and no ✗."""
    code, said = await report()

    assert (code, said.count("✗")) == (0, 0), said


async def test_migration_is_asked_for_when_the_schema_is_missing(
    installed: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    """The line says what to run."""
    installed.setenv("HUB__DATABASE__URL", empty_database_url)
    code, said = await report()

    assert code == 1
    assert "✗ PostgreSQL: the database is empty; run ./dev hub migrate" in said


async def test_database_is_refused_when_commits_may_be_lost(
    installed: pytest.MonkeyPatch, servers: Servers, empty_database_url: str
) -> None:
    """P1: synchronous_commit must not be off."""
    name = empty_database_url.split("/")[3].split("?")[0]
    connection = await asyncpg.connect(servers.postgres.url_of("postgres"))
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await connection.close()
    installed.setenv("HUB__DATABASE__URL", empty_database_url)
    code, said = await report()

    assert code == 1
    assert "✗ PostgreSQL: synchronous_commit is off" in said


async def test_key_file_is_refused_when_others_may_read_it(installed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """P12: the master key is the owner's alone."""
    (tmp_path / "keys.json").chmod(0o644)
    code, said = await report()

    assert code == 1
    assert "✗ keys:" in said
    assert "chmod 600" in said


async def test_every_check_is_made_when_servers_are_away(installed: pytest.MonkeyPatch) -> None:
    """One failure does not hide the next."""
    installed.setenv("HUB__DATABASE__URL", f"postgresql://127.0.0.1:{free_port()}/hub")
    installed.setenv("HUB__REDIS__URL", f"redis://127.0.0.1:{free_port()}/0")
    code, said = await report()

    assert code == 1
    assert "✗ PostgreSQL:" in said
    assert "✗ Redis:" in said


async def test_settings_are_named_when_they_are_bad(installed: pytest.MonkeyPatch) -> None:
    """A typing error in a variable is found by name."""
    installed.setenv("HUB__SERVER__PROT", "1")
    code, said = await report()

    assert code == 1
    assert "✗ settings: HUB__SERVER__PROT: there is no such setting" in said


async def test_an_address_is_named_when_it_is_none(installed: pytest.MonkeyPatch) -> None:
    """A line each, without what was written: it may hold a password."""
    installed.setenv("HUB__DATABASE__URL", "verborgen")
    installed.setenv("HUB__REDIS__URL", "verborgen")
    code, said = await report()

    assert code == 1
    assert "✗ PostgreSQL: database.url is no address" in said
    assert "✗ Redis: redis.url is no address" in said
    assert "verborgen" not in said


async def test_nothing_is_made_when_there_is_no_data_folder_yet(installed: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Looking changes nothing, and what is missing has its remedy."""
    data = tmp_path / "fresh"
    installed.setenv("HUB__DATA__DIR", str(data))
    code, said = await report()

    assert code == 1
    assert f"✗ data folder: {data} is not there yet; ./dev up makes it" in said
    assert f"✗ keys: {data / 'keys.json'} is not there yet; ./dev up makes one" in said
    assert not data.exists()


async def test_port_is_taken_when_a_hub_of_another_data_folder_answers(installed: pytest.MonkeyPatch) -> None:
    """Its readiness says nothing about this installation; `hub up` would be refused."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as stranger:
        installed.setenv("HUB__SERVER__PORT", str(stranger.sockets[0].getsockname()[1]))
        installed.setenv("HUB__DATABASE__URL", "")
        _, said = await report()

    assert "✗ port: taken by a hub of another data folder; set HUB__SERVER__PORT" in said


async def test_valkey_is_called_by_its_name(installed: pytest.MonkeyPatch) -> None:
    """Not by the version of Redis that it claims to be compatible with."""
    _, said = await report()

    assert "✓ Redis: valkey " in said
