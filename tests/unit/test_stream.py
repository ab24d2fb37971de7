"""An SSE stream whose reader has stopped reading is cut off (P7)."""

import asyncio
from types import SimpleNamespace

import pytest

from hub.platform.clock import SystemClock
from hub.realtime import sse


async def test_a_stream_that_nobody_reads_ends_after_its_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response hangs in its send and would never ask for the next chunk; the connection is given up all the same."""
    monkeypatch.setattr(sse, "CLOSE_S", 0.01)
    gone, stuck = asyncio.Event(), asyncio.Event()
    stream = sse.EventStream(SystemClock())
    stream.connection = SimpleNamespace(lost=gone.set)  # type: ignore[assignment]  # all that the end needs

    async def respond() -> None:
        async for _ in sse._closing(stream):
            stuck.set()
            await asyncio.Event().wait()

    response = asyncio.create_task(respond())
    stream.write(b"data: 1\n\n")
    await stuck.wait()
    stream.close(4001, "slow")
    async with asyncio.timeout(5):
        await asyncio.wait([response])
        await gone.wait()

    assert response.cancelled()
