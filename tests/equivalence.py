"""What a client builds from events equals what a newcomer is told (P4): one helper for every kind of event."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from clients.terminal.client import HubClient
from clients.terminal.housekeeping import Timing
from clients.terminal.view import View
from hub.realtime.protocol import Ping, Pong

QUICK = Timing(tick_s=0.02)
"""For the clients of a test: they look for holes and receipts more often."""


async def assert_equivalent(
    live: Sequence[HubClient], act: Callable[[], Awaitable[object]], *, packed: bool = False
) -> None:
    """Do `act`; then the picture of each live client is the one that a device signed in just now is given.

    Waits for frames until both agree, and fails with both pictures when they do not.
    """
    await act()
    for client in live:
        await in_step(client)
        async with HubClient(
            client.account, view=View(whole=True), packed=packed, device="newcomer", timing=QUICK
        ) as newcomer:
            await in_step(newcomer)
            ours, fresh = comparable(client.view, newcomer.view), comparable(newcomer.view, client.view)
        assert ours == fresh


async def in_step(client: HubClient, timeout_s: float = 15.0) -> None:
    """Wait until nothing is missing and the digest is the server's. Receipts may still be moving, so it asks again."""
    async with asyncio.timeout(timeout_s):
        while True:
            pong = await client.request(Ping(ref=0))
            assert isinstance(pong, Pong)
            with contextlib.suppress(TimeoutError):
                return await client.until(_agrees_with(pong.digest), 0.5)


def _agrees_with(digest: str | None) -> Callable[[View], bool]:
    return lambda view: not view.missing() and view.digest() == digest


def comparable(view: View, other: View) -> dict[str, Any]:
    """The picture, over the part of each log that both hold: a snapshot may have dropped the older one's beginning."""
    picture = view.picture()
    for name, held in picture.items():
        base = max(view.logs[name].base, other.logs[name].base if name in other.logs else 0)
        held["shown"] = [shown for shown in held["shown"] if shown.seq > base]
        held["receipts"] = dict(sorted(held["receipts"].items()))
        if not view.logs[name].active:
            # A removed person is told nothing about the others any more, and keeps what was known.
            held["receipts"], held["place"] = {}, view.logs[name].window
    return picture
