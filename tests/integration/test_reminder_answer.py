"""What somebody answers to a reminder changes the appointment: the patient comes, or cannot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.orders.reminder import ROOM
from hub.platform.database import Database
from tests.integration.core_app import Caller
from tests.integration.reminder_scene import Reminding, before, open_reminding

USUAL = [1440, 120, 15]


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Reminding]:
    async with open_reminding(database, redis_url) as opened:
        yield opened


async def answer(clinic: Reminding, who: Caller, booked: Any, said: str, status: int = 200, **more: Any) -> Any:
    path = f"/appointments/{booked['appointmentId']}/attendance"
    found = await clinic.hub.call(who, "POST", path, status, json={"answer": said} | more)
    await clinic.settle()
    return found


async def booked_for_mother(clinic: Reminding) -> tuple[Caller, Caller, Caller, Any]:
    """(mother, daughter, companion, what the daughter ordered for her), paid, the day after tomorrow."""
    mother, daughter, companion = await clinic.hub.person(), await clinic.hub.person(), await clinic.provider()
    await clinic.relate(mother, daughter)
    service = await clinic.service(companion)
    return mother, daughter, companion, await clinic.paid(daughter, service, days=2, userId=mother.id)


async def test_who_comes_is_shown_and_said_once(clinic: Reminding) -> None:
    """A repetition, by whomever, is answered and adds nothing; the reminders go on."""
    mother, daughter, companion, booked = await booked_for_mother(clinic)
    first = await answer(clinic, daughter, booked, "confirm")
    again = await answer(clinic, mother, booked, "confirm")

    assert (first["attendance"], first["attendanceBy"], first["status"]) == ("confirmed", daughter.id, "scheduled")
    assert {name: again[name] for name in first if name != "updatedAt"} == {
        name: first[name] for name in first if name != "updatedAt"
    }
    assert await clinic.said(companion, booked) == [("attendance_confirmed", "")]
    assert (await clinic.timers(booked))[mother.id] == USUAL
    assert (await clinic.notices(companion), await clinic.notices(mother)) == ([], [])


async def test_who_cannot_come_cancels_while_that_is_a_move(clinic: Reminding) -> None:
    """As cancelling does: the money goes back, nothing is due any more; asking again is answered, coming is not."""
    mother, daughter, _, booked = await booked_for_mother(clinic)
    found = await answer(clinic, mother, booked, "cannot_come", reason="临时有事")
    again = await answer(clinic, daughter, booked, "cannot_come")
    refused = await answer(clinic, mother, booked, "confirm", 409)

    assert (found["status"], found["attendance"], again["status"]) == ("cancelled", "declined", "cancelled")
    assert refused["fields"] == {"status": "cancelled"}
    assert await clinic.timers(booked) == {}
    assert (await clinic.hub.call(mother, "GET", f"/orders/{booked['orderId']}"))["reason"] == "临时有事"
    assert await clinic.cards(mother, await clinic.room(booked)) == ["订单已支付", "订单已取消"]


async def test_after_confirmation_staff_decide(clinic: Reminding) -> None:
    """The order stays; the patient's reminders end, the companion's do not; who looks after it is told to act, once."""
    staff = await clinic.hub.person("staff")
    mother, daughter, companion, booked = await booked_for_mother(clinic)
    await clinic.move(companion, booked["orderId"], "confirm")
    found = await answer(clinic, daughter, booked, "cannot_come", reason="胸闷未愈")
    await answer(clinic, mother, booked, "cannot_come")

    assert (found["status"], found["attendance"]) == ("confirmed", "declined")
    assert await clinic.timers(booked) == {companion.id: USUAL}
    assert await clinic.said(mother, booked) == [("attendance_declined", "")]
    assert await clinic.inbox(staff) == ["客户表示无法前来，请处理"]
    (notice,) = await clinic.notices(staff)
    assert notice["values"] == {"time": booked["scheduledTime"]}
    assert (await clinic.hub.call(staff, "GET", f"/orders/{booked['orderId']}"))["reason"] == "胸闷未愈"
    sealed = (await clinic.row("orders", booked["orderId"]))["reason"]
    assert "胸闷未愈".encode() not in sealed


async def test_an_answer_can_be_taken_back(clinic: Reminding) -> None:
    """Who comes after all is reminded again, and all hear of it."""
    mother, daughter, companion, booked = await booked_for_mother(clinic)
    await clinic.move(companion, booked["orderId"], "confirm")
    await clinic.fire(before(booked, 1440))
    await answer(clinic, mother, booked, "cannot_come")
    await answer(clinic, mother, booked, "confirm")

    assert await clinic.timers(booked) == {key: [120, 15] for key in (mother.id, daughter.id, companion.id, ROOM)}
    events = [event for event, _ in await clinic.said(mother, booked)]
    assert events == ["appointment_reminder", "attendance_declined", "attendance_confirmed"]


async def test_another_time_asks_anew(clinic: Reminding) -> None:
    """The answer was to the old time."""
    mother, _, companion, booked = await booked_for_mother(clinic)
    await clinic.move(companion, booked["orderId"], "confirm")
    await answer(clinic, mother, booked, "cannot_come")
    path = f"/appointments/{booked['appointmentId']}/reschedule"
    moved = await clinic.hub.call(mother, "POST", path, json={"scheduledTime": clinic.at("10:00", 3)})

    assert (moved["attendance"], moved["attendanceAt"], moved["attendanceBy"]) == (None, None, None)
    assert (await clinic.timers(booked))[mother.id] == USUAL


async def test_to_and_fro_tells_staff_once_and_has_an_end(clinic: Reminding) -> None:
    """P10: five answers to one time, then 409; another time begins anew, and its refusal is told again."""
    staff = await clinic.hub.person("staff")
    mother, daughter, companion, booked = await booked_for_mother(clinic)
    await clinic.move(companion, booked["orderId"], "confirm")
    for said in ("cannot_come", "confirm", "cannot_come", "confirm", "cannot_come"):
        await answer(clinic, mother, booked, said)
    refused = await answer(clinic, daughter, booked, "confirm", 409)
    await answer(clinic, daughter, booked, "cannot_come")

    assert refused["fields"] == {"answer": "已多次更改答复，请联系工作人员"}
    assert len(await clinic.said(mother, booked)) == 5
    declined = "客户表示无法前来，请处理"
    assert (await clinic.inbox(staff), len(await clinic.notices(staff))) == ([declined], 1)
    path = f"/appointments/{booked['appointmentId']}/reschedule"
    await clinic.hub.call(mother, "POST", path, json={"scheduledTime": clinic.at("10:00", 3)})
    await answer(clinic, mother, booked, "cannot_come")
    assert (await clinic.inbox(staff), len(await clinic.notices(staff))) == ([declined, declined], 2)


@pytest.mark.parametrize("said", ["confirm", "cannot_come"])
async def test_what_has_begun_is_not_answered(clinic: Reminding, said: str) -> None:
    """409 naming the state, and nothing is changed."""
    mother, _, companion, booked = await booked_for_mother(clinic)
    for step in ("confirm", "start"):
        await clinic.move(companion, booked["orderId"], step)
    refused = await answer(clinic, mother, booked, said, 409)

    assert refused["fields"] == {"status": "in_progress"}
    assert (await clinic.row("appointments", booked["appointmentId"]))["attendance"] is None


async def test_only_who_may_decide_answers(clinic: Reminding) -> None:
    """Not who does it; to others there is no such appointment; what is not paid is not confirmed; fields are checked."""
    _, daughter, companion, booked = await booked_for_mother(clinic)
    unpaid = await clinic.book(daughter, await clinic.service(companion), "10:30", days=3)

    assert (await answer(clinic, companion, booked, "confirm", 403))["type"] == "forbidden"
    assert (await answer(clinic, await clinic.hub.person(), booked, "confirm", 404))["type"] == "not_found"
    assert (await answer(clinic, daughter, unpaid, "confirm", 409))["fields"] == {"status": "pending"}
    assert "answer" in (await answer(clinic, daughter, booked, "maybe", 400))["fields"]
    await clinic.run("UPDATE user_relations SET state = 'ended' WHERE actor_id = :id", id=daughter.id)
    assert (await answer(clinic, daughter, booked, "confirm", 404))["type"] == "not_found"
