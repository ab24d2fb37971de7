"""One conversation as a client holds it: entries by seq, what operations made of them, places and receipts. No I/O."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from hub.messaging.model import Entry, EntryType, Kind
from hub.realtime.protocol import Head, Membership

OPERATIONS = frozenset({EntryType.EDIT, EntryType.RECALL, EntryType.REACT, EntryType.PIN})
COUNTED_MEMBERS = 50
"""Receipts of larger conversations are not told, and not part of the digest."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as a person sees it, with every operation applied. The body of a recalled entry is empty."""

    seq: int
    sender: str | None
    type: str
    body: Any  # Any: the JSON of the entry's type
    at: str
    edited: bool = False
    recalled: bool = False
    erased: bool = False
    pinned: bool = False
    reactions: dict[str, tuple[str | None, ...]] = {}


class Place(NamedTuple):
    """Where a person stood in a conversation when its membership had this version."""

    version: int
    role: str
    from_seq: int
    to_seq: int | None


class Log:
    """Every entry in `(base, cursor]` is held; fetched history may lie below, and what arrived early above.

    What it shows depends on what arrived, never on the order or on how often.
    """

    def __init__(self, conversation: str) -> None:
        self.conversation = conversation
        self.kind = ""
        self.head = 0
        self.members_version = 0
        self.read_only = False
        self.muted = False
        self.pinned = False
        self.doubtful = False
        self.large = False
        self.entries: dict[int, Entry] = {}
        self.receipts: dict[str, tuple[int, int]] = {}
        self._places: dict[str, Place] = {}
        self._mine: Place | None = None
        self._aimed: dict[int, set[int]] = {}
        self._floor = 0
        self._cursor = 0

    # --- place -------------------------------------------------------------------------------------------------------

    @property
    def placed(self) -> bool:
        """Whether a head or a membership told where one stands here; before that, nothing can be missing."""
        return self._mine is not None

    @property
    def active(self) -> bool:
        return self._mine is not None and self._mine.to_seq is None

    @property
    def role(self) -> str:
        return self._mine.role if self._mine else ""

    @property
    def window(self) -> tuple[int, int | None]:
        """The first seq one may see, and the last (None while a member)."""
        return (self._mine.from_seq, self._mine.to_seq) if self._mine else (1, None)

    def leave(self) -> None:
        """A complete list of conversations did not name this one."""
        if self._mine and self._mine.to_seq is None:
            self._mine = self._mine._replace(to_seq=self.cursor)

    def place(self, head: Head, *, complete: bool) -> None:
        """What a welcome tells. `complete`: its receipts are those of everybody, not only those that moved."""
        self.kind, self.read_only, self.muted, self.pinned = head.kind, head.read_only, head.muted, head.pinned
        self.head = max(self.head, head.seq)
        self._stand(Place(head.members_version, head.role, head.from_seq, head.until))
        # A complete head names at least oneself, unless the conversation is too large to tell receipts.
        self.large = not head.receipts if complete else self.large and not head.receipts
        if complete:
            self._places = {u: p for u, p in self._places.items() if p.version > head.members_version}
            self.receipts = {u: r for u, r in self.receipts.items() if u in head.receipts or u in self._places}
        for user, (delivered, read) in head.receipts.items():
            self.receive(user, delivered, read)

    def change(self, frame: Membership, *, mine: bool) -> None:
        """Somebody's place changed; older news than what is known of that person changes nothing."""
        place = Place(frame.members_version, frame.role, frame.from_seq, frame.to_seq)
        known = self._places.get(frame.user)
        if known is None or known.version <= place.version:
            self._places[frame.user] = place
        # A removal is an entry itself, the last that who was removed may see.
        self.head = max(self.head, frame.to_seq or 0)
        # What lies before somebody's first entry counts as received and read.
        self.receive(frame.user, frame.from_seq - 1, frame.from_seq - 1)
        if frame.members_version >= self.members_version:
            self.kind, self.read_only = frame.kind, frame.read_only
        if mine:
            self._stand(place)
        self.members_version = max(self.members_version, frame.members_version)

    def _stand(self, place: Place) -> None:
        self.members_version = max(self.members_version, place.version)
        if self._mine is None or self._mine.version <= place.version:
            base, self._mine = self.base, place
            if self.base != base:
                self._cursor = self.base
                self._advance()

    # --- receipts ----------------------------------------------------------------------------------------------------

    def receive(self, user: str, delivered: int, read: int) -> None:
        """Receipts only grow."""
        had = self.receipts.get(user, (0, 0))
        self.receipts[user] = (max(had[0], delivered), max(had[1], read))

    def counted_receipts(self) -> dict[str, tuple[int, int]]:
        """Those of present members; none in a conversation that is too large to tell them."""
        present = {
            user: receipt
            for user, receipt in self.receipts.items()
            if (place := self._places.get(user)) is None or place.to_seq is None
        }
        untold = self.large or len(present) > COUNTED_MEMBERS or self.kind == Kind.BROADCAST
        return {} if untold else present

    # --- entries -----------------------------------------------------------------------------------------------------

    @property
    def base(self) -> int:
        """Where what must be held begins: the snapshot, or the first entry one may see."""
        return max(self._floor, self.window[0] - 1)

    @property
    def cursor(self) -> int:
        """The highest seq such that everything from the base is held."""
        return self._cursor

    def hold(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            held = self.entries.get(entry.seq)
            if held is not None and (held.recalled or held.erased) and not (entry.recalled or entry.erased):
                continue  # a copy from before the recall
            self.entries[entry.seq] = entry
            self.head = max(self.head, entry.seq)
            if entry.target is not None:
                self._aimed.setdefault(entry.target, set()).add(entry.seq)
        self._advance()

    def begin_after(self, seq: int) -> None:
        """Nothing up to `seq` is wanted, unless it is fetched."""
        self._floor = self._cursor = max(self._floor, seq)
        self._advance()

    def snapshot(self, entries: list[Entry]) -> None:
        """Forget everything up to the newest of these, then hold them."""
        last = entries[-1].seq if entries else self.head
        newer = [entry for seq, entry in self.entries.items() if seq > last]
        self.entries.clear()
        self._aimed.clear()
        self._floor = self._cursor = entries[0].seq - 1 if entries else last
        self._cursor = self.base
        self.hold([*entries, *newer])

    def _advance(self) -> None:
        while self._cursor + 1 in self.entries:
            self._cursor += 1
        while self._floor in self.entries:
            self._floor -= 1

    def missing(self) -> Iterator[tuple[int, int]]:
        """The ranges (first, last) that should be held and are not."""
        _, until = self.window
        expected, top = self.cursor + 1, until if until is not None else self.head
        for seq in sorted(seq for seq in self.entries if expected <= seq <= top):
            if seq > expected:
                yield expected, seq - 1
            expected = seq + 1
        if expected <= top:
            yield expected, top

    # --- what it looks like ------------------------------------------------------------------------------------------

    def shown(self) -> list[Shown]:
        """Entries in order, operations applied and not shown by themselves."""
        first, last = self.window
        return [
            self._fold(self.entries[seq])
            for seq in sorted(self.entries)
            if first <= seq and (last is None or seq <= last) and self.entries[seq].type not in OPERATIONS
        ]

    def look(self, seq: int) -> Shown | None:
        """One entry as it is now, if it is held and not an operation."""
        entry = self.entries.get(seq)
        return self._fold(entry) if entry is not None and entry.type not in OPERATIONS else None

    def _operations(self, target: int) -> list[Entry]:
        return [self.entries[seq] for seq in sorted(self._aimed.get(target, ()))]

    def _recalled(self, entry: Entry) -> bool:
        return entry.recalled or any(o.type == EntryType.RECALL for o in self._operations(entry.seq))

    def _fold(self, entry: Entry) -> Shown:
        plain = Shown(seq=entry.seq, sender=entry.sender, type=entry.type, body={}, at=entry.at)
        if entry.erased:
            return msgspec.structs.replace(plain, erased=True)
        if self._recalled(entry):
            return msgspec.structs.replace(plain, recalled=True)
        body, edited, pinned = msgspec.json.decode(entry.body), False, False
        reactions: dict[str, dict[str | None, bool]] = {}
        for operation in self._operations(entry.seq):
            if operation.erased or self._recalled(operation):
                continue
            change = msgspec.json.decode(operation.body)
            match operation.type:
                case EntryType.EDIT:
                    body, edited = change, True
                case EntryType.PIN:
                    pinned = change.get("on", True)
                case EntryType.REACT:
                    reactions.setdefault(change["emoji"], {})[operation.sender] = change.get("on", True)
        return msgspec.structs.replace(plain, body=body, edited=edited, pinned=pinned, reactions=_standing(reactions))


def _standing(reactions: dict[str, dict[str | None, bool]]) -> dict[str, tuple[str | None, ...]]:
    """Each emoji with the people whose last word on it was yes, in an order that does not depend on arrival."""
    standing = {
        emoji: tuple(sorted((user for user, on in users.items() if on), key=lambda user: user or ""))
        for emoji, users in reactions.items()
    }
    return {emoji: users for emoji, users in sorted(standing.items()) if users}
