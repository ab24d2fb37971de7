"""Every frame of the wire, and the answer to everything that is not one (P14). msgspec's wording is pinned here."""

from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hub.platform.error import RULES, ErrorCode, Refusal
from hub.platform.text import text
from hub.realtime import protocol as wire
from hub.realtime.codec import BadFrame, body_refusal, decode, encode_json, encode_msgpack, failed, json_of

DEEP = b"[" * 20_000 + b"]" * 20_000
SEND = {"op": "send", "ref": 1, "conversation": "c", "clientMsgId": "m", "type": "text", "body": {}}
REGEX = "not of the expected form"


def refusal_of(data: bytes, *, packed: bool = False) -> tuple[int | None, str, dict[str, str]]:
    with pytest.raises(BadFrame) as caught:
        decode(data, packed=packed)
    return caught.value.ref, caught.value.refusal.code, caught.value.refusal.fields


@pytest.mark.parametrize(
    ("frame", "ref", "code", "fields"),
    [
        ({"op": "shout", "ref": 7}, 7, "unknown_op", {"op": "not an operation of this protocol"}),
        ({"op": 1, "ref": 7}, 7, "unknown_op", {"op": "not an operation of this protocol"}),
        ({"ref": 7}, 7, "unknown_op", {"op": "required"}),
        ({"op": "ping"}, None, "invalid", {"ref": "required"}),
        ({"op": "ping", "ref": "7"}, None, "invalid", {"ref": "Expected `int`, got `str`"}),
        ({"op": "ping", "ref": True}, None, "invalid", {"ref": "Expected `int`, got `bool`"}),
        ({"op": "ping", "ref": None}, None, "invalid", {"ref": "Expected `int`, got `null`"}),
        ({"op": "ping", "ref": -1}, -1, "invalid", {"ref": "Expected `int` >= 0"}),
        ({"op": "ping", "ref": 2**53}, 2**53, "invalid", {"ref": "Expected `int` <= 9007199254740991"}),
        ({"op": "ping", "ref": 7, "loud": 1}, 7, "invalid", {"loud": "unknown field"}),
        ({**SEND, "clientMsgId": 5}, 1, "invalid", {"clientMsgId": "Expected `str`, got `int`"}),
        ({**SEND, "clientMsgId": ""}, 1, "invalid", {"clientMsgId": "Expected `str` of length >= 1"}),
        ({**SEND, "clientMsgId": "m" * 65}, 1, "invalid", {"clientMsgId": "Expected `str` of length <= 64"}),
        ({**SEND, "clientMsgId": "a\x00"}, 1, "invalid", {"clientMsgId": REGEX}),
        ({**SEND, "clientMsgId": "a\n"}, 1, "invalid", {"clientMsgId": REGEX}),
        ({**SEND, "conversation": []}, 1, "invalid", {"conversation": "Expected `str`, got `array`"}),
        ({**SEND, "target": "x"}, 1, "invalid", {"target": "Expected `int | null`, got `str`"}),
        ({k: v for k, v in SEND.items() if k != "body"}, 1, "invalid", {"body": "required"}),
        ({"op": "hello", "ref": 1, "cursors": {"c": "x"}}, 1, "invalid", {"cursors[...]": "Expected `int`, got `str`"}),
        ({"op": "hello", "ref": 1, "cursors": {"": 1}}, 1, "invalid", {"cursors": "Expected `str` of length >= 1"}),
        ({"op": "hello", "ref": 1, "cursors": 1}, 1, "invalid", {"cursors": "Expected `object`, got `int`"}),
        ({"op": "watch", "ref": 1, "users": ["u", 1]}, 1, "invalid", {"users[1]": "Expected `str`, got `int`"}),
        ({"op": "watch", "ref": 1, "users": ["u"] * 201}, 1, "invalid", {"users": "Expected `array` of length <= 200"}),
        (
            {"op": "fetch", "ref": 1, "conversation": "c", "limit": 201},
            1,
            "invalid",
            {"limit": "Expected `int` <= 200"},
        ),
        ({"op": "read", "ref": 1, "conversation": "c", "seq": -1}, 1, "invalid", {"seq": "Expected `int` >= 0"}),
        ([1], None, "malformed", {}),
        ("ping", None, "malformed", {}),
        (None, None, "malformed", {}),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
def test_a_frame_that_is_not_of_the_protocol_names_the_field(
    packed: bool, frame: Any, ref: int | None, code: str, fields: dict[str, str]
) -> None:
    """P14: over both subprotocols alike, with the ref whenever it could be read."""
    data = msgspec.msgpack.encode(frame) if packed else msgspec.json.encode(frame)
    if packed:  # a difference of msgspec's, harmless
        fields = {name: reason.replace("got `null`", "got `None`") for name, reason in fields.items()}

    assert refusal_of(data, packed=packed) == (ref, code, fields)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"op":"ping","ref":1}{}',
        b'{"op":"ping","ref":01}',
        b'{"op":"ping","ref":NaN}',
        b'{"op":"ping","ref":1,"\\ud800":1}',
        b'{"op":"send","ref":1,"conversation":"\\ud800","clientMsgId":"m","type":"text","body":{}}',
        b'{"op":"send","ref":1,"conversation":"c","clientMsgId":"m","type":"text","body":{"text":"\\ud800"}}',
        b'{"op":"send","ref":1,"conversation":"c","clientMsgId":"m","type":"text","body":' + DEEP + b"}",
        b'{"op":"hello","ref":1,"cursors":' + DEEP,
        DEEP,
    ],
    ids=[
        "empty",
        "cut",
        "two",
        "octal",
        "nan",
        "surrogate-key",
        "surrogate",
        "surrogate-body",
        "deep-body",
        "deep-cut",
        "deep",
    ],
)
def test_broken_json_is_malformed(data: bytes) -> None:
    """Cut, doubled, too deep or with half a character: one clear answer, and nothing of it is believed."""
    with pytest.raises(BadFrame) as caught:
        decode(data, packed=False)

    assert caught.value.refusal.code in (ErrorCode.MALFORMED, ErrorCode.INVALID)
    assert "\\ud800" not in str(caught.value.refusal.fields)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x82\xa2op\xa4ping\xa3ref",
        b"\x82\xa2op\xa4ping\xa3ref\x01\x01",
        b"\x82\xa2op\xa6typing\xacconversation\xa1\xff",
        b"\x82\xa2op\xa6typing\xa1\xff\x01",
        b"\x82\xa2op\xa6typing\xacconversation\xa3\xed\xa0\x80",
        b"\x91" * 20_000 + b"\xc0",
    ],
    ids=["empty", "reserved", "cut", "two", "utf8", "utf8-key", "surrogate", "deep"],
)
def test_broken_msgpack_is_malformed(data: bytes) -> None:
    """The same for the other subprotocol."""
    assert refusal_of(data, packed=True) == (None, ErrorCode.MALFORMED, {})


@pytest.mark.parametrize("frame", [b'{"op":"shout","ref":1,"x":%b}', b'{"op":"ping","ref":1,"x":%b}'])
def test_depth_beyond_the_fault_does_not_escape(frame: bytes) -> None:
    """Looking for the ref of a bad frame reads what the decoder has not: that may be bad, too."""
    ref, code, _ = refusal_of(frame % DEEP)

    assert ref is None
    assert code in (ErrorCode.UNKNOWN_OP, ErrorCode.INVALID)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_request_or_a_bad_frame(data: bytes, packed: bool) -> None:
    """No input raises anything else."""
    with suppress(BadFrame):
        decode(data, packed=packed)


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3))
fields = st.sampled_from(
    ["ref", "conversation", "clientMsgId", "type", "body", "seq", "cursors", "since", "users", "limit"]
)


@given(st.sampled_from([*get_args(wire.Request)]), st.dictionaries(fields, values, max_size=6))
def test_any_values_are_a_request_or_a_bad_frame(request: type, frame: dict[str, Any]) -> None:
    """Frames of the right names with anything inside, over both subprotocols: the same outcome."""
    op = msgspec.inspect.type_info(request).tag
    outcomes = []
    for packed in (False, True):
        frame = {"op": op, **frame}
        try:
            data = msgspec.msgpack.encode(frame) if packed else msgspec.json.encode(frame)
        except (OverflowError, UnicodeEncodeError):
            return
        try:
            outcomes.append(type(decode(data, packed=packed)).__name__)
        except BadFrame as bad:
            outcomes.append(bad.refusal.code)

    assert outcomes[0] in (*(each.__name__ for each in get_args(wire.Request)), *RULES)
    assert len(outcomes) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"\x81\xa4text\xc7\x01\x05a",
        b"\x81\xc0\x01",
        b"\x81\x91\x01\x01",
        b"\x81\x81\x01\x01\x01",
        b"\x81\xa4text\xa1\xff",
        b"\x81\xa4text\xa3\xed\xa0\x80",
        b"\x81\xa4text\xc7\x0c\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x91" * 20_000 + b"\xc0",
    ],
    ids=["extension", "null-key", "array-key", "map-key", "utf8", "surrogate", "timestamp", "deep"],
)
def test_a_msgpack_body_that_json_cannot_say_is_refused(body: bytes) -> None:
    """Bodies are kept as JSON; what has no JSON form is named, whatever it is."""
    with pytest.raises(Refusal) as caught:
        json_of(Raw(body), packed=True)

    assert (caught.value.code, caught.value.fields) == (ErrorCode.INVALID, {"body": "not an object of text"})


@pytest.mark.parametrize("request_type", get_args(wire.Request))
def test_every_request_needs_its_ref(request_type: type) -> None:
    """An answer must find its question; only typing has none."""
    names = {field.encode_name for field in msgspec.structs.fields(request_type) if field.required}

    assert ("ref" in names) == (request_type is not wire.Typing)


def test_a_body_s_fault_is_named_under_body() -> None:
    """Where the client put it."""

    class Shape(msgspec.Struct, forbid_unknown_fields=True):
        text: str

    def refused(body: bytes) -> dict[str, str]:
        try:
            msgspec.json.decode(body, type=Shape)
        except msgspec.ValidationError as error:
            return body_refusal(error).fields
        raise AssertionError

    assert refused(b'{"text":1}') == {"body.text": "Expected `str`, got `int`"}
    assert refused(b"{}") == {"body.text": "required"}
    assert refused(b'{"text":"a","x":1}') == {"body.x": "unknown field"}
    assert refused(b"[]") == {"body": "not of this entry type"}


@given(st.text(max_size=50), st.none() | st.integers(0, 2**53 - 1))
def test_facts_are_the_same_over_both_subprotocols(word: str, ref: int | None) -> None:
    """A MessagePack frame is its JSON form in other bytes."""
    frame = encode_json(failed(ref, Refusal(ErrorCode.INVALID, fields={"x": word}), "en"))

    assert msgspec.msgpack.decode(encode_msgpack(frame)) == msgspec.json.decode(frame)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_failed_says_whether_trying_again_may_help(code: ErrorCode) -> None:
    """`retryAfterMs` is there exactly for what may pass."""
    frame = failed(1, Refusal(code), "en")

    assert frame.code == code
    assert (frame.retry_after_ms is not None) == RULES[code].retry
    assert failed(1, Refusal(code, retry_after_ms=7)).retry_after_ms == 7


def test_close_reasons_fit_into_a_close_frame() -> None:
    """RFC 6455, section 5.5: a control frame carries at most 125 bytes, two of them the code."""
    assert all(len(text(code.value, "en").encode()) <= 123 for code, rule in RULES.items() if rule.close)
