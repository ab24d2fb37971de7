"""One connection as a state machine without I/O: what a frame may do now, and what waits while a resume is read."""

from collections.abc import Mapping
from enum import Enum

import msgspec

from hub.platform.error import ErrorCode, Refusal
from hub.realtime.frame import Broadcast
from hub.realtime.merge import merge
from hub.realtime.protocol import Hello, Request, Typing


class State(Enum):
    GREETING = "greeting"
    RESUMING = "resuming"
    READY = "ready"
    CLOSED = "closed"


class Limits(msgspec.Struct, frozen=True):
    """What one socket may do: frames a second, frames at once, refusals in a row, requests unanswered, bytes held while resuming."""

    frames_per_s: float
    burst: float
    strikes: int
    unanswered: int
    held_bytes: int


class Refuse(msgspec.Struct, frozen=True):
    """Answer with `failed`."""

    ref: int | None
    refusal: Refusal


class Close(msgspec.Struct, frozen=True):
    """Close the socket for this reason."""

    code: ErrorCode


Effect = Request | Refuse | Close


class Session:
    """Every race of a connection is a plain call here. Time is an argument, in seconds that never run backwards."""

    __slots__ = (
        "_heard",
        "_held",
        "_held_bytes",
        "_limits",
        "_overflowed",
        "_resync",
        "_strikes",
        "_tokens",
        "state",
        "unanswered",
    )

    def __init__(self, limits: Limits, now: float) -> None:
        self.state = State.GREETING
        self.unanswered = 0
        self._limits = limits
        self._tokens = limits.burst
        self._heard = now
        self._strikes = 0
        self._held: list[Broadcast] | None = None
        self._held_bytes = 0
        self._overflowed: dict[str, int] = {}
        self._resync = False

    def receive(self, request: Request, now: float) -> Effect:
        """What to do with a frame: perform it (the request itself is the answer), refuse it, or close."""
        ref = None if isinstance(request, Typing) else request.ref
        if (flood := self.heard(ref, now)) is not None:
            return flood
        if isinstance(request, Hello):
            if self.state is State.RESUMING:
                return Refuse(ref, Refusal(ErrorCode.CONFLICT, fields={"op": "a hello is being answered already"}))
            self._resync = self.state is State.READY
            self.state = State.RESUMING
            self._held = []
            return request
        if self.state is State.GREETING:
            return Refuse(ref, Refusal(ErrorCode.FORBIDDEN, fields={"op": "say hello first"}))
        if self.unanswered >= self._limits.unanswered:
            return Refuse(ref, Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=200))
        return request

    def heard(self, ref: int | None, now: float) -> Refuse | Close | None:
        """Count a frame, well-formed or not, against the socket's bucket."""
        if self.state is State.CLOSED:
            return Close(ErrorCode.FLOOD)
        limits = self._limits
        self._tokens = min(limits.burst, self._tokens + (now - self._heard) * limits.frames_per_s)
        self._heard = now
        if self._tokens >= 1:
            self._tokens -= 1
            self._strikes = 0
            return None
        self._strikes += 1
        if self._strikes > limits.strikes:
            self.state = State.CLOSED
            return Close(ErrorCode.FLOOD)
        wait_ms = int(1000 * (1 - self._tokens) / limits.frames_per_s) + 1
        return Refuse(ref, Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=wait_ms))

    def hold(self, broadcast: Broadcast) -> bool:
        """True while a resume is being read: the fact waits here and must not be sent now. Before hello nothing is sent at all."""
        if self.state is State.GREETING:
            return True
        if self._held is None:
            return False
        size = sum(map(len, broadcast.payloads))
        if self._held_bytes + size > self._limits.held_bytes:
            if broadcast.conversation is not None:
                first = self._overflowed.get(broadcast.conversation, broadcast.first_seq)
                self._overflowed[broadcast.conversation] = min(first, broadcast.first_seq)
        else:
            self._held.append(broadcast)
            self._held_bytes += size
        return True

    def resumed(self, read_until: Mapping[str, int]) -> tuple[list[Broadcast], dict[str, int]]:
        """The resume was sent: what waited and is still lacking, and for conversations of which too much came to hold,
        the first seq that may be missing."""
        held, overflowed = self._held or [], self._overflowed
        self._held, self._held_bytes, self._overflowed = None, 0, {}
        if self.state is State.RESUMING:
            self.state = State.READY
        return merge(read_until, held), {c: max(seq, read_until.get(c, 0) + 1) for c, seq in overflowed.items()}

    def not_resumed(self) -> tuple[list[Broadcast], dict[str, int]]:
        """The resume failed; the answer is as that of `resumed`.

        A first hello will be said again, and what waited is read then. A resync leaves the socket as it was, owed everything.
        """
        if self._resync:
            return self.resumed({})
        self._held, self._held_bytes, self._overflowed = None, 0, {}
        if self.state is State.RESUMING:
            self.state = State.GREETING
        return [], {}

    def close(self) -> None:
        self.state = State.CLOSED
        self._held = None
