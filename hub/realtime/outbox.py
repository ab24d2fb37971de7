"""What one socket is owed and has not been written yet. Bounded in bytes (P7): typing goes first, then the socket, as slow."""

from enum import IntEnum


class Pressure(IntEnum):
    NONE = 0
    DROPPED = 1
    CLOSE = 2


class Outbox:
    __slots__ = ("_frames", "_hard_bytes", "_soft_bytes", "size")

    def __init__(self, soft_bytes: int, hard_bytes: int) -> None:
        self._frames: list[bytes] = []
        self._soft_bytes = soft_bytes
        self._hard_bytes = hard_bytes
        self.size = 0

    def push(self, frames: bytes, *, unsent: int = 0, ephemeral: bool = False) -> Pressure:
        """Take finished frames. `unsent`: bytes of this socket that the transport still holds; they count too.

        After `CLOSE` the caller must close the socket: the client resumes and misses nothing.
        """
        owed = self.size + unsent + len(frames)
        if ephemeral and owed > self._soft_bytes:
            return Pressure.DROPPED
        # A page or a resume may by itself be larger than the bound; a socket that is not behind takes it.
        if owed > self._hard_bytes and self.size + unsent > self._soft_bytes:
            return Pressure.CLOSE
        self._frames.append(frames)
        self.size += len(frames)
        return Pressure.NONE

    def take(self) -> bytes:
        """Everything owed, as one write."""
        frames = self._frames
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        self._frames = []
        self.size = 0
        return data
