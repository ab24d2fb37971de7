"""Large conversations on this node: which sockets hear `c:<conversation>`, checked against the version of each hint (P5)."""

from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from hub.messaging.roster import Rosters
from hub.realtime.connection import Connection
from hub.realtime.frame import Broadcast
from hub.realtime.protocol import Gap, encode_json
from hub.realtime.registry import Registry

QUEUED = 1000  # broadcasts of one room while its members are read again; more become one gap

_STILL_MEMBERS = """SELECT user_id::text FROM members
WHERE conversation = $1 AND to_seq IS NULL AND user_id = ANY ($2::uuid[])"""

log = structlog.get_logger()


class _Room:
    __slots__ = ("from_seqs", "last_from_seq", "overflow_from", "queue", "reading", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.queue: list[tuple[int, Broadcast]] = []
        self.reading = False
        self.overflow_from: int | None = None
        self.from_seqs: dict[Connection, int] = {}  # of those who do not see everything
        self.last_from_seq = 1  # the highest of them: what is newer needs no look at each


class Rooms:
    """A hint with a newer version than the room's waits until the local members were read again, in order."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        registry: Registry[Connection],
        rosters: Rosters,
        subscribe: Callable[[str], None],
        unsubscribe: Callable[[str], None],
        later: Callable[[Awaitable[None]], None],
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._rosters = rosters
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._later = later
        self._rooms: dict[str, _Room] = {}

    def enter(self, conversation: str, connection: Connection, version: int, from_seq: int) -> None:
        """A socket of somebody who, at `version`, is a member and sees from `from_seq` on."""
        if self._registry.join(f"c:{conversation}", connection):
            self._subscribe(f"c:{conversation}")
            self._rooms[conversation] = _Room(version)
        elif (room := self._rooms.get(conversation)) is not None and version < room.version:
            room.version = version  # this socket was judged by an older membership, so the next hint checks again

        if from_seq > 1:
            room = self._rooms[conversation]
            room.from_seqs[connection] = from_seq
            room.last_from_seq = max(room.last_from_seq, from_seq)

    def leave(self, conversation: str, connection: Connection) -> None:
        if (room := self._rooms.get(conversation)) is not None:
            room.from_seqs.pop(connection, None)
        if self._registry.leave(f"c:{conversation}", connection):
            self.emptied(f"c:{conversation}")

    def emptied(self, channel: str) -> None:
        """The last local socket left this channel."""
        self._unsubscribe(channel)
        self._rooms.pop(channel[2:], None)

    async def place(self, user: str, conversation: str, *, member: bool, from_seq: int) -> None:
        """Somebody's membership changed: move their sockets here in or out, if the conversation is large."""
        connections = self._registry.members(f"u:{user}")
        if not member:
            for connection in connections:
                self.leave(conversation, connection)
            return
        if connections:
            await self._rosters.load([conversation])
            roster = self._rosters.get(conversation)
            if roster is not None and roster.large:
                for connection in connections:
                    self.enter(conversation, connection, 0, from_seq)

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
            try:
                rows = await self._pool.fetch(_STILL_MEMBERS, conversation, [c.user for c in here])
            except Exception as error:
                # Not telling is safe (a digest heals it), telling a removed member is not.
                log.warning("room not read", error=type(error).__name__)
                room.queue.clear()
                break
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
