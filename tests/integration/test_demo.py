"""The demo: the people that the contract promises, a year of their lives, conversations that read well, nothing twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from hub import demo
from hub.accounts.model import Role
from hub.demo.care_talk import CARE_TALKS
from hub.demo.cast import CAST, id_of, name_of
from hub.demo.deal import DEALS
from hub.demo.directory import load
from hub.demo.talk import TALKS
from hub.messaging.history import History
from hub.messaging.listing import Listing
from hub.platform.database import Database, open_database
from hub.platform.page import Paging
from hub.security.sealing import Sealer
from tests.integration.core_app import KEYRING, CoreHub, open_core
from tests.integration.demo_app import caller, settings_of

STATE = """SELECT (SELECT count(*) FROM users), (SELECT max(updated_at) FROM users), (SELECT count(*) FROM entries),
                  (SELECT max(created_at) FROM entries), (SELECT sum(head + members_version) FROM conversations),
                  (SELECT count(*) FROM health_data_records), (SELECT count(*) FROM orders), (SELECT max(updated_at) FROM services),
                  (SELECT count(*) FROM data_keys), (SELECT count(*) FROM events)"""


class Seeded(NamedTuple):
    """What came of seeding an empty database, twice at once."""

    hub: CoreHub
    database: Database
    before: str
    answers: list[str | None]


@pytest_asyncio.fixture(scope="module")
async def seeded(database_url: str, redis_url: str) -> AsyncIterator[Seeded]:
    chosen = settings_of(database_url)
    before = await demo.describe(chosen)
    answers = await asyncio.gather(demo.seed(chosen), demo.seed(chosen))
    async with open_database(chosen.database) as database, open_core(database, redis_url) as hub:
        await hub.clock.advance((datetime.now(UTC) - hub.clock.now()).total_seconds())
        yield Seeded(hub, database, before, answers)


async def test_a_second_seed_changes_nothing(seeded: Seeded, database_url: str) -> None:
    """Also when two processes seed at once, as two that start together do."""
    chosen = settings_of(database_url)
    before = await seeded.database.log.fetchrow(STATE)
    again = await demo.seed(chosen)

    assert seeded.before.endswith("还没有演示数据，请先运行 ./dev hub seed")
    assert [each is None for each in seeded.answers].count(True) == 1
    assert again is None
    assert await seeded.database.log.fetchrow(STATE) == before


async def test_description_says_who_there_is_and_what_they_talk_about(seeded: Seeded, database_url: str) -> None:
    """A person at a terminal knows with which phone to sign in, and what to find then."""
    chosen = settings_of(database_url)
    shown = await demo.describe(chosen)

    assert "13800000001–13800000050  黄书恒 等（有会话的：尾号 01、02、03、04、05、07、08、09、12）" in shown
    assert "[陪诊] 陪诊服务 · 消化内科复诊（4 人，2 条未读）：我已到东门" in shown
    assert (await demo.describe(chosen, "13899999999")).endswith("没有手机号为 13899999999 的用户")


async def test_everybody_has_the_phone_role_and_id_of_the_cast(seeded: Seeded) -> None:
    """The contract names the phones; ids are the same in every installation."""
    rows = await seeded.database.log.fetch("SELECT role, min(phone), max(phone), count(*) FROM users GROUP BY role")
    found = {row[0]: (int(row[1]), int(row[2]), row[3]) for row in rows}
    first = await seeded.database.log.fetchval("SELECT id::text FROM users WHERE phone = '13800000001'")

    assert found == {role: (first, first + count - 1, count) for role, (first, count) in CAST.items()}
    assert first == id_of("user", "p1")


@pytest.mark.parametrize("talk", [*CARE_TALKS, *TALKS], ids=lambda talk: talk.name)
async def test_talk_reads_as_written(seeded: Seeded, talk: Any) -> None:
    """In time order, up to now, sealed with the keys of the people in it, and seen by each of them."""
    history = History(seeded.database.log, Sealer(KEYRING, seeded.database), 50)
    for reader in talk.people:
        entries = (await history.page(id_of("user", reader), talk.id, after=0, limit=100)).entries
        moments = [datetime.fromisoformat(entry.at) for entry in entries]

        assert len(entries) == len(talk.lines) + bool(talk.title)
        assert not any(entry.erased for entry in entries)
        assert moments == sorted(moments)
        assert moments[-1] <= datetime.now(UTC)


async def test_counts_are_those_that_were_promised(seeded: Seeded) -> None:
    """Ten hospitals with forty departments and eighty doctors, thirty services, two hundred articles."""
    tables = ("hospitals", "departments", "doctors", "services", "health_knowledge", "orders", "user_health_profiles")
    log = seeded.database.log
    counts = {table: await log.fetchval(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608

    assert counts == {
        "hospitals": 10,
        "departments": 40,
        "doctors": 80,
        "services": 30,
        "health_knowledge": 200,
        "orders": 9,
        "user_health_profiles": 50,
    }
    assert await log.fetchval("SELECT count(*) FROM health_data_records") > 50_000


async def test_first_services_have_one_provider_each(seeded: Seeded) -> None:
    """A slot of theirs is one place: who books it last hears that it is gone."""
    rows = await seeded.database.log.fetch(
        "SELECT s.sort_order, count(*) FROM services s JOIN service_providers p ON p.service_id = s.id GROUP BY 1 ORDER BY 1"
    )

    assert len(rows) == 30
    assert [row[1] for row in rows[:12]] == [1] * 12


async def test_every_article_is_found_by_two_characters_of_its_title(seeded: Seeded) -> None:
    """The search of the knowledge base finds what is in the demo, and shows it."""
    hub, articles = seeded.hub, await seeded.database.log.fetch("SELECT id::text, title FROM health_knowledge")
    readers = [caller(hub, f"p{number}") for number in range(1, 51)]
    for number, (article, title) in enumerate(articles):
        pair = rarest_pair(title, [each["title"] for each in articles])
        query = f"/knowledge?q={pair}&pageSize=100"
        page = await hub.call(readers[number % len(readers)], "GET", query)

        assert article in [each["id"] for each in page["items"]], f"{title}: {pair}"


def rarest_pair(title: str, titles: list[str]) -> str:
    """Two neighbouring Han characters of a title that few others have."""
    pairs = [
        title[n : n + 2] for n in range(len(title) - 1) if all("\u4e00" <= c <= "\u9fff" for c in title[n : n + 2])
    ]
    return min(pairs, key=lambda pair: sum(pair in each for each in titles))


async def test_article_shows_its_text_author_and_likes(seeded: Seeded) -> None:
    """Who likes one more sees the count rise by one."""
    reader = caller(seeded.hub, "p50")
    article = id_of("article", "在家怎样量血压才算准")
    shown = await seeded.hub.call(reader, "GET", f"/knowledge/{article}")

    assert shown["category"] == "高血压"
    assert "主任医师" in shown["author"]
    assert "袖带" in shown["content"]


async def test_readings_are_read_back_as_they_were_written(seeded: Seeded) -> None:
    """Over HTTP, opened with the person's key, judged by the guidelines, and nothing later than now."""
    patient = caller(seeded.hub, "p4")
    pressures = await seeded.hub.call(patient, "GET", "/health/records?type=blood_pressure&limit=500")
    glucoses = await seeded.hub.call(patient, "GET", "/health/records?type=blood_glucose&limit=500")
    levels = Counter(each["indicators"]["level"] for each in glucoses["items"])

    assert len(pressures["items"]) > 300
    assert all(each["unit"] == "mmHg" and 80 < float(each["value"]) < 240 for each in pressures["items"])
    assert {each["source"] for each in pressures["items"]} == {"device", "hospital"}
    assert {"normal", "elevated"} <= set(levels)
    assert any(each["notes"] for each in glucoses["items"])
    newest = datetime.fromisoformat(pressures["items"][0]["recordedAt"])
    assert seeded.hub.clock.now() - timedelta(days=3) < newest <= seeded.hub.clock.now()


@pytest.mark.parametrize(("place", "kind", "trend"), [("p5", "blood_pressure", "down"), ("p14", "weight", "down")])
async def test_trend_of_the_year_tells_the_story_of_the_persona(
    seeded: Seeded, place: str, kind: str, trend: str
) -> None:
    """Who is treated gets better, and the hub sees it."""
    shown = await seeded.hub.call(caller(seeded.hub, place), "GET", f"/health/trends?type={kind}&period=1y")

    assert shown["trend"] == trend
    assert shown["statistics"]["count"] > 40


async def test_everybody_has_a_profile_and_readings(seeded: Seeded) -> None:
    """Of several kinds, whoever one signs in as."""
    rows = await seeded.database.log.fetch(
        "SELECT user_id, count(*), count(DISTINCT type) FROM health_data_records GROUP BY user_id"
    )
    profile = await seeded.hub.call(caller(seeded.hub, "p1"), "GET", f"/users/{id_of('user', 'p1')}/health-profile")

    assert len(rows) == 50
    assert min(row[1] for row in rows) > 500
    assert min(row[2] for row in rows) >= 4
    assert profile["chronicDiseases"] == ["2型糖尿病"]
    assert 20 < profile["bmi"] < 30


async def test_orders_stand_where_the_story_says(seeded: Seeded) -> None:
    """Each is seen by its patient in its state, with its appointment and, once it is paid, its conversation."""
    followed = {"pending": "pending", "paid": "scheduled"}
    for deal in DEALS:
        order = await seeded.hub.call(caller(seeded.hub, deal.patient), "GET", f"/orders/{id_of('order', deal.name)}")
        to_come = datetime.fromisoformat(order["appointment"]["scheduledTime"]) > seeded.hub.clock.now()

        assert order["status"] == deal.state
        assert order["appointment"]["status"] == followed.get(deal.state, deal.state)
        assert order["conversation"] == (deal.talk.id if deal.talk else None)
        assert to_come == (deal.visit is not None)
        assert order["reason"] == (deal.reason or None)
        assert order["contactInfo"]["phone"].startswith("138")


async def test_what_is_to_come_is_reminded_of(seeded: Seeded) -> None:
    """P10: in front of each paid appointment, for everybody whom it concerns; of nothing else."""
    rows = await seeded.database.log.fetch(
        "SELECT DISTINCT subject::text FROM timers WHERE kind = 'appointment_reminder'"
    )
    coming = {id_of("appointment", deal.name) for deal in DEALS if deal.visit and deal.state in ("paid", "confirmed")}

    assert coming
    assert {row["subject"] for row in rows} == coming


async def test_order_that_waits_for_payment_holds_its_slot(seeded: Seeded) -> None:
    """And the slot of the cancelled one can be booked."""
    hub, patient = seeded.hub, caller(seeded.hub, "p30")
    pending, cancelled = await booked(seeded, "order-9"), await booked(seeded, "order-8")

    assert await slot_of(hub, patient, "儿童就诊陪同", pending) == (False, "已约满")
    assert (await slot_of(hub, patient, "骨科专家问诊", cancelled))[0]


async def booked(seeded: Seeded, deal: str) -> datetime:
    row = "SELECT starts_at FROM appointments WHERE id = $1"
    at: datetime = await seeded.database.log.fetchval(row, id_of("appointment", deal))
    return at + timedelta(hours=8)


async def slot_of(hub: CoreHub, who: Any, service: str, at: datetime) -> tuple[bool, str | None]:
    query = f"/appointments/available-slots?serviceId={id_of('service', service)}&date={at:%Y-%m-%d}"
    slots = {each["time"]: each for each in (await hub.call(who, "GET", query))["slots"]}
    found = slots[f"{at:%H:%M}"]
    return found["available"], found.get("reason")


async def test_care_opens_the_record_to_the_doctor_while_it_lasts(seeded: Seeded) -> None:
    """A doctor of the conversation reads; one of an order that is closed or of nobody's does not find the person."""
    hub, patient = seeded.hub, id_of("user", "p1")
    shown = await hub.call(caller(hub, "d1"), "GET", f"/health/records?userId={patient}&limit=5")
    profile = await hub.call(caller(hub, "c1"), "GET", f"/users/{patient}/health-profile")

    assert len(shown["items"]) == 5
    assert profile["chronicDiseases"] in (None, [])
    await hub.call(caller(hub, "d50"), "GET", f"/health/records?userId={patient}", status=404)
    await hub.call(caller(hub, "c8"), "GET", f"/users/{id_of('user', 'p4')}/health-profile", status=404)


async def test_reviews_are_shown_with_their_service(seeded: Seeded) -> None:
    """Four orders are completed, and each has its review."""
    hub, reader = seeded.hub, caller(seeded.hub, "p30")
    ratings = []
    for deal in DEALS:
        if deal.verdict is not None:
            page = await hub.call(reader, "GET", f"/services/{id_of('service', deal.service)}/reviews")
            ratings += [each["rating"] for each in page["items"]]

    assert sorted(ratings) == [4, 5, 5, 5]


async def test_money_came_for_what_was_paid_and_went_back_for_what_was_cancelled(seeded: Seeded) -> None:
    """Nothing is left for the sweeps to do: every amount has its payment, and no payment is open."""
    log = seeded.database.log
    paid = await log.fetchval(
        "SELECT count(*) FROM orders o JOIN payments p ON p.order_id = o.id AND p.amount = o.amount "
        "WHERE p.state = 'succeeded' AND p.succeeded_at = o.paid_at AND p.due_at IS NULL"
    )
    back = await log.fetch("SELECT order_id::text, state, due_at FROM refunds")
    listing = Listing(log, Sealer(KEYRING, seeded.database), History(log, Sealer(KEYRING, seeded.database), 50))
    inbox, _ = await listing.page(id_of("user", "p9"), Paging(1, 100, "updatedAt", descending=True))

    assert paid == 8
    assert [tuple(row) for row in back] == [(id_of("order", "order-8"), "succeeded", None)]
    assert any(each.kind == "inbox" and each.unread == 1 for each in inbox)


async def test_what_is_over_is_read_only(seeded: Seeded) -> None:
    """Nobody writes into the conversation of an order that was closed, and no sweep closes it again."""
    rows = await seeded.database.log.fetch(
        "SELECT o.id::text, c.state FROM orders o JOIN conversations c ON c.id = o.conversation WHERE o.closed_at IS NOT NULL"
    )
    due = "SELECT count(*) FROM orders WHERE closes_at <= clock_timestamp() AND closed_at IS NULL"

    assert {tuple(row) for row in rows} == {(id_of("order", name), "read_only") for name in ("order-3", "order-8")}
    assert await seeded.database.log.fetchval(due) == 0


async def test_who_acts_for_somebody_sees_their_orders_and_plans(seeded: Seeded) -> None:
    """The son of the patient of `order-7` ordered for his mother; a stranger finds neither."""
    hub, mother = seeded.hub, id_of("user", "p8")
    plans = await hub.call(caller(hub, "p7"), "GET", f"/health/plans?userId={mother}")
    order = await hub.call(caller(hub, "p7"), "GET", f"/orders/{id_of('order', 'order-7')}")

    assert [each["title"] for each in plans["items"]] == ["人工泪液"]
    assert order["userId"] == mother
    assert order["actorId"] == id_of("user", "p7")
    await hub.call(caller(hub, "p6"), "GET", f"/orders/{id_of('order', 'order-7')}", status=404)


async def test_doctors_are_found_with_their_hospital_and_hours(seeded: Seeded) -> None:
    """What the directory shows of the first doctor, who works on every weekday."""
    hub, patient = seeded.hub, caller(seeded.hub, "p30")
    page = await hub.call(patient, "GET", "/doctors?pageSize=100")
    first = page["items"][0]
    week = await hub.call(patient, "GET", f"/doctors/{first['id']}/schedule?days=14")

    assert page["total"] == 80
    assert first["name"] == name_of("doctor", 1)
    assert (first["departmentName"], first["title"]) == ("消化内科", "主任医师")
    assert sum(bool(each["windows"]) for each in week["items"]) == 10


def role_of(place: str) -> Role:
    return next(role for role in CAST if role[0] == place[0])


def test_names_are_hardly_ever_repeated() -> None:
    """People tell each other apart by name."""
    names = [name_of(role, number) for role, (_, count) in CAST.items() for number in range(1, count + 1)]

    assert len(set(names)) == len(names)


def test_texts_of_the_directory_are_all_different() -> None:
    """No doctor and no department is described by a template."""
    hospitals = load("hospital")["hospital"]
    said = [hospital["introduction"] for hospital in hospitals]
    said += [each["introduction"] for hospital in hospitals for each in hospital["department"]]
    doctors = [doctor for hospital in hospitals for each in hospital["department"] for doctor in each["doctors"]]

    assert len(set(said)) == len(said) == 50
    assert len({each["introduction"] for each in doctors}) == len(doctors) == 80
