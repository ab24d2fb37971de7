"""Orders over HTTP: the contract's moves and no others, who sees what of them, and what reading leaves behind."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
import pytest_asyncio

from hub.orders.model import FOLLOWS, MOVES, STAMPS, State, Trigger
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic

WORDS = "轮椅“一台”😀\u202e' OR 1=1 --"
STEPS = {
    Trigger.CONFIRM: "confirm",
    Trigger.START_SERVICE: "start",
    Trigger.COMPLETE_SERVICE: "complete",
    Trigger.CANCEL: "cancel",
    Trigger.REFUND: "refund",
}


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        yield opened


async def in_state(clinic: Clinic, state: State) -> tuple[Any, Caller, Caller]:
    """A booked appointment whose order is in that state; the patient, and who does it."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.book(patient, await clinic.service(provider))
    follows = FOLLOWS.get(state, "completed" if state is State.REFUNDED else "pending")
    order, appointment = booked["orderId"], booked["appointmentId"]
    stamp = {State.COMPLETED: ", completed_at = created_at"}.get(state, "")
    await clinic.run(f"UPDATE orders SET state = :state{stamp} WHERE id = :id", state=state, id=order)  # noqa: S608
    await clinic.run("UPDATE appointments SET state = :state WHERE id = :id", state=follows, id=appointment)
    return booked, patient, provider


async def rows(clinic: Clinic, booked: Any) -> list[Any]:
    """All that an order is."""
    order, appointment = booked["orderId"], booked["appointmentId"]
    return [
        await clinic.row("orders", order),
        await clinic.row("appointments", appointment),
        await clinic.row("bookings", appointment, "appointment_id"),
        await clinic.run("SELECT number, kind FROM events WHERE subject = :id ORDER BY number", id=order),
        await clinic.run("SELECT * FROM refunds WHERE order_id = :id", id=order),
    ]


@pytest.mark.parametrize(("state", "trigger"), list(product(State, Trigger)))
async def test_a_move_is_made_or_refused_and_changes_nothing(clinic: Clinic, state: State, trigger: Trigger) -> None:
    """All 56 pairs: what is in the table moves, is stamped and told of; of everything else no row changes."""
    booked, _, _ = await in_state(clinic, state)
    before, after = await rows(clinic, booked), MOVES.get((state, trigger))
    await clinic.hub.clock.advance(60)
    if after is None:
        with pytest.raises(Refusal) as refused:
            await clinic.advance(booked["orderId"], trigger)
        assert (refused.value.code, refused.value.fields) == (ErrorCode.CONFLICT, {"status": state.value})
        assert await rows(clinic, booked) == before
        return
    await clinic.advance(booked["orderId"], trigger)
    order, appointment, booking, events, _ = await rows(clinic, booked)

    assert (order["state"], order[STAMPS[after]]) == (after, clinic.hub.clock.now())
    assert appointment["state"] == FOLLOWS.get(after, before[1]["state"])
    assert (booking["released_at"] is not None) == (after is State.CANCELLED)
    assert len(events) == len(before[3]) + 1


@pytest.mark.parametrize(("state", "trigger"), list(product(State, STEPS)))
async def test_a_step_over_http_is_answered_with_the_state(clinic: Clinic, state: State, trigger: Trigger) -> None:
    """All 35 pairs: 200 with the new state, or 409 that names the present one."""
    booked, patient, provider = await in_state(clinic, state)
    who = patient if trigger in (Trigger.CANCEL, Trigger.REFUND) else provider
    before, after = await rows(clinic, booked), MOVES.get((state, trigger))
    if after is None:
        refused = await clinic.move(who, booked["orderId"], STEPS[trigger], 409)
        assert (refused["type"], refused["fields"]) == ("conflict", {"status": state.value})
        assert await rows(clinic, booked) == before
        return
    moved = await clinic.move(who, booked["orderId"], STEPS[trigger])

    assert (moved["id"], moved["status"]) == (booked["orderId"], after)


async def test_a_refusal_names_the_state_to_people(clinic: Clinic) -> None:
    """In the message, in their language."""
    booked, patient, _ = await in_state(clinic, State.CONFIRMED)
    headers = {"Authorization": f"Bearer {patient.token}"}
    path = f"/api/v1/orders/{booked['orderId']}/cancel"
    chinese = await clinic.hub.client.post(path, headers=headers)
    english = await clinic.hub.client.post(path, headers=headers | {"Accept-Language": "en"})

    assert chinese.json()["message"] == "订单已确认，不能执行此操作"
    assert english.json()["message"] == "The order is confirmed; this is not possible now"


async def test_an_order_is_there_for_who_has_to_do_with_it(clinic: Clinic) -> None:
    """Owner, who may act for them, provider, staff; for anybody else it is not."""
    patient, daughter, provider = await clinic.hub.person(), await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    await clinic.relate(patient, daughter)
    booked = await clinic.paid(patient, service, notes=WORDS)
    paths = [f"/orders/{booked['orderId']}", f"/appointments/{booked['appointmentId']}"]
    strangers = [await clinic.hub.person(), await clinic.provider(), await clinic.hub.person("doctor")]
    for path in paths:
        for who in (patient, daughter, provider, await clinic.hub.person("staff"), await clinic.hub.person("admin")):
            await clinic.hub.call(who, "GET", path)
        for who in strangers:
            await clinic.hub.call(who, "GET", path, 404)
        await clinic.hub.call(None, "GET", path, 401)
    for step in (*STEPS.values(), "review", "assign"):
        body = {"rating": 5} if step == "review" else {"staffId": new_id()} if step == "assign" else {}
        await clinic.move(strangers[0], booked["orderId"], step, 404, **body)
    for name in ("x", new_id(), "%00", booked["orderId"].upper()):
        await clinic.hub.call(patient, "GET", f"/orders/{name}", 404)
        await clinic.hub.call(patient, "GET", f"/appointments/{name}", 404)
        await clinic.hub.call(patient, "POST", f"/orders/{name}/cancel", 404)


async def test_details_are_masked_for_who_does_not_serve(clinic: Clinic) -> None:
    """Staff who do not look after it, and the provider before it is paid and once it is closed."""
    coordinator, other = await clinic.hub.person("staff", "客服甲"), await clinic.hub.person("admin")
    patient, provider = await clinic.hub.person(name="张三丰"), await clinic.provider()
    booked = await clinic.book(patient, await clinic.service(provider), notes=WORDS, contactPerson="欧阳小明")

    async def seen(who: Caller) -> tuple[Any, ...]:
        found = await clinic.hub.call(who, "GET", f"/appointments/{booked['appointmentId']}")
        return found["userName"], found["contactPerson"], found["contactPhone"], found["notes"]

    full, masked = ("张三丰", "欧阳小明", "13900001111", WORDS), ("张*丰", "欧*明", "139****1111", None)
    assert [await seen(who) for who in (patient, provider, other)] == [full, masked, masked]
    await clinic.advance(booked["orderId"], "pay_success")
    await clinic.run("UPDATE orders SET coordinator = :who WHERE id = :id", who=coordinator.id, id=booked["orderId"])
    assert [await seen(who) for who in (patient, provider, coordinator, other)] == [full, full, full, masked]
    await clinic.run(
        "UPDATE orders SET closes_at = :at WHERE id = :id", at=clinic.hub.clock.now(), id=booked["orderId"]
    )
    assert [await seen(who) for who in (patient, provider, coordinator, other)] == [full, masked, masked, masked]


async def test_reading_details_leaves_one_row_in_the_audit_chain(clinic: Clinic) -> None:
    """One's own reading, too; what is masked tells nothing, and leaves none."""
    patient, provider, staff = await clinic.hub.person(), await clinic.provider(), await clinic.hub.person("admin")
    booked = await clinic.paid(patient, await clinic.service(provider))
    for who in (patient, provider, staff):
        await clinic.hub.call(who, "GET", f"/orders/{booked['orderId']}")
        await clinic.hub.call(who, "GET", f"/appointments/{booked['appointmentId']}")
        await clinic.hub.call(who, "GET", "/orders")
    found = await clinic.run(
        "SELECT actor::text, action, subject FROM audit_log WHERE person = :id ORDER BY at, number", id=patient.id
    )

    expected = [(who.id, kind) for who in (patient, provider) for kind in ("order.read", "appointment.read")]
    assert [(row["actor"], row["action"]) for row in found] == expected
    assert {row["subject"] for row in found} == {booked["orderId"], booked["appointmentId"]}


async def test_an_erased_person_leaves_an_order_without_words(clinic: Clinic) -> None:
    """Once the key is destroyed, the order is still shown, and nothing of what was written into it."""
    patient, staff = await clinic.hub.person(), await clinic.hub.person("staff")
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()), notes=WORDS)
    async with clinic.hub.ground.database.transaction() as connection:
        await clinic.hub.ground.sealer.destroy(connection, patient.id)
    for who in (patient, staff):
        shown = await clinic.hub.call(who, "GET", f"/orders/{booked['orderId']}")
        found = await clinic.hub.call(who, "GET", f"/appointments/{booked['appointmentId']}")
        assert (shown["contactInfo"], shown["serviceInfo"]) == (None, None)
        assert (found["contactPerson"], found["notes"], found["locationInfo"]) == (None, None, None)


async def test_who_sees_an_order_may_not_do_everything_with_it(clinic: Clinic) -> None:
    """The patient does not confirm, the provider does not cancel; refused before the state is looked at."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    for who, steps in ((patient, ("confirm", "start", "complete")), (provider, ("cancel", "refund"))):
        for step in steps:
            assert (await clinic.move(who, booked["orderId"], step, 403))["type"] == "forbidden"

    assert (await clinic.row("orders", booked["orderId"]))["state"] == "paid"


async def test_a_reason_is_kept_sealed_and_shown(clinic: Clinic) -> None:
    """What somebody writes stays in the order; the refund knows only by whom it was decided."""
    patient = await clinic.hub.person()
    booked = await clinic.paid(patient, await clinic.service(await clinic.provider()))
    moved = await clinic.move(patient, booked["orderId"], "cancel", reason=WORDS)
    for bad in ({"reason": "x" * 501}, {"reason": "a\x00"}, {"reason": 1}, {"why": "x"}):
        refused = await clinic.move(patient, booked["orderId"], "cancel", 400, **bad)
        assert list(refused["fields"]) == list(bad)

    assert (moved["status"], moved["reason"]) == ("cancelled", WORDS)
    assert WORDS.encode() not in (await clinic.row("orders", booked["orderId"]))["reason"]


async def test_money_is_asked_back_within_seven_days(clinic: Clinic) -> None:
    """Later only staff give it back."""
    patient, provider, staff = await clinic.hub.person(), await clinic.provider(), await clinic.hub.person("staff")
    service = await clinic.service(provider)
    first = await clinic.completed(patient, provider, service)
    second = await clinic.completed(patient, provider, service, "10:00")
    await clinic.hub.clock.advance(timedelta(days=7).total_seconds())
    await clinic.move(patient, first["orderId"], "refund")
    await clinic.hub.clock.advance(1)
    refused = await clinic.move(patient, second["orderId"], "refund", 409, reason="迟了")

    assert refused["type"] == "too_late"
    assert (await clinic.row("orders", second["orderId"]))["reason"] is None
    assert (await clinic.move(staff, second["orderId"], "refund"))["status"] == "refunded"
