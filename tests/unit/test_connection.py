"""One device: what it says becomes effects, what it is owed leaves once a loop turn, and its end has one reason."""

import pytest
from prometheus_client import REGISTRY

from hub.platform.error import RULES, ErrorCode, Refusal
from hub.realtime.connection import form_of
from hub.realtime.frame import Broadcast, Form
from hub.realtime.protocol import JSON, MSGPACK, Ok, Ping
from hub.realtime.session import State
from tests.unit.device import Device

FACT = b'{"op":"receipt"}'


@pytest.mark.parametrize("form", [Form.JSON, Form.MSGPACK, Form.JSON_DEFLATED, Form.MSGPACK_DEFLATED])
def test_a_request_is_performed_and_answered(form: Form) -> None:
    """In the callback that read it, over every form."""
    device = Device(form=form).greet()
    device.say(op="ping", ref=5)
    device.connection.reply(Ok(5))

    assert device.edge.performed == [Ping(ref=5)]
    assert device.heard() == [{"op": "ok", "ref": 5}]


def test_several_frames_of_a_turn_leave_in_one_write() -> None:
    """The system call is the cost."""
    device = Device().greet()
    device.connection.reply(Ok(1), Ok(2))
    device.connection.tell(Broadcast([FACT]))
    device.edge.turn()

    assert len(device.wire.writes) == 1
    assert [frame["op"] for frame in device.heard()] == ["ok", "ok", "receipt"]


@pytest.mark.parametrize(("form", "binary"), [(Form.JSON, True), (Form.MSGPACK, False)])
def test_the_other_frame_type_costs_the_frame_only(form: Form, binary: bool) -> None:
    """A binary frame on the JSON subprotocol, or text on the other."""
    device = Device(form=form).greet()
    device.connection.received(b'{"op":"ping","ref":1}', binary=binary)
    (failed,) = device.heard()

    assert (failed["code"], failed["ref"]) == ("wrong_frame_type", None)
    assert device.wire.closed is None
    assert device.edge.performed == []


def test_a_bad_frame_is_answered_with_its_ref() -> None:
    """P14: the field is named, in the language of the upgrade request."""
    device = Device().greet()
    device.say(op="ping", ref=9, loud=True)

    assert device.heard() == [
        {
            "op": "failed",
            "ref": 9,
            "code": "invalid",
            "message": "Some fields are not valid; see `fields`",
            "fields": {"loud": "unknown field"},
            "retryAfterMs": None,
        }
    ]
    assert device.wire.closed is None


def test_a_fault_of_ours_costs_the_request_not_the_socket() -> None:
    """Whatever performing raises, the client is told and may go on."""
    device = Device().greet()
    device.edge.fault = TypeError("a defect")
    device.say(op="ping", ref=3)
    device.edge.fault = None
    device.say(op="ping", ref=4)

    assert [(frame["ref"], frame["code"]) for frame in device.heard()] == [(3, "internal")]
    assert device.edge.performed == [Ping(ref=4)]


def test_a_flood_closes_the_socket_and_nothing_is_heard_afterwards() -> None:
    """Garbage and requests alike; what was owed is written before."""
    device = Device().greet()
    for _ in range(200):
        device.connection.received(b"{", binary=False)
    device.say(op="ping", ref=1)
    frames = device.heard()

    assert device.wire.closed == (4429, "Too many frames; the connection is closed")
    assert [frame["code"] for frame in frames] == ["malformed"] * 99 + ["rate_limited"] * 5
    assert all(frame["retryAfterMs"] > 0 for frame in frames[99:])
    assert device.edge.performed == []


def test_who_does_not_read_is_closed_as_slow() -> None:
    """P7: bytes that the transport holds count; the client comes back and misses nothing."""
    device = Device(soft=100, hard=1000).greet()
    device.wire.paused, device.wire.unsent = True, 500
    for _ in range(40):
        device.connection.tell(Broadcast([FACT]))

    assert device.wire.closed == (4001, "Reading too slowly; reconnect and resume")
    assert device.connection.close_code is ErrorCode.SLOW_CONSUMER
    assert device.connection.session.state is State.CLOSED
    assert device.wire.writes == []
    assert device.connection.outbox.size <= 1000


def test_typing_is_dropped_first() -> None:
    """What serves the moment only is not worth a socket, and it is counted."""
    before = REGISTRY.get_sample_value("hub_ephemeral_dropped_total") or 0.0
    device = Device(soft=100, hard=1000).greet()
    device.wire.paused, device.wire.unsent = True, 101
    device.connection.tell(Broadcast([FACT], ephemeral=True))
    device.wire.paused = False

    assert device.heard() == []
    assert device.wire.closed is None
    assert REGISTRY.get_sample_value("hub_ephemeral_dropped_total") == before + 1


def test_a_full_transport_keeps_frames_waiting_until_it_takes_them() -> None:
    """Nothing is written to a paused transport, and nothing is lost."""
    device = Device().greet()
    device.wire.paused = True
    device.connection.reply(Ok(1))
    device.edge.turn()
    assert device.wire.writes == []
    device.wire.paused = False
    device.connection.writable()

    assert device.heard() == [{"op": "ok", "ref": 1}]


def test_facts_wait_while_a_resume_is_read() -> None:
    """The welcome comes first."""
    device = Device()
    device.say(op="hello", ref=1)
    device.connection.tell(Broadcast([FACT]))
    assert device.heard() == []
    held, _ = device.connection.session.resumed({})
    device.connection.reply(Ok(1))
    for broadcast in held:
        device.connection.tell(broadcast)

    assert [frame["op"] for frame in device.heard()] == ["ok", "receipt"]


@pytest.mark.parametrize("code", [code for code, rule in RULES.items() if rule.close])
def test_a_close_says_its_reason_once(code: ErrorCode) -> None:
    """The first reason stays; what was owed is written, nothing after it."""
    device = Device().greet()
    device.connection.reply(Ok(1))
    device.connection.close(code)
    device.connection.close(ErrorCode.SILENT)
    device.connection.reply(Ok(2))
    device.connection.tell(Broadcast([FACT]))
    device.connection.refuse(3, Refusal(ErrorCode.INVALID))

    assert device.wire.closed is not None
    assert device.wire.closed[0] == RULES[code].close
    assert device.heard() == [{"op": "ok", "ref": 1}]


def test_leaving_is_told_to_the_edge() -> None:
    """One clean-up, in one place."""
    device = Device().greet()
    device.connection.lost()

    assert device.edge.gone == [device.connection]
    assert device.connection.session.state is State.CLOSED


def test_a_sign_of_life_is_any_frame_or_pong() -> None:
    """Silence is counted from the last one."""
    device = Device().greet()
    device.edge.time = 10.0
    device.connection.ping()
    assert (device.connection.pinged, device.wire.pings) == (True, 1)
    device.connection.alive()

    assert (device.connection.heard_at, device.connection.pinged) == (10.0, False)
    device.edge.time = 20.0
    device.connection.received(b"{", binary=False)
    assert device.connection.heard_at == 20.0


def test_the_form_follows_from_the_handshake() -> None:
    """Subprotocol and compression."""
    assert [form_of(JSON, deflate=False), form_of(JSON, deflate=True)] == [Form.JSON, Form.JSON_DEFLATED]
    assert [form_of(MSGPACK, deflate=False), form_of(MSGPACK, deflate=True)] == [Form.MSGPACK, Form.MSGPACK_DEFLATED]
