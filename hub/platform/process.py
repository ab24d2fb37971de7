"""Child processes that do not outlive us: spawn, watch, stop. What a child does is no concern of this module."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL_S = 0.05
LINE_BYTES = 1 << 20

# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

Ladder = Sequence[tuple[signal.Signals, float]]  # a signal, then the seconds to wait before the next one


class Exited(Exception):
    """A process that was meant to stay has ended."""


def dying_with_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before exec so that the kernel sends it `last_signal` when we die; None off Linux.

    The kernel watches the *thread* that forked, and a change of user clears the wish: fork from the main thread, and
    let subprocess change the user (it does so before it calls this).
    """
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(last_signal))
        if os.getppid() != parent:  # we died before the wish was made
            os._exit(1)

    return ask


async def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes] | int,
    last_signal: signal.Signals,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
) -> asyncio.subprocess.Process:
    """Start a child in a session of its own: Ctrl-C in the terminal reaches only us, who stop children in order."""
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        limit=LINE_BYTES,
        env=env,
        cwd="/" if user is not None else None,
        start_new_session=True,
        preexec_fn=dying_with_parent(last_signal),
        user=user,
        group=group,
        extra_groups=None if user is None else [],
    )


async def stop(process: asyncio.subprocess.Process, ladder: Ladder) -> None:
    """Send the signals of the ladder until the process has ended."""
    for number, wait_s in ladder:
        if process.returncode is not None:
            return
        send(process, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), wait_s)


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child. Its own `send_signal` polls first, and may reap the child before asyncio does (Python 3.11)."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


async def stop_leftover(pid: int, ladder: Ladder) -> None:
    """The same for a process that is not our child, left by a run that was killed."""
    for number, wait_s in ladder:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        for _ in range(int(wait_s / POLL_S)):
            if not command_line(pid):
                return
            await asyncio.sleep(POLL_S)


def command_line(pid: int) -> str:
    """The arguments of a running process, joined by spaces; empty when there is none (or only a zombie)."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    answer = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip()


async def run_child(
    command: Sequence[str], *, env: Mapping[str, str], say: Callable[[str], None], drain_s: float
) -> None:
    """Run one child and hand each line it prints to `say`; raises `Exited` when it ends by itself.

    Cancelled, it asks the child to end, waits `drain_s` while its lines still come, and kills it then.
    """
    process = await spawn(command, output=subprocess.PIPE, last_signal=signal.SIGKILL, env=env)
    try:
        await _pump(process, say)
        raise Exited(f"exit code {await process.wait()}")
    finally:
        if process.returncode is None:
            send(process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_pump(process, say), drain_s)
            await stop(process, [(signal.SIGTERM, 0.1), (signal.SIGKILL, 5.0)])


async def _pump(process: asyncio.subprocess.Process, say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than the reader's limit: the reader has dropped it
            continue
        if not line:
            return
        say(line.decode(errors="replace").rstrip())
