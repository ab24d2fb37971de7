"""P10: reminders of appointments: set with what they belong to, said once, to the right people, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.progress import advance
from hub.orders.reminder import ROOM
from hub.orders.reminder_plan import plan_all
from hub.platform.database import Database
from hub.platform.migrations.versions import a0015_reminders
from tests.integration.core_app import Caller
from tests.integration.notice_scene import Post, open_post
from tests.integration.reminder_scene import Reminding, before, open_reminding

USUAL = [1440, 120, 15]
PREFERENCE = "/users/me/reminder-preferences"


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Reminding]:
    async with open_reminding(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def post(database: Database, redis_url: str) -> AsyncIterator[Post]:
    async with open_post(database, redis_url) as opened:
        await database.log.execute("DELETE FROM notice_marks")
        yield opened


async def pay(clinic: Reminding, connection: AsyncConnection, booked: Any) -> None:
    await advance(connection, booked["orderId"], "pay_success", now=clinic.hub.clock.now(), by=None)


async def wish(clinic: Reminding, who: Caller, minutes: list[int] | None, status: int = 200) -> Any:
    return await clinic.hub.call(who, "PUT", PREFERENCE, status, json={"minutes": minutes})


async def family(clinic: Reminding) -> tuple[Caller, Caller]:
    """A patient, and who may act for them."""
    mother, daughter = await clinic.hub.person(name="王桂兰"), await clinic.hub.person(name="张小妹")
    await clinic.relate(mother, daughter)
    return mother, daughter


async def simple(clinic: Reminding, **more: Any) -> tuple[Caller, Caller, Any]:
    """(patient, companion, what was booked), paid, the day after tomorrow at nine."""
    patient, companion = await clinic.hub.person(), await clinic.provider()
    return patient, companion, await clinic.paid(patient, await clinic.service(companion, **more), days=2)


async def test_payment_sets_them(clinic: Reminding) -> None:
    """P10: in the transaction that pays, for patient, who ordered, who does it, and the conversation; each until the next."""
    mother, daughter = await family(clinic)
    provider = await clinic.provider()
    booked = await clinic.book(daughter, await clinic.service(provider), days=2, userId=mother.id)
    async with clinic.hub.ground.database.transaction() as connection:
        await pay(clinic, connection, booked)
        await connection.rollback()
    assert await clinic.timers(booked) == {}
    await clinic.advance(booked["orderId"], "pay_success")
    await clinic.move(provider, booked["orderId"], "confirm")

    assert await clinic.timers(booked) == dict.fromkeys((mother.id, daughter.id, provider.id, ROOM), USUAL)
    times = {(row["due_at"], row["expires_at"]) for row in await clinic.rows(booked)}
    moments = [before(booked, minutes) for minutes in (*USUAL, 0)]
    assert times == set(pairwise(moments))


async def test_what_is_past_is_not_made(clinic: Reminding) -> None:
    """Who books for tomorrow is not told so again at once."""
    patient = await clinic.hub.person()
    booked = await clinic.paid(patient, await clinic.service(await clinic.provider()), days=1)

    assert (await clinic.timers(booked))[patient.id] == [120, 15]


async def test_each_hears_once_in_their_words(clinic: Reminding) -> None:
    """P10: an entry in each inbox, one in the conversation, and the notice, which says a time and nothing else outside."""
    mother, daughter = await family(clinic)
    doctor, _ = await clinic.doctor()
    await clinic.hub.call(daughter, "PUT", "/users/me/notice-preferences", json={"language": "en"})
    service = await clinic.service(doctor, name="专家咨询")
    booked = await clinic.paid(daughter, service, days=2, userId=mother.id, locationInfo={"address": "门诊三楼"})

    assert await clinic.fire(before(booked, 1440) - timedelta(microseconds=1)) == 0
    assert await clinic.fire(before(booked, 1440)) == 4
    assert await clinic.fire(before(booked, 1440)) == 0
    day = booked["scheduledTime"][:10]  # nine in the morning in China is the same day in UTC
    zh = "{}年{}月{}日 09:00".format(*map(int, day.split("-")))
    said = "专家咨询 · {} · 北京协和医院{}"
    heard = [entry for who in (mother, daughter, doctor) for entry in await clinic.inbox_entries(who)]
    assert {(entry["card"], entry["id"]) for entry in heard} == {("appointment", booked["appointmentId"])}
    assert [(entry["title"], entry["summary"].split("。")[0].split(". ")[0]) for entry in heard] == [
        ("您的预约即将开始", said.format(zh, " · 门诊三楼")),
        ("The appointment that you made for 王*兰 is coming up", said.format(f"{day} 09:00 (Beijing time)", "")),
        ("接诊提醒：王*兰", said.format(zh, "")),
    ]
    assert await clinic.said(mother, booked) == [("appointment_reminder", f"专家咨询 · {zh}")]
    for who in (mother, daughter, doctor):
        (notice,) = await clinic.notices(who)
        assert notice["values"] == {"time": booked["scheduledTime"]}
        assert (notice["state"], notice["expires_at"]) == ("open", before(booked, 120))


async def test_companion_hears_whom_they_accompany(clinic: Reminding) -> None:
    """Masked, because what is in their inbox would outlive the patient's key."""
    _, companion, booked = await simple(clinic)
    await clinic.fire(before(booked, 1440))

    assert await clinic.inbox(companion) == ["陪诊提醒：张*丰"]


async def test_moving_takes_hold_at_once(clinic: Reminding) -> None:
    """P10: what was due for the old time is due no longer, and the new time is told, once each."""
    patient, companion, booked = await simple(clinic)
    await clinic.fire(before(booked, 1440))
    path = f"/appointments/{booked['appointmentId']}/reschedule"
    moved = await clinic.hub.call(patient, "POST", path, json={"scheduledTime": clinic.at("10:00", 3)})

    assert {row["revision"] for row in await clinic.rows(booked)} == {2}
    assert await clinic.timers(booked) == dict.fromkeys((patient.id, companion.id, ROOM), USUAL)
    assert await clinic.fire(before(moved, 1440) - timedelta(seconds=1)) == 0
    assert [await clinic.fire(before(moved, minutes)) for minutes in USUAL] == [3, 3, 3]
    assert [each["expires_at"] for each in await clinic.notices(patient)] == [
        before(booked, 120),
        *(before(moved, minutes) for minutes in (120, 15, 0)),
    ]


@pytest.mark.parametrize(
    ("steps", "later"),
    [(["cancel"], 0), (["confirm", "start"], 0), (["no-show"], 3 * 86_400)],
    ids=["cancelled", "begun", "missed"],
)
async def test_nothing_is_due_for_what_is_over(clinic: Reminding, steps: list[str], later: int) -> None:
    """P10: cancelled in the transaction of what ended it."""
    patient, companion, booked = await simple(clinic)
    await clinic.hub.clock.advance(later)
    for step in steps:
        who = patient if step == "cancel" else companion
        area, key = ("appointments", "appointmentId") if step == "no-show" else ("orders", "orderId")
        await clinic.hub.call(who, "POST", f"/{area}/{booked[key]}/{step}")

    assert await clinic.timers(booked) == {}
    assert len(await clinic.rows(booked, "cancelled")) == 9


async def test_handing_over_takes_them_along(clinic: Reminding) -> None:
    """P10: who did it hears nothing more, who does it now does; also when it comes back."""
    patient, first, second = await clinic.hub.person(), await clinic.provider(), await clinic.provider()
    staff = await clinic.hub.person("staff")
    booked = await clinic.paid(patient, await clinic.service(first, second), days=2)
    former = str((await clinic.row("orders", booked["orderId"]))["provider"])
    other = second if first.id == former else first
    path = f"/orders/{booked['orderId']}/assign"
    await clinic.hub.call(staff, "POST", path, json={"providerId": other.id})
    assert set(await clinic.timers(booked)) == {patient.id, other.id, ROOM}
    await clinic.hub.call(staff, "POST", path, json={"providerId": former})

    assert await clinic.timers(booked) == dict.fromkeys((patient.id, former, ROOM), USUAL)
    await clinic.fire(before(booked, 1440))
    assert len(await clinic.notices(other)) == 0


async def test_the_persons_wish_goes_before(clinic: Reminding) -> None:
    """For appointments that are booked, too, in the same transaction; nobody else's change, and null takes it back."""
    patient, companion, booked = await simple(clinic)
    assert await wish(clinic, patient, [30, 2880, 60]) == {"minutes": [2880, 60, 30], "usual": USUAL}
    await wish(clinic, companion, [])

    assert await clinic.timers(booked) == {patient.id: [60, 30], ROOM: USUAL}
    assert await clinic.fire(before(booked, 60)) == 3  # with two of the conversation, of which one is too late
    assert await clinic.hub.call(patient, "GET", PREFERENCE) == {"minutes": [2880, 60, 30], "usual": USUAL}
    await wish(clinic, patient, None)
    assert await clinic.timers(booked) == {patient.id: [15], ROOM: [15]}


async def test_who_ordered_has_a_wish_of_their_own(clinic: Reminding) -> None:
    """It is found by who ordered, and changes nothing of the patient's."""
    mother, daughter = await family(clinic)
    booked = await clinic.paid(daughter, await clinic.service(await clinic.provider()), days=2, userId=mother.id)
    await wish(clinic, daughter, [300])
    timers = await clinic.timers(booked)

    assert (timers[daughter.id], timers[mother.id]) == ([300], USUAL)


async def test_a_wish_that_comes_with_the_payment_holds(clinic: Reminding) -> None:
    """Whichever is first: here it waits for the payment's commit, and then finds the appointment."""
    patient = await clinic.hub.person()
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()), days=2)
    waiting = "SELECT count(*) AS number FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with clinic.hub.ground.database.transaction() as connection:
        await pay(clinic, connection, booked)
        changing = asyncio.create_task(wish(clinic, patient, [45]))
        while not (await clinic.run(waiting))[0]["number"]:
            await asyncio.wait([changing], timeout=0.01)
            assert not changing.done()
    await changing

    assert (await clinic.timers(booked))[patient.id] == [45]


@pytest.mark.parametrize(
    "minutes",
    [[4], [14 * 1440 + 1], [5, 10, 15, 20, 25, 30], [15, 15], ["十五"], [15.5]],
    ids=["too_short", "too_long", "too_many", "twice", "text", "fraction"],
)
async def test_a_bad_wish_is_refused_by_field(clinic: Reminding, minutes: list[Any]) -> None:
    """P14; of a person and of a service."""
    patient, staff = await clinic.hub.person(), await clinic.hub.person("staff")
    service = await clinic.service(await clinic.provider())
    refused = await wish(clinic, patient, minutes, 400)
    path, body = f"/admin/services/{service}", {"reminderMinutes": minutes}
    defined = await clinic.hub.call(staff, "PATCH", path, 400, json=body)

    assert [name.split("[")[0] for name in refused["fields"]] == ["minutes"]
    assert [name.split("[")[0] for name in defined["fields"]] == ["reminderMinutes"]


async def test_a_service_has_its_own(clinic: Reminding) -> None:
    """For what is booked from then on; taken back, it is as usual again."""
    staff, companion = await clinic.hub.person("staff"), await clinic.provider(capacity=5)
    service = await clinic.service(companion, reminderMinutes=[60, 600])
    path = f"/admin/services/{service}"
    patients = [await clinic.hub.person() for _ in range(2)]
    first = await clinic.paid(patients[0], service, days=2)
    await clinic.hub.call(staff, "PATCH", path, json={"reminderMinutes": None})
    second = await clinic.paid(patients[1], service, days=2)

    assert (await clinic.hub.call(staff, "GET", path))["reminderMinutes"] is None
    assert (await clinic.timers(first))[patients[0].id] == [600, 60]
    assert (await clinic.timers(second))[patients[1].id] == USUAL


async def test_after_an_outage_only_what_is_of_use(clinic: Reminding) -> None:
    """P10: too late is `expired`; one reminder comes, not three, and none once it has begun."""
    patient, _, booked = await simple(clinic)
    await clinic.fire(before(booked, 14))
    assert (len(await clinic.notices(patient)), len(await clinic.said(patient, booked))) == (1, 1)
    assert {row["key"].split(":")[0] for row in await clinic.rows(booked, "expired")} == {"1440", "120"}
    late, _, other = await simple(clinic)
    await clinic.fire(before(other, 0))

    assert (await clinic.notices(late), await clinic.said(late, other)) == ([], [])
    assert len(await clinic.rows(other, "expired")) == 9


async def test_what_changed_behind_them_is_void(clinic: Reminding) -> None:
    """The last fence: nobody is reminded of what is not so any more, and the row says that nothing happened."""
    mother, daughter = await family(clinic)
    companion = await clinic.provider()
    service = await clinic.service(companion)
    booked = await clinic.paid(daughter, service, days=2, userId=mother.id)
    await clinic.run("UPDATE user_relations SET state = 'ended' WHERE person_id = :id", id=mother.id)
    await clinic.run("INSERT INTO reminder_preferences (user_id, minutes) VALUES (:id, '{60}')", id=companion.id)
    await clinic.fire(before(booked, 1440))
    assert set(await clinic.timers(booked, "fired")) == {mother.id, ROOM}
    await clinic.run("UPDATE appointments SET revision = 2 WHERE id = :id", id=booked["appointmentId"])
    await clinic.fire(before(booked, 120))

    heard = [len(await clinic.notices(who)) for who in (mother, daughter, companion)]
    assert (heard, len(await clinic.said(mother, booked))) == ([1, 0, 0], 1)
    assert len(await clinic.rows(booked, "cancelled")) == 6


async def test_of_who_is_erased_nothing_is_said(clinic: Reminding) -> None:
    """P12: not even to others."""
    patient, companion, booked = await simple(clinic)
    async with clinic.hub.ground.database.transaction() as connection:
        await clinic.hub.ground.sealer.destroy(connection, patient.id)
    await clinic.fire(before(booked, 1440))

    assert (await clinic.notices(patient), await clinic.notices(companion)) == ([], [])
    assert await clinic.timers(booked, "fired") == {}


async def test_two_sets_are_said_once(clinic: Reminding) -> None:
    """P10: as two people's changes of one appointment at once may leave them."""
    patient, _, booked = await simple(clinic)
    twice = "UPDATE timers SET state = 'pending', next_at = due_at WHERE subject = :id AND state = 'cancelled'"
    async with clinic.hub.ground.database.transaction() as connection:
        await plan_all(connection, [booked["appointmentId"]], clinic.hub.clock.now())
    await clinic.run(twice, id=booked["appointmentId"])
    assert await clinic.fire(before(booked, 1440)) == 6

    assert (len(await clinic.notices(patient)), len(await clinic.inbox_entries(patient))) == (1, 1)
    assert len(await clinic.said(patient, booked)) == 1


async def test_the_conversation_pushes_nothing(clinic: Reminding, post: Post) -> None:
    """Each is bothered once: what is said to all of them makes no notice of its own, other than the cards of the order."""
    patient, companion, booked = await simple(clinic)
    await post.sweep("order")
    await clinic.fire(before(booked, 1440))
    await post.pass_time(60)
    await post.sweep("order")
    await post.sweep("chat")

    for who in (patient, companion):
        (card,) = await clinic.notices(who, "order")
        assert (card["first_seq"], card["upto_seq"]) == (await paid_seq(clinic, who, booked),) * 2
        assert (len(await clinic.notices(who)), await clinic.notices(who, "chat")) == (1, [])


async def paid_seq(clinic: Reminding, who: Caller, booked: Any) -> int:
    """Of the card that says that the order is paid."""
    return next(each.seq for each in await clinic.entries(who, await clinic.room(booked)) if each.type == "card")


async def test_a_batch_costs_the_same_for_many(clinic: Reminding) -> None:
    """Nothing is asked once for each."""
    companion = await clinic.provider(capacity=9)
    service = await clinic.service(companion)
    counted = []
    for days, number in ((2, 1), (3, 6)):
        booked = [await clinic.paid(await clinic.hub.person(), service, days=days) for _ in range(number)]
        await clinic.fire(before(booked[0], 120) - timedelta(seconds=1))
        with clinic.statements() as statements:
            await clinic.fire(before(booked[0], 120))
        counted.append(len(statements))

    assert counted[0] == counted[1]


async def test_what_was_booked_before_the_release_gets_the_usual(clinic: Reminding) -> None:
    """The migration sets what payment would have set, and it fires like that."""
    patient, companion, booked = await simple(clinic)
    usual = {(row["person"], row["due_at"], row["expires_at"]) for row in await clinic.rows(booked)}
    await clinic.run("DELETE FROM timers")
    await clinic.run(a0015_reminders.STATEMENTS[-1])

    assert {(row["person"], row["due_at"], row["expires_at"]) for row in await clinic.rows(booked)} == usual
    await clinic.fire(before(booked, 1440))
    assert await clinic.timers(booked, "fired") == {each: [1440] for each in (patient.id, companion.id, ROOM)}
    assert [len(await clinic.notices(who)) for who in (patient, companion)] == [1, 1]
