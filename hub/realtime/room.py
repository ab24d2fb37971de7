"""Large conversations on this node: which sockets hear `c:<conversation>`, checked against the version of each hint (P5)."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import asyncpg
import structlog

from hub.realtime.codec import encode_json
from hub.realtime.connection import Connection
from hub.realtime.frame import Broadcast
from hub.realtime.protocol import Gap
from hub.realtime.registry import Registry

NOBODY = sys.maxsize
QUEUED = 1000  # broadcasts of one room while its members are read again; more become one gap

_STILL_MEMBERS = """SELECT user_id::text FROM members
WHERE conversation = $1 AND to_seq IS NULL AND user_id = ANY ($2::uuid[])"""

log = structlog.get_logger()


class Channels(Protocol):
    """What rooms need of the broker."""

    def subscribe(self, channel: str) -> None: ...

    def unsubscribe(self, channel: str) -> None: ...

    async def settled(self, channel: str) -> None: ...


class _Room:
    __slots__ = ("entered", "from_seqs", "heard", "last_from_seq", "overflow_from", "queue", "reading", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.queue: list[tuple[int, Broadcast]] = []
        self.reading = False
        self.heard = False  # whether Redis has confirmed the channel since; a resume sees to that by itself
        self.entered = NOBODY  # the lowest version by which somebody was let in since the reading began
        self.overflow_from: int | None = None
        self.from_seqs: dict[Connection, int] = {}  # of those who do not see everything
        self.last_from_seq = 1  # the highest of them: what is newer needs no look at each


class Rooms:
    """A hint with a newer version than the room's waits until the local members were read again, in order."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        registry: Registry[Connection],
        channels: Channels,
        later: Callable[[Awaitable[None]], None],
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._channels = channels
        self._later = later
        self._rooms: dict[str, _Room] = {}

    def enter(self, conversation: str, connection: Connection, version: int, from_seq: int) -> None:
        """A socket of somebody who, at `version`, is a member and sees from `from_seq` on."""
        if self._registry.join(f"c:{conversation}", connection):
            self._channels.subscribe(f"c:{conversation}")
            self._rooms[conversation] = _Room(version)
        room = self._rooms[conversation]
        room.version = min(room.version, version)  # judged by an older membership, so the next hint checks again
        room.entered = min(room.entered, version)
        if from_seq > 1:
            room.from_seqs[connection] = from_seq
            room.last_from_seq = max(room.last_from_seq, from_seq)

    def leave(self, conversation: str, connection: Connection) -> None:
        if (room := self._rooms.get(conversation)) is not None:
            room.from_seqs.pop(connection, None)
        if self._registry.leave(f"c:{conversation}", connection):
            self.emptied(f"c:{conversation}")

    def emptied(self, channel: str) -> None:
        """The last local socket left this channel."""
        self._channels.unsubscribe(channel)
        self._rooms.pop(channel[2:], None)

    def admit(self, user: str, conversation: str, from_seq: int) -> None:
        """A member of what is a large conversation now: those of their sockets that do not hear it yet do from now on."""
        channel = f"c:{conversation}"
        fresh = [c for c in self._registry.members(f"u:{user}") if channel not in self._registry.channels_of(c)]
        for connection in fresh:
            self.enter(conversation, connection, 0, from_seq)
        if fresh and not self._rooms[conversation].heard:
            self._later(self._await_hearing(conversation, fresh, from_seq))

    async def _await_hearing(self, conversation: str, fresh: Sequence[Connection], from_seq: int) -> None:
        """What was published before Redis confirmed the channel, nobody here was told: those who came have it fetched."""
        await self._channels.settled(f"c:{conversation}")
        if (room := self._rooms.get(conversation)) is not None:
            room.heard = True
            gap = Broadcast([encode_json(Gap(conversation=conversation, from_=from_seq))])
            for connection in self._registry.members(f"c:{conversation}"):
                if connection in fresh:
                    connection.tell(gap)

    def expel(self, user: str, conversation: str) -> None:
        """No member any more."""
        for connection in self._registry.members(f"u:{user}"):
            self.leave(conversation, connection)

    def tell(self, conversation: str, version: int, broadcast: Broadcast) -> None:
        room = self._rooms.get(conversation)
        if room is None:
            return
        if version <= room.version and not room.reading:
            self._deliver(conversation, broadcast)
            return
        if len(room.queue) < QUEUED:
            room.queue.append((version, broadcast))
        elif room.overflow_from is None and broadcast.conversation is not None:
            room.overflow_from = broadcast.first_seq
        if not room.reading:
            room.reading = True
            self._later(self._check(conversation, room))

    def _deliver(self, conversation: str, broadcast: Broadcast) -> None:
        room = self._rooms.get(conversation)
        late = room is not None and broadcast.conversation is not None and broadcast.first_seq < room.last_from_seq
        for connection in self._registry.members(f"c:{conversation}"):
            if late and room is not None and (from_seq := room.from_seqs.get(connection, 1)) > broadcast.first_seq:
                rest = broadcast.after(from_seq - 1)
                if rest.payloads:
                    connection.tell(rest)
            else:
                connection.tell(broadcast)

    async def _check(self, conversation: str, room: _Room) -> None:
        """Read which local members are still members, let the others go, then deliver what waited."""
        channel = f"c:{conversation}"
        while room.queue:
            version = max(version for version, _ in room.queue)
            here = self._registry.members(channel)
            room.entered = NOBODY
            try:
                rows = await self._pool.fetch(_STILL_MEMBERS, conversation, [c.user for c in here])
            except Exception as error:
                # Not telling is safe (a digest heals it), telling a removed member is not.
                log.warning("room not read", error=type(error).__name__)
                room.queue.clear()
                break
            if room.entered < version:
                continue  # who came in meanwhile was judged by an older membership than this and must be looked at, too
            members = {row[0] for row in rows}
            for connection in here:
                if connection.user not in members:
                    self.leave(conversation, connection)
            room.version = max(room.version, version)
            waiting, room.queue = room.queue, [item for item in room.queue if item[0] > room.version]
            for waited, broadcast in waiting:
                if waited <= room.version:
                    self._deliver(conversation, broadcast)
        room.reading = False
        if room.overflow_from is not None:
            gap = Gap(conversation=conversation, from_=room.overflow_from)
            room.overflow_from = None
            self._deliver(conversation, Broadcast([encode_json(gap)]))
