"""Edits and recalls: rules, retries and what members see afterwards."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from hub.messaging import membership, operation
from hub.messaging.model import Appended
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.fake_clock import FakeClock
from tests.integration.scene import Scene, words


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def scene(database: Database, clock: FakeClock) -> Scene:
    return Scene(database, clock)


async def edit(scene: Scene, group: str, actor: str, seq: int, text: str, client: str = "") -> Appended:
    return await operation.edit(
        scene.services,
        conversation=group,
        actor=actor,
        role="patient",
        seq=seq,
        client_msg_id=client or new_id(),
        body=msgspec.json.encode({"text": text}),
    )


async def recall(
    scene: Scene, group: str, actor: str, seq: int, client: str = "", role: str = "patient", body: bytes = b"{}"
) -> Appended:
    return await operation.recall(
        scene.services,
        conversation=group,
        actor=actor,
        role=role,
        seq=seq,
        client_msg_id=client or new_id(),
        body=body,
    )


async def test_an_edit_is_an_entry_of_its_own(scene: Scene) -> None:
    """P2: everybody gets it in order; the original stays as it was said."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一片")
    done = await edit(scene, group, patient, 2, "两片")
    first, second = (await scene.seen(patient, group))[1:]

    assert (done.seq, done.dup) == (3, False)
    assert (words(first), words(second), second.type, second.target) == ("一片", "两片", "edit", 2)
    assert scene.announced.entries[-1] == second


async def test_a_recall_takes_the_words_away_and_those_of_its_edits(scene: Scene) -> None:
    """From everybody who fetches later; the numbers stay (P2)."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    await scene.send(group, patient, "我怀孕了")
    await edit(scene, group, patient, 2, "我怀孕了!")
    await recall(scene, group, patient, 2)
    seen = await scene.seen(doctor, group)

    assert [(entry.seq, entry.recalled, bytes(entry.body)) for entry in seen[1:3]] == [
        (2, True, b"{}"),
        (3, True, b"{}"),
    ]
    assert (seen[3].type, seen[3].target, seen[3].recalled) == ("recall", 2, False)
    with pytest.raises(Refusal) as refused:
        await edit(scene, group, patient, 2, "?")
    assert refused.value.code == ErrorCode.CONFLICT


async def test_a_retry_is_answered_when_the_rules_forbid_it_by_now(scene: Scene, clock: FakeClock) -> None:
    """P3: after the window, after the recall itself, after the removal; nothing is announced twice."""
    patient = await scene.person()
    doctor, group = await scene.group(patient)
    await scene.send(group, patient, "一片")
    edited = await edit(scene, group, patient, 2, "两片", "e")
    recalled = await recall(scene, group, patient, 2, "r")
    announced = len(scene.announced.entries)
    await clock.advance(1000)
    again = [await edit(scene, group, patient, 2, "两片", "e"), await recall(scene, group, patient, 2, "r")]
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[patient])
    again.append(await recall(scene, group, patient, 2, "r"))

    assert [(each.seq, each.at, each.dup) for each in again] == [
        (edited.seq, edited.at, True),
        (recalled.seq, recalled.at, True),
        (recalled.seq, recalled.at, True),
    ]
    assert len(scene.announced.entries) == announced + 1  # the removal


async def test_two_recalls_at_once_make_one_entry(scene: Scene) -> None:
    """The same request twice is one recall; another request comes too late."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一片")
    same = await asyncio.gather(*(recall(scene, group, patient, 2, "r") for _ in range(4)))
    with pytest.raises(Refusal) as other:
        await recall(scene, group, patient, 2, "q")

    assert {each.seq for each in same} == {3}
    assert sorted(each.dup for each in same) == [False, True, True, True]
    assert other.value.code == ErrorCode.CONFLICT
    assert len(await scene.seen(patient, group)) == 3


async def test_a_client_id_of_something_else_is_a_conflict(scene: Scene) -> None:
    """P3: of another text, of another target, of an ordinary message."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一", "m")
    await scene.send(group, patient, "二")
    await edit(scene, group, patient, 2, "三", "e")
    for act in (
        edit(scene, group, patient, 2, "四", "e"),
        edit(scene, group, patient, 3, "三", "e"),
        edit(scene, group, patient, 3, "一", "m"),
        recall(scene, group, patient, 2, "e"),
    ):
        with pytest.raises(Refusal) as refused:
            await act
        assert (refused.value.code, list(refused.value.fields)) == (ErrorCode.CONFLICT, ["clientMsgId"])
    assert len(await scene.seen(patient, group)) == 4


async def test_ones_own_is_recalled_in_time_and_anything_by_staff_in_the_conversation(
    scene: Scene, clock: FakeClock
) -> None:
    """Staff give a reason, which is kept in the entry."""
    patient, staff = await scene.person(), await scene.person("staff")
    doctor, group = await scene.group(patient, staff)
    await scene.send(group, patient, "一")
    with pytest.raises(Refusal) as others:
        await recall(scene, group, doctor, 2, role="doctor")
    await clock.advance(121)
    with pytest.raises(Refusal) as late:
        await recall(scene, group, patient, 2)
    with pytest.raises(Refusal) as unexplained:
        await recall(scene, group, staff, 2, role="staff")
    done = await recall(scene, group, staff, 2, role="staff", body='{"reason":"误发"}'.encode())

    assert [others.value.code, late.value.code] == [ErrorCode.FORBIDDEN, ErrorCode.TOO_LATE]
    assert unexplained.value.fields == {"body.reason": "required"}
    assert done.seq == 3


async def test_what_one_cannot_see_one_cannot_operate_on(scene: Scene) -> None:
    """P5: before one's time, in the future, after one's removal, or as a stranger: it is not there."""
    patient, late, stranger = await scene.person(), await scene.person("staff"), await scene.person("staff")
    doctor, group = await scene.group(patient)
    await scene.send(group, patient, "一")
    await membership.add(scene.services, actor=doctor, role="doctor", conversation=group, members=[late])
    reason = b'{"reason":"x"}'
    for act in (
        recall(scene, group, late, 2, role="staff", body=reason),
        recall(scene, group, patient, 99),
        recall(scene, group, stranger, 2, role="staff", body=reason),
        recall(scene, new_id(), patient, 2),
        recall(scene, "no id", patient, 2),
        edit(scene, group, patient, 0, "?"),
    ):
        with pytest.raises(Refusal) as refused:
            await act
        assert refused.value.code == ErrorCode.NOT_FOUND
    await membership.remove(scene.services, actor=doctor, role="doctor", conversation=group, members=[patient])
    with pytest.raises(Refusal) as gone:
        await edit(scene, group, patient, 2, "?")
    assert gone.value.code == ErrorCode.NOT_FOUND


@pytest.mark.parametrize("body", [b'{"text":""}', b'{"txt":"a"}', b"nonsense", b'{"text":"a","x":1}'])
async def test_a_bad_body_is_refused_and_changes_nothing(scene: Scene, body: bytes) -> None:
    """P14."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一")
    with pytest.raises(msgspec.DecodeError):
        await operation.edit(
            scene.services,
            conversation=group,
            actor=patient,
            role="patient",
            seq=2,
            client_msg_id="e",
            body=body,
        )
    with pytest.raises(Refusal) as long:
        await edit(scene, group, patient, 2, "字" * 5001)

    assert long.value.code == ErrorCode.TOO_LARGE
    assert len(await scene.seen(patient, group)) == 2


async def test_statements_of_an_operation_are_counted(scene: Scene) -> None:
    """Pinned: where it is sealed, then one transaction."""
    patient = await scene.person()
    _, group = await scene.group(patient)
    await scene.send(group, patient, "一")
    with scene.statements() as editing:
        await edit(scene, group, patient, 2, "二")
    with scene.statements() as recalling:
        await recall(scene, group, patient, 2)

    assert len(editing) == 2 + 5  # conversation, place; lock, place, client id, original, entry
    assert len(recalling) == 2 + 7  # and the original and its edits marked
