"""The load generator counts frames exactly, whatever their sizes and wherever a read ends."""

import base64
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import frame

SIZES = st.one_of(st.integers(0, 140), st.sampled_from([125, 126, 127, 200, 65535, 65536]))


def served(payload: bytes, first: int = frame.TEXT) -> bytes:
    """A frame as a server sends it: not masked."""
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return bytes((first, 126)) + struct.pack("!H", length) + payload
    return bytes((first, 127)) + struct.pack("!Q", length) + payload


def counted(stream: bytes, cuts: list[int]) -> tuple[int, bytes]:
    """The frames of a stream that arrives in pieces, and what is left over."""
    frames, carry, at = 0, b"", 0
    for stop in [*sorted(cuts), len(stream)]:
        data = carry + stream[at:stop]
        found = frame.scan(data)
        frames, carry, at = frames + found.frames, data[found.end :], stop
    return frames, carry


@given(st.lists(SIZES, max_size=12), st.lists(st.integers(0, 2**20), max_size=40))
def test_every_frame_is_counted_once_when_reads_end_anywhere(sizes: list[int], cuts: list[int]) -> None:
    """Split headers and payloads change no count."""
    stream = b"".join(served(b"x" * size) for size in sizes)

    assert counted(stream, [cut % (len(stream) + 1) for cut in cuts]) == (len(sizes), b"")


def test_every_frame_is_counted_once_when_bytes_come_singly() -> None:
    """Each of the three header forms may be cut at each of its bytes."""
    sizes = [0, 1, 125, 126, 127, 300, 125]
    stream = b"".join(served(b"x" * size) for size in sizes)

    assert counted(stream, list(range(len(stream)))) == (len(sizes), b"")
    assert frame.scan(served(b"x" * 65536)[:9]) == (0, 0, ())


@given(st.integers(0, 400), st.integers(1, 60), st.integers(0, 400), st.integers(0, 60), st.integers(0, 300))
def test_runs_are_counted_when_sizes_change_in_the_middle(
    size: int, run: int, other: int, more: int, tail: int
) -> None:
    """The short cut for equal frames agrees with walking."""
    stream = served(b"\x81" * size) * run + served(b"\x7e" * other) * more
    partial = served(b"y" * 300)[:tail]

    assert frame.scan(stream + partial) == (run + more, len(stream), ())


def test_a_run_is_not_seen_where_payload_looks_like_a_header() -> None:
    """Frames that only share their first bytes at the stride are walked."""
    data = served(b"a" * 8) + served(b"b" * 18) + served(b"c" * 8) * 3

    assert frame.scan(data) == (5, len(data), ())


def test_control_frames_are_not_counted_when_they_come_between() -> None:
    """A ping is told apart, with its place."""
    data = served(b"a" * 20) * 5 + served(b"hi", frame.PING) + served(b"a" * 20) * 5
    found = frame.scan(data)

    assert frame.payloads(data, found.end) == [b"a" * 20] * 10
    assert frame.payload_at(data, 110) == b"hi"
    assert found == (10, len(data), (110,))


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_a_client_frame_is_masked_with_the_zero_key(length: int) -> None:
    """Each length form is written as RFC 6455 section 5.2 says."""
    payload = b"z" * length
    data = frame.masked(payload)
    extra = {125: 0, 126: 2, 127: 8}[max(125, data[1] & 0x7F)]

    assert data[0] == frame.TEXT
    assert data[1] & 0x80
    assert data[2 + extra : 6 + extra] == bytes(4)
    assert data[6 + extra :] == payload
    assert (data[1] & 0x7F if extra == 0 else int.from_bytes(data[2 : 2 + extra], "big")) == length


def test_a_handshake_is_accepted_only_when_the_key_matches() -> None:
    """101 with another key, or no 101, is no WebSocket."""
    opening = frame.upgrade("127.0.0.1:1", "/ws/v1", "hub.v1.json", "t")
    key = opening.request.split(b"Sec-WebSocket-Key: ")[1].strip()
    accept = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    )

    assert opening.accepted(b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: " + accept)
    assert not opening.accepted(b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: no")
    assert not opening.accepted(b"HTTP/1.1 401 Unauthorized\r\nsec-websocket-accept: " + accept)
