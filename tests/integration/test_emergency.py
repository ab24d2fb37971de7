"""Somebody writes words of an emergency: an alert and advice follow, on every road, once; and none is stored without them."""

import io
from typing import Any

import httpx
import pytest

from hub.platform.identifier import new_id
from tests.integration.alert_scene import found_by
from tests.integration.wire import Json, Server, Socket

WORDS = "他昏迷了，叫不醒"
EVENTS = "SELECT count(*) FROM events WHERE kind = 'EmergencyWritten' AND payload ->> 'conversation' = $1"


async def advice(device: Socket, room: str) -> Json:
    """What the hub answers with, where it was written."""
    return await device.hear("entry", conversation=room, type="system")


async def alerts(hub: Server, room: str) -> list[tuple[Any, ...]]:
    """(person, rule, severity, kind, sources) of those that this conversation raised."""
    rows = await hub.parts.database.log.fetch(
        "SELECT id::text, person::text, severity, kind FROM alerts WHERE conversation = $1 ORDER BY opened_at", room
    )
    raised = []
    for alert, person, severity, kind in rows:
        rule, _, sources = await found_by(hub.parts.database, hub.parts.node.messaging.sealer, alert)
        raised.append((person, rule, severity, kind, sources))
    return raised


async def events(hub: Server, room: str) -> int:
    count: int = await hub.parts.database.log.fetchval(EVENTS, room)
    return count


async def post(hub: Server, user: str, room: str, text: str, client: str, role: str = "patient") -> httpx.Response:
    headers = {"Authorization": f"Bearer {hub.token(user, role=role)}"}
    body = {"clientMsgId": client, "type": "text", "body": {"text": text}}
    async with httpx.AsyncClient() as client_:
        return await client_.post(f"{hub.http}/api/v1/conversations/{room}/entries", headers=headers, json=body)


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_advice_follows_the_words_and_an_alert_is_open(hub: Server, packed: bool, journal: io.StringIO) -> None:
    """P11: acked as any message, answered at once in the conversation, and nothing of it in a log (P13)."""
    patient, other = await hub.people(2)
    room = await hub.conversation(patient, other)
    writer, reader = await hub.device(patient, packed=packed), await hub.device(other)
    ack = await writer.send(room, WORDS)
    said = await advice(writer, room)
    seen = await reader.entries(room, 2)

    assert (ack["op"], ack["seq"], ack["dup"]) == ("ack", 1, False)
    assert (said["seq"], said["sender"], said["body"]["event"]) == (2, None, "emergency_advice")
    assert "120" in said["body"]["note"]
    assert [entry["type"] for entry in seen] == ["text", "system"]
    assert await alerts(hub, room) == [(patient, "unconscious", "critical", "words", [f"{room}:1:unconscious"])]
    assert "昏迷" not in journal.getvalue()


async def test_who_wants_to_die_is_told_the_helpline(hub: Server) -> None:
    """Over HTTP, too."""
    patient = await hub.person()
    room = await hub.conversation(patient)
    device = await hub.device(patient)
    answer = await post(hub, patient, room, "我不想活了", "m")
    said = await advice(device, room)

    assert answer.json()["data"]["seq"] == 1
    assert "12356" in said["body"]["note"]
    assert "120" in said["body"]["note"]
    assert [row[1:3] for row in await alerts(hub, room)] == [("self_harm", "critical")]


async def test_a_retry_is_one_alert(hub: Server) -> None:
    """P3: over either road; the first ack is answered, nothing is told or written again."""
    patient = await hub.person()
    room = await hub.conversation(patient)
    device = await hub.device(patient)
    first = await device.send(room, WORDS, "m")
    await advice(device, room)
    again = await device.send(room, WORDS, "m")
    over_http = (await post(hub, patient, room, WORDS, "m")).json()["data"]
    plain = await device.send(room, "谢谢")

    assert (again["seq"], again["dup"], over_http["dup"]) == (first["seq"], True, True)
    assert plain["seq"] == 3
    assert await events(hub, room) == 1
    assert len(await alerts(hub, room)) == 1


@pytest.mark.parametrize("role", ["doctor", "staff", "admin"])
async def test_what_doctors_and_staff_write_raises_nothing(hub: Server, role: str) -> None:
    """They ask for such things in every talk."""
    asking, patient = await hub.person(role), await hub.person()
    room = await hub.conversation(asking, patient)
    device = await hub.device(asking, role=role)
    await device.send(room, "有没有胸痛、昏迷过吗")
    await post(hub, asking, room, "昏迷", "m", role)
    edited = await device.ask("edit", conversation=room, seq=1, clientMsgId="e", body={"text": "昏迷过吗"})

    assert edited["seq"] == 3
    assert await events(hub, room) == 0


async def test_an_edit_that_adds_words_counts_once(hub: Server) -> None:
    """What it said before does not; one that keeps them raises nothing more, and a recall takes nothing back."""
    patient = await hub.person()
    room = await hub.conversation(patient)
    device = await hub.device(patient)
    await device.send(room, "我头晕")
    await device.ask("edit", conversation=room, seq=1, clientMsgId="e1", body={"text": "我头晕，喘不上气"})
    said = await advice(device, room)
    await device.ask("edit", conversation=room, seq=1, clientMsgId="e2", body={"text": "我头晕，喘不上气！"})
    await device.ask("recall", conversation=room, seq=1, clientMsgId="r")
    await device.send(room, "昏迷")
    second = await advice(device, room)

    assert (said["seq"], second["seq"]) == (3, 7)
    assert [row[1:] for row in await alerts(hub, room)] == [
        ("breathing", "critical", "words", [f"{room}:1:breathing"]),
        ("unconscious", "critical", "words", [f"{room}:6:unconscious"]),
    ]


async def test_the_alert_is_about_whom_it_is_said(hub: Server) -> None:
    """In care the patient, whoever writes; else in whose name it is written."""
    mother, daughter, companion = await hub.person(), await hub.person(), await hub.person("companion")
    care = await hub.conversation(mother, daughter, companion)
    room = await hub.conversation(mother, daughter)
    log = hub.parts.database.log
    await log.execute("UPDATE conversations SET kind = 'care', subject = $2 WHERE id = $1", care, mother)
    await log.execute(
        "INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at) "
        "VALUES ($1, $2, $3, 'family', 'active', $2, clock_timestamp())",
        *(new_id(), mother, daughter),
    )
    helper, writer = await hub.device(companion, role="companion"), await hub.device(daughter)
    await helper.send(care, "她昏迷了")
    await advice(helper, care)
    await writer.send(room, "她喘不上气", onBehalfOf=mother)
    await advice(writer, room)

    assert [row[0] for row in await alerts(hub, care)] == [mother]
    assert [row[0] for row in await alerts(hub, room)] == [mother]


SHUT = {
    "stranger": ("DELETE FROM members WHERE conversation = $1 AND user_id = $2", "not_found"),
    "former": ("UPDATE members SET to_seq = 0 WHERE conversation = $1 AND user_id = $2", "not_found"),
    "reader": ("UPDATE members SET role = 'reader' WHERE conversation = $1 AND user_id = $2", "forbidden"),
    "read only": (
        "WITH c AS (UPDATE conversations SET state = 'read_only' WHERE id = $1) SELECT 1 WHERE $2::uuid IS NOT NULL",
        "read_only",
    ),
}


@pytest.mark.parametrize("shut", SHUT)
async def test_who_may_not_write_there_makes_nothing_known(hub: Server, shut: str) -> None:
    """P15: whoever names conversations at will fills no queue; the answer is that of any other text, over each road."""
    writer, other = await hub.people(2)
    room = await hub.conversation(writer, other)
    statement, expected = SHUT[shut]
    await hub.parts.database.log.execute(statement, room, writer)
    device = await hub.device(writer)
    plain = (await device.send(room, "你好"))["code"]
    over_socket = (await device.send(room, WORDS))["code"]
    over_http = (await post(hub, writer, room, WORDS, "m")).json()["error"]["type"]
    edited = (await device.ask("edit", conversation=room, seq=1, clientMsgId="e", body={"text": WORDS}))["code"]

    assert (plain, over_socket, over_http, edited) == (expected,) * 4
    assert await events(hub, room) == 0
