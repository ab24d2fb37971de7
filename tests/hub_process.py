"""Hub servers as real processes, for tests that kill them."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
READY_S = 90.0  # a busy machine: how long a start takes is not what these tests are about


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HubProcess:
    """One `hub serve`; started again on the same port after a kill."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = {**os.environ, **environment, "HUB__SERVER__PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and return when it is alive."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hub", "serve", cwd=ROOT, env=self._environment, stdout=output, stderr=output
            )
        await self.until("/healthz")

    async def until(self, path: str, status: int = 200) -> None:
        """Wait until this page answers with this status."""
        async with httpx.AsyncClient() as http, asyncio.timeout(READY_S):
            while True:
                if self._process is not None and self._process.returncode is not None:
                    raise AssertionError(f"the server ended: {self.log.read_text()[-2000:]}")
                try:
                    if (await http.get(self.url + path, timeout=2)).status_code == status:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it as a deployment does; the answer is its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        async with asyncio.timeout(30):
            return await process.wait()


class Helper:
    """One `hub work` or `hub schedule`."""

    def __init__(self, command: str, log: Path, environment: dict[str, str]) -> None:
        self._command = command
        self._log = log
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hub",
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )

    def shoot(self) -> None:
        """As a power cut; may be called from any thread."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._process = None


@asynccontextmanager
async def hub_processes(count: int, folder: Path, environment: dict[str, str]) -> AsyncIterator[list[HubProcess]]:
    """Several servers of one installation; all are gone afterwards."""
    servers = [HubProcess(folder / f"server-{number}.log", environment) for number in range(count)]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield servers
    finally:
        await asyncio.gather(*(server.kill() for server in servers))
