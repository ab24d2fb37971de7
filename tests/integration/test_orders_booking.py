"""Booking: it holds a slot, writes an order, and refuses by name what cannot be."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.directory.model import SHANGHAI
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic

WORDS = "首次就诊“加急”😀\u202e' OR 1=1 --"


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def test_booking_holds_the_slot_and_waits_for_payment(clinic: Clinic) -> None:
    """Exactly the contract's fields; the amount is the service's price, and the order number is of the day."""
    provider, patient = await clinic.provider(), await clinic.hub.person()
    service = await clinic.service(provider)
    booked = await clinic.book(patient, service, notes=WORDS)

    today = clinic.hub.clock.now().astimezone(SHANGHAI)
    assert set(booked) == {"appointmentId", "orderId", "orderNo", "status", "scheduledTime", "amount"}
    assert (booked["status"], booked["scheduledTime"], booked["amount"]) == ("pending", clinic.at("09:00"), "128.00")
    assert booked["orderNo"].startswith(f"ORDER{today:%Y%m%d}0")
    order = await clinic.row("orders", booked["orderId"])
    assert order["expires_at"] == clinic.hub.clock.now() + timedelta(minutes=15)
    assert (str(order["provider"]), order["state"]) == (provider.id, "pending")
    shown = await clinic.hub.call(patient, "GET", f"/appointments/{booked['appointmentId']}")
    assert (shown["notes"], shown["contactPerson"], shown["staffId"]) == (WORDS, "李四", provider.id)


async def test_what_was_written_is_sealed(clinic: Clinic) -> None:
    """Nothing that tells something of health stands in the tables in the clear."""
    patient = await clinic.hub.person()
    service = await clinic.service(await clinic.provider())
    booked = await clinic.book(patient, service, notes="糖尿病史十年", locationInfo={"address": "门诊三楼"})
    rows = [
        await clinic.row("orders", booked["orderId"]),
        await clinic.row("appointments", booked["appointmentId"]),
        *await clinic.run("SELECT payload::text FROM events WHERE subject = :id", id=booked["orderId"]),
    ]

    for secret in ("糖尿病", "门诊三楼", "李四", "13900001111"):
        assert all(secret.encode() not in bytes(str(row), "utf-8") for row in rows)
        assert all(secret.encode() not in value for row in rows for value in row.values() if isinstance(value, bytes))


async def test_a_full_slot_is_a_conflict_and_no_slot_a_mistake(clinic: Clinic) -> None:
    """Each refusal names the time; nothing is written."""
    service = await clinic.service(await clinic.provider())
    await clinic.book(await clinic.hub.person(), service)
    patient = await clinic.hub.person()
    full = await clinic.book(patient, service, status=409)
    odd = await clinic.book(patient, service, "09:10", status=400)
    closed = await clinic.book(patient, service, "11:30", status=400)
    past = await clinic.book(patient, service, "09:00", days=0, status=400)
    far = await clinic.book(patient, service, days=61, status=400)

    assert (full["type"], full["fields"]) == ("conflict", {"scheduledTime": "该时段已约满，请选择其他时间"})
    for refused in (odd, closed):
        assert refused["fields"] == {"scheduledTime": "所选时间不在可预约时段内"}
    assert past["fields"] == {"scheduledTime": "已过时间"}
    assert far["fields"] == {"scheduledTime": "超出可预约的日期范围"}
    assert await clinic.run("SELECT id FROM orders WHERE user_id = :id", id=patient.id) == []


async def test_a_patient_cannot_be_in_two_places(clinic: Clinic) -> None:
    """An overlapping appointment is refused, also of another service; what begins when it ends is not."""
    patient = await clinic.hub.person()
    one, other = [await clinic.service(await clinic.provider()) for _ in range(2)]
    await clinic.book(patient, one, "09:30")
    refused = await clinic.book(patient, other, "10:00", status=409)
    await clinic.book(patient, other, "10:30")

    assert refused["fields"] == {"scheduledTime": "该时间已有其他预约"}


async def test_each_place_of_a_slot_is_sold_once(clinic: Clinic) -> None:
    """Capacity three: three bookings in the places 0, 1 and 2, and no fourth; a freed place is taken first."""
    provider = await clinic.provider(capacity=3)
    service = await clinic.service(provider)
    booked = [await clinic.book(await clinic.hub.person(), service) for _ in range(3)]
    await clinic.book(await clinic.hub.person(), service, status=409)
    await clinic.advance(booked[1]["orderId"], "payment_timeout")
    again = await clinic.book(await clinic.hub.person(), service)

    held = await clinic.run(
        "SELECT appointment_id::text AS id, place FROM bookings WHERE provider = :id AND released_at IS NULL",
        id=provider.id,
    )
    places = {row["id"]: row["place"] for row in held}
    assert [places[each["appointmentId"]] for each in (booked[0], again, booked[2])] == [0, 1, 2]


async def test_work_is_spread_over_who_can_do_it(clinic: Clinic) -> None:
    """Who has least to do that day gets the next one."""
    providers = [await clinic.provider() for _ in range(3)]
    service = await clinic.service(*providers)
    for clock in ("09:00", "10:00", "11:00"):
        await clinic.book(await clinic.hub.person(), service, clock)
    rows = await clinic.run(
        "SELECT provider::text AS id FROM bookings WHERE provider = ANY(:ids)", ids=[each.id for each in providers]
    )

    assert {row["id"] for row in rows} == {each.id for each in providers}


async def test_a_doctor_brings_the_hospital(clinic: Clinic) -> None:
    """Whether named or found, the appointment knows doctor and hospital; another hospital may be named."""
    account, doctor = await clinic.doctor()
    service = await clinic.service(account)
    named = await clinic.book(await clinic.hub.person(), service, doctorId=doctor)
    found = await clinic.book(await clinic.hub.person(), service, "10:00")
    rows = [await clinic.row("appointments", each["appointmentId"]) for each in (named, found)]

    assert [str(row["doctor_id"]) for row in rows] == [doctor, doctor]
    assert rows[0]["hospital_id"] == rows[1]["hospital_id"] is not None


async def test_an_unknown_hospital_is_not_found(clinic: Clinic) -> None:
    """The table's own constraint says so, and nothing is booked."""
    service = await clinic.service(await clinic.provider())
    for hospital in (new_id(), "协和"):
        refused = await clinic.book(await clinic.hub.person(), service, hospitalId=hospital, status=404)
        assert refused["fields"] == {"hospitalId": "没有这家医院"}

    await clinic.book(await clinic.hub.person(), service)


async def test_one_books_for_somebody_one_may_act_for(clinic: Clinic) -> None:
    """The order is the patient's; a stranger is told nothing."""
    mother, daughter, stranger = [await clinic.hub.person(name=name) for name in ("张桂兰", "张小红", "路人甲")]
    service = await clinic.service(await clinic.provider())
    await clinic.relate(mother, daughter)
    await clinic.book(stranger, service, userId=mother.id, status=404)
    await clinic.book(stranger, service, userId="nobody", status=404)
    booked = await clinic.book(daughter, service, userId=mother.id)

    order = await clinic.row("orders", booked["orderId"])
    assert (str(order["user_id"]), str(order["actor_id"])) == (mother.id, daughter.id)
    for who in (mother, daughter):
        assert (await clinic.hub.call(who, "GET", f"/orders/{booked['orderId']}"))["userId"] == mother.id
    await clinic.hub.call(stranger, "GET", f"/orders/{booked['orderId']}", 404)


async def test_what_costs_nothing_is_paid_at_once(clinic: Clinic) -> None:
    """No payment is asked for: the appointment is scheduled."""
    service = await clinic.service(await clinic.provider(), price="0.00")
    booked = await clinic.book(await clinic.hub.person(), service)

    order = await clinic.row("orders", booked["orderId"])
    assert (booked["status"], booked["amount"]) == ("scheduled", "0.00")
    assert (order["state"], order["paid_at"]) == ("paid", clinic.hub.clock.now())


async def test_an_unpaid_appointment_gives_its_slot_back(clinic: Clinic) -> None:
    """After the time to pay, the slot is anybody's again."""
    service = await clinic.service(await clinic.provider())
    booked = await clinic.book(await clinic.hub.person(), service)
    await clinic.advance(booked["orderId"], "payment_timeout")
    again = await clinic.book(await clinic.hub.person(), service)

    assert again["scheduledTime"] == booked["scheduledTime"]
    assert (await clinic.row("appointments", booked["appointmentId"]))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contactPhone", "12345"),
        ("contactPhone", "13900001111\n"),
        ("contactPhone", "１３９０００１１１１１"),
        ("contactPerson", ""),
        ("contactPerson", "  "),
        ("contactPerson", "李" * 51),
        ("contactPerson", "李\x00四"),
        ("notes", "有\x00"),
        ("notes", "长" * 2001),
        ("scheduledTime", "2030-01-01T09:00:00"),
        ("scheduledTime", "明天九点"),
        ("scheduledTime", 1893456000),
        ("scheduledTime", "0001-01-01T00:00:00+14:00"),
        ("scheduledTime", "9999-12-31T23:59:59-12:00"),
        ("serviceId", "x" * 65),
        ("serviceId", None),
        ("locationInfo", {"楼层": ["三"]}),
        ("locationInfo", {f"项{n}": n for n in range(21)}),
        ("locationInfo", {"号": 10**30}),
        ("locationInfo", "三楼"),
        ("amount", "0.01"),
        ("state", "paid"),
    ],
)
async def test_a_bad_field_is_refused_by_name(clinic: Clinic, field: str, value: object) -> None:
    """Nothing is guessed, and nothing is written."""
    service, patient = await clinic.service(await clinic.provider()), await clinic.hub.person()
    refused = await clinic.book(patient, service, status=400, **dict[str, Any]({field: value}))

    assert [each.partition("[")[0] for each in refused["fields"]] == [field]
    assert await clinic.run("SELECT id FROM orders WHERE user_id = :id", id=patient.id) == []


async def test_booking_costs_few_statements_and_fewer_when_it_is_full(clinic: Clinic) -> None:
    """Thirteen, the last eight with the locks, with one provider or with five; five for a clear no."""
    for providers in (1, 5):
        service = await clinic.service(*[await clinic.provider() for _ in range(providers)])
        for _ in range(providers):
            patient = await clinic.hub.person()
            with clinic.statements() as said:
                await clinic.book(patient, service)
        locked = next(n for n, statement in enumerate(said) if "pg_advisory_xact_lock(" in statement)
        assert (len(said), len(said) - locked) == (13, 8)
        with clinic.statements() as said:
            await clinic.book(await clinic.hub.person(), service, status=409)
        assert len([each for each in said if "INTO users" not in each]) == 5
