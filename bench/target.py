"""What is measured: the bare server, or the hub with its embedded storage; each runs for one scenario."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from bench.layout import Layout
from bench.meter import Cores, pin
from bench.seed import seed
from bench.stage import SERVER
from bench.swarm import Broken
from hub.platform import settings
from hub.platform.database import migrate
from hub.platform.embedded import open_servers
from hub.platform.process import dying_with_parent
from hub.security import keyring, token

_START_S = 30.0
_STOP_S = 15.0
_TOKEN_LIFE_S = 7200
_HOST = "127.0.0.1"

# One bench client sends what a thousand people would, and is silent while others are measured; nobody is there to move
_HUB_LIMITS = {
    "HUB__REALTIME__FRAMES_PER_S": "1000000",
    "HUB__REALTIME__FRAMES_BURST": "1000000",
    "HUB__REALTIME__SILENCE_S": "3600",
    "HUB__SERVER__DRAIN_S": "1",
    "HUB__LOG__LEVEL": "warning",
}


class Target(msgspec.Struct, frozen=True):
    """A server that answers: where, what it is made of (role → first process), and how somebody gets a token."""

    host: str
    port: int
    processes: dict[str, int]
    admit: Callable[[Layout], dict[str, str]]


@contextmanager
def bare_target(cores: Cores, history: bool) -> Iterator[Target]:
    """The `websockets` server."""
    command = [sys.executable, "-m", "bench.bare", *(["--history"] if history else [])]
    with child(command, dict(os.environ), subprocess.PIPE, cores) as process:
        port = _read_port(process)
        yield Target(_HOST, port, {SERVER: process.pid}, lambda layout: {person.user: "-" for person in layout.people})


class Storage:
    """The embedded PostgreSQL and Valkey of one run, in a folder that is deleted afterwards. A context manager."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._stack = ExitStack()

    def __enter__(self) -> "Storage":
        with ExitStack() as stack:
            runner = stack.enter_context(asyncio.Runner())
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-"))) / "data"
            self.folder.parent.chmod(0o711)  # the embedded servers may run as another user
            opened = open_servers(self.folder)
            servers = runner.run(opened.__aenter__())
            stack.callback(lambda: runner.run(opened.__aexit__(None, None, None)))
            self.database_url, self.redis_url = servers.database_url, servers.redis_url
            self.processes = {"postgres": servers.postgres.pid or 0, "valkey": servers.valkey.pid or 0}
            for pid in self.processes.values():
                pin(pid, self._cores.storage)
            runner.run(migrate(settings.Database(url=self.database_url)))
            keyring.create_key_file(self.folder / "keys.json")
            self._runner = runner
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def admit(self, layout: Layout) -> dict[str, str]:
        """Put these people and rooms into the database; answers an access token by user."""
        self._runner.run(seed(self.database_url, layout))
        keys = keyring.load_keyring(settings.Settings(data=settings.Data(dir=str(self.folder))))
        key, now = keys.derive(token.PURPOSE), datetime.now(UTC)
        return {
            person.user: token.issue(
                key, user=person.user, session=person.session, role="patient", now=now, life_s=_TOKEN_LIFE_S
            )
            for person in layout.people
        }


@contextmanager
def hub_target(storage: Storage, cores: Cores) -> Iterator[Target]:
    """One hub process with everything at its default, but for the limits on a single client."""
    port = _free_port()
    env = dict(os.environ) | _HUB_LIMITS
    env |= {"HUB__SERVER__HOST": _HOST, "HUB__SERVER__PORT": str(port), "HUB__DATA__DIR": str(storage.folder)}
    env |= {"HUB__DATABASE__URL": storage.database_url, "HUB__REDIS__URL": storage.redis_url}
    log = storage.folder / "server.log"
    with log.open("wb") as output, child([sys.executable, "-m", "hub", "serve"], env, output, cores) as process:
        _wait_ready(process, port, log)
        yield Target(_HOST, port, storage.processes | {SERVER: process.pid}, storage.admit)


@contextmanager
def child(
    command: list[str], env: dict[str, str], output: IO[bytes] | int, cores: Cores
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process on the server's core, which ends with the block, or with this process."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output == subprocess.PIPE else subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches only us, who stop it in order
        preexec_fn=dying_with_parent(signal.SIGKILL),
    )
    try:
        pin(process.pid, cores.server)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_port(process: "subprocess.Popen[bytes]") -> int:
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line.strip().isdigit():
        raise Broken("the bare server did not start")
    return int(line)


def _wait_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(_HOST, port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.client.OK:
                    return
            finally:
                connection.close()
        time.sleep(0.05)
    tail = log.read_text(errors="replace").strip().splitlines()[-15:]
    state = f"was not ready after {_START_S:.0f} s" if process.poll() is None else "ended before it was ready"
    raise Broken("\n".join([f"the hub {state}; its last lines:", *tail]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
