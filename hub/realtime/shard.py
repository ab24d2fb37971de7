"""One Redis for the broker: a connection that subscribes and one that publishes, probed and restarted as one."""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import hiredis
import structlog
from prometheus_client import Counter, Gauge

from hub.platform import settings
from hub.platform.supervisor import describe
from hub.realtime.redis_link import Address, Link, Reply, command, dial

SUBSCRIBE_AT_ONCE = 512  # channels in one command: one command of 100,000 would stall Redis for everybody
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

PUBLISHED = Counter("hub_broker_published", "Hints handed to a Redis connection")
RECEIVED = Counter("hub_broker_received", "Hints received from Redis")
DROPPED = Counter("hub_broker_dropped", "Hints dropped: no connection, or too much unsent")
REFUSED = Counter("hub_broker_refused", "Publishes that Redis answered with an error")
RESTARTS = Counter("hub_broker_restarts", "Times the connections to a Redis were given up")
PROBE_LAG = Gauge("hub_broker_probe_lag_seconds", "How long the last probe was on its way", ["shard"])

log = structlog.get_logger("hub.broker")


class Shard:
    """`channels` are resubscribed after each restart; `healthy` only while the probe comes back in time."""

    def __init__(
        self,
        address: Address,
        number: int,
        chosen: settings.Realtime,
        *,
        prefix: str,
        node: str,
        on_message: Callable[[str, bytes], None],
        on_health: Callable[[], None],
    ) -> None:
        self.healthy = False
        self.dropped = 0
        self.lag_ms = 0.0
        self._address = address
        self._number = number
        self._late_s = chosen.probe_late_s
        self._interval_s = min(chosen.probe_s, chosen.probe_late_s / 2)  # one lost probe alone is not yet late
        self._buffer_bytes = chosen.broker_buffer_bytes
        self._prefix = f"{prefix}:".encode()
        self._probe_name = self._prefix + f"probe:{node}".encode()
        self._on_message = on_message
        self._on_health = on_health
        self._channels: dict[bytes, str] = {}
        self._subscriber: Link | None = None
        self._publisher: Link | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._joining: list[bytes] = []
        self._flush_due = False
        # Redis confirms each channel of a (un)subscribe in order, so two counts tell what is in effect.
        self._asked = 0
        self._confirmed = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._session = b""
        self._probe_heard = 0.0

    def publish(self, channel: str, payload: bytes) -> None:
        link = self._publisher
        if link is None or self._outgoing_bytes + link.unsent_bytes > self._buffer_bytes:
            self.dropped += 1
            DROPPED.inc()
            return
        packed = command(b"PUBLISH", self._prefix + channel.encode(), payload)
        self._outgoing.append(packed)
        self._outgoing_bytes += len(packed)
        self._schedule_flush()

    def join(self, channel: str) -> None:
        name = self._prefix + channel.encode()
        self._channels[name] = channel
        if self._subscriber is not None:
            self._joining.append(name)
            self._schedule_flush()

    def leave(self, channels: Sequence[str]) -> None:
        self._flush()  # a join that still waits here must reach Redis before the leave
        names = [self._prefix + channel.encode() for channel in channels]
        for name in names:
            self._channels.pop(name, None)
        self._write_batches(b"UNSUBSCRIBE", names)

    def settled(self) -> asyncio.Future[None]:
        """Done when each join so far is in effect, or when the connection is lost."""
        self._flush()
        future = asyncio.get_running_loop().create_future()
        if self._subscriber is None or self._confirmed >= self._asked:
            future.set_result(None)
        else:
            self._waiting.append((self._asked, future))
        return future

    async def run(self) -> NoReturn:
        """Connect, resubscribe, probe; after any failure do it again."""
        failures = 0
        while True:
            try:
                await self._keep()
            except OSError as error:  # also Refused, TimeoutError, SSLError, and a name that does not resolve
                failures = 0 if self.healthy else failures + 1
                log.warning("redis away", shard=self._number, address=str(self._address), error=describe(error))
            finally:
                self._disconnect()
            RESTARTS.inc()
            await asyncio.sleep(_pause(failures))

    async def _keep(self) -> NoReturn:
        subscriber = self._subscriber = await dial(self._address, self._on_replies)
        self._session = secrets.token_hex(4).encode()
        self._joining.clear()
        self._write_batches(b"SUBSCRIBE", [*self._channels, self._probe_name])
        publisher = await dial(self._address, _count_refusals)
        try:
            await self._until_resubscribed(subscriber, publisher)
            self._publisher = publisher
            await self._watch(subscriber, publisher)
        finally:
            publisher.abort("given up")

    async def _until_resubscribed(self, *links: Link) -> None:
        # Two connections: a probe published before the subscription is in effect would be lost.
        settled = self.settled()
        ends: list[asyncio.Future[Any]] = [settled, *(link.closed for link in links)]
        await asyncio.wait(ends, timeout=self._late_s, return_when=asyncio.FIRST_COMPLETED)
        _raise_if_closed(links)
        if not settled.done():
            raise TimeoutError("subscriptions were not confirmed")

    async def _watch(self, *links: Link) -> NoReturn:
        loop = asyncio.get_running_loop()
        self._probe_heard = loop.time()
        while True:
            self._send_probe()
            left_s = self._probe_heard + self._late_s - loop.time()
            await asyncio.wait(
                {link.closed for link in links},
                timeout=max(0.0, min(self._interval_s, left_s)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            await asyncio.sleep(0)  # after a stall of ours: read what has come before judging its absence
            _raise_if_closed(links)
            if loop.time() - self._probe_heard >= self._late_s:
                raise TimeoutError("the probe did not come back")

    def _send_probe(self) -> None:
        name = self._probe_name[len(self._prefix) :].decode()
        self.publish(name, b"%s:%f" % (self._session, time.monotonic()))  # uvloop's own time stands still within a turn

    def _on_probe(self, payload: bytes) -> None:
        session, _, sent = payload.partition(b":")
        if session != self._session or self._publisher is None:
            return  # left over from an earlier connection: proves nothing about this one
        self._probe_heard = asyncio.get_running_loop().time()
        self.lag_ms = (time.monotonic() - float(sent)) * 1000
        PROBE_LAG.labels(str(self._number)).set(self.lag_ms / 1000)
        self._set_healthy(True)

    def _on_replies(self, replies: list[Reply]) -> None:
        hints = 0
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                # A subscription that was refused would be silence that nobody notices.
                self._abort_subscriber(str(reply))
                break
            kind, name, value = reply
            if kind != b"message":
                self._confirmed += 1
            elif (channel := self._channels.get(name)) is not None:
                hints += 1
                self._on_message(channel, value)
            elif name == self._probe_name:
                self._on_probe(value)
        RECEIVED.inc(hints)
        self._release(self._confirmed)

    def _abort_subscriber(self, reason: str) -> None:
        if self._subscriber is not None:
            self._subscriber.abort(reason)

    def _release(self, confirmed: float) -> None:
        while self._waiting and self._waiting[0][0] <= confirmed:
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_result(None)

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._joining:
            self._write_batches(b"SUBSCRIBE", self._joining)
            self._joining.clear()
        if self._outgoing and self._publisher is not None:
            self._publisher.write(b"".join(self._outgoing))
            PUBLISHED.inc(len(self._outgoing))
            self._forget_outgoing()

    def _forget_outgoing(self) -> None:
        self._outgoing.clear()
        self._outgoing_bytes = 0

    def _write_batches(self, verb: bytes, names: Sequence[bytes]) -> None:
        if self._subscriber is None or not names:
            return
        batches = (names[start : start + SUBSCRIBE_AT_ONCE] for start in range(0, len(names), SUBSCRIBE_AT_ONCE))
        self._subscriber.write(b"".join(command(verb, *batch) for batch in batches))
        self._asked += len(names)

    def _set_healthy(self, healthy: bool) -> None:
        if healthy != self.healthy:
            self.healthy = healthy
            log.info("redis healthy" if healthy else "redis not healthy", shard=self._number)
            self._on_health()

    def _disconnect(self) -> None:
        self._abort_subscriber("given up")
        self._subscriber = self._publisher = None
        self.dropped += len(self._outgoing)
        DROPPED.inc(len(self._outgoing))
        self._forget_outgoing()
        self._joining.clear()
        self._release(float("inf"))
        self._asked = self._confirmed = 0
        self._set_healthy(False)


def _count_refusals(replies: list[Reply]) -> None:
    refused = sum(isinstance(reply, hiredis.ReplyError) for reply in replies)
    if refused:
        REFUSED.inc(refused)


def _raise_if_closed(links: Sequence[Link]) -> None:
    for link in links:
        if link.closed.done():
            raise ConnectionResetError(link.closed.result())


def _pause(failures: int) -> float:
    """Between the shortest and a ceiling that doubles: nodes that lost the same Redis return spread out."""
    ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures + 1, 10))
    return random.uniform(FIRST_PAUSE_S, ceiling)  # noqa: S311  # jitter, no secret
