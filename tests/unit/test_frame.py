"""Finished frames are RFC 6455 (and 7692) to the letter: read back by the `websockets` library."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from hub.realtime.frame import DEFLATE_FROM_BYTES, Broadcast, Form, finish
from tests.unit.device import frames_in

SIZES = [0, 1, 125, 126, 127, DEFLATE_FROM_BYTES, 65535, 65536, 70000]
contents = st.dictionaries(st.text(max_size=8), st.text(max_size=600), max_size=5)


def payload(size: int) -> bytes:
    return msgspec.json.encode({"text": "字" * size})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", [form for form in Form if form is not Form.SSE])
def test_a_frame_says_the_payload_at_every_length_form(form: Form, size: int) -> None:
    """7, 16 and 64 bit lengths, text and binary, compressed or not."""
    (frame,) = frames_in(finish(payload(size), form))
    data = bytes(frame.data)

    packed = form in (Form.MSGPACK, Form.MSGPACK_DEFLATED)
    assert (frame.fin, frame.opcode) == (True, Opcode.BINARY if packed else Opcode.TEXT)
    assert (msgspec.msgpack.decode(data) if packed else msgspec.json.decode(data)) == {"text": "字" * size}


@given(contents)
def test_all_forms_say_the_same(content: dict[str, str]) -> None:
    """Keys and values are equal over every subprotocol."""
    data = msgspec.json.encode(content)
    read = []
    for form in (Form.JSON, Form.MSGPACK, Form.JSON_DEFLATED, Form.MSGPACK_DEFLATED):
        (frame,) = frames_in(finish(data, form))
        decode = msgspec.json.decode if frame.opcode is Opcode.TEXT else msgspec.msgpack.decode
        read.append(decode(bytes(frame.data)))

    assert read == [content] * 4
    assert finish(data, Form.SSE) == b"data: " + data + b"\n\n"


def test_small_frames_are_not_compressed() -> None:
    """It would cost more than it saves; the bit of RFC 7692 says which are."""
    small, large = finish(b'{"op":"ok"}', Form.JSON_DEFLATED), finish(payload(1000), Form.JSON_DEFLATED)

    assert (small[0] & 0x40, large[0] & 0x40) == (0, 0x40)
    assert len(large) < 100


def test_a_form_is_built_once_for_all_sockets() -> None:
    """The same bytes object goes to every socket."""
    broadcast = Broadcast([b'{"a":1}', b'{"b":2}'])

    assert broadcast.bytes_for(Form.JSON) is broadcast.bytes_for(Form.JSON)
    assert [bytes(frame.data) for frame in frames_in(broadcast.bytes_for(Form.JSON))] == broadcast.payloads


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 12))
def test_what_is_beyond_a_seq_keeps_its_numbers(first: int, count: int, seq: int) -> None:
    """`after` cuts off what was told already."""
    numbers = range(first, first + count)
    rest = Broadcast([b"%d" % n for n in numbers], conversation="c", first_seq=first).after(seq)

    assert rest.payloads == [b"%d" % n for n in numbers if n > seq]
    assert not rest.payloads or rest.payloads[0] == b"%d" % rest.first_seq
