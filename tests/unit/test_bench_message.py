"""What the load generator says is of the wire, and the age of a message is read from any frame that repeats its id."""

from msgspec import Raw

from bench import message
from bench.layout import lay_out, seats
from bench.swarm import Seat
from hub.messaging.model import Entry
from hub.platform.identifier import new_id
from hub.realtime import codec, protocol


def payload(frame: bytes) -> bytes:
    """A client frame's payload; the masking key is zero."""
    return frame[{125: 6, 126: 8, 127: 14}[max(125, frame[1] & 0x7F)] :]


def test_a_send_is_a_frame_of_the_protocol_when_decoded() -> None:
    """Every key is known, the ids fit, and sends differ in ref and id but not in length."""
    room = new_id()
    frames = [message.send(room.encode(), due_s) for due_s in (0.5, 123456.789)]
    first, second = (codec.decode(payload(frame), packed=False) for frame in frames)

    assert isinstance(first, protocol.Send)
    assert isinstance(second, protocol.Send)
    assert first.conversation == room
    assert (first.ref, first.client_msg_id) != (second.ref, second.client_msg_id)
    assert len(frames[0]) == len(frames[1])


def test_a_hello_is_a_frame_of_the_protocol_when_decoded() -> None:
    """With its cursors."""
    room = new_id()
    hello = codec.decode(payload(message.hello({room: 3})), packed=False)

    assert isinstance(hello, protocol.Hello)
    assert hello.cursors == {room: 3}


def test_ages_are_read_when_acks_and_entries_repeat_the_id() -> None:
    """Both markers and the stamp match what the server writes."""
    request = codec.decode(payload(message.send(new_id().encode(), 10.0)), packed=False)
    assert isinstance(request, protocol.Send)
    room, name = request.conversation, request.client_msg_id
    ack = codec.encode_json(protocol.Ack(ref=1, conversation=room, client_msg_id=name, seq=1, at="now", dup=False))
    entry = codec.encode_json(
        Entry(conversation=room, seq=1, sender="u", type="text", body=Raw(b"{}"), client_msg_id=name, at="now")
    )
    data = ack + entry

    assert (data.count(message.ACK), data.count(message.ENTRY)) == (1, 1)
    assert message.latencies_ms(data, len(data), 10.25) == [250.0, 250.0]
    assert message.latencies_ms(data, len(ack), 10.25) == [250.0]


def test_everybody_asks_for_their_own_rooms_when_seated() -> None:
    """One seat per person, an empty cursor per conversation."""
    layout = lay_out(3, [(0, 1), (1, 2)])
    first, second = (room.id for room in layout.rooms)
    tokens = {person.user: f"token-{number}" for number, person in enumerate(layout.people)}

    assert seats(layout, tokens) == [
        Seat("token-0", {first: 0}),
        Seat("token-1", {first: 0, second: 0}),
        Seat("token-2", {second: 0}),
    ]
