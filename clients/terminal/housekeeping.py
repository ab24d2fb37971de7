"""What a connected client owes the server and when, without I/O: hello, repetitions, receipts, fetches, pings and what a digest says."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from clients.terminal.outgoing import Item, Outgoing
from clients.terminal.view import Missing, View
from hub.messaging.model import Entry
from hub.realtime.protocol import (
    ClientFrame,
    Delivered,
    Drain,
    Fact,
    Failed,
    Fetch,
    Hello,
    Membership,
    Page,
    Ping,
    Pong,
    Welcome,
)

# Frames per tick of a quarter second, below what the server lets a socket send (`realtime.frames_per_s`).
SENDS, FETCHES, RECEIPTS = 6, 2, 4
PAGE = 200
DOUBTS = 3
"""Pongs in a row that may differ inconclusively, because much is happening, before the client compares by hello."""

Frame = TypeVar("Frame", bound=ClientFrame)
Answer = Callable[[Fact | None], None]
"""Called once with what came back, or with None when the connection was lost before."""


class Timing(msgspec.Struct, frozen=True):
    """How patient a client is, in seconds."""

    tick_s: float = 0.25
    answer_s: float = 10.0
    digest_grace_s: float = 1.0
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0


class Housekeeping:
    """One per client, over all its connections."""

    def __init__(self, view: View, timing: Timing, device: str) -> None:
        self.view = view
        self.outgoing = Outgoing(timing.answer_s)
        self.online = False
        self.leave_at: float | None = None
        self._timing = timing
        self._device = device
        self._now = 0.0
        self._ref = 0
        self._answers: dict[int, Answer] = {}
        self._since: str | None = None
        self._hello_at: float | None = None
        self._greeting = False
        self._asked_at: float | None = None
        self._heartbeat_s = 25.0
        self._ping_at = 0.0
        self._moved: set[str] = set()
        self._told: dict[str, int] = {}
        self._noticed: dict[str, int] = {}
        self._fetching: set[str] = set()
        self._hopeless: set[str] = set()
        self._suspect: tuple[str, float] | None = None
        self._doubts = 0

    def connected(self, now: float) -> None:
        """A new connection: the first frame that is due on it is hello."""
        self._now, self._hello_at = now, now
        self.leave_at = self._asked_at = None

    def disconnected(self) -> None:
        self.online = self._greeting = False
        self._hello_at = self._suspect = None
        self._fetching.clear()
        self._told.clear()
        self.outgoing.disconnected()
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer(None)

    def overdue(self, now: float) -> bool:
        """Hello or ping was not answered in time: the peer is as good as gone."""
        return self._asked_at is not None and now - self._asked_at > self._timing.answer_s

    def ask(self, frame: Frame, answer: Answer) -> Frame:
        """The frame with a ref of its own, whose answer goes to `answer`. Send what is returned."""
        self._ref += 1
        self._answers[self._ref] = answer
        return msgspec.structs.replace(frame, ref=self._ref)

    def saying(self, now: float) -> Iterator[ClientFrame]:
        """Some of the outgoing, in their order. Hand each to the connection before the next is taken."""
        for _ in range(SENDS):
            item = self.outgoing.next(now) if self.online else None
            if item is None:
                return
            yield self.say(item, now)

    def say(self, item: Item, now: float) -> ClientFrame:
        """A try to send one of the outgoing; hand it to the connection at once."""
        self.outgoing.said(item, now)
        return self.ask(item.frame, lambda fact: self.outgoing.answered(item, fact, self._now) if fact else None)

    # --- what came ---------------------------------------------------------------------------------------------------

    def take(self, frame: Fact, now: float) -> None:
        """Any frame of the server, into the view and to whom it answers."""
        self._now = now
        joined = isinstance(frame, Membership) and self._joins(frame)
        self.view.apply(frame)
        match frame:
            case Entry() | Page():
                self._moved.add(frame.conversation)
            case Drain():
                self.leave_at = now + frame.reconnect_after_ms / 1000
            case _ if joined:
                self._compare()
            case _:
                pass
        ref = getattr(frame, "ref", None)
        if ref is not None and (answer := self._answers.pop(ref, None)) is not None:
            answer(frame)

    def _joins(self, frame: Membership) -> bool:
        """One came into something that others were in: how far they have read is told by a welcome only."""
        mine = frame.user == self.view.user and frame.to_seq is None
        return mine and frame.members_version > 1 and not self.view.log(frame.conversation).active

    def _compare(self) -> None:
        """Say hello again on the same socket, for everything."""
        self._since, self._hello_at = None, self._now

    def _greeted(self, fact: Fact | None) -> None:
        self._greeting, self._asked_at = False, None
        if isinstance(fact, Welcome):
            self.online = True
            self._since = fact.at
            self._heartbeat_s = fact.heartbeat_ms / 1000
            self._ping_at = self._now + self._heartbeat_s
            self._moved.update(self.view.logs)
            self._hopeless.clear()
            self._noticed.clear()
            if self.view.uncertain:
                self._compare()
        elif isinstance(fact, Failed):
            self._hello_at = self._now + (fact.retry_after_ms or 1000) / 1000

    def _ponged(self, fact: Fact | None) -> None:
        self._asked_at = None
        if not isinstance(fact, Pong) or fact.digest is None or (mine := self.view.digest()) is None:
            return
        if fact.digest == mine:
            self._since, self._doubts = fact.at, 0
        elif self._suspect is None:
            self._suspect = (fact.digest, self._now + self._timing.digest_grace_s)

    def _judge(self) -> None:
        """The sums only grow: who is still behind one after the grace has missed something, who is ahead may have."""
        if self._suspect is None or self._now < self._suspect[1]:
            return
        (told, _), self._suspect = self._suspect, None
        mine = self.view.digest()
        if mine is None or mine == told:
            return
        pairs = zip(mine.split("."), told.split("."), strict=True)
        self._doubts += 1
        if self._doubts > DOUBTS or any(int(here) < int(there) for here, there in pairs):
            self._doubts = 0
            self._compare()

    # --- what is due -------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[ClientFrame]:
        """What to send now beside what was said; call it every `tick_s`."""
        self._now = now
        self._judge()
        frames: list[ClientFrame] = []
        if self._hello_at is not None and now >= self._hello_at and not self._greeting:
            frames.append(self._hello())
        if not self.online:
            return frames
        frames += self._fetches()
        frames += self._receipts()
        if now >= self._ping_at and self._asked_at is None:
            self._asked_at, self._ping_at = now, now + self._heartbeat_s
            frames.append(self.ask(Ping(ref=0), self._ponged))
        return frames

    def _hello(self) -> ClientFrame:
        self._hello_at, self._asked_at, self._greeting = None, self._now, True
        if self._since is None:
            self.view.expect_all()
        hello = Hello(ref=0, cursors=self.view.cursors(), since=self._since, device=self._device)
        return self.ask(hello, self._greeted)

    def _fetches(self) -> Iterator[ClientFrame]:
        """Holes that were there a tick ago too: entries of two nodes often arrive in the wrong order, and then soon."""
        holes: dict[str, Missing] = {}
        for hole in self.view.missing():
            holes.setdefault(hole.conversation, hole)
        ripe = [hole for name, hole in holes.items() if self._noticed.get(name) == hole.first]
        self._noticed = {name: hole.first for name, hole in holes.items()}
        waiting = [hole for hole in ripe if hole.conversation not in self._fetching | self._hopeless]
        for hole in waiting[: FETCHES - len(self._fetching)]:
            self._fetching.add(hole.conversation)
            limit = min(PAGE, hole.last - hole.first + 1)
            fetch = Fetch(ref=0, conversation=hole.conversation, after=hole.first - 1, limit=limit)
            yield self.ask(fetch, self._fetched(hole))

    def _fetched(self, hole: Missing) -> Answer:
        def answer(fact: Fact | None) -> None:
            self._fetching.discard(hole.conversation)
            unmoved = hole in self.view.missing()
            if isinstance(fact, Page) and not unmoved:
                # The rest of a long hole need not ripen again.
                self._noticed[hole.conversation] = self.view.log(hole.conversation).cursor + 1
            elif isinstance(fact, Page) or (isinstance(fact, Failed) and fact.retry_after_ms is None):
                self._hopeless.add(hole.conversation)  # until the next welcome: the server does not have it for us

        return answer

    def _receipts(self) -> Iterator[ClientFrame]:
        """One mark per conversation and tick, however many entries came."""
        owed = [(name, cursor) for name in self._moved if (cursor := self._undelivered(name))]
        for name, cursor in owed[:RECEIPTS]:
            self._told[name] = cursor
            yield self.ask(Delivered(ref=0, conversation=name, seq=cursor), self._marked(name))
        self._moved = {name for name, _ in owed[RECEIPTS:]}

    def _undelivered(self, conversation: str) -> int:
        """The cursor, if the server does not know it yet and the entry there is really held."""
        log = self.view.log(conversation)
        known = max(self._told.get(conversation, 0), log.receipts.get(self.view.user, (0, 0))[0])
        return log.cursor if log.active and log.cursor > known and log.cursor in log.entries else 0

    def _marked(self, conversation: str) -> Answer:
        def answer(fact: Fact | None) -> None:
            if isinstance(fact, Failed) and fact.retry_after_ms is not None:
                self._told.pop(conversation, None)
                self._moved.add(conversation)

        return answer
