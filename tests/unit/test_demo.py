"""What the demo is made of, without a database: texts that nobody filled into a form, and lives that could be lived."""

import math
import tomllib
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

import pytest

from hub.care.model import RecordType
from hub.care.plan import occurrences
from hub.care.unit import DIASTOLIC, QUANTITIES
from hub.demo.care_talk import CARE_TALKS
from hub.demo.cast import CAST, id_of, name_of, phone_of, places
from hub.demo.deal import DEALS, Visit, day_of
from hub.demo.directory import TEXT, doctors_of, load
from hub.demo.persona import PERSONAS, Persona
from hub.demo.plan import INTENTS, plan_of
from hub.demo.reading import DAYS, Taken, year
from hub.demo.talk import TALKS, Line, Talk
from hub.directory.model import SHANGHAI
from hub.messaging.model import CardBody, Kind, TextBody
from hub.orders.model import State

NOW = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
SHARED_CHARS = 24  # that two articles could have in common by chance: a list of warning signs, a dose

FILES = sorted(TEXT.glob("article_*.toml"))
ARTICLES: list[dict[str, Any]] = [
    each | {"category": data["category"]}
    for data in (tomllib.loads(path.read_text("utf-8")) for path in FILES)
    for each in data["article"]
]


def test_articles_are_of_a_length_that_people_read() -> None:
    """Two hundred, each with everything that a list shows of it."""
    lengths = [len(each["content"].strip()) for each in ARTICLES]

    assert len(ARTICLES) == 200
    assert min(lengths) >= 120
    assert max(lengths) <= 400
    assert all(5 <= len(each["title"]) <= 30 for each in ARTICLES)
    assert all(10 <= len(each["summary"]) <= 60 and 2 <= len(each["tags"]) <= 4 for each in ARTICLES)
    assert Counter(each["category"] for each in ARTICLES).most_common()[-1][1] == 10


def test_no_two_articles_are_alike() -> None:
    """Titles and summaries differ, and no stretch of one text stands in another."""
    for field in ("title", "summary", "content"):
        assert len({each[field] for each in ARTICLES}) == 200
    stretches: dict[str, str] = {}
    for each in ARTICLES:
        text = "".join(each["content"].split())
        for start in range(len(text) - SHARED_CHARS + 1):
            stretch = text[start : start + SHARED_CHARS]
            assert stretches.setdefault(stretch, each["title"]) == each["title"], stretch


def test_every_article_has_an_author() -> None:
    """Somebody of the demo's doctors, or the department that companions belong to."""
    for path in FILES:
        data = tomllib.loads(path.read_text("utf-8"))
        signed = [data["author"]] if "author" in data else [doctors_of(each) for each in data["departments"]]
        assert all(signed), path.name


def test_texts_have_no_character_of_another_script() -> None:
    """Slips of the pen are most often letters that do not belong."""
    for each in ARTICLES:
        for character in each["title"] + each["summary"] + each["content"]:
            assert character.isascii() or character.isalnum() or character in "，。、；：？！“”《》（）～℃·β/％"


def test_ids_are_the_same_everywhere() -> None:
    """A link that one installation shows leads to the same in another."""
    assert id_of("user", "p1") == "610a8e09-f03f-52ef-9792-a886f9b49509"
    assert len({id_of("user", place) for place in places()}) == sum(count for _, count in CAST.values())


def test_cast_has_the_phones_of_the_contract() -> None:
    """By role and number."""
    assert phone_of("p1") == "13800000001"
    assert phone_of("d80") == "13820000080"
    assert name_of("patient", 1) == "黄书恒"


@pytest.mark.parametrize("talk", [*CARE_TALKS, *TALKS], ids=lambda talk: talk.name)
def test_talk_is_said_by_people_who_are_in_it(talk: Talk) -> None:
    """And moves forward in time until it ends."""
    moments = talk.moments(NOW)

    assert {line.who for line in talk.lines if isinstance(line, Line)} <= set(talk.people)
    assert moments == sorted(moments)
    assert moments[-1] <= NOW


def test_talks_of_care_are_those_of_the_orders() -> None:
    """Each order that was paid has one, with exactly the people who have to do with it."""
    followed = [deal.talk for deal in DEALS if deal.talk is not None]

    assert followed == list(CARE_TALKS)
    assert all(talk.kind is not Kind.CARE for talk in TALKS)
    for deal in DEALS:
        if deal.talk is not None:
            others = {deal.actor, deal.provider, deal.coordinator, *deal.guests} - {None}
            assert set(deal.talk.people) == {deal.patient, *others}
            assert deal.talk.people[0] == deal.patient


def test_orders_are_in_every_state_that_somebody_asks_about() -> None:
    """One waits for its payment, two are to come, one runs, four are over, one was given up."""
    states = Counter(deal.state for deal in DEALS)

    assert states == {
        State.PENDING: 1,
        State.PAID: 1,
        State.CONFIRMED: 1,
        State.IN_PROGRESS: 1,
        State.COMPLETED: 4,
        State.CANCELLED: 1,
    }


@pytest.mark.parametrize("weekday", range(1, 8))
def test_visit_of_next_week_is_never_today(weekday: int) -> None:
    """On whatever day the demo is seeded."""
    for today in (date(2026, 11, 23) + timedelta(days=n) for n in range(7)):
        day = day_of(Visit(time(9), weekday=weekday), today)

        assert today < day <= today + timedelta(days=13)
        assert day.isoweekday() == weekday


def test_everybody_has_one_persona() -> None:
    """Fifty patients, each of whom is somebody."""
    assert sorted(number for persona in PERSONAS for number in persona.patients) == list(range(1, 51))


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.name)
def test_year_is_one_that_can_be_lived(persona: Persona) -> None:
    """Every reading is possible, none is later than today, and no two of a kind are at one moment."""
    taken = list(lived(persona))
    limits = {kind: (quantity.least, quantity.most) for kind, quantity in QUANTITIES.items()}

    for each in taken:
        least, most = limits[each.measurement.type]
        assert least < each.measurement.value < most
        assert each.measurement.diastolic is None or DIASTOLIC.has(each.measurement.diastolic)
        assert each.measurement.value > (each.measurement.diastolic or 0)
    assert len({(each.measurement.type, each.at, each.source) for each in taken}) == len(taken)
    assert {each.at.astimezone(SHANGHAI).date() for each in taken} <= days_of_the_year()
    assert len(taken) > 700


def lived(persona: Persona) -> list[Taken]:
    return list(year(persona, 168.0, NOW.date(), Random(persona.patients[0])))


def days_of_the_year() -> set[date]:
    return {NOW.date() - timedelta(days=ago) for ago in range(DAYS + 1)}


def test_same_dice_tell_the_same_year() -> None:
    """So that two installations that are seeded on one day show the same curves."""
    assert lived(PERSONAS[0]) == lived(PERSONAS[0])


@pytest.mark.parametrize(
    ("name", "kind", "then", "now"),
    [("高血压，控制中", "blood_pressure", 152, 130), ("2 型糖尿病，好转", "blood_glucose", 8.3, 6.5)],
)
def test_treatment_shows_over_the_year(name: str, kind: RecordType, then: float, now: float) -> None:
    """What the persona says of the beginning and the end is what the first and the last months say."""
    persona = next(each for each in PERSONAS if each.name == name)
    taken = [each for each in lived(persona) if each.measurement.type == kind]
    taken = [each for each in taken if each.measurement.context in (None, "fasting")]
    first, last = mean(taken[: len(taken) // 8]), mean(taken[-len(taken) // 8 :])

    assert math.isclose(first, then, rel_tol=0.08)
    assert math.isclose(last, now, rel_tol=0.08)


def mean(taken: list[Taken]) -> float:
    return sum(each.measurement.value for each in taken) / len(taken)


def test_winter_is_higher_than_summer() -> None:
    """In somebody whose pressure does not change otherwise."""
    pressures = [each for each in lived(PERSONAS[0]) if each.measurement.type == "blood_pressure"]
    winter = [each for each in pressures if each.at.month in (12, 1, 2)]
    summer = [each for each in pressures if each.at.month in (6, 7, 8)]

    assert mean(winter) > mean(summer) + 3


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: f"{intent.patient}-{intent.title}")
def test_plan_is_due_again(intent: Any) -> None:
    """A plan of the demo is one that a reminder would come from, unless it is paused."""
    user = id_of("user", intent.patient)
    plan = plan_of(intent, user, {place: id_of("user", place) for place in places()}, NOW)

    assert bool(occurrences(plan, NOW, NOW + timedelta(days=100), 1)) == (intent.state == "active")


def test_services_are_given_by_people_of_the_cast() -> None:
    """Thirty, each by somebody, the first by one alone."""
    services = load("service")["service"]

    assert len(services) == len({each["name"] for each in services}) == 30
    assert all(set(each["by"]) <= set(places()) for each in services)
    assert all(len(each["by"]) == 1 for each in services[:12])


def test_nothing_is_said_twice_in_the_talks() -> None:
    """Each conversation has its own words; what the hub says of an order is not theirs."""
    bodies = [line.body for talk in (*CARE_TALKS, *TALKS) for line in talk.lines if isinstance(line, Line)]
    words = [body.text for body in bodies if isinstance(body, TextBody)]

    assert len(set(words)) == len(words)
    assert not any(isinstance(body, CardBody) for body in bodies)
