"""WebSocket frames as the load generator needs them (RFC 6455): cheap to write, cheap to count. No I/O.

Counting is exact: in a run of frames of one size every header is compared, by strided slices instead of a loop.
"""

import base64
import hashlib
import secrets
import struct
from typing import NamedTuple

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_RUN = 4  # shorter runs are walked: four slices cost as much as four headers


class Scan(NamedTuple):
    """What a chunk holds: `frames` whole data frames in its first `end` bytes, and where control frames start there."""

    frames: int
    end: int
    controls: tuple[int, ...]


def scan(data: bytes) -> Scan:
    """Count the whole frames of a chunk that starts at a frame. What follows `end` belongs before the next chunk."""
    at, frames, last, walk = 0, 0, len(data), False
    controls: tuple[int, ...] = ()
    while True:
        header, size = _measure(data, at, last)
        if size == 0 or last - at < size:
            return Scan(frames, at, controls)
        if data[at] & 0x08:
            controls += (at,)
            at += size
            continue
        run = (last - at) // size
        if walk or run < _RUN:
            run = 1
        elif not _uniform(data, at, header, size, run):
            # Sizes change in here, e.g. where a number gains a digit: walk the rest, trying again would be quadratic.
            walk, run = True, 1
        frames += run
        at += run * size


def _measure(data: bytes, at: int, last: int) -> tuple[int, int]:
    """The lengths of header and frame, or zeros while the header is incomplete. Servers do not mask (section 5.1)."""
    if last - at < 2:
        return 0, 0
    length = data[at + 1]
    if length < 126:
        return 2, 2 + length
    if length == 126:
        return (4, 4 + (data[at + 2] << 8 | data[at + 3])) if last - at >= 4 else (0, 0)
    return (10, 10 + int.from_bytes(data[at + 2 : at + 10], "big")) if last - at >= 10 else (0, 0)


def _uniform(data: bytes, at: int, header: int, size: int, run: int) -> bool:
    """Whether all `run` frames from `at` have this header; if frame k does, frame k+1 starts `size` later."""
    stop = at + run * size
    return all(data[i:stop:size] == data[i : i + 1] * run for i in range(at, at + header))


def payloads(data: bytes, end: int) -> list[bytes]:
    """The data frames of a scanned chunk, one by one; for scenarios that read what they get."""
    found, at = [], 0
    while at < end:
        header, size = _measure(data, at, end)
        if not data[at] & 0x08:
            found.append(data[at + header : at + size])
        at += size
    return found


def payload_at(data: bytes, at: int) -> bytes:
    """The payload of the frame that starts there."""
    header, size = _measure(data, at, len(data))
    return data[at + header : at + size]


def masked(payload: bytes, first: int = TEXT) -> bytes:
    """A client's frame. The masking key is zero, which leaves the payload as it is; the server unmasks it all the same.

    Section 5.3 wants an unpredictable key to protect proxies; between two processes of one machine there is none.
    """
    length = len(payload)
    if length < 126:
        return struct.pack("!BBI", first, 0x80 | length, 0) + payload
    if length < 65536:
        return struct.pack("!BBHI", first, 0xFE, length, 0) + payload
    return struct.pack("!BBQI", first, 0xFF, length, 0) + payload


class Upgrade(NamedTuple):
    """An opening handshake: what to send, and what the server must answer to it."""

    request: bytes
    accept: bytes

    def accepted(self, response: bytes) -> bool:
        """Whether this response head switches protocols, to this key (section 4.1)."""
        status, *lines = response.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return status.split(b" ")[1:2] == [b"101"] and headers.get(b"sec-websocket-accept") == self.accept


def upgrade(authority: str, path: str, subprotocol: str, token: str) -> Upgrade:
    key = base64.b64encode(secrets.token_bytes(16))
    head = (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n"
        f"Authorization: Bearer {token}\r\nSec-WebSocket-Key: "
    )
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return Upgrade(head.encode() + key + b"\r\n\r\n", base64.b64encode(digest))
