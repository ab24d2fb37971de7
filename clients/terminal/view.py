"""What a client shows, as a pure reducer over server frames: any order, any number of repeats, the same picture."""

from typing import Any, NamedTuple

from clients.terminal.log import Log, Shown
from hub.messaging.model import Entry
from hub.realtime.protocol import Ack, Fact, Gap, Membership, Page, Receipt, Welcome

HELLO_CURSORS = 1000
"""The server takes this many in one hello (`realtime.cursors`)."""


class Missing(NamedTuple):
    """Entries to fetch: `first` to `last`, both inclusive."""

    conversation: str
    first: int
    last: int


class View:
    """Everything one person's client knows. It is kept across connections; `hello` continues from its `cursors`.

    `whole`: every log is wanted from its beginning; otherwise from where it stands when first heard of.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.user = ""
        self.logs: dict[str, Log] = {}
        self.uncertain = False
        """A welcome told of a membership that it did not describe: only a complete one does."""
        self._complete = True
        self._partial = False

    def log(self, conversation: str) -> Log:
        if conversation not in self.logs:
            self.logs[conversation] = Log(conversation)
        return self.logs[conversation]

    def expect_all(self) -> None:
        """The next welcome answers a hello without `since`: what it does not name is no longer ours."""
        self._complete = True

    def apply(self, frame: Fact) -> None:
        """Take in a frame; those that say nothing lasting (typing, presence, pong, ...) change nothing."""
        match frame:
            case Entry():
                self.log(frame.conversation).hold([frame])
            case Page():
                self._turn(frame)
            case Welcome():
                self._welcome(frame)
            case Receipt():
                self.log(frame.conversation).receive(frame.user, frame.delivered_seq, frame.read_seq)
            case Membership():
                self.log(frame.conversation).change(frame, mine=frame.user == self.user)
            case Ack():
                log = self.log(frame.conversation)
                log.head = max(log.head, frame.seq)
            case Gap():
                self.log(frame.conversation).doubtful = True
            case _:
                pass

    def _turn(self, page: Page) -> None:
        log = self.log(page.conversation)
        if page.snapshot:
            log.snapshot(page.entries)
        log.hold([*page.entries, *page.operations])
        if not page.more and (not page.entries or page.entries[-1].seq >= log.cursor):
            log.doubtful = False

    def _welcome(self, frame: Welcome) -> None:
        self.user = frame.user
        complete, self._complete = self._complete, False
        self.uncertain = not complete and any(
            head.members_version > self.log(conversation).members_version for conversation, head in frame.heads.items()
        )
        for conversation, head in frame.heads.items():
            log = self.log(conversation)
            if not (self._whole or log.placed):
                log.begin_after(head.seq)
            log.place(head, complete=complete)
            log.receive(self.user, head.delivered_seq, head.read_seq)
        if complete:
            self._partial = frame.more
        if complete and not frame.more:
            for conversation in self.logs.keys() - frame.heads.keys():
                self.logs[conversation].leave()

    def cursors(self) -> dict[str, int]:
        """For hello: what is held of each conversation. Of those beyond the limit, what is missing is fetched."""
        placed = sorted((log for log in self.logs.values() if log.placed), key=lambda log: not log.active)
        return {log.conversation: log.cursor for log in placed[:HELLO_CURSORS]}

    def missing(self) -> list[Missing]:
        """What to fetch. A conversation in doubt (`gap`) is asked for what follows its cursor in any case."""
        found = []
        for log in self.logs.values():
            if not log.placed or (log.cursor == log.head and not log.doubtful):
                continue
            ranges = [Missing(log.conversation, first, last) for first, last in log.missing()]
            found += ranges or ([Missing(log.conversation, log.cursor + 1, log.cursor + 1)] if log.doubtful else [])
        return found

    def digest(self) -> str | None:
        """As `docs/messaging.md` defines it, the server's too when nothing was missed. None: too many to know."""
        if self._partial:
            return None
        active = [log for log in self.logs.values() if log.active]
        receipts = sum(sum(pair) for log in active for pair in log.counted_receipts().values())
        return f"{len(active)}.{sum(g.head for g in active)}.{sum(g.members_version for g in active)}.{receipts}"

    def shown(self, conversation: str) -> list[Shown]:
        return self.log(conversation).shown()

    def picture(self) -> dict[str, Any]:
        """Everything a person could see, as plain values: two views are equal when their pictures are."""
        return {
            log.conversation: {
                "shown": log.shown(),
                "cursor": log.cursor,
                "head": log.head if log.active else None,
                "place": (log.kind, log.role, *log.window, log.read_only, log.members_version),
                "receipts": log.counted_receipts(),
            }
            for log in sorted(self.logs.values(), key=lambda log: log.conversation)
            if log.placed
        }
