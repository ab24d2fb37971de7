"""One WebSocket to the hub: opening it, frames in and out, and what its end means for coming back."""

import asyncio
from enum import Enum
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from hub.platform.error import RULES, ErrorCode
from hub.realtime.protocol import JSON, MSGPACK, ClientFrame, Fact

LARGEST_BYTES = 32 * 2**20
"""A page of 200 entries of 64 KiB, with room."""

_fact: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


class Course(Enum):
    """What to do after a connection ended."""

    COME_BACK = "come back"
    SIGN_IN = "refresh the token, then come back"
    STOP = "stop"


class Ended(Exception):
    """A connection that failed to open, or closed. `wait_s`: the server's own word on when to come back."""

    def __init__(self, course: Course, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.course = course
        self.wait_s = wait_s


def course_after_close(code: int | None) -> Course:
    """4000-4499: come back, 4401 with a fresh token; 4500-4999: do not. Anything else is a lost connection."""
    if code == RULES[ErrorCode.UNAUTHORIZED].close:
        return Course.SIGN_IN
    return Course.STOP if code is not None and code >= 4500 else Course.COME_BACK


def course_after_refusal(status: int) -> Course:
    """An upgrade that was refused: 401 wants a fresh token, overload and proxies in trouble pass, the rest does not."""
    if status == 401:
        return Course.SIGN_IN
    return Course.COME_BACK if status in (408, 425, 429) or status >= 500 else Course.STOP


class Link:
    """An open connection. Every wait has an end: a peer that does not take frames within `timeout_s` is left."""

    def __init__(self, socket: ClientConnection, timeout_s: float, *, packed: bool) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._packed = packed

    @classmethod
    async def open(cls, url: str, token: str, *, packed: bool, timeout_s: float) -> "Link":
        """Raises `Ended` when there is no connection to be had now."""
        try:
            socket = await connect(
                url.replace("http", "ws", 1) + "/ws/v1",
                additional_headers={"Authorization": f"Bearer {token}"},
                subprotocols=[Subprotocol(MSGPACK if packed else JSON)],
                compression=None,
                ping_interval=None,  # the protocol has pings of its own, with digests
                open_timeout=timeout_s,
                close_timeout=1,
                max_size=LARGEST_BYTES,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            wait = error.response.headers.get("Retry-After", "")
            wait_s = float(wait) if wait.isdecimal() else None
            raise Ended(course_after_refusal(status), f"HTTP {status}", wait_s) from None
        except (OSError, TimeoutError, EOFError, WebSocketException) as error:
            raise Ended(Course.COME_BACK, type(error).__name__) from None
        return cls(socket, timeout_s, packed=packed)

    async def receive(self) -> Fact | None:
        """The next frame, or None for one of a newer protocol. Raises `Ended`."""
        try:
            message = await self._socket.recv(decode=False)
        except ConnectionClosed:
            code, reason = self._socket.close_code, self._socket.close_reason
            raise Ended(course_after_close(code), f"{code} {reason or ''}".rstrip()) from None
        if self._packed:
            # Bodies are carried as JSON here, so that both subprotocols give the same entries.
            message = msgspec.json.encode(msgspec.msgpack.decode(message))
        try:
            return _fact.decode(message)
        except msgspec.ValidationError:
            return None

    async def send(self, frame: ClientFrame) -> bool:
        """Whether it was handed to the transport; if not, the connection has ended or is being ended."""
        data = msgspec.json.encode(frame)
        if self._packed:
            data = msgspec.msgpack.encode(msgspec.json.decode(data))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._socket.send(data, text=not self._packed)
        except ConnectionClosed:
            return False
        except TimeoutError:
            self.abort()
            return False
        return True

    def abort(self) -> None:
        """Drop the connection without a word, as a network does."""
        transport: Any = self._socket.transport  # Any: websockets types it as the base transport, without abort
        transport.abort()

    async def close(self) -> None:
        await self._socket.close()
