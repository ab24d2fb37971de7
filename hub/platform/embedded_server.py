"""One embedded server as a child process: started until it answers, stopped in order, leftovers cleared away."""

import asyncio
import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from hub.platform.embedded_home import Home, ServerFailed
from hub.platform.process import Exited, Ladder, command_line, spawn, stop, stop_leftover

POLL_S = 0.02
LOG_BYTES = 8 << 20


class EmbeddedServer(ABC):
    """A server that never outlives this process. Its output goes to `<name>.log` in the home."""

    name: ClassVar[str]
    ladder: ClassVar[Ladder]
    last_signal: ClassVar[signal.Signals]
    start_s: ClassVar[float] = 30.0

    def __init__(self, home: Home) -> None:
        self.home = home
        self.log = home.path / f"{self.name}.log"
        self._pid_file = home.path / f"{self.name}.pid"
        self._process: asyncio.subprocess.Process | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect; final once started, and the same at the next start if nobody took the port."""

    @abstractmethod
    async def _prepare(self) -> list[str]:
        """Make what is needed on disk; the command to run."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether clients are served now."""

    def _may_retry(self, reason: str) -> bool:
        """Whether a failed start is worth repeating within the time given."""
        return False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start, and return when clients are served; raises `ServerFailed` with the last line of its log otherwise."""
        if self.pid is not None:
            return
        await self._clear_leftover()
        deadline = time.monotonic() + self.start_s
        while not await self._try_start(deadline):
            reason = self._last_line()
            if time.monotonic() > deadline or not self._may_retry(reason):
                raise ServerFailed(f"{self.name} did not start: {reason or 'it printed nothing'} (see {self.log})")
            await asyncio.sleep(0.2)

    async def _try_start(self, deadline: float) -> bool:
        command = await self._prepare()
        keep = self.log.exists() and self.log.stat().st_size < LOG_BYTES
        with self.log.open("ab" if keep else "wb") as output:
            self._process = await spawn(
                command, output=output, last_signal=self.last_signal, user=self.home.user, group=self.home.group
            )
        self._pid_file.write_text(str(self._process.pid))
        try:
            while self._process.returncode is None and time.monotonic() < deadline:
                if await self._answers():
                    return True
                await asyncio.sleep(POLL_S)
        except BaseException:
            await self.stop()
            raise
        await self.stop()
        return False

    async def stop(self) -> None:
        """Stop in order; returns when the process has ended."""
        if self._process is not None:
            await stop(self._process, self.ladder)
            self._process = None
        self._pid_file.unlink(missing_ok=True)

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            await stop(self._process, [(signal.SIGKILL, 10.0)])
            self._process = None

    async def keep(self) -> None:
        """For the supervisor: start it if it does not run, and raise when it ends."""
        await self.start()
        process = self._process
        if process is not None:
            raise Exited(f"exit code {await process.wait()}")

    async def _clear_leftover(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(self._pid_file.read_text())
            if self.owns(pid):
                await stop_leftover(pid, self.ladder)
        self._pid_file.unlink(missing_ok=True)

    def owns(self, pid: int) -> bool:
        """Whether this process is a server of this home, and not another one that got the number since."""
        # With the space before it: /data is not the end of /original/data.
        return pid != os.getpid() and f" {self.home.path / self.name}" in command_line(pid)

    def _last_line(self) -> str:
        with contextlib.suppress(OSError):
            return _tail(self.log)
        return ""


def _tail(path: Path) -> str:
    """The last line that says something went wrong, else the last line."""
    lines = [line for line in path.read_text(errors="replace")[-4000:].splitlines() if line.strip()]
    bad = [line for line in lines if "FATAL" in line or "rror" in line]
    return (bad or lines or [""])[-1].strip()
