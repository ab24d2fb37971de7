"""The demo's hospitals, departments and doctors, when they and the companions work, and the services that they give."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.demo.cast import CAST, id_of, name_of

TEXT = Path(__file__).parent / "text"
KNOWN_DAYS = 400  # so long everybody has worked as now: orders of the past lie in working hours
MORNING, AFTERNOON = (time(8), time(12)), (time(13, 30), time(17))
COMPANION_DAY = (time(8), time(18))

_HOSPITAL = text("""
INSERT INTO hospitals (id, code, name, city, district, address, level, phone, introduction)
VALUES (:id, :code, :name, :city, :district, :address, :level, :phone, :introduction)
""")
_DEPARTMENT = text("""
INSERT INTO departments (id, hospital_id, name, category, location, introduction, sort_order)
VALUES (:id, :hospital, :name, :category, :location, :introduction, :place)
""")
_DOCTOR = text("""
INSERT INTO doctors (id, user_id, department_id, name, title, specialties, introduction, fee, sort_order)
VALUES (:id, :user, :department, :name, :title, :specialties, :introduction, :fee, :place)
""")
_RULE = text("""
INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from)
VALUES (:id, :provider, :weekday, :starts, :ends, :minutes, 1, :since)
""")
_EXCEPTION = text("""
INSERT INTO schedule_exceptions (id, provider, day, kind, starts, ends, slot_minutes, capacity, reason)
VALUES (:id, :provider, :day, :kind, :starts, :ends, :minutes, :capacity, :reason)
""")
_SERVICE = text("""
INSERT INTO services (id, name, category, description, price, duration_minutes, city, sort_order)
VALUES (:id, :name, :category, :description, :price, :minutes, :city, :place)
""")
_PROVIDER = text("INSERT INTO service_providers (service_id, provider) VALUES (:service, :provider)")

Values = dict[str, Any]  # Any: the columns of a row


@cache
def load(name: str) -> Values:
    """One of the demo's texts."""
    return tomllib.loads((TEXT / f"{name}.toml").read_text(encoding="utf-8"))


def doctors_of(department: str) -> Sequence[str]:
    """Name and title of everybody who works in departments of this name, as articles are signed."""
    found, number = [], 0
    for each in _departments(load("hospital")["hospital"]):
        for doctor in each["doctors"]:
            number += 1
            if each["name"] == department:
                found.append(f"{name_of('doctor', number)} {doctor['title']}")
    return found


async def add_directory(connection: AsyncConnection, people: Mapping[str, str], today: date) -> int:
    """The answer is how many hospitals."""
    hospitals = load("hospital")["hospital"]
    rows = [
        {key: value for key, value in each.items() if key != "department"}
        | {"id": id_of("hospital", each["name"]), "code": f"DEMO{place:02}"}
        for place, each in enumerate(hospitals, 1)
    ]
    departments = list(_departments(hospitals))
    await connection.execute(_HOSPITAL, rows)
    await connection.execute(_DEPARTMENT, departments)
    doctors = list(_doctors(departments, people))
    await connection.execute(_DOCTOR, doctors)
    rules = [rule for place, user in people.items() for rule in _week(place, user, doctors, today)]
    await connection.execute(_RULE, rules)
    await connection.execute(_EXCEPTION, list(_exceptions(people, today)))
    return len(rows)


async def add_services(connection: AsyncConnection, people: Mapping[str, str]) -> int:
    """The answer is how many."""
    services = load("service")["service"]
    rows = [
        {**each, "id": id_of("service", each["name"]), "price": Decimal(each["price"]), "place": place}
        for place, each in enumerate(services, 1)
    ]
    await connection.execute(_SERVICE, rows)
    given = [{"service": row["id"], "provider": people[who]} for row in rows for who in row["by"]]
    await connection.execute(_PROVIDER, given)
    return len(rows)


def _departments(hospitals: Sequence[Values]) -> Iterator[Values]:
    for hospital in hospitals:
        for place, each in enumerate(hospital["department"], 1):
            ids = {
                "id": id_of("department", hospital["name"], each["name"]),
                "hospital": id_of("hospital", hospital["name"]),
            }
            yield {**each, **ids, "place": place}


def _doctors(departments: Sequence[Values], people: Mapping[str, str]) -> Iterator[Values]:
    number = 0
    for department in departments:
        for each in department["doctors"]:
            number += 1
            yield {
                **each,
                "id": id_of("doctor", str(number)),
                "user": people[f"d{number}"],
                "department": department["id"],
                "name": name_of("doctor", number),
                "fee": Decimal(each["fee"]),
                "place": number,
            }


def _week(place: str, user: str, doctors: Sequence[Values], today: date) -> Iterator[Values]:
    """When somebody works. Chiefs see fewer people than those who learn from them; the first companions work every day."""
    number = int(place[1:])
    if place[0] == "c":
        shifts = [(day, COMPANION_DAY) for day in range(1, 8 if number <= 6 else 7)]
    elif place[0] == "d":
        chief = doctors[number - 1]["title"] == "主任医师"
        afternoons = {number % 5 + 1, (number + 2) % 5 + 1} if chief else {1, 2, 3, 4, 5}
        shifts = [(day, MORNING) for day in range(1, 6 if chief else 7)] + [
            (day, AFTERNOON) for day in sorted(afternoons)
        ]
    else:
        shifts = []
    since = today - timedelta(days=KNOWN_DAYS)
    minutes = 60 if place[0] == "c" else 30
    for day, (starts, ends) in shifts:
        times = {"starts": starts, "ends": ends, "minutes": minutes, "since": since}
        yield {"id": id_of("rule", place, str(day), str(starts)), "provider": user, "weekday": day, **times}


def _exceptions(people: Mapping[str, str], today: date) -> Iterator[Values]:
    """Meetings and holidays of some doctors, an extra Sunday of others, a companion in training."""
    sunday = today + timedelta(days=7 + 7 - today.isoweekday())
    for number in range(1, CAST["doctor"][1] + 1):
        user = people[f"d{number}"]
        if number % 9 == 0:
            yield _exception(
                user, today + timedelta(days=5 + number % 7), "off", MORNING[0], AFTERNOON[1], "参加学术会议"
            )
        elif number % 13 == 0:
            for day in range(3):
                yield _exception(user, today + timedelta(days=10 + day), "off", MORNING[0], AFTERNOON[1], "休假")
        elif number % 11 == 0:
            yield _exception(user, sunday, "extra", time(9), time(11, 30), "周日加诊")
    yield _exception(people["c9"], today + timedelta(days=4), "off", time(13), time(18), "急救培训")


def _exception(user: str, day: date, kind: str, starts: time, ends: time, reason: str) -> Values:
    slots: Values = {"minutes": 30, "capacity": 1} if kind == "extra" else {"minutes": None, "capacity": None}
    times = {"day": day, "starts": starts, "ends": ends, "reason": reason}
    return {"id": id_of("exception", user, kind, day.isoformat()), "provider": user, "kind": kind, **times, **slots}
