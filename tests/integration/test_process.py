"""Children are watched, heard, and never outlive their parent."""

import asyncio
import os
import signal
import sys

import pytest

from hub.platform.process import Exited, command_line, run_child, spawn, stop, stop_leftover

PYTHON = [sys.executable, "-S", "-c"]
QUIET = asyncio.subprocess.DEVNULL

OBEDIENT = """
import signal, sys, time
def leave(*_):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
print("ready", flush=True)
while True: time.sleep(60)
"""
PARENT = """
import asyncio, signal, sys
from hub.platform.process import spawn
async def main():
    child = await spawn([sys.executable, "-S", "-c", "import time; time.sleep(60)"], output=2, last_signal=signal.SIGKILL)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def running(code: str, drain_s: float) -> tuple[asyncio.Future[None], list[str]]:
    """A child whose first line has arrived, and its lines."""
    lines: list[str] = []
    ready = asyncio.Event()

    def say(line: str) -> None:
        lines.append(line)
        ready.set()

    task = asyncio.ensure_future(run_child([*PYTHON, code], env=os.environ, say=say, drain_s=drain_s))
    async with asyncio.timeout(20):
        await ready.wait()
    return task, lines


async def test_lines_are_heard_and_the_end_is_an_error_when_a_child_ends() -> None:
    """The supervisor restarts what ends by itself, whatever it said and however it ended."""
    lines: list[str] = []
    with pytest.raises(Exited, match="exit code 3"):
        await run_child(
            [*PYTHON, "import sys; print('one'); print('zwei', file=sys.stderr); sys.exit(3)"],
            env=os.environ,
            say=lines.append,
            drain_s=5,
        )

    assert sorted(lines) == ["one", "zwei"]


async def test_very_long_line_does_not_end_the_listening() -> None:
    """A line beyond the reader's limit is dropped; the next one is heard."""
    lines: list[str] = []
    with pytest.raises(Exited):
        await run_child(
            [*PYTHON, "print('x' * 3_000_000); print('after')"], env=os.environ, say=lines.append, drain_s=5
        )

    assert lines[-1] == "after"


async def test_child_may_leave_in_order_when_cancelled() -> None:
    """SIGTERM first, and what it says while leaving is still heard."""
    task, lines = await running(OBEDIENT, drain_s=20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert lines == ["ready", "leaving"]


async def test_child_is_killed_when_it_does_not_leave_in_time() -> None:
    """A child that ignores SIGTERM cannot hold up the end."""
    task, lines = await running(STUBBORN, drain_s=0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert lines[:2] == ["ready", "no"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
async def test_child_dies_when_its_parent_is_killed() -> None:
    """kill -9 of the parent leaves no process behind."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    assert command_line(child)
    parent.kill()
    await parent.wait()

    async with asyncio.timeout(10):
        while command_line(child):  # noqa: ASYNC110  not our child: nothing wakes us
            await asyncio.sleep(0.01)


async def test_leftover_is_stopped_when_it_is_not_our_child() -> None:
    """Whoever started it, it has ended when the call returns."""
    process = await spawn([*PYTHON, "import time; time.sleep(60)"], output=QUIET, last_signal=signal.SIGKILL)
    await stop_leftover(process.pid, [(signal.SIGTERM, 10.0)])

    assert command_line(process.pid) == ""
    await stop(process, [(signal.SIGKILL, 5.0)])
    assert process.returncode == -signal.SIGTERM


async def test_exit_code_is_kept_when_a_child_is_signalled() -> None:
    """The ladder's last rung ends everything, and nobody reaps the child behind asyncio's back."""
    process = await spawn([*PYTHON, "import time; time.sleep(60)"], output=QUIET, last_signal=signal.SIGKILL)
    await stop(process, [(signal.SIGCONT, 0.05), (signal.SIGKILL, 10.0)])

    assert process.returncode == -signal.SIGKILL
