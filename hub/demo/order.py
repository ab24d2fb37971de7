"""Writing the demo's orders: with their appointments, slots, money, conversations, grants and reviews, as if they had
gone their way through the use cases."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa

from hub.accounts import access
from hub.demo.cast import id_of, name_of, phone_of, places
from hub.demo.conversation import Scene, Told, open_talk, tell
from hub.demo.deal import DEALS, Deal, day_of
from hub.demo.talk import News, Step
from hub.directory.actions import doctors_by_user
from hub.directory.model import SHANGHAI
from hub.messaging.conversation import State as ConversationState
from hub.messaging.model import CardBody, SystemBody
from hub.orders import booking_store, reminder_plan, review_store, service_store, store
from hub.orders.card import NEWS, card_of
from hub.orders.detail import Contact, Details, Remarks, seal_details, seal_reason, seal_remarks
from hub.orders.model import FOLLOWS, STAMPS, AppointmentState, Order, State
from hub.orders.payment import payment_number, refund_number
from hub.orders.payment_reaction import ARRIVED
from hub.orders.payment_table import payments, refunds
from hub.orders.review_store import Review
from hub.orders.service import Service
from hub.orders.slot import Seat

PAID_WITHIN = timedelta(minutes=2)
PAYABLE_FOR = timedelta(minutes=15)
READ_ONLY_AFTER = timedelta(days=7)
REFUNDED_WITHIN = timedelta(minutes=1)
SLOT = timedelta(minutes=30)

_STATE_OF: Mapping[Step, State] = {
    "paid": State.PAID,
    "confirmed": State.CONFIRMED,
    "started": State.IN_PROGRESS,
    "completed": State.COMPLETED,
    "cancelled": State.CANCELLED,
}

Stamps = Mapping[Step, datetime]
"""When each step of an order was."""


async def add_orders(scene: Scene) -> int:
    """All of them, with the reminders of what is to come; the answer is how many."""
    for deal in DEALS:
        await _add(scene, deal)
    await reminder_plan.plan_all(scene.connection, [id_of("appointment", deal.name) for deal in DEALS], scene.now)
    return len(DEALS)


async def _add(scene: Scene, deal: Deal) -> None:
    stamps = _stamps(deal, scene.now)
    service_id = id_of("service", deal.service)
    service = (await service_store.services_named(scene.connection, [service_id]))[service_id]
    order = await _book(scene, deal, service, stamps)
    if deal.talk is None:
        return
    await _pay(scene, deal, order, stamps)
    order = await _follow(scene, deal, order, stamps)
    await _grant(scene, deal, order, stamps)
    news = await _news(scene, deal, order, service)
    await open_talk(replace(scene, source=order.id, news=news), deal.talk)
    await _review(scene, deal, order, stamps)


def _stamps(deal: Deal, now: datetime) -> Stamps:
    """As its talk says."""
    if deal.talk is None:
        return {}
    said = zip(deal.talk.lines, deal.talk.moments(now), strict=True)
    return {line.step: at for line, at in said if isinstance(line, News)}


async def _book(scene: Scene, deal: Deal, service: Service, stamps: Stamps) -> Order:
    user, provider = scene.people[deal.patient], scene.people[deal.provider]
    key = await scene.sealer.key_for(user)
    order_id, appointment_id = id_of("order", deal.name), id_of("appointment", deal.name)
    starts_at = _starts_at(deal, stamps, scene.now)
    doctor = (await doctors_by_user(scene.connection, [provider])).get(provider)
    placed_at = stamps["paid"] - PAID_WITHIN if stamps else scene.now
    who = deal.actor or deal.patient
    contact = Contact(name_of(*places()[who]), phone_of(who))
    values = {
        "id": order_id,
        "user_id": user,
        "actor_id": scene.people[who],
        "service_id": service.id,
        "provider": provider,
        "quantity": 1,
        "amount": service.price,
        "state": deal.state,
        "details": seal_details(key, order_id, Details(contact, {})),
        "reason": seal_reason(key, order_id, deal.reason),
        "key_id": key.id,
        # One that waits for its payment can be paid until it begins: in a quarter of an hour nobody would see it any more.
        "expires_at": placed_at + PAYABLE_FOR if stamps else starts_at,
    }
    appointment = {
        "id": appointment_id,
        "user_id": user,
        "staff_id": provider,
        "doctor_id": doctor.id if doctor else None,
        "hospital_id": id_of("hospital", deal.hospital) if deal.hospital else doctor.hospital if doctor else None,
        "state": FOLLOWS.get(deal.state, AppointmentState.PENDING),
        "starts_at": starts_at,
        "ends_at": starts_at + service.duration,
        "key_id": key.id,
        **seal_remarks(key, appointment_id, Remarks(deal.notes, dict(deal.place) or None)),
    }
    return await booking_store.add_order(scene.connection, values, placed_at, appointment, Seat(provider, 0))


def _starts_at(deal: Deal, stamps: Stamps, now: datetime) -> datetime:
    """As agreed, or at the last beginning of a slot before it was begun."""
    if deal.visit is not None:
        today = now.astimezone(SHANGHAI).date()
        return datetime.combine(day_of(deal.visit, today), deal.visit.at, SHANGHAI).astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return stamps["started"] - (stamps["started"] - midnight) % SLOT


async def _pay(scene: Scene, deal: Deal, order: Order, stamps: Stamps) -> None:
    """The payment, and what of it went back."""
    number, payment_id = payment_number(order.order_no, 0), id_of("payment", deal.name)
    paid_at = stamps["paid"]
    row = {"id": payment_id, "order_id": order.id, "number": number, "method": "wechat_native", "amount": order.amount}
    row |= {"state": "succeeded", "prepay_id": f"development-{number}", "transaction_id": f"development-{number}"}
    row |= {"attempts": 1, "created_at": order.created_at, "succeeded_at": paid_at, "updated_at": paid_at}
    await scene.connection.execute(sa.insert(payments).values(row))
    if "cancelled" not in stamps:
        return
    back, refund_id = refund_number(number), id_of("refund", deal.name)
    begun, arrived = stamps["cancelled"], stamps["cancelled"] + REFUNDED_WITHIN
    row = {"id": refund_id, "order_id": order.id, "payment_id": payment_id, "number": back, "amount": order.amount}
    row |= {"reason": "owner_cancelled", "state": "succeeded", "provider_id": f"development-{back}", "attempts": 1}
    row |= {"created_at": begun, "succeeded_at": arrived, "updated_at": arrived}
    await scene.connection.execute(sa.insert(refunds).values(row))
    body = CardBody(card="order", id=order.id, title=ARRIVED, summary=order.order_no)
    await tell(scene, order.user_id, Told(f"RefundSucceeded-{refund_id}", body), arrived)


async def _follow(scene: Scene, deal: Deal, order: Order, stamps: Stamps) -> Order:
    """What paying, serving and closing leave in the order's row."""
    assert deal.talk is not None
    times = {STAMPS[_STATE_OF[step]]: at for step, at in stamps.items() if step in _STATE_OF}
    closes_at = stamps["completed"] + READ_ONLY_AFTER if "completed" in stamps else stamps.get("cancelled")
    if "cancelled" in stamps:
        await store.release(scene.connection, order.id, stamps["cancelled"])
    return await store.change_order(
        scene.connection,
        order.id,
        max(stamps.values()),
        conversation=deal.talk.id,
        coordinator=scene.people[deal.coordinator] if deal.coordinator else None,
        closes_at=closes_at,
        closed_at=stamps.get("closed"),
        **times,
    )


async def _grant(scene: Scene, deal: Deal, order: Order, stamps: Stamps) -> None:
    """Doctors see what care needs, everybody else what the service needs, until it is closed."""
    serving = [who for who in (deal.provider, deal.coordinator, *deal.guests) if who is not None]
    doctors = [scene.people[who] for who in serving if who[0] == "d"]
    others = [scene.people[who] for who in serving if who[0] != "d"]
    give = partial(access.grant, scene.connection, person=order.user_id, source=order.id, now=stamps["paid"])
    if doctors:
        await give(members=doctors, scope="care")
    await give(members=others, scope="service")
    if "closed" in stamps:
        await access.end_grants(scene.connection, source=order.id, at=stamps["closed"])


async def _news(scene: Scene, deal: Deal, order: Order, service: Service) -> Mapping[Step, Told]:
    """What the hub says of it at each step, as the reactions to its events do."""
    appointment = await store.appointment_of_order(scene.connection, order.id)
    cards = {
        each.step: Told(f"order-{each.step}-{order.id}", card_of(each, order, service, appointment))
        for each in NEWS.values()
    }
    closed = SystemBody(event="state_changed", note=ConversationState.READ_ONLY)
    return {step: cards[step] for step in _STATE_OF} | {"closed": Told(f"demo-{deal.name}-closed", closed)}


async def _review(scene: Scene, deal: Deal, order: Order, stamps: Stamps) -> None:
    if deal.verdict is None:
        return
    review = Review(
        id=id_of("review", deal.name),
        order_id=order.id,
        service_id=order.service_id,
        user_id=order.user_id,
        rating=deal.verdict.rating,
        content=deal.verdict.content,
        created_at=stamps["completed"] + timedelta(minutes=30),
    )
    await review_store.add_review(scene.connection, review)
