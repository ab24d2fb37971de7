"""Hints between nodes through Redis: who hears which channel. A shard (`shard.py`) keeps the connections to one Redis.

Losing a hint is late, never lost: PostgreSQL is the truth (P6).
"""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from traceback import extract_tb
from typing import NoReturn

import structlog

from hub.platform import settings
from hub.realtime.redis_link import parse_addresses
from hub.realtime.shard import Shard

LINGER_S = 1.0  # a channel is left this long after its last listener: a page reload costs Redis nothing

log = structlog.get_logger("hub.broker")


class Broker:
    """Publishes hints and receives those of every node, its own included, in order per channel.

    `on_message(channel, payload)` runs in the callback that read the hint and must not wait. `on_back()` runs once each
    time every shard has proven itself, the first time included; from then on, what was missed can be read again from
    PostgreSQL and nothing more is missed. `on_lost()` runs once when that ends. Everything here belongs to one loop.
    """

    def __init__(
        self,
        chosen: settings.Realtime,
        redis: settings.Redis,
        *,
        node: str,
        on_message: Callable[[str, bytes], None],
        on_lost: Callable[[], None],
        on_back: Callable[[], None],
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_back = on_back
        self._healthy = False
        self._listeners: dict[str, int] = {}
        self._lingering: dict[
            str, float
        ] = {}  # channel → when to leave it; insertion order is the order of those times
        self._leaving: asyncio.TimerHandle | None = None
        self._shards = [
            Shard(
                address,
                number,
                chosen,
                prefix=redis.prefix,
                node=node,
                on_message=self._deliver,
                on_health=self._compare_health,
            )
            for number, address in enumerate(parse_addresses(redis.url))
        ]

    @property
    def healthy(self) -> bool:
        """True while the probe that travels the normal publish path comes back in time on every shard."""
        return self._healthy

    @property
    def open_subscriptions(self) -> int:
        """Channels that somebody listens to now."""
        return len(self._listeners)

    @property
    def dropped(self) -> int:
        """Hints not sent since the start: no connection, or more than `broker_buffer_bytes` unsent."""
        return sum(shard.dropped for shard in self._shards)

    @property
    def lag_ms(self) -> float:
        """How long the last probe took, on the slowest shard."""
        return max(shard.lag_ms for shard in self._shards)

    def publish(self, channel: str, payload: bytes) -> None:
        """Never waits, never raises: sent with everything else of this loop turn, or dropped and counted."""
        self._shard_of(channel).publish(channel, payload)

    def subscribe(self, channel: str) -> None:
        """One more listener. Redis is asked at the end of this loop turn; `settled` tells when it is in effect."""
        listeners = self._listeners.get(channel, 0)
        self._listeners[channel] = listeners + 1
        if listeners == 0 and self._lingering.pop(channel, None) is None:
            self._shard_of(channel).join(channel)

    def unsubscribe(self, channel: str) -> None:
        """One listener less; one more than there were is ignored.

        After the last one nothing is delivered, and Redis is told a second later.
        """
        listeners = self._listeners.get(channel, 0)
        if listeners > 1:
            self._listeners[channel] = listeners - 1
        elif listeners == 1:
            del self._listeners[channel]
            self._lingering[channel] = asyncio.get_running_loop().time() + LINGER_S
            self._schedule_leaving()

    async def settled(self, channel: str) -> None:
        """Return once the subscription is in effect: what is read from PostgreSQL afterwards, plus hints, has no hole.

        Returns at once while the channel's Redis is away, and when it goes away meanwhile: then `on_back` follows.
        """
        await self._shard_of(channel).settled()

    async def run(self) -> NoReturn:
        """Keep every shard connected. Ends only by cancellation or a defect; the supervisor may run it again."""
        try:
            async with asyncio.TaskGroup() as group:
                for shard in self._shards:
                    group.create_task(shard.run())
        finally:
            self._leave(list(self._lingering))
        raise AssertionError("a shard has ended")

    def _shard_of(self, channel: str) -> Shard:
        return self._shards[zlib.crc32(channel.encode()) % len(self._shards)]

    def _deliver(self, channel: str, payload: bytes) -> None:
        if channel not in self._listeners:
            return  # it lingers only
        try:
            self._on_message(channel, payload)
        except Exception as error:
            # One bad hint must not cost the connection. The error's text may hold content, so only its place is logged.
            place = extract_tb(error.__traceback__)[-1]
            log.error("hint failed", error=type(error).__name__, at=f"{place.name}:{place.lineno}")

    def _compare_health(self) -> None:
        healthy = all(shard.healthy for shard in self._shards)
        if healthy != self._healthy:
            self._healthy = healthy
            (self._on_back if healthy else self._on_lost)()

    def _schedule_leaving(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().call_later(LINGER_S, self._leave_due)

    def _leave_due(self) -> None:
        self._leaving = None
        now = asyncio.get_running_loop().time()
        self._leave([channel for channel, at in self._lingering.items() if at <= now])
        if self._lingering:  # again only after a whole second: that is what makes batches
            self._schedule_leaving()

    def _leave(self, channels: Iterable[str]) -> None:
        groups: dict[Shard, list[str]] = {}
        for channel in channels:
            del self._lingering[channel]
            groups.setdefault(self._shard_of(channel), []).append(channel)
        for shard, names in groups.items():
            shard.leave(names)
