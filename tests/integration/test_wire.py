"""Bad input gets a clear answer (P14): point by point, over both subprotocols; nothing is lost, and no socket dies for it.

What is said here is searched for in the log of the module's node, at debug level, when the module ends.
"""

import contextlib
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from hub.platform.identifier import new_id
from hub.platform.text import text
from tests.integration.conftest import Serve
from tests.integration.wire import SECRET, Json, Server, Socket, rewrite

DEEP = b"[" * 5000 + b"]" * 5000
DEEP_PACKED = b"\x91" * 5000 + b"\xc0"


@pytest.fixture(params=[False, True], ids=["json", "msgpack"])
def packed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def person_in_a_room(hub: Server, *, packed: bool = False) -> tuple[Socket, str, str]:
    user = await hub.person()
    room = await hub.conversation(user, await hub.person())
    return await hub.device(user, packed=packed), user, room


async def assert_alive(device: Socket, room: str) -> None:
    """The socket still does what it is for, and nothing unexpected came."""
    ack = await device.send(room)
    assert ack["op"] == "ack", ack
    assert [frame["op"] for frame in await device.so_far()] == ["entry"]


async def failure(device: Socket, data: bytes, **options: Any) -> Json:
    await device.raw(data, **options)
    return await device.next()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"op":"ping","ref":1', SECRET.encode(), b'{"op":"ping","ref":1}{}', DEEP, b'"\\ud800"', b"null\x00"],
    ids=["empty", "brace", "cut", "words", "two", "deep", "surrogate", "nul"],
)
async def test_malformed_json_is_answered(hub: Server, data: bytes) -> None:
    """One `failed` without a ref, for there was none to read."""
    device, _, room = await person_in_a_room(hub)

    assert await failure(device, data) == {
        "op": "failed",
        "ref": None,
        "code": "malformed",
        "message": text("malformed"),
        "fields": {},
        "retryAfterMs": None,
    }
    await assert_alive(device, room)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x82\xa2op", DEEP_PACKED, b"\x81\xa2op\xa1\xff"],
    ids=["empty", "reserved", "cut", "deep", "utf8"],
)
async def test_malformed_msgpack_is_answered(hub: Server, data: bytes) -> None:
    """The same over the other subprotocol."""
    device, _, room = await person_in_a_room(hub, packed=True)
    failed = await failure(device, data)

    assert (failed["op"], failed["ref"], failed["code"]) == ("failed", None, "malformed")
    await assert_alive(device, room)


@pytest.mark.parametrize(
    ("frame", "ref", "code", "field"),
    [
        ({"op": "shout", "ref": 70}, 70, "unknown_op", "op"),
        ({"ref": 70}, 70, "unknown_op", "op"),
        ({"op": "ping", "ref": 70, SECRET: 1}, 70, "invalid", SECRET),
        ({"op": "ping"}, None, "invalid", "ref"),
        ({"op": "ping", "ref": "70"}, None, "invalid", "ref"),
        ({"op": "read", "ref": 70, "conversation": 5, "seq": 1}, 70, "invalid", "conversation"),
        ({"op": "read", "ref": 70, "conversation": "c", "seq": SECRET}, 70, "invalid", "seq"),
        ({"op": "hello", "ref": 70, "cursors": []}, 70, "invalid", "cursors"),
        ({"op": "hello", "ref": 70, "since": SECRET}, 70, "invalid", "since"),
        ({"op": "hello", "ref": 70, "since": "2026-01-02T03:04:05"}, 70, "invalid", "since"),
        ({"op": "hello", "ref": 70, "since": "0001-01-01T00:00:00+14:00"}, 70, "invalid", "since"),
        ({"op": "fetch", "ref": 70, "conversation": "c", "limit": 0}, 70, "invalid", "limit"),
        ({"op": "watch", "ref": 70, "users": "everybody"}, 70, "invalid", "users"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
async def test_a_frame_with_a_fault_names_the_field(
    hub: Server, packed: bool, frame: Json, ref: int | None, code: str, field: str
) -> None:
    """Unknown op, unknown field, missing ref, wrong types: the answer has the ref, and the socket stays."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    failed = await failure(device, msgspec.msgpack.encode(frame) if packed else msgspec.json.encode(frame))

    assert (failed["op"], failed["ref"], failed["code"], list(failed["fields"])) == ("failed", ref, code, [field])
    assert failed["retryAfterMs"] is None
    await assert_alive(device, room)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.text"),
        ({"text": ""}, "body.text"),
        ({"text": 5}, "body.text"),
        ({"text": SECRET, "colour": "red"}, "body.colour"),
        ([SECRET], "body"),
        (SECRET, "body"),
        (None, "body"),
    ],
)
@pytest.mark.parametrize("op", ["send", "edit"])
async def test_a_body_that_does_not_fit_names_the_field(
    hub: Server, packed: bool, op: str, body: object, field: str
) -> None:
    """For entries and for edits alike, under `body`."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    rest: Json = {"type": "text"} if op == "send" else {"seq": 1}
    failed = await device.ask(op, conversation=room, clientMsgId="m", body=body, **rest)

    assert (failed["code"], list(failed["fields"])) == ("invalid", [field])
    await assert_alive(device, room)


@pytest.mark.parametrize(
    "body",
    [
        b"\x81\xa4text\xa1\xff",
        b"\x81\xa4text\xc7\x01\x05a",
        b"\x81\xc0\xa1x",
        b"\x81\xa4text\xa3\xed\xa0\x80",
        DEEP_PACKED,
    ],
    ids=["utf8", "extension", "null-key", "surrogate", "deep"],
)
@pytest.mark.parametrize("op", ["send", "edit", "recall"])
async def test_a_msgpack_body_that_json_cannot_say_is_refused(hub: Server, op: str, body: bytes) -> None:
    """What a body may hold is what JSON can hold; the frame around it was fine."""
    device, _, room = await person_in_a_room(hub, packed=True)
    frame: Json = {"op": op, "ref": 70, "conversation": room, "clientMsgId": "m"}
    frame |= {"type": "text"} if op == "send" else {"seq": 1}
    failed = await failure(device, msgspec.msgpack.encode({**frame, "body": msgspec.Raw(body)}))

    assert failed["code"] in ("invalid", "malformed")
    assert failed["fields"] in ({"body": "not an object of text"}, {})
    await assert_alive(device, room)


async def test_half_a_character_is_refused(hub: Server) -> None:
    """A lone surrogate is no text: not in a body, not in an id, not in a name."""
    device, _, room = await person_in_a_room(hub)
    send = b'{"op":"send","ref":70,"conversation":"%b","clientMsgId":"%b","type":"text","body":{"%b":"%b"}}'
    for name, key, said in ((b"m", b"text", b"\\ud83d"), (b"m", b"\\ud83d", b"a"), (b"\\udc00", b"text", b"a")):
        failed = await failure(device, send % (room.encode(), name, key, said))
        assert (failed["ref"], failed["code"]) == (None, "malformed")
    await assert_alive(device, room)


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "", "m" * 65])
async def test_a_client_id_that_cannot_be_kept_is_refused(hub: Server, packed: bool, name: str) -> None:
    """PostgreSQL keeps no NUL; ids are short and printable."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    ref = await device.say("send", conversation=room, clientMsgId=name, type="text", body={"text": SECRET})
    failed = await device.answer(ref)

    assert (failed["code"], list(failed["fields"])) == ("invalid", ["clientMsgId"])
    await assert_alive(device, room)


async def test_the_other_frame_type_is_answered(hub: Server, packed: bool) -> None:
    """A binary frame on the JSON subprotocol, a text frame on the other."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    failed = await failure(device, b'{"op":"ping","ref":1}', text=packed)

    assert (failed["ref"], failed["code"]) == (None, "wrong_frame_type")
    await assert_alive(device, room)


async def test_a_frame_that_is_too_large_closes_the_socket_with_the_reason(hub: Server, packed: bool) -> None:
    """The table says 1009; it is heard although the rest of the frame is still on its way."""
    device, _, _ = await person_in_a_room(hub, packed=packed)
    with contextlib.suppress(ConnectionClosed):
        await device.raw(b" " * 3_000_000)

    assert (await device.closed())[0] == 1009


async def test_a_text_beyond_its_limit_is_refused(hub: Server, packed: bool) -> None:
    """Within the frame's bound, beyond the text's."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    assert (await device.send(room, "字" * 5000))["op"] == "ack"
    await device.hear("entry")
    failed = await device.send(room, "字" * 5001)

    assert (failed["code"], failed["fields"]) == ("too_large", {"body.text": "at most 5000 characters"})
    await assert_alive(device, room)


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("poem", {}, "type"),
        ("system", {}, "type"),
        ("edit", {}, "type"),
        ("text", {"target": 1}, "target"),
        ("react", {}, "target"),
    ],
)
async def test_what_is_no_entry_of_a_person_is_refused(hub: Server, kind: str, fields: Json, field: str) -> None:
    """Types and targets."""
    device, _, room = await person_in_a_room(hub)
    failed = await device.ask("send", conversation=room, clientMsgId="m", type=kind, body={"text": "x"}, **fields)

    assert (failed["code"], list(failed["fields"])) == ("invalid", [field])


@pytest.mark.parametrize("attachment", ["x", "../../etc/passwd", "A" * 36, ""])
async def test_an_attachment_that_cannot_be_is_refused(hub: Server, attachment: str) -> None:
    """What is no id never reaches the database, where it would fail for its neighbours, too."""
    device, _, room = await person_in_a_room(hub)
    body = {"attachment": attachment}
    failed = await device.ask("send", conversation=room, clientMsgId="m", type="image", body=body)

    assert (failed["code"], list(failed["fields"])) == ("invalid", ["body.attachment"])
    await assert_alive(device, room)


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("send", {"clientMsgId": "m", "type": "text", "body": {"text": SECRET}}),
        ("edit", {"clientMsgId": "m", "seq": 1, "body": {"text": SECRET}}),
        ("recall", {"clientMsgId": "m", "seq": 1}),
        ("delivered", {"seq": 0}),
        ("read", {"seq": 1}),
        ("fetch", {"after": 0}),
    ],
)
async def test_a_conversation_of_others_does_not_exist(hub: Server, packed: bool, op: str, fields: Json) -> None:
    """Not a member, unknown, or no id at all: one answer, so that nobody can look for conversations."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    others = await hub.conversation(*await hub.people(2))
    answers = [await device.ask(op, conversation=name, **fields) for name in (others, new_id(), "x", room.upper())]

    expected = {"conversation": "unknown, or you are not a member"}
    assert [(failed["code"], failed["fields"]) for failed in answers] == [("not_found", expected)] * 4
    await device.say("typing", conversation=others)
    await assert_alive(device, room)


async def test_somebody_elses_entry_cannot_be_edited_or_recalled(hub: Server, packed: bool) -> None:
    """Forbidden, and it stays as it is."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    author, other = await hub.device(a), await hub.device(b, packed=packed)
    await author.send(room)
    edit = await other.ask("edit", conversation=room, seq=1, clientMsgId="e", body={"text": "不"})
    recall = await other.ask("recall", conversation=room, seq=1, clientMsgId="r", body={"reason": ""})
    page = await other.ask("fetch", conversation=room)

    assert [(failed["code"], list(failed["fields"])) for failed in (edit, recall)] == [("forbidden", ["seq"])] * 2
    assert [entry["body"] for entry in page["entries"]] == [{"text": SECRET}]
    await author.hear("entry")
    await assert_alive(author, room)


async def test_recall_is_refused_after_its_window(hub: Server, packed: bool) -> None:
    """Two minutes for people; staff may always, with a reason. A retry of one that was in time is answered."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    await device.send(room)
    await device.send(room)
    in_time = await device.ask("recall", conversation=room, seq=2, clientMsgId="r2")
    past = "UPDATE entries SET created_at = created_at - interval '121 seconds' WHERE conversation = $1"
    await rewrite(hub.parts.database.log, past, room)
    late = await device.ask("recall", conversation=room, seq=1, clientMsgId="r1")
    again = await device.ask("recall", conversation=room, seq=2, clientMsgId="r2")
    page = await device.ask("fetch", conversation=room)

    assert (late["code"], list(late["fields"])) == ("too_late", ["seq"])
    assert (in_time["seq"], again["seq"], again["dup"]) == (3, 3, True)
    assert [entry.get("recalled", False) for entry in page["entries"]] == [False, True, False]


async def test_a_seq_in_the_future_is_refused(hub: Server, packed: bool) -> None:
    """For marks, operations and reactions; the marks stay where they were."""
    device, user, room = await person_in_a_room(hub, packed=packed)
    await device.send(room)
    for op in ("delivered", "read"):
        for seq in (2, 2**53 - 1):
            failed = await device.ask(op, conversation=room, seq=seq)
            assert (failed["code"], failed["fields"]) == ("invalid", {"seq": "no such entry yet"})
    edit = await device.ask("edit", conversation=room, seq=9, clientMsgId="e", body={"text": "x"})
    react = await device.ask("send", conversation=room, clientMsgId="f", type="react", target=9, body={"emoji": "👍"})
    fetched = await device.ask("fetch", conversation=room, after=9)
    welcome = await device.hello({room: 2**53 - 1})

    assert (edit["code"], list(edit["fields"])) == ("not_found", ["seq"])
    assert (react["code"], list(react["fields"])) == ("not_found", ["target"])
    assert (fetched["entries"], fetched["more"]) == ([], False)
    head = welcome["heads"][room]
    assert (head["seq"], head["deliveredSeq"], head["readSeq"], head["receipts"][user]) == (1, 0, 0, [0, 0])


async def test_a_client_id_used_for_another_body_conflicts(hub: Server, packed: bool) -> None:
    """P3: the same again is the first ack; something else is refused, on every road."""
    device, user, room = await person_in_a_room(hub, packed=packed)
    first = await device.send(room, client_msg_id="m")
    again = await device.send(room, client_msg_id="m")
    other = await device.send(room, "别的", client_msg_id="m")
    edit = await device.ask("edit", conversation=room, seq=1, clientMsgId="m", body={"text": "别的"})
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {hub.token(user)}"}) as http:
        url = f"{hub.http}/api/v1/conversations/{room}/entries"
        by_http = await http.post(url, json={"clientMsgId": "m", "type": "text", "body": {"text": SECRET}})
        other_by_http = await http.post(url, json={"clientMsgId": "m", "type": "text", "body": {"text": "别的"}})

    assert {**first, "ref": 0, "dup": True} == {**again, "ref": 0}
    assert [(f["code"], list(f["fields"])) for f in (other, edit)] == [("conflict", ["clientMsgId"])] * 2
    assert by_http.json()["data"] | {"op": "ack", "ref": 0} == {**again, "ref": 0}
    assert other_by_http.status_code == 409


async def test_many_cursors_are_refused_and_the_socket_stays(hub: Server) -> None:
    """10,000 in a hello: too many for one answer when they fit a frame, too large a frame when they do not."""
    device, _, room = await person_in_a_room(hub, packed=True)
    names = [f"{n:x}" for n in range(10_000)]
    for socket in (device, await hub.socket(await hub.person(), packed=True)):
        failed = await socket.ask("hello", cursors=dict.fromkeys(names, 1))
        assert (failed["code"], list(failed["fields"])) == ("too_large", ["cursors"])
        await socket.hello()
    await assert_alive(device, room)
    by_json = await hub.socket(await hub.person())
    with pytest.raises(ConnectionClosed):
        await by_json.ask("hello", cursors={new_id(): 1 for _ in range(10_000)})

    assert (await by_json.closed())[0] == 1009


async def test_a_thousand_cursors_are_taken(hub: Server, packed: bool) -> None:
    """The limit fits a frame of the default size; ids that are none are passed over."""
    device, _, room = await person_in_a_room(hub, packed=packed)
    await device.send(room)
    cursors = {room: 0, **{new_id(): n for n in range(990)}, "x": 1, "a\x00": 2}

    assert list((await device.hello(cursors))["heads"]) == [room]
    assert (await device.hear("page"))["entries"][0]["seq"] == 1


async def test_nothing_but_hello_is_done_before_hello(hub: Server, packed: bool) -> None:
    """The welcome comes first; asking earlier costs nothing."""
    user = await hub.person()
    room = await hub.conversation(user)
    device = await hub.socket(user, packed=packed)
    failed = await device.send(room)

    assert (failed["code"], list(failed["fields"])) == ("forbidden", ["op"])
    assert (await device.hello())["heads"][room]["seq"] == 0


async def test_a_flood_is_refused_then_closed(serve: Serve, packed: bool) -> None:
    """Each refusal says when to come back; who does not listen is closed with 4429, for garbage as for requests."""
    limits = {"frames_per_s": 5.0, "frames_burst": 20, "flood_strikes": 10}
    async with serve(realtime=limits) as hub:
        for garbage in (False, True):
            device, _, room = await person_in_a_room(hub, packed=packed)
            for _ in range(40):
                if garbage:
                    await device.raw(SECRET.encode(), text=not packed)
                else:
                    await device.say("send", conversation=room, clientMsgId="m", type="text", body={"text": SECRET})
            code, reason = await device.closed()
            refused = [frame for frame in device.waiting if frame.get("code") == "rate_limited"]

            assert (code, reason) == (4429, "Too many frames; the connection is closed")
            assert len(refused) == 10
            assert all(0 < frame["retryAfterMs"] <= 201 for frame in refused)


async def test_strangers_cannot_be_watched(hub: Server, packed: bool) -> None:
    """Presence is for those one shares a conversation with; the list is refused as a whole."""
    device, user, room = await person_in_a_room(hub, packed=packed)
    stranger = await hub.person()
    for users in ([user, stranger], ["x"], [SECRET]):
        failed = await device.ask("watch", users=users)
        assert (failed["code"], list(failed["fields"])) == ("forbidden", ["users"])
    await assert_alive(device, room)


async def test_after_and_before_exclude_each_other(hub: Server) -> None:
    """A page goes one way."""
    device, _, room = await person_in_a_room(hub)
    failed = await device.ask("fetch", conversation=room, after=0, before=9)

    assert (failed["code"], list(failed["fields"])) == ("invalid", ["before"])


@pytest.mark.parametrize("path", ["/api/v1/events"])
async def test_a_stream_refuses_a_bad_last_event_id(hub: Server, path: str) -> None:
    """The field is named; a moment outside the calendar is none."""
    headers = {"Authorization": f"Bearer {hub.token(await hub.person())}"}
    async with httpx.AsyncClient(headers=headers) as http:
        for bad in ("yesterday", "17", "0001-01-01T00:00:00+14:00"):
            answer = await http.get(hub.http + path, headers={"Last-Event-ID": bad})
            assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["Last-Event-ID"])
