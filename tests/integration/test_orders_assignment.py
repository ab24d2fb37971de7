"""Orders handed over: to somebody who is free, by staff, once; and hours that change under what is booked."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest_asyncio

from hub.directory.event import ScheduleChanged
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def kinds(clinic: Clinic, booked: Any) -> list[str]:
    rows = await clinic.run("SELECT kind FROM events WHERE subject = :id ORDER BY number", id=booked["orderId"])
    return [row["kind"] for row in rows]


async def held(clinic: Clinic, booked: Any) -> list[tuple[Any, ...]]:
    rows = await clinic.run(
        "SELECT provider::text, place, starts_at, ends_at FROM bookings WHERE appointment_id = :id AND released_at IS NULL",
        id=booked["appointmentId"],
    )
    return [tuple(row.values()) for row in rows]


async def test_handing_over_moves_the_booking(clinic: Clinic) -> None:
    """The time stays, the old provider is free, the new one is not; a doctor of the directory is known as one."""
    patient, staff = await clinic.hub.person(), await clinic.hub.person("staff")
    old, (account, doctor) = await clinic.provider(), await clinic.doctor()
    service = await clinic.service(old, account)
    booked = await clinic.book(patient, service)
    await clinic.run(
        "UPDATE bookings SET provider = :p WHERE appointment_id = :id", p=old.id, id=booked["appointmentId"]
    )
    await clinic.run("UPDATE appointments SET staff_id = :p WHERE id = :id", p=old.id, id=booked["appointmentId"])
    await clinic.run("UPDATE orders SET provider = :p WHERE id = :id", p=old.id, id=booked["orderId"])
    before = await held(clinic, booked)
    handed = await clinic.move(staff, booked["orderId"], "assign", doctorId=doctor)
    after = await held(clinic, booked)

    assert (handed["providerId"], handed["appointment"]["scheduledTime"]) == (account.id, clinic.at("09:00"))
    assert (before[0][0], after[0][0], after[0][1:]) == (old.id, account.id, before[0][1:])
    row = await clinic.row("appointments", booked["appointmentId"])
    assert (str(row["staff_id"]), str(row["doctor_id"]), row["revision"]) == (account.id, doctor, 1)
    await clinic.hub.call(old, "GET", f"/orders/{booked['orderId']}", 404)


async def test_handing_over_needs_somebody_who_is_free_and_does_it(clinic: Clinic) -> None:
    """Busy or off: a conflict; of another service: a mistake; unknown: not found. Nothing moves."""
    patient, staff = await clinic.hub.person(), await clinic.hub.person("staff")
    old, off, other = await clinic.provider(), await clinic.provider(works=False), await clinic.provider()
    busy = await clinic.provider()
    booked = await clinic.book(patient, await clinic.service(old), "09:30")
    service = (await clinic.row("orders", booked["orderId"]))["service_id"]
    for each in (off, busy):
        await clinic.run("INSERT INTO service_providers VALUES (:s, :p)", s=service, p=each.id)
    await clinic.book(await clinic.hub.person(), await clinic.service(busy), "10:00")
    before = await held(clinic, booked)
    cases = [
        ({"providerId": busy.id}, 409, "providerId"),
        ({"providerId": off.id}, 409, "providerId"),
        ({"providerId": other.id}, 400, "providerId"),
        ({"providerId": "x"}, 400, "providerId"),
        ({"doctorId": new_id()}, 404, "doctorId"),
        ({"staffId": patient.id}, 404, "staffId"),
        ({"staffId": "x"}, 404, "staffId"),
        ({"doctorId": new_id(), "providerId": busy.id}, 400, "providerId"),
        ({"staffId": None}, 400, "providerId"),
        ({"who": busy.id}, 400, "who"),
    ]
    for body, status, field in cases:
        refused = await clinic.hub.call(staff, "POST", f"/orders/{booked['orderId']}/assign", status, json=body)
        assert list(refused["fields"]) == [field], body

    assert await held(clinic, booked) == before
    assert "OrderAssigned" not in await kinds(clinic, booked)


async def test_handing_over_is_for_staff_and_not_for_what_is_over(clinic: Clinic) -> None:
    """403 for who sees the order; 409 naming the state."""
    patient, provider, staff = await clinic.hub.person(), await clinic.provider(), await clinic.hub.person("admin")
    done = await clinic.completed(patient, provider, await clinic.service(provider))
    for who in (patient, provider):
        await clinic.move(who, done["orderId"], "assign", 403, staffId=staff.id)
    refused = await clinic.move(staff, done["orderId"], "assign", 409, staffId=staff.id)

    assert refused["fields"] == {"status": "completed"}


async def test_handing_over_to_who_has_it_changes_nothing(clinic: Clinic) -> None:
    """A repetition is answered, and told of once."""
    staff, provider, patient = await clinic.hub.person("staff"), await clinic.provider(), await clinic.hub.person()
    order = await clinic.place(patient, await clinic.service(provider))
    for _ in range(2):
        handed = await clinic.move(staff, order["id"], "assign", providerId=provider.id, staffId=staff.id)

    assert (handed["providerId"], handed["coordinatorId"]) == (provider.id, staff.id)
    assert (await kinds(clinic, {"orderId": order["id"]})).count("OrderAssigned") == 1


async def test_staff_hear_of_appointments_outside_changed_hours(clinic: Clinic) -> None:
    """What is booked stays booked; who looks after it is told, once."""
    coordinator, patient = await clinic.hub.person("staff", "客服乙"), await clinic.hub.person()
    account, _ = await clinic.doctor()
    service = await clinic.service(account)
    outside, inside = await clinic.paid(patient, service, "09:00"), await clinic.paid(patient, service, "11:00")
    await clinic.run("UPDATE orders SET coordinator = :c WHERE user_id = :id", c=coordinator.id, id=patient.id)
    await clinic.run("UPDATE doctor_schedules SET starts = '10:00' WHERE provider = :id", id=account.id)
    for day in (None, datetime.fromisoformat(clinic.tomorrow).date()):
        await clinic.publish(ScheduleChanged(subject=account.id, day=day))
    await clinic.settle()

    assert await clinic.inbox(coordinator) == ["排班变动，预约需要改约或改派"]
    for booked in (outside, inside):
        assert len(await held(clinic, booked)) == 1
