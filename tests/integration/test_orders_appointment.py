"""Appointments that are booked: moved, cancelled, missed. A slot is freed and taken at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def reschedule(clinic: Clinic, who: Caller, booked: Any, clock: str, status: int = 200, days: int = 1) -> Any:
    path, body = f"/appointments/{booked['appointmentId']}/reschedule", {"scheduledTime": clinic.at(clock, days)}
    return await clinic.hub.call(who, "POST", path, status, json=body)


async def kinds(clinic: Clinic, booked: Any) -> list[str]:
    rows = await clinic.run("SELECT kind FROM events WHERE subject = :id ORDER BY number", id=booked["orderId"])
    return [row["kind"] for row in rows]


async def held(clinic: Clinic, booked: Any) -> list[tuple[Any, ...]]:
    rows = await clinic.run(
        "SELECT provider::text, place, starts_at, ends_at FROM bookings WHERE appointment_id = :id AND released_at IS NULL",
        id=booked["appointmentId"],
    )
    return [tuple(row.values()) for row in rows]


async def test_moving_frees_the_old_slot_and_takes_the_new(clinic: Clinic) -> None:
    """The revision counts it, the event tells it, the old time is anybody's."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    booked = await clinic.book(patient, service, "09:00")
    moved = await reschedule(clinic, patient, booked, "10:30", days=2)
    await clinic.book(await clinic.hub.person(), service, "09:00")

    assert (moved["id"], moved["status"], moved["revision"]) == (booked["appointmentId"], "pending", 2)
    assert (moved["scheduledTime"], moved["endTime"]) == (clinic.at("10:30", 2), clinic.at("11:30", 2))
    row = (
        await clinic.run(
            "SELECT payload FROM events WHERE subject = :id AND kind = 'AppointmentMoved'", id=booked["orderId"]
        )
    )[0]["payload"]
    assert (row["appointment"], row["revision"], row["by"]) == (booked["appointmentId"], 2, patient.id)


async def test_moving_may_overlap_the_own_old_time(clinic: Clinic) -> None:
    """One's own place and one's own appointment are not in the way."""
    patient = await clinic.hub.person()
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()), "09:00")
    moved = await reschedule(clinic, patient, booked, "09:30")

    assert moved["scheduledTime"] == clinic.at("09:30")


async def test_moving_to_the_same_time_again_changes_nothing(clinic: Clinic) -> None:
    """A repetition is answered, not counted."""
    patient = await clinic.hub.person()
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()))
    await reschedule(clinic, patient, booked, "10:00")
    again = await reschedule(clinic, patient, booked, "10:00")

    assert again["revision"] == 2
    assert (await kinds(clinic, booked)).count("AppointmentMoved") == 1


async def test_moving_obeys_the_rules_of_booking(clinic: Clinic) -> None:
    """Full, no slot, past, too far, over an own appointment: refused by name, and everything stays."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    booked = await clinic.book(patient, service, "09:00")
    await clinic.book(await clinic.hub.person(), service, "10:00")
    await clinic.book(patient, await clinic.service(await clinic.provider()), "11:00")
    before = await held(clinic, booked)
    for clock, days, status, reason in (
        ("10:00", 1, 409, "该时段已约满，请选择其他时间"),
        ("11:00", 1, 409, "该时间已有其他预约"),
        ("10:10", 1, 400, "所选时间不在可预约时段内"),
        ("09:00", 0, 400, "已过时间"),
        ("09:00", 61, 400, "超出可预约的日期范围"),
    ):
        refused = await reschedule(clinic, patient, booked, clock, status, days)
        assert refused["fields"] == {"scheduledTime": reason}

    assert await held(clinic, booked) == before
    assert (await clinic.row("appointments", booked["appointmentId"]))["revision"] == 1


async def test_only_one_of_many_moves_to_the_last_slot(clinic: Clinic) -> None:
    """All at once: one has it, the others keep what they had."""
    provider = await clinic.provider(capacity=5)
    service = await clinic.service(provider)
    people = [await clinic.hub.person() for _ in range(5)]
    booked = [await clinic.book(each, service, "09:00") for each in people]
    for _ in range(4):
        await clinic.book(await clinic.hub.person(), service, "10:00")

    async def move(who: Caller, each: Any) -> int:
        path, body = f"/api/v1/appointments/{each['appointmentId']}/reschedule", {"scheduledTime": clinic.at("10:00")}
        headers = {"Authorization": f"Bearer {who.token}"}
        return (await clinic.hub.client.post(path, json=body, headers=headers)).status_code

    answers = await asyncio.gather(*(move(who, each) for who, each in zip(people, booked, strict=True)))

    assert sorted(answers) == [200, 409, 409, 409, 409]
    assert [len(await held(clinic, each)) for each in booked] == [1] * 5


async def test_crossing_moves_do_not_wait_for_each_other(clinic: Clinic) -> None:
    """Moving, cancelling and handing over the same appointments at once ends without a deadlock, each order whole."""
    providers = [await clinic.provider(capacity=2) for _ in range(2)]
    service, staff = await clinic.service(*providers), await clinic.hub.person("staff")
    people = [await clinic.hub.person() for _ in range(4)]
    booked = [await clinic.book(each, service, "09:00") for each in people]

    async def ask(who: Caller, path: str, body: Any) -> int:
        headers = {"Authorization": f"Bearer {who.token}"}
        return (await clinic.hub.client.post(f"/api/v1{path}", json=body, headers=headers)).status_code

    calls = []
    for who, each in zip(people, booked, strict=True):
        appointment, order = f"/appointments/{each['appointmentId']}", f"/orders/{each['orderId']}"
        calls += [ask(who, f"{appointment}/reschedule", {"scheduledTime": clinic.at(f"{h}:00")}) for h in (10, 11)]
        calls += [ask(staff, f"{order}/assign", {"providerId": provider.id}) for provider in providers]
        calls.append(ask(who, f"{order}/cancel", {"reason": "改主意了"}))
    answers = await asyncio.gather(*calls)

    assert set(answers) <= {200, 409}
    for each in booked:
        cancelled = (await clinic.row("orders", each["orderId"]))["state"] == "cancelled"
        assert len(await held(clinic, each)) == (0 if cancelled else 1)


@pytest.mark.parametrize("steps", [["confirm", "start"], ["confirm", "start", "complete"], ["cancel"]])
async def test_what_has_begun_or_ended_is_not_moved(clinic: Clinic, steps: list[str]) -> None:
    """409 naming the state; while it is confirmed it still moves."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    for step in steps:
        await clinic.move(patient if step == "cancel" else provider, booked["orderId"], step)
        if step == "confirm":
            await reschedule(clinic, patient, booked, "10:00")
    refused = await reschedule(clinic, patient, booked, "11:00", 409)

    states = {"start": "in_progress", "complete": "completed", "cancel": "cancelled"}
    assert refused["fields"] == {"status": states[steps[-1]]}


async def test_times_are_changed_by_the_owner_and_by_staff(clinic: Clinic) -> None:
    """The provider asks staff; a stranger is told nothing."""
    patient, provider, staff = await clinic.hub.person(), await clinic.provider(), await clinic.hub.person("staff")
    booked = await clinic.book(patient, await clinic.service(provider))
    await reschedule(clinic, provider, booked, "10:00", 403)
    await reschedule(clinic, await clinic.hub.person(), booked, "10:00", 404)

    assert (await reschedule(clinic, staff, booked, "10:00"))["revision"] == 2


async def test_cancelling_an_appointment_cancels_its_order(clinic: Clinic) -> None:
    """The slot is free again; a second time it is refused by the state."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    booked = await clinic.paid(patient, service)
    path = f"/appointments/{booked['appointmentId']}/cancel"
    await clinic.hub.call(provider, "POST", path, 403)
    cancelled = await clinic.hub.call(patient, "POST", path, json={"reason": "临时有事"})
    refused = await clinic.hub.call(patient, "POST", path, 409)
    await clinic.book(await clinic.hub.person(), service)

    assert cancelled["status"] == "cancelled"
    assert (await clinic.row("orders", booked["orderId"]))["state"] == "cancelled"
    assert refused["fields"] == {"status": "cancelled"}


async def test_who_does_not_come_is_noted_after_the_time(clinic: Clinic) -> None:
    """The appointment stays `no_show`, the order goes on to `completed` by the contract's moves, and money can go back."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    path = f"/appointments/{booked['appointmentId']}/no-show"
    early = await clinic.hub.call(provider, "POST", path, 409)
    await clinic.hub.call(patient, "POST", path, 403)
    await clinic.hub.clock.advance(timedelta(days=1).total_seconds())
    missed = await clinic.hub.call(provider, "POST", path)
    refused = await clinic.hub.call(provider, "POST", path, 409)

    assert early["fields"] == {"scheduledTime": "预约时间未到"}
    assert (missed["status"], refused["fields"]) == ("no_show", {"status": "no_show"})
    assert (await clinic.row("orders", booked["orderId"]))["state"] == "completed"
    assert (await kinds(clinic, booked))[2:] == [
        "AppointmentMissed", "OrderConfirmed", "OrderStarted", "OrderCompleted"
    ]  # fmt: skip
    await clinic.move(patient, booked["orderId"], "refund")
    assert (await clinic.row("appointments", booked["appointmentId"]))["state"] == "no_show"


async def test_nobody_is_missed_who_has_not_paid_or_has_come(clinic: Clinic) -> None:
    """409 naming the appointment's state."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    unpaid = await clinic.book(patient, service)
    begun = await clinic.paid(patient, service, "10:00")
    for step in ("confirm", "start"):
        await clinic.move(provider, begun["orderId"], step)
    await clinic.hub.clock.advance(timedelta(days=1, hours=3).total_seconds())
    for booked, state in ((unpaid, "pending"), (begun, "in_progress")):
        refused = await clinic.hub.call(provider, "POST", f"/appointments/{booked['appointmentId']}/no-show", 409)
        assert refused["fields"] == {"status": state}
