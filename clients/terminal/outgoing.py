"""What was said and not yet acked: kept over reconnects, said again in order and with the same clientMsgId (P2, P3). No I/O."""

import asyncio

import msgspec

from clients.terminal.account import Refused
from hub.platform.text import text
from hub.realtime.protocol import Ack, Edit, Fact, Failed, Recall, Send

MOST = 1000
LARGEST_BYTES = 65536
"""The server closes the socket for a larger frame (`realtime.max_frame_bytes`), and would again for each repetition."""


class Item:
    """One frame until its ack. `frame.ref` is 0; each try gets its own. `said`: a try on this connection was not refused."""

    __slots__ = ("answer", "due", "frame", "said")

    def __init__(self, frame: Send | Edit | Recall, answer: asyncio.Future[Ack]) -> None:
        self.frame = frame
        self.answer = answer
        self.due = 0.0
        self.said = False


class Outgoing:
    """At most `MOST` unacked frames; more are refused at once, so a long outage cannot fill the memory."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._items: dict[int, Item] = {}

    def add(self, frame: Send | Edit | Recall, answer: asyncio.Future[Ack]) -> Item:
        if len(self._items) >= MOST:
            raise Refused("overloaded", text("unsent_full", count=MOST), retry_after_ms=1000)
        if len(msgspec.json.encode(frame)) > LARGEST_BYTES - 16:  # a ref has at most 16 digits
            raise Refused("frame_too_large", text("frame_too_large"))
        item = Item(frame, answer)
        self._items[id(item)] = item
        return item

    def drop(self, item: Item) -> None:
        """Answered, or nobody waits for it any more."""
        self._items.pop(id(item), None)

    def __len__(self) -> int:
        return len(self._items)

    def next(self, now: float) -> Item | None:
        """What to say now: the oldest that is due, but nothing before all that is older in its conversation was said."""
        held_back: set[str] = set()
        for item in self._items.values():
            if item.due <= now and item.frame.conversation not in held_back:
                return item
            if not item.said:
                held_back.add(item.frame.conversation)
        return None

    def said(self, item: Item, now: float) -> None:
        """It is due again when no answer comes."""
        item.due, item.said = now + self._again_s, True

    def disconnected(self) -> None:
        """Whether the last tries arrived is unknown: all are due with the next connection."""
        for item in self._items.values():
            item.due, item.said = 0.0, False

    def answered(self, item: Item, fact: Fact, now: float) -> None:
        """An ack ends it, and so does a refusal that trying again cannot change."""
        if item.answer.done():
            return
        if isinstance(fact, Ack):
            item.answer.set_result(fact)
        elif isinstance(fact, Failed) and fact.retry_after_ms is not None:
            item.due, item.said = now + fact.retry_after_ms / 1000, False
        elif isinstance(fact, Failed):
            item.answer.set_exception(Refused(fact.code, fact.message, fact.fields))

    def fail(self, error: Exception) -> None:
        """The client has stopped; nothing will be said any more."""
        for item in self._items.values():
            if not item.answer.done():
                item.answer.set_exception(error)
