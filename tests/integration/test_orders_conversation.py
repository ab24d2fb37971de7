"""What follows from orders: the conversation of those who take part, what is said there, and who sees what."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio
from prometheus_client import REGISTRY

from hub.accounts.event import RelationEnded
from hub.orders import event
from hub.orders.closing import close_due
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller
from tests.integration.orders_scene import Clinic, open_clinic


@pytest_asyncio.fixture
async def clinic(database: Database, redis_url: str) -> AsyncIterator[Clinic]:
    async with open_clinic(database, redis_url) as opened:
        await opened.run("UPDATE users SET role = 'patient' WHERE role = 'staff'")  # each test has its own
        await opened.run("UPDATE orders SET closed_at = now() WHERE closes_at IS NOT NULL")
        yield opened


async def conversation(clinic: Clinic, booked: Any) -> str:
    return str((await clinic.row("orders", booked["orderId"]))["conversation"])


async def close(clinic: Clinic) -> int:
    closed = await close_due(clinic.hub.ground.database, clinic.hub.clock.now(), 100)
    await clinic.settle()
    return closed


async def test_payment_brings_together_who_takes_part(clinic: Clinic) -> None:
    """Patient, who ordered for them, who does it, who looks after it; the first thing said is a card of the appointment."""
    staff, mother, daughter = await clinic.hub.person("staff"), await clinic.hub.person(), await clinic.hub.person()
    provider = await clinic.provider()
    await clinic.relate(mother, daughter)
    booked = await clinic.paid(daughter, await clinic.service(provider), userId=mother.id)
    room = await conversation(clinic, booked)

    assert await clinic.members(room) == {mother.id, daughter.id, provider.id, staff.id}
    assert (await clinic.row("conversations", room))["source"] == booked["orderId"]
    for who in (mother, daughter, provider, staff):
        entries = [each for each in await clinic.entries(who, room) if each.type == "card"]
        card = msgspec.json.decode(entries[0].body)
        assert (card["card"], card["id"], card["title"]) == ("appointment", booked["appointmentId"], "订单已支付")
    day = clinic.tomorrow.split("-")
    assert card["summary"] == f"全程陪诊 · {int(day[0])}年{int(day[1])}月{int(day[2])}日 09:00"
    shown = await clinic.hub.call(daughter, "GET", f"/orders/{booked['orderId']}")
    assert (shown["conversation"], shown["coordinatorId"]) == (room, staff.id)


async def test_nothing_is_opened_before_payment(clinic: Clinic) -> None:
    """An order that is not paid has no conversation and grants nothing; when it ends, the patient hears of it."""
    patient = await clinic.hub.person()
    booked = await clinic.book(patient, await clinic.service(await clinic.provider()))
    await clinic.settle()
    assert await clinic.inbox(patient) == []
    await clinic.advance(booked["orderId"], "payment_timeout")
    await clinic.settle()

    row = await clinic.row("orders", booked["orderId"])
    assert (row["conversation"], row["coordinator"], row["closes_at"]) == (None, None, None)
    assert await clinic.grants(booked["orderId"]) == {}
    assert await clinic.inbox(patient) == ["订单已取消"]


async def test_doctors_get_care_and_others_what_the_service_needs(clinic: Clinic) -> None:
    """From payment on, because of this order."""
    staff, patient, companion = await clinic.hub.person("staff"), await clinic.hub.person(), await clinic.provider()
    doctor, _ = await clinic.doctor()
    first = await clinic.paid(patient, await clinic.service(companion))
    second = await clinic.paid(patient, await clinic.service(doctor), "10:00")

    assert await clinic.grants(first["orderId"]) == {companion.id: ("service", True), staff.id: ("service", True)}
    assert await clinic.grants(second["orderId"]) == {doctor.id: ("care", True), staff.id: ("service", True)}


async def test_who_has_fewest_open_orders_looks_after_the_next(clinic: Clinic) -> None:
    """Work is spread; nobody looks after their own order, and without staff nobody does."""
    service = await clinic.service(await clinic.provider(capacity=9))
    alone = await clinic.paid(await clinic.hub.person(), service)
    staff = [await clinic.hub.person("staff") for _ in range(2)]
    booked = [await clinic.paid(await clinic.hub.person(), service) for _ in range(4)]
    own = await clinic.paid(staff[0], service)
    rows = [await clinic.row("orders", each["orderId"]) for each in (alone, *booked, own)]
    coordinators = [row["coordinator"] and str(row["coordinator"]) for row in rows]

    assert coordinators[0] is None
    assert sorted(coordinators[1:5]) == sorted([each.id for each in staff] * 2)
    assert coordinators[5] == staff[1].id


async def test_each_step_is_said_once(clinic: Clinic) -> None:
    """However often an event is handled, and in the order in which things happened."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.completed(patient, provider, await clinic.service(provider))
    await clinic.move(patient, booked["orderId"], "refund")
    await clinic.settle()
    room = await conversation(clinic, booked)
    said = await clinic.cards(patient, room)
    await clinic.run("UPDATE events SET done_at = NULL WHERE subject = :id", id=booked["orderId"])
    assert await clinic.settle() == 6

    assert said == ["订单已支付", "订单已确认", "服务已开始", "服务已完成", "退款已受理"]
    assert await clinic.cards(patient, room) == said
    assert len(await clinic.run("SELECT id FROM conversations WHERE source = :id", id=booked["orderId"])) == 1


async def test_what_is_said_reaches_sockets_after_the_commit(clinic: Clinic) -> None:
    """Entries and memberships are announced, each once."""
    patient, provider = await clinic.hub.person(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    room = await conversation(clinic, booked)
    announced = clinic.hub.announced

    assert {change.user for change in announced.changes if change.conversation == room} == {patient.id, provider.id}
    seqs = [entry.seq for entry in announced.entries if entry.conversation == room]
    assert seqs == [entry.seq for entry in await clinic.entries(patient, room)]


async def test_moving_is_said_each_time(clinic: Clinic) -> None:
    """Each revision is one card, with the new time."""
    patient = await clinic.hub.person()
    booked = await clinic.paid(patient, await clinic.service(await clinic.provider()))
    for clock in ("10:00", "11:00"):
        path, body = f"/appointments/{booked['appointmentId']}/reschedule", {"scheduledTime": clinic.at(clock)}
        await clinic.hub.call(patient, "POST", path, json=body)
        await clinic.settle()
    room = await conversation(clinic, booked)
    cards = [msgspec.json.decode(each.body) for each in await clinic.entries(patient, room) if each.type == "card"]

    assert [card["title"] for card in cards] == ["订单已支付", "预约时间已变更", "预约时间已变更"]
    assert [card["summary"][-5:] for card in cards] == ["09:00", "10:00", "11:00"]


async def test_handing_over_changes_members_and_access(clinic: Clinic) -> None:
    """Who did it sees nothing that is said from then on, and their access ends; the new one sees it all."""
    staff, patient = await clinic.hub.person("staff"), await clinic.hub.person()
    old, (new, doctor) = await clinic.provider(), await clinic.doctor()
    order = await clinic.place(patient, await clinic.service(old, new))
    await clinic.move(staff, order["id"], "assign", providerId=old.id)
    await clinic.advance(order["id"], "pay_success")
    await clinic.settle()
    other = await clinic.hub.person("staff")
    room = await conversation(clinic, {"orderId": order["id"]})
    assert await clinic.members(room) == {patient.id, old.id, staff.id}
    await clinic.hub.clock.advance(60)
    await clinic.move(staff, order["id"], "assign", doctorId=doctor, staffId=other.id)
    await clinic.settle()

    assert await clinic.members(room) == {patient.id, new.id, other.id}
    assert await clinic.grants(order["id"]) == {
        old.id: ("service", False),
        staff.id: ("service", False),
        new.id: ("care", True),
        other.id: ("service", True),
    }
    assert await clinic.cards(new, room) == ["订单已支付", "服务人员已变更"]
    gone = await clinic.run("SELECT to_seq FROM members WHERE conversation = :c AND user_id = :u", c=room, u=old.id)
    last = [each for each in await clinic.entries(patient, room) if each.type == "card"][-1]
    assert gone[0]["to_seq"] < last.seq


async def test_handing_over_back_gives_access_again(clinic: Clinic) -> None:
    """Out and in again: the member is one, and the grant holds."""
    staff, patient = await clinic.hub.person("staff"), await clinic.hub.person()
    one, other = await clinic.provider(), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(one, other))
    first = (await clinic.row("orders", booked["orderId"]))["provider"]
    second = other.id if str(first) == one.id else one.id
    for provider in (second, str(first)):
        await clinic.hub.clock.advance(60)
        await clinic.move(staff, booked["orderId"], "assign", providerId=provider)
        await clinic.settle()

    assert await clinic.members(await conversation(clinic, booked)) == {patient.id, str(first), staff.id}
    assert await clinic.grants(booked["orderId"]) == {
        str(first): ("service", True),
        second: ("service", False),
        staff.id: ("service", True),
    }


async def test_who_may_no_longer_act_leaves_the_conversation(clinic: Clinic) -> None:
    """When the relation ends, what was ordered for the other is no longer theirs to read; their own stays."""
    mother, daughter, provider = await clinic.hub.person(), await clinic.hub.person(), await clinic.provider()
    service = await clinic.service(provider)
    await clinic.relate(mother, daughter)
    hers = await clinic.paid(daughter, service, userId=mother.id)
    own = await clinic.paid(daughter, service, "10:00")
    closed = await clinic.paid(daughter, service, "11:00", userId=mother.id)
    await clinic.run("UPDATE orders SET closed_at = now() WHERE id = :id", id=closed["orderId"])
    for _ in range(2):
        await clinic.publish(RelationEnded(subject=new_id(), person=mother.id, actor=daughter.id))
        await clinic.settle()

    rooms = [await conversation(clinic, booked) for booked in (hers, own, closed)]
    assert [daughter.id in await clinic.members(room) for room in rooms] == [False, True, True]
    assert mother.id in await clinic.members(rooms[0])


async def test_an_erased_patient_holds_nothing_up(clinic: Clinic) -> None:
    """Whoever was erased between two steps: events are handled, and nothing is said under a destroyed key."""
    patient, staff, provider = await clinic.hub.person(), await clinic.hub.person("staff"), await clinic.provider()
    booked = await clinic.paid(patient, await clinic.service(provider))
    before = await clinic.row("conversations", await conversation(clinic, booked))
    async with clinic.hub.ground.database.transaction() as connection:
        await clinic.hub.ground.sealer.destroy(connection, patient.id)
    await clinic.move(staff, booked["orderId"], "cancel")
    await clinic.settle()
    await close(clinic)

    assert (await clinic.row("conversations", await conversation(clinic, booked)))["head"] == before["head"]
    assert (await clinic.grants(booked["orderId"]))[provider.id] == ("service", False)


async def test_events_of_what_is_not_there_are_passed_over(clinic: Clinic) -> None:
    """An order that was removed by hand does not stop the outbox."""
    await clinic.publish(event.OrderPaid(subject=new_id(), at=clinic.hub.clock.now(), by=None))

    assert await clinic.settle() == 1


async def test_what_happens_is_counted_when_it_is_handled(clinic: Clinic) -> None:
    """One for each kind of event, for whoever watches the business."""

    def count(kind: str) -> float:
        return REGISTRY.get_sample_value("hub_orders_total", {"event": kind}) or 0.0

    kinds = ("OrderPlaced", "OrderPaid", "OrderCancelled")
    before = [count(kind) for kind in kinds]
    patient: Caller = await clinic.hub.person()
    booked = await clinic.paid(patient, await clinic.service(await clinic.provider()))
    await clinic.move(patient, booked["orderId"], "cancel")
    await clinic.settle()

    assert [count(kind) - was for kind, was in zip(kinds, before, strict=True)] == [1, 1, 1]
