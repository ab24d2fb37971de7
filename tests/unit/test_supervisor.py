"""A supervised loop cannot die quietly."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from hub.platform.supervisor import Supervisor, describe
from tests.fake_clock import FakeClock, settle


def failing(times: int, error: BaseException) -> tuple[list[float], Callable[[], Awaitable[None]]]:
    """A loop that fails at its first `times` starts and then stays up; the list counts the starts."""
    starts: list[float] = []

    async def loop() -> None:
        starts.append(1)
        if len(starts) <= times:
            raise error
        await asyncio.Event().wait()

    return starts, loop


async def test_loop_is_restarted_with_growing_pauses_when_it_fails() -> None:
    """Three failures cost 0.5 + 1 + 2 s, and the loop counts as down until the last restart."""
    clock = FakeClock()
    starts, loop = failing(3, ConnectionError("gone"))
    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("broker", loop)
        await settle()

        assert supervisor.down == {"broker": "ConnectionError('gone')"}
        await clock.advance(3.4)
        assert supervisor.down == {"broker": "ConnectionError('gone')"}
        await clock.advance(0.1)
        assert supervisor.down == {}
        assert len(starts) == 4


async def test_pause_never_exceeds_thirty_seconds_when_failures_go_on() -> None:
    """However long a peer is away, the next try is at most 30 s off."""
    clock = FakeClock()
    starts, loop = failing(1000, OSError("away"))
    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("peer", loop)
        await clock.advance(0.5 + 1 + 2 + 4 + 8 + 16 + 30 + 30)

        assert len(starts) == 9


async def test_pause_starts_small_again_when_the_loop_was_healthy() -> None:
    """A failure after a long healthy run is a new one."""
    clock = FakeClock()
    starts = 0

    async def loop() -> None:
        nonlocal starts
        starts += 1
        await clock.sleep(60)
        raise OSError("away")

    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("peer", loop)
        await clock.advance(60 + 0.5 + 60 + 0.5 + 60 + 0.5)

        assert starts == 4


async def test_loop_is_restarted_when_it_returns() -> None:
    """A loop that ends without an error is down all the same."""
    clock = FakeClock()

    async def loop() -> None:
        return

    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("short", loop)
        await settle()

        assert supervisor.down == {"short": "returned"}


async def test_loop_is_restarted_when_a_cancellation_leaks_out_of_what_it_awaits() -> None:
    """Only the supervisor's own cancellation ends a loop."""
    clock = FakeClock()
    starts, loop = failing(1, asyncio.CancelledError())
    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("broker", loop)
        await clock.advance(0.5)

        assert len(starts) == 2
        assert supervisor.down == {}


async def test_one_loop_goes_on_when_another_fails() -> None:
    """Loops do not share their fate."""
    clock = FakeClock()
    _, bad = failing(1000, OSError("away"))
    good_starts, good = failing(0, OSError())
    async with Supervisor(clock.sleep, clock) as supervisor:
        supervisor.run("bad", bad)
        task = supervisor.run("good", good)
        await clock.advance(100)

        assert len(good_starts) == 1
        assert not task.done()


async def test_everything_has_ended_when_the_block_is_left() -> None:
    """Clean-up in the loops has run, and nothing is left behind, before `async with` returns."""
    clock = FakeClock()
    cleaned: list[str] = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("loop")

    _, bad = failing(1000, OSError("away"))
    async with Supervisor(clock.sleep, clock) as supervisor:
        tasks = [supervisor.run("loop", loop), supervisor.run("bad", bad)]
        await settle()

    assert cleaned == ["loop"]
    assert all(task.done() for task in tasks)
    assert supervisor.down == {}


async def test_loop_stays_ended_when_its_task_is_cancelled() -> None:
    """The caller can end one loop and start it again under its name."""
    clock = FakeClock()
    starts, loop = failing(0, OSError())
    async with Supervisor(clock.sleep, clock) as supervisor:
        task = supervisor.run("shard", loop)
        await settle()
        with pytest.raises(ValueError, match="shard"):
            supervisor.run("shard", loop)
        task.cancel()
        await settle()
        supervisor.run("shard", loop)
        await settle()

        assert len(starts) == 2


def test_description_keeps_only_the_first_line_when_an_error_has_details() -> None:
    """Row values on the later lines of a database error reach no log and no readiness answer."""
    assert describe(ValueError("duplicate key\nDETAIL: Key (phone)=(13800000001)")) == "ValueError('duplicate key')"
    assert describe(TimeoutError()) == "TimeoutError()"


async def test_block_ends_when_a_loop_loses_its_cancellation() -> None:
    """asyncio.wait_for may swallow one; the next one comes after the time for cleaning up."""
    clock = FakeClock()

    async def loop() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with Supervisor(clock.sleep, clock, cleanup_s=0.01) as supervisor:
        task = supervisor.run("deaf", loop)
        await settle()

    assert task.done()
