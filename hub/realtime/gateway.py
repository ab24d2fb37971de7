"""The sockets of this node: who they are, which channels they hear, when they are written, and when they must go."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog
from prometheus_client import Counter, Gauge

from hub.messaging.history import Standing
from hub.platform.clock import Clock, rfc3339
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.platform.text import Language
from hub.realtime.broker import Broker
from hub.realtime.codec import encode_json
from hub.realtime.connection import Connection, Transport
from hub.realtime.fanout import personal, shared
from hub.realtime.frame import Broadcast, Form
from hub.realtime.outbox import Outbox
from hub.realtime.presence import Presence, channel_of
from hub.realtime.protocol import Drain, Request
from hub.realtime.protocol import Presence as PresenceFrame
from hub.realtime.registry import Registry
from hub.realtime.room import Rooms
from hub.realtime.session import Limits, Session
from hub.security.token import Principal

SWEEP_S = 1.0

SOCKETS = Gauge("hub_sockets", "Connected devices")
# The hub's main measure of quality: it stays near 0 while every fact reaches its sockets.
RESYNCS = Counter("hub_resyncs_total", "Hellos on a connection that had been welcomed: its digest differed")
ACCEPTED = Counter("hub_sockets_accepted_total", "Devices that connected")

log = structlog.get_logger()


class Gateway:
    """An `Edge` for connections. `bind` the parts that need the gateway themselves before the first connection."""

    def __init__(self, settings: Settings, clock: Clock, registry: Registry[Connection]) -> None:
        self._settings = settings
        self._clock = clock
        self._registry = registry
        self._connections: dict[Connection, None] = {}
        self._dirty: list[Connection] = []
        self._presence_of: dict[str, bool] = {}
        self.draining = False
        self._emptied = asyncio.Event()
        limits = settings.realtime
        self._limits = Limits(
            frames_per_s=limits.frames_per_s,
            burst=float(limits.frames_burst),
            strikes=limits.flood_strikes,
            unanswered=limits.frames_burst,
            held_bytes=limits.outbox_soft_bytes,  # released beside the resume, which is as large: both must fit the outbox
        )

    def bind(
        self,
        broker: Broker,
        presence: Presence,
        rooms: Rooms,
        perform: Callable[[Connection, Request], None],
        acquainted: Callable[[Collection[tuple[str, str]]], Awaitable[set[tuple[str, str]]]],
        later: Callable[[Awaitable[None]], None],
    ) -> None:
        self._acquainted = acquainted
        self._later = later
        self._broker = broker
        self._presence = presence
        self._rooms = rooms
        self._perform = perform

    # Coming and going

    def admit(self) -> None:
        """Raises `Refusal` when this node takes no more sockets (P15)."""
        if self.draining:
            raise Refusal(ErrorCode.DRAINING, retry_after_ms=random.randint(500, 3000))  # noqa: S311 - jitter
        if len(self._connections) >= self._settings.server.max_connections:
            raise Refusal(ErrorCode.OVERLOADED, retry_after_ms=random.randint(2000, 10000))  # noqa: S311 - jitter

    def connect(self, transport: Transport, principal: Principal, form: Form, language: Language) -> Connection:
        """A device that has proven who it is. It hears nothing before its hello."""
        limits = self._settings.realtime
        session = Session(self._limits, self.now())
        outbox = Outbox(limits.outbox_soft_bytes, limits.outbox_bytes)
        connection = Connection(new_id(), self, transport, principal, session, outbox, form, language)
        self._connections[connection] = None
        ACCEPTED.inc()
        SOCKETS.set(len(self._connections))
        return connection

    async def listen(self, connection: Connection) -> None:
        """Hear the user's channel from now on; returns when Redis has confirmed it, or is away."""
        channel = personal(connection.user)
        if channel in self._registry.channels_of(connection):
            RESYNCS.inc()
        elif connection in self._connections:
            others = [other for other in self._registry.members(channel) if other.close_code is None]
            if len(others) >= self._settings.realtime.sockets_per_user:
                others[0].close(ErrorCode.TOO_MANY_SOCKETS)
            if self._registry.join(channel, connection):
                self._broker.subscribe(channel)
                self._presence.entered(connection.user)
        await self._broker.settled(channel)

    def enter_rooms(self, connection: Connection, large: Mapping[str, Standing]) -> list[str]:
        """Hear the user's large conversations; the answer is those that are new, so what was read of them may have a hole."""
        heard = self._registry.channels_of(connection)
        fresh = [c for c in large if shared(c) not in heard] if connection in self._connections else []
        for conversation in fresh:
            standing = large[conversation]
            self._rooms.enter(conversation, connection, standing.members_version, standing.from_seq)
        return fresh

    async def settled(self, conversations: Collection[str]) -> None:
        """Return when Redis has confirmed these channels, or is away."""
        for conversation in conversations:
            await self._broker.settled(shared(conversation))

    def left(self, connection: Connection) -> None:
        """The transport has ended: nothing of this connection remains."""
        if connection not in self._connections:
            return
        del self._connections[connection]
        if not self._connections:
            self._emptied.set()
        SOCKETS.set(len(self._connections))
        for channel in self._registry.channels_of(connection):
            if channel.startswith("c:"):
                self._rooms.leave(channel[2:], connection)
        for channel in self._registry.drop(connection):
            if channel.startswith("u:"):
                self._broker.unsubscribe(channel)
                self._presence.left(connection.user)
        self._presence.unwatch(connection.watching)

    # The edge that connections see

    def now(self) -> float:
        return self._clock.monotonic()

    def perform(self, connection: Connection, request: Request) -> None:
        self._perform(connection, request)

    def flush_soon(self, connection: Connection) -> None:
        """Everything that this loop turn owes a socket leaves in one write at its end: the system call is the cost."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    # Presence

    async def watch(self, connection: Connection, users: Collection[str]) -> dict[str, bool]:
        """Tell this connection about these users from now on, instead of those before. The answer is how they are now."""
        before, connection.watching = connection.watching, frozenset(users)
        if connection not in self._connections:
            connection.watching = frozenset()
            return {}
        self._presence.watch(connection.watching)
        for user in connection.watching - before:
            self._registry.join(channel_of(user), connection)
        for user in before - connection.watching:
            self._registry.leave(channel_of(user), connection)
        self._presence.unwatch(before)
        return await self._presence.states(connection.watching)

    def presence_changed(self, user: str, online: bool, at_ms: int) -> None:
        """Tell those who watch, if they still share a conversation with the user: a membership may have ended since (P5)."""
        if not self._presence_of:
            self._later(self._tell_presence())
        self._presence_of[user] = online

    async def _tell_presence(self) -> None:
        """All changes that gathered, judged by one statement, one statement at a time."""
        while self._presence_of:
            changed = dict(self._presence_of)
            watchers = [(user, c) for user in changed for c in self._registry.members(channel_of(user))]
            try:
                known = await self._acquainted({(user, c.user) for user, c in watchers}) if watchers else set()
            except Exception as error:  # who cannot be judged is not told; the sweep finds the next change
                log.warning("presence not told", error=type(error).__name__)
                known = set()
                watchers = []
            for user, online in changed.items():
                if self._presence_of.get(user) == online:
                    del self._presence_of[user]
            for user, connection in watchers:
                if (user, connection.user) in known:
                    frame = PresenceFrame(user=user, online=changed[user], at=rfc3339(self._clock.now()))
                    connection.tell(Broadcast([encode_json(frame)], ephemeral=True))
                else:
                    self._unwatch(connection, user)

    def _unwatch(self, connection: Connection, user: str) -> None:
        if user in connection.watching:
            connection.watching -= {user}
            self._registry.leave(channel_of(user), connection)
            self._presence.unwatch([user])

    # Watching over sockets

    async def sweep(self) -> None:
        """Ping the quiet, close the dead, the late and the expired, for ever; run it under the supervisor."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now, wall = self.now(), self._clock.now().timestamp()
            for number, connection in enumerate(list(self._connections)):
                self._judge(connection, now, wall)
                if number % 1000 == 999:
                    await asyncio.sleep(0)  # 1,000 judgements take about 1 ms; sockets must not wait for all of them

    def _judge(self, connection: Connection, now: float, wall: float) -> None:
        limits = self._settings.realtime
        quiet_s = now - connection.heard_at
        if connection.principal.expires_at <= wall:
            connection.close(ErrorCode.UNAUTHORIZED)
        elif connection.greeting and now - connection.connected_at > limits.hello_timeout_s:
            connection.close(ErrorCode.HELLO_TIMEOUT)
        elif quiet_s > limits.silence_s:
            connection.close(ErrorCode.SILENT)
        elif quiet_s > limits.silence_s / 2 and not connection.pinged:
            connection.ping()

    def revoke(self, sessions: Collection[str]) -> None:
        """Close the sockets of these sessions."""
        for connection in list(self._connections):
            if connection.principal.session in sessions:
                connection.close(ErrorCode.UNAUTHORIZED)

    def users(self) -> list[str]:
        """Who listens here."""
        return [channel[2:] for channel in self._registry.channels("u:")]

    def __len__(self) -> int:
        return len(self._connections)

    async def drain(self, seconds: float) -> None:
        """Ask every socket to come back elsewhere within `seconds`, spread evenly, then close those that stayed."""
        self.draining = True
        window_ms = int(seconds * 800)
        for connection in list(self._connections):
            wait_ms = random.randint(0, window_ms)  # noqa: S311 - jitter, so that they do not return all at once
            connection.reply(Drain(reconnect_after_ms=wait_ms))
        if self._connections:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), seconds)
        for connection in list(self._connections):
            connection.close(ErrorCode.DRAINING)
        log.info("drained", left=len(self._connections))
