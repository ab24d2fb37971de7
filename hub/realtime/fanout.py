"""From a commit to sockets: this node's at once, other nodes' through Redis hints. Recipients are those at the commit (P5).

Up to `large` members each has a personal channel `u:<user>`; above, the conversation has one, `c:<conversation>`.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from prometheus_client import Counter

from hub.messaging.model import Entry
from hub.messaging.port import MemberChange
from hub.messaging.roster import Roster, Rosters
from hub.notices.news import News
from hub.platform.clock import Clock
from hub.realtime.codec import encode_json
from hub.realtime.connection import Connection
from hub.realtime.frame import Broadcast
from hub.realtime.hint import Hint, HintKind, pack, unpack
from hub.realtime.protocol import Membership, Notice, Receipt, ServerFrame
from hub.realtime.registry import Registry
from hub.realtime.room import Rooms
from hub.realtime.told import KEPT_S, Told

Publish = Callable[[str, bytes], None]
Later = Callable[[Awaitable[None]], None]

MEMBERSHIPS_TOLD = 2500  # frames for one change of members: 50 who come in together, told to 50

REPAIRED = Counter("hub_repaired_entries_total", "Entries told from PostgreSQL because no hint had come")

log = structlog.get_logger()


def personal(user: str) -> str:
    return f"u:{user}"


def shared(conversation: str) -> str:
    return f"c:{conversation}"


class Fanout:
    """An `Announcer`. What it cannot tell now, because a roster must be read first, waits in order per conversation."""

    def __init__(
        self,
        node: str,
        registry: Registry[Connection],
        rosters: Rosters,
        rooms: Rooms,
        told: Told,
        clock: Clock,
        publish: Publish,
        later: Later,
    ) -> None:
        self._told = told
        self._clock = clock
        self._node = node
        self._registry = registry
        self._rosters = rosters
        self._rooms = rooms
        self._publish = publish
        self._later = later
        self._waiting: dict[str, list[tuple[int, Callable[[Roster], None]]]] = {}
        self._unread: list[str] = []

    # What messaging announces

    def appended(
        self, conversation: str, members_version: int, entries: Sequence[Entry], also: Sequence[str] = ()
    ) -> None:
        payloads = [encode_json(entry) for entry in entries]
        broadcast = Broadcast(payloads, conversation=conversation, first_seq=entries[0].seq)
        self._with_roster(
            conversation, members_version, lambda roster: self._entries(roster, members_version, broadcast)
        )
        for user in also:
            self._tell(user, broadcast)
            self._publish(personal(user), self._pack(HintKind.ENTRIES, conversation, members_version, broadcast))

    def repeated(self, conversation: str, members_version: int, entry: Entry) -> None:
        """Tell it once more if it is young and this node has not told it; nodes that have skip the hint."""
        age = self._clock.now() - datetime.fromisoformat(entry.at)
        if age < timedelta(seconds=KEPT_S) and self._told.lacks(conversation, entry.seq):
            broadcast = Broadcast([encode_json(entry)], conversation=conversation, first_seq=entry.seq)
            self._with_roster(
                conversation,
                members_version,
                lambda roster: self._entries(roster, members_version, broadcast, kind=HintKind.AGAIN),
            )

    def receipt_moved(
        self, conversation: str, members_version: int, user: str, delivered_seq: int, read_seq: int
    ) -> None:
        frame = Receipt(conversation=conversation, user=user, delivered_seq=delivered_seq, read_seq=read_seq)
        broadcast = Broadcast([encode_json(frame)])

        def tell(roster: Roster) -> None:
            if roster.large:  # thousands of receipts per entry serve nobody; one's own devices follow all the same
                self._to_user(user, broadcast, HintKind.FACT)
            else:
                self._to_members(roster, conversation, broadcast, HintKind.FACT)

        self._with_roster(conversation, members_version, tell)

    def members_changed(self, changes: Sequence[MemberChange], told: Sequence[str]) -> None:
        """Each is told their own; the others all of them, or only the newest version where that would be too many frames."""
        shown = changes if len(changes) * len(told) <= MEMBERSHIPS_TOLD else changes[-1:]
        for change in changes:
            broadcast = Broadcast([encode_json(membership_of(change))])
            own = HintKind.LEAVE if change.to_seq is not None else HintKind.MEMBERSHIP
            self._to_user(change.user, broadcast, own, change)
            self._place(change.user, own, change.conversation, change.members_version, change.from_seq)
            for user in told if change in shown else ():
                if user != change.user:
                    self._to_user(user, broadcast, HintKind.OTHERS, change)
                    self._place(user, HintKind.OTHERS, change.conversation, change.members_version, change.from_seq)

    def noticed(self, news: Sequence[News]) -> None:
        """Each to the sockets of whom it is for, on every node. Never waits."""
        for each in news:
            frame = Notice(**{name: getattr(each, name) for name in Notice.__struct_fields__})
            self._to_user(each.user, Broadcast([encode_json(frame)]), HintKind.FACT)

    def typing(self, conversation: str, user: str, frame: ServerFrame) -> None:
        """Tell the others, if the roster is at hand and they are few; typing is never worth a read."""
        roster = self._rosters.get(conversation)
        if roster is None or roster.large or user not in roster.users or conversation in self._waiting:
            return  # while a roster is read, the one at hand may name somebody who was removed (P5)
        broadcast = Broadcast([encode_json(frame)], ephemeral=True)
        for other in roster.users:
            if other != user:
                self._to_user(other, broadcast, HintKind.EPHEMERAL)

    # Ways out

    def _entries(
        self, roster: Roster, version: int, broadcast: Broadcast, kind: HintKind | None = HintKind.ENTRIES
    ) -> None:
        """To those who may see them; without a `kind` to this node's sockets only."""
        conversation = broadcast.conversation or ""
        self._remember(broadcast)
        if roster.large:
            self._rooms.tell(conversation, version, broadcast)
            if kind is not None:
                self._publish(shared(conversation), self._pack(kind, conversation, version, broadcast))
            return
        users = list(roster.users)
        # Somebody may have come between the commit and the reading of the roster, or between an outage and its repair.
        if kind is not HintKind.ENTRIES or roster.version > version:
            users = [user for user, from_seq in roster.users.items() if from_seq <= broadcast.first_seq]
        hint = self._pack(kind, conversation, version, broadcast) if kind is not None else b""
        for user in users:
            self._tell(user, broadcast)
            if kind is not None:
                self._publish(personal(user), hint)

    def _to_members(self, roster: Roster, conversation: str, broadcast: Broadcast, kind: HintKind) -> None:
        hint = self._pack(kind, conversation, roster.version, broadcast)
        for user in roster.users:
            self._tell(user, broadcast)
            self._publish(personal(user), hint)

    def _to_user(self, user: str, broadcast: Broadcast, kind: HintKind, change: MemberChange | None = None) -> None:
        self._tell(user, broadcast)
        hint = Hint(
            origin=self._node,
            kind=kind,
            conversation=change.conversation if change else "",
            version=change.members_version if change else 0,
            first_seq=change.from_seq if change else 0,
            payloads=broadcast.payloads,
        )
        self._publish(personal(user), pack(hint))

    def _place(self, user: str, kind: int, conversation: str, version: int, from_seq: int) -> None:
        """Let a user's sockets here in or out of what is a large conversation, or has just become one."""
        if kind == HintKind.LEAVE:
            self._rooms.expel(user, conversation)
            if self._rosters.get(conversation) is not None:  # or whoever left could go on typing into it
                self._with_roster(conversation, version, lambda roster: None)
        elif personal(user) in self._registry:
            self._with_roster(conversation, version, partial(self._admit, user, conversation, from_seq))

    def _admit(self, user: str, conversation: str, from_seq: int, roster: Roster) -> None:
        if roster.large:
            self._rooms.admit(user, conversation, from_seq)

    def _remember(self, broadcast: Broadcast) -> None:
        if broadcast.conversation is not None:
            self._told.add(broadcast.conversation, broadcast.first_seq, broadcast.last_seq, self._clock.monotonic())

    def _tell(self, user: str, broadcast: Broadcast) -> None:
        for connection in self._registry.members(personal(user)):
            connection.tell(broadcast)

    def repair(self, conversation: str, members_version: int, entries: Sequence[Entry]) -> None:
        """Entries that were committed while Redis was away: those that this node has not told yet, to its own sockets."""
        for entry in entries:
            if self._told.lacks(conversation, entry.seq):
                self._with_roster(conversation, members_version, partial(self._repair, members_version, entry))

    def _repair(self, version: int, entry: Entry, roster: Roster) -> None:
        if self._told.lacks(entry.conversation, entry.seq):  # still, after the roster was read
            REPAIRED.inc()
            broadcast = Broadcast([encode_json(entry)], conversation=entry.conversation, first_seq=entry.seq)
            self._entries(roster, version, broadcast, kind=None)

    def _pack(self, kind: HintKind, conversation: str, version: int, broadcast: Broadcast) -> bytes:
        return pack(Hint(self._node, kind, conversation, version, broadcast.first_seq, broadcast.payloads))

    # What other nodes tell

    def heard(self, channel: str, data: bytes) -> None:
        """A hint from Redis. One's own was told locally at the commit."""
        hint = unpack(data)
        if hint.origin == self._node:
            return
        if hint.kind == HintKind.AGAIN and not self._told.lacks(hint.conversation, hint.first_seq):
            return
        conversation = hint.conversation if hint.kind in (HintKind.ENTRIES, HintKind.AGAIN) else None
        broadcast = Broadcast(
            hint.payloads,
            conversation=conversation,
            first_seq=hint.first_seq,
            ephemeral=hint.kind == HintKind.EPHEMERAL,
        )
        if hint.kind != HintKind.AGAIN:  # it comes once for each user here, and all of them want it
            self._remember(broadcast)
        if channel.startswith("c:"):
            self._rooms.tell(hint.conversation, hint.version, broadcast)
            return
        for connection in self._registry.members(channel):
            connection.tell(broadcast)
        if hint.kind in (HintKind.MEMBERSHIP, HintKind.LEAVE, HintKind.OTHERS):
            self._place(channel[2:], hint.kind, hint.conversation, hint.version, hint.first_seq)

    # Rosters that must be read first

    def _with_roster(self, conversation: str, version: int, tell: Callable[[Roster], None]) -> None:
        waiting = self._waiting.get(conversation)
        roster = self._rosters.get(conversation, version)
        if waiting is None and roster is not None:
            tell(roster)
        elif waiting is None:
            self._waiting[conversation] = [(version, tell)]
            self._load_soon(conversation)
        else:
            waiting.append((version, tell))

    def _load_soon(self, conversation: str) -> None:
        """With all that are asked for in this turn of the loop: a crowd of reminders is one statement."""
        self._unread.append(conversation)
        if len(self._unread) == 1:
            self._later(self._load())

    async def _load(self) -> None:
        """Read the rosters and tell what waited. When the read fails, nobody here is told: digests and resumes heal that."""
        conversations, self._unread = self._unread, []
        read = False
        try:
            await self._rosters.load(conversations)
            read = True
        except Exception as error:
            log.warning("rosters not read", count=len(conversations), error=type(error).__name__)
        for conversation in conversations:
            self._tell_waiting(conversation, read=read)

    def _tell_waiting(self, conversation: str, *, read: bool) -> None:
        waiting, rest = self._waiting.pop(conversation), []
        for version, tell in waiting:
            roster = self._rosters.get(conversation, version)
            if roster is not None:
                tell(roster)
            else:
                rest.append((version, tell))
        if rest and read and self._rosters.get(conversation) is not None:  # the membership moved while it was read
            self._waiting[conversation] = rest
            self._load_soon(conversation)


def membership_of(change: MemberChange) -> Membership:
    return Membership(
        conversation=change.conversation,
        user=change.user,
        role=change.role,
        from_seq=change.from_seq,
        members_version=change.members_version,
        kind=change.kind,
        to_seq=change.to_seq,
        read_only=change.read_only,
    )
