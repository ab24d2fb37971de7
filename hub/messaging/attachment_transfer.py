"""How much of uploads and downloads one process holds in memory. Past it, in all or per person: refused, not queued."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hub.platform.error import ErrorCode, Refusal

TOTAL_BYTES = 128 << 20  # of contents; sealing holds a second copy for a moment, so about twice this is needed
PER_USER = 12  # a browser opens six connections to a host, and a person has a second device


class Transfer:
    """One upload or download while it lasts."""

    def __init__(self, owner: "Transfers") -> None:
        self._owner = owner
        self.held = 0

    def hold(self, size: int) -> None:
        """Count bytes that are now in memory. Raises `Refusal` (overloaded, P15) when the process holds too many."""
        self._owner.take(size)
        self.held += size


class Transfers:
    """Bytes in flight. What is held is given back when `admit` ends, however it ends."""

    def __init__(self, total_bytes: int = TOTAL_BYTES, per_user: int = PER_USER) -> None:
        self._room = total_bytes
        self._per_user = per_user
        self._users: Counter[str] = Counter()

    @contextmanager
    def admit(self, user: str) -> Iterator[Transfer]:
        """Let one more transfer of this person begin. Raises `Refusal` (rate limited) when too many run (P7)."""
        if self._users[user] >= self._per_user:
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=1000)
        self._users[user] += 1
        transfer = Transfer(self)
        try:
            yield transfer
        finally:
            self._room += transfer.held
            self._users[user] -= 1
            if not self._users[user]:
                del self._users[user]

    def take(self, size: int) -> None:
        if size > self._room:
            raise Refusal(ErrorCode.OVERLOADED, retry_after_ms=2000)
        self._room -= size
