"""The embedded default: PostgreSQL and Valkey under the data folder, and how other commands find them."""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from hub.platform.embedded_home import Home, ServerFailed, make_data_folder, open_home, write_private
from hub.platform.embedded_postgres import EmbeddedPostgres
from hub.platform.embedded_server import EmbeddedServer
from hub.platform.embedded_valkey import EmbeddedValkey
from hub.platform.process import command_line
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor

__all__ = ["NotRunning", "ServerFailed", "Servers", "claim", "open_servers", "resolve", "supervise_servers"]

RUNTIME = "runtime.json"


class NotRunning(Exception):
    """A command needs a database or Redis, none is configured, and the embedded ones do not run."""


class Runtime(msgspec.Struct, frozen=True):
    """`runtime.json`: where the embedded servers answer (empty: not ours), and the process that runs them.

    `data` is the folder it was written for: a copy of that folder runs nothing.
    """

    database_url: str
    redis_url: str
    pid: int
    data: str


class Servers(msgspec.Struct, frozen=True):
    """A running pair. Either may be stopped, killed and started again; the addresses stay."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.valkey.url


@contextmanager
def claim(data: Path) -> Iterator[None]:
    """Be the only one that runs servers on this data folder; however this process dies, the kernel ends the claim."""
    make_data_folder(data)
    with _lock(data):
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "servers.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "?"
            raise ServerFailed(f"the data folder {folder} is in use by process {owner}; stop that one first") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def open_servers(data: Path, say: Callable[[str], None] = print) -> AsyncIterator[Servers]:
    """Start both, and stop both at the end. Nothing keeps running, even after kill -9 of us (on Linux)."""
    with claim(data):
        home = open_home(data, say)
        servers = Servers(EmbeddedPostgres(home), EmbeddedValkey(home))
        async with _started(home, [servers.postgres, servers.valkey]):
            yield servers


@asynccontextmanager
async def supervise_servers(settings: Settings, say: Callable[[str], None]) -> AsyncIterator[Settings]:
    """Start what is not configured, restart it when it crashes, stop it at the end; the settings get both addresses.

    The caller holds the claim on the data folder.
    """
    wanted: list[type[EmbeddedServer]] = []
    wanted += [] if settings.database.url else [EmbeddedPostgres]
    wanted += [] if settings.redis.url else [EmbeddedValkey]
    home = open_home(Path(settings.data.dir), say)
    servers = [kind(home) for kind in wanted]
    # The supervisor ends first, or it would start again what is being stopped.
    async with _started(home, servers), Supervisor() as supervisor:
        for server in servers:
            supervisor.run(server.name, server.keep)
        yield resolve(settings)


@asynccontextmanager
async def _started(home: Home, servers: list[EmbeddedServer]) -> AsyncIterator[None]:
    # A home outside of the data folder is locked as well: two data folders may name it after a copy.
    with contextlib.nullcontext() if home.path == home.data else _lock(home.path):
        try:
            for server in servers:
                await server.start()
            _publish(home.data, servers)
            yield
        finally:
            (home.data / RUNTIME).unlink(missing_ok=True)
            for server in reversed(servers):
                await server.stop()


def _publish(data: Path, servers: list[EmbeddedServer]) -> None:
    urls = {server.name: server.url for server in servers}
    runtime = Runtime(urls.get("postgres", ""), urls.get("valkey", ""), os.getpid(), str(data))
    write_private(data / RUNTIME, msgspec.json.encode(runtime))


def resolve(settings: Settings) -> Settings:
    """Fill in missing addresses from the embedded servers that run now; raises `NotRunning` when there are none."""
    if settings.database.url and settings.redis.url:
        return settings
    runtime = _running(Path(settings.data.dir).resolve())
    database_url = settings.database.url or (runtime.database_url if runtime else "")
    redis_url = settings.redis.url or (runtime.redis_url if runtime else "")
    if not database_url:
        raise NotRunning("no database: start ./dev up or set HUB__DATABASE__URL")
    if not redis_url:
        raise NotRunning("no Redis: start ./dev up or set HUB__REDIS__URL")
    return msgspec.structs.replace(
        settings,
        database=msgspec.structs.replace(settings.database, url=database_url),
        redis=msgspec.structs.replace(settings.redis, url=redis_url),
    )


def _running(data: Path) -> Runtime | None:
    """A file that a killed run left names a process that is no more; one that was copied, another folder."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        runtime = msgspec.json.decode((data / RUNTIME).read_bytes(), type=Runtime)
        return runtime if runtime.data == str(data) and command_line(runtime.pid) else None
    return None
