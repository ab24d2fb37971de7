"""Booking by many at the same time: no place is ever sold twice, and a request that comes twice is one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest_asyncio
from sqlalchemy import text

from hub.directory import schedule_store
from hub.orders import booking_store
from hub.orders.actions import Orders
from hub.orders.booking_actions import Booking, book
from hub.orders.detail import Contact
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.integration.orders_scene import Clinic, open_clinic

CROWD = 200
_SMUGGLE = """
UPDATE bookings SET starts_at = :at, ends_at = CAST(:at AS timestamptz) + interval '30 minutes' WHERE appointment_id = :id
"""
_HOLDS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%users%FOR SHARE%'
"""
_QUEUES = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%hashtextextended(name%'"
_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO bookings%'"


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def test_a_repeated_request_answers_the_first_appointment(clinic: Clinic) -> None:
    """The same key with the same content, one after the other or all at once, is one order."""
    service, patient = await clinic.service(await clinic.provider()), await clinic.hub.person()
    again: dict[str, Any] = {"headers": {"Idempotency-Key": f"k-{new_id()}"}}
    answers = await asyncio.gather(*(clinic.book(patient, service, **again) for _ in range(5)))
    answers.append(await clinic.book(patient, service, **again))

    assert all(each == answers[0] for each in answers)
    assert len(await clinic.run("SELECT id FROM orders WHERE user_id = :id", id=patient.id)) == 1


async def test_a_key_is_good_for_one_content_and_one_person(clinic: Clinic) -> None:
    """Other content is a conflict; another person's key is another key; without one, nothing is recognised."""
    service = await clinic.service(await clinic.provider(capacity=5))
    patient, other, key = await clinic.hub.person(), await clinic.hub.person(), {"Idempotency-Key": new_id()}
    await clinic.book(patient, service, headers=key)
    refused = await clinic.book(patient, service, headers=key, notes="改一下", status=409)
    await clinic.place(patient, service, headers=key, status=409)
    mine = await clinic.book(other, service, headers=key)
    for bad in ("", "x" * 65, "a b"):
        await clinic.book(patient, service, "11:00", headers={"Idempotency-Key": bad}, status=400)

    assert refused["fields"] == {"idempotencyKey": "该幂等键已用于其他请求"}
    assert (await clinic.row("orders", mine["orderId"]))["client_key"] == key["Idempotency-Key"]


async def test_a_key_used_for_two_people_at_once_is_one_of_them(clinic: Clinic) -> None:
    """They do not wait for each other, so the table decides: never an error of ours."""
    service, actor = await clinic.service(await clinic.provider(capacity=9)), await clinic.hub.person()
    people = [await clinic.hub.person() for _ in range(4)]
    for person in people:
        await clinic.relate(person, actor)
    key = {"Idempotency-Key": new_id()}

    async def ask(person: str) -> int:
        body = {"serviceId": service, "scheduledTime": clinic.at("09:00"), "contactPerson": "李四", "userId": person}
        headers = {"Authorization": f"Bearer {actor.token}", **key}
        body["contactPhone"] = "13900001111"
        return (await clinic.hub.client.post("/api/v1/appointments", json=body, headers=headers)).status_code

    answers = await asyncio.gather(*(ask(person.id) for person in people))

    assert sorted(answers) == [200, 409, 409, 409]


async def test_a_patient_who_books_twice_at_once_is_in_one_place(clinic: Clinic) -> None:
    """Two services, two providers, one moment: the person is what the two have in common."""
    services = [await clinic.service(await clinic.provider()) for _ in range(6)]
    patient = await clinic.hub.person()

    outcomes = Counter(await asyncio.gather(*(outcome(clinic.orders, clinic, patient.id, each) for each in services)))

    assert outcomes == {"booked": 1, ErrorCode.CONFLICT: 5}


async def test_exactly_one_of_a_crowd_gets_the_slot(clinic: Clinic) -> None:
    """200 at once in one process: one booking and 199 conflicts, no timeout, no deadlock."""
    service = await clinic.service(await clinic.provider())
    people = [await clinic.hub.person() for _ in range(CROWD)]
    orders = clinic.orders

    outcomes = Counter(await asyncio.gather(*(outcome(orders, clinic, each.id, service) for each in people)))

    assert outcomes == {"booked": 1, ErrorCode.CONFLICT: CROWD - 1}
    assert len(await clinic.run("SELECT id FROM orders WHERE service_id = :id", id=service)) == 1


async def test_as_many_as_there_are_places_all_get_one(clinic: Clinic) -> None:
    """Nobody is sent away while there is room, also when all come at once."""
    providers = [await clinic.provider(capacity=6) for _ in range(2)]
    service = await clinic.service(*providers)
    people = [await clinic.hub.person() for _ in range(12)]

    outcomes = Counter(await asyncio.gather(*(outcome(clinic.orders, clinic, each.id, service) for each in people)))

    assert outcomes == {"booked": 12}


async def test_a_crowd_over_several_providers_fills_each_place_once(clinic: Clinic) -> None:
    """60 at once for one moment with three people of capacity two: six bookings."""
    providers = [await clinic.provider(capacity=2) for _ in range(3)]
    one, other = [await clinic.service(*each) for each in (providers, providers[::-1])]
    people = [await clinic.hub.person() for _ in range(60)]

    outcomes = Counter(
        await asyncio.gather(
            *(outcome(clinic.orders, clinic, each.id, (one, other)[n % 2]) for n, each in enumerate(people))
        )
    )

    assert outcomes == {"booked": 6, ErrorCode.CONFLICT: 54}


async def test_hours_that_change_meanwhile_are_obeyed(clinic: Clinic) -> None:
    """A change that commits after the hours were read and before the booking did is found."""
    provider, patient = await clinic.provider(), await clinic.hub.person()
    service = await clinic.service(provider)
    database = clinic.hub.ground.database
    async with database.transaction() as connection:
        await schedule_store.lock(connection, [provider.id])
        booking = asyncio.ensure_future(clinic.book(patient, service, status=400))
        async with asyncio.timeout(10):
            while not await database.log.fetchval(_HOLDS):  # noqa: ASYNC110  another transaction's wait has no event
                await asyncio.sleep(0.01)
        await schedule_store.replace_rules(connection, {provider.id: []})
    refused = await booking

    assert refused["fields"] == {"scheduledTime": "所选时间不在可预约时段内"}


async def test_bookings_with_one_provider_take_turns(clinic: Clinic) -> None:
    """Two that met in the table's constraint would wait for each other; the one that is later waits before."""
    provider, patient = await clinic.provider(), await clinic.hub.person()
    service = await clinic.service(provider)
    database = clinic.hub.ground.database
    async with database.transaction() as connection:
        await booking_store.lock(connection, new_id(), provider.id)
        booking = asyncio.ensure_future(clinic.book(patient, service))
        async with asyncio.timeout(10):
            while not await database.log.fetchval(_QUEUES):  # noqa: ASYNC110  another transaction's wait has no event
                await asyncio.sleep(0.01)

    assert (await booking)["status"] == "pending"


async def test_the_constraint_is_the_last_fence(clinic: Clinic) -> None:
    """A place that somebody takes without our locks is found by the table: a conflict, and nothing is left behind."""
    provider, patient = await clinic.provider(), await clinic.hub.person()
    service = await clinic.service(provider)
    other = await clinic.book(await clinic.hub.person(), service, "11:00")
    database = clinic.hub.ground.database
    async with database.transaction() as connection:
        values = {"id": other["appointmentId"], "at": datetime.fromisoformat(clinic.at("09:00"))}
        await connection.execute(text(_SMUGGLE), values)
        booking = asyncio.ensure_future(clinic.book(patient, service, status=409))
        async with asyncio.timeout(10):
            while not await database.log.fetchval(_WAITS):  # noqa: ASYNC110  another transaction's wait has no event
                await asyncio.sleep(0.01)
    refused = await booking

    assert refused["fields"] == {"scheduledTime": "该时段已约满，请选择其他时间"}
    assert await clinic.run("SELECT id FROM orders WHERE user_id = :id", id=patient.id) == []


async def outcome(orders: Orders, clinic: Clinic, person: str, service: str) -> str:
    at = clinic.hub.clock.now().replace(hour=1, minute=0) + timedelta(days=1)
    wanted = Booking(
        person=person,
        service=service,
        at=at,
        contact=Contact("李四", "13900001111"),
        notes="",
        doctor=None,
        hospital=None,
        location=None,
    )
    try:
        await book(orders, clinic.principal(person), wanted, None)
    except Refusal as refusal:
        return refusal.code
    return "booked"
