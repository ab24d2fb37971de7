"""The slots of a day as people see them: what is shown is what can be booked."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.directory.model import SHANGHAI
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def slots(clinic: Clinic, service: str, day: str, **more: str) -> dict[str, Any]:
    patient = await clinic.hub.person()
    query = {"serviceId": service, "date": day} | more
    found: dict[str, Any] = await clinic.hub.call(patient, "GET", "/appointments/available-slots", params=query)
    return found


async def test_a_slot_is_shown_wherever_the_service_fits(clinic: Clinic) -> None:
    """Every half hour as long as an hour is left; the shape is the contract's."""
    service = await clinic.service(await clinic.provider())
    found = await slots(clinic, service, clinic.tomorrow)

    times = ["09:00", "09:30", "10:00", "10:30", "11:00"]
    assert found == {"date": clinic.tomorrow, "slots": [{"time": each, "available": True} for each in times]}


async def test_a_booked_slot_is_full_and_so_is_what_overlaps_it(clinic: Clinic) -> None:
    """The reason is there only when it is not available."""
    service = await clinic.service(await clinic.provider())
    await clinic.book(await clinic.hub.person(), service, "09:30")
    found = await slots(clinic, service, clinic.tomorrow)

    full = {"available": False, "reason": "已约满"}
    assert found["slots"][:4] == [
        {"time": "09:00", **full},
        {"time": "09:30", **full},
        {"time": "10:00", **full},
        {"time": "10:30", "available": True},
    ]


async def test_the_reason_is_english_for_who_asks_in_english(clinic: Clinic) -> None:
    """Reasons are for people, in their language."""
    service = await clinic.service(await clinic.provider())
    patient = await clinic.hub.person()
    await clinic.book(patient, service)
    query = {"serviceId": service, "date": clinic.tomorrow}
    found = await clinic.hub.call(
        patient, "GET", "/appointments/available-slots", params=query, headers={"Accept-Language": "en"}
    )

    assert found["slots"][0]["reason"] == "Fully booked"


async def test_a_slot_of_several_is_free_as_long_as_one_of_them_is(clinic: Clinic) -> None:
    """With a doctor named it is theirs alone that counts."""
    (busy, busy_id), (idle, _) = await clinic.doctor(), await clinic.doctor()
    service = await clinic.service(busy, idle)
    await clinic.book(await clinic.hub.person(), service, doctorId=busy_id)
    whoever = await slots(clinic, service, clinic.tomorrow)
    named = await slots(clinic, service, clinic.tomorrow, doctorId=busy_id)

    assert whoever["slots"][0] == {"time": "09:00", "available": True}
    assert named["slots"][0] == {"time": "09:00", "available": False, "reason": "已约满"}


async def test_slots_of_today_that_have_begun_are_past(clinic: Clinic) -> None:
    """At nine, the slot of nine is over."""
    service = await clinic.service(await clinic.provider())
    today = clinic.hub.clock.now().astimezone(SHANGHAI).date().isoformat()
    found = await slots(clinic, service, today)

    assert found["slots"][:2] == [
        {"time": "09:00", "available": False, "reason": "已过时间"},
        {"time": "09:30", "available": True},
    ]


@pytest.mark.parametrize(
    ("days", "reason"), [(-1, "日期已过"), (61, "超出可预约的日期范围"), (366, "超出可预约的日期范围")]
)
async def test_days_that_cannot_be_booked_are_refused(clinic: Clinic, days: int, reason: str) -> None:
    """The refusal names the field and says why; the sixtieth day is still one."""
    service, patient = await clinic.service(await clinic.provider()), await clinic.hub.person()
    day = clinic.hub.clock.now().astimezone(SHANGHAI).date() + timedelta(days=days)
    query = {"serviceId": service, "date": day.isoformat()}
    refused = await clinic.hub.call(patient, "GET", "/appointments/available-slots", 400, params=query)
    last = clinic.hub.clock.now().astimezone(SHANGHAI).date() + timedelta(days=60)

    assert refused["fields"] == {"date": reason}
    assert len((await slots(clinic, service, last.isoformat()))["slots"]) == 5


@pytest.mark.parametrize("day", ["", "明天", "2026-13-01", "2026-02-30", "20260101", "2026-01-01T00:00:00", "0"])
async def test_a_malformed_day_is_refused_by_name(clinic: Clinic, day: str) -> None:
    """Whatever stands there, the answer is 400 and names `date`."""
    patient = await clinic.hub.person()
    query = {"serviceId": new_id(), "date": day}
    refused = await clinic.hub.call(patient, "GET", "/appointments/available-slots", 400, params=query)

    assert set(refused["fields"]) == {"date"}


async def test_slots_of_what_is_not_there_are_not_found(clinic: Clinic) -> None:
    """An unknown service, one that is no longer offered, an unknown doctor; a doctor of something else is a mistake."""
    (_, doctor_id), other = await clinic.doctor(), await clinic.provider()
    service = await clinic.service(other)
    gone = await clinic.service(other, isActive=False)
    cases = [
        ({"serviceId": new_id()}, 404, "serviceId"),
        ({"serviceId": "1"}, 404, "serviceId"),
        ({"serviceId": gone}, 404, "serviceId"),
        ({"serviceId": service, "doctorId": new_id()}, 404, "doctorId"),
        ({"serviceId": service, "doctorId": "x"}, 404, "doctorId"),
        ({"serviceId": service, "doctorId": doctor_id}, 400, "doctorId"),
        ({}, 400, "serviceId"),
    ]
    patient = await clinic.hub.person()
    for query, status, field in cases:
        query = {"date": clinic.tomorrow} | query
        refused = await clinic.hub.call(patient, "GET", "/appointments/available-slots", status, params=query)
        assert set(refused["fields"]) == {field}, query
