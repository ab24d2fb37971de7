"""The demo's hospitals, doctors, services, articles and a year of readings. The texts stand in `demo_data`."""

import math
import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import profile_store, record_store
from hub.care.indicator import assess
from hub.care.model import Circumstances, Measurement, Reading, RecordType
from hub.care.profile import EmergencyContact, Profile
from hub.content import store as content
from hub.content.model import article_row
from hub.demo_talk import name_of
from hub.security.sealing import DataKey, Sealer

NAMESPACE = UUID("6f3c1f0e-6d0a-5b8e-9d51-0d1f5c1f7e21")
DATA = Path(__file__).parent / "demo_data"
DAYS = 365
TITLES = ("主任医师", "副主任医师", "主治医师")
BATCH = 5000  # rows of one statement

_HOSPITAL = """INSERT INTO hospitals (id, code, name, city, district, address, level, phone)
               VALUES (:id, :code, :name, :city, :district, :address, :level, :phone)"""
_DEPARTMENT = """INSERT INTO departments (id, hospital_id, name, location, sort_order)
                 VALUES (:id, :hospital, :name, :location, :place)"""
_DOCTOR = """INSERT INTO doctors (id, user_id, department_id, name, title, specialties, introduction, fee, sort_order)
             VALUES (:id, :user, :department, :name, :title, :specialties, :introduction, :fee, :place)"""
_SCHEDULE = """INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from)
               VALUES (:id, :user, :weekday, CAST(CAST(:starts AS text) AS time), CAST(CAST(:ends AS text) AS time),
                       :minutes, 1, CURRENT_DATE - 30)"""
_SERVICE = """INSERT INTO services (id, name, category, description, price, duration_minutes, city, sort_order)
              VALUES (:id, :name, :category, :description, :price, :minutes, :city, :place)"""
_PROVIDER = "INSERT INTO service_providers (service_id, provider) VALUES (:service, :user)"

Values = dict[str, Any]  # Any: the columns of a row


async def seed_core(connection: AsyncConnection, sealer: Sealer, people: Mapping[str, str]) -> str:
    """Everything, in the caller's transaction; `people` are the cast's ids by their places. Answers what was written."""
    directory = tomllib.loads((DATA / "directory.toml").read_text(encoding="utf-8"))
    await _directory(connection, directory["hospital"], people)
    await _services(connection, directory["service"], people)
    articles = list(_articles())
    await content.add_articles(connection, articles)
    readings = await _health(connection, sealer, people)
    return f"{len(directory['hospital'])} 家医院，{len(directory['service'])} 项服务，{len(articles)} 篇文章，{readings} 条健康记录"


async def _directory(connection: AsyncConnection, hospitals: Sequence[Values], people: Mapping[str, str]) -> None:
    rows: dict[str, list[Values]] = {_HOSPITAL: [], _DEPARTMENT: [], _DOCTOR: [], _SCHEDULE: []}
    number = 0
    for place, hospital in enumerate(hospitals, 1):
        names = hospital["departments"]
        rows[_HOSPITAL].append({**hospital, "id": _id("hospital", hospital["name"]), "code": f"DEMO{place:02}"})
        for floor, name in enumerate(names, 2):
            department = _id("department", hospital["name"], name)
            located = {"hospital": _id("hospital", hospital["name"]), "location": f"门诊楼 {floor} 层", "place": floor}
            rows[_DEPARTMENT].append({"id": department, "name": name, **located})
            for _ in range(2):
                number += 1
                rows[_DOCTOR].append(_doctor(number, department, name, people))
                rows[_SCHEDULE] += _week(people[f"d{number}"], ("08:00", "12:00"), ("14:00", "17:00"), minutes=30)
    for companion in (place for place in people if place[0] == "c"):
        rows[_SCHEDULE] += _week(people[companion], ("08:00", "18:00"), minutes=60)
    for statement, values in rows.items():
        await connection.execute(text(statement), values)


def _doctor(number: int, department: str, specialty: str, people: Mapping[str, str]) -> Values:
    title = TITLES[number % len(TITLES)]
    return {
        "id": _id("doctor", str(number)),
        "user": people[f"d{number}"],
        "department": department,
        "name": name_of("doctor", number),
        "title": title,
        "specialties": [specialty],
        "introduction": f"{title}，从事{specialty}临床工作 {8 + number % 22} 年。",
        "fee": Decimal(60 + number % 5 * 20),
        "place": number,
    }


def _week(user: str, *stretches: tuple[str, str], minutes: int) -> list[Values]:
    """The same hours from Monday to Saturday."""
    return [
        {"id": _id("rule", user, str(weekday), starts), "user": user, "weekday": weekday, "starts": starts}
        | {"ends": ends, "minutes": minutes}
        for weekday in range(1, 7)
        for starts, ends in stretches
    ]


async def _services(connection: AsyncConnection, services: Sequence[Values], people: Mapping[str, str]) -> None:
    rows = [
        {**each, "id": _id("service", each["name"]), "price": Decimal(each["price"]), "place": place}
        for place, each in enumerate(services, 1)
    ]
    await connection.execute(text(_SERVICE), rows)
    given = [{"service": row["id"], "user": people[who]} for row in rows for who in row["by"]]
    await connection.execute(text(_PROVIDER), given)


def _articles() -> Iterator[Values]:
    published = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    files = sorted(DATA.glob("article_*.toml"))
    for place, path in enumerate(files):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        for number, each in enumerate(data["article"]):
            yield article_row(
                title=each["title"],
                content=each["content"].strip(),
                category=data["category"],
                summary=each["summary"],
                tags=each["tags"],
                author="健康科普编辑部",
                article_id=_id("article", each["title"]),
                status="published",
                published_at=published - timedelta(days=place * 3 + number, hours=number),
            )


async def _health(connection: AsyncConnection, sealer: Sealer, people: Mapping[str, str]) -> int:
    """A profile and a year of readings for every patient."""
    rows: list[tuple[object, ...]] = []
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(1, 51):
        user = people[f"p{number}"]
        key, dice = await sealer.key_for(user), random.Random(number)  # noqa: S311 - the same readings on every machine
        persona = _Persona(number)
        await profile_store.save(connection, key, persona.profile(dice), user, today)
        rows += (_row(key, user, at, measured, persona) for at, measured in persona.year(today, dice))
    await _copy(connection, rows)
    return len(rows)


async def _copy(connection: AsyncConnection, rows: Sequence[tuple[object, ...]]) -> None:
    """By the driver's COPY, in the same transaction: a fifth of the time of inserts."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        await driver.copy_records_to_table("health_data_records", columns=record_store.COLUMNS, records=part)


def _row(key: DataKey, user: str, at: datetime, measured: Measurement, persona: "_Persona") -> tuple[object, ...]:
    reading = Reading(
        id=_id("reading", user, measured.type, at.isoformat()),
        user=user,
        actor=user,
        measurement=measured,
        assessment=assess(measured, Circumstances(persona.height, persona.diabetic)),
        source="device",
        recorded_at=at,
        created_at=at,
    )
    return record_store.seal(key, reading)


class _Persona:
    """How a patient's readings run: every fifth has high pressure, every fourth diabetes, and it gets better with care."""

    def __init__(self, number: int) -> None:
        self.hypertensive = number % 5 in (1, 2)
        self.diabetic = number % 4 == 1
        self.height = 155.0 + number * 7 % 30
        self.weight = round(22 * (self.height / 100) ** 2 + (12 if self.diabetic else number % 9 - 3), 1)
        self.pressure = 148 if self.hypertensive else 118 + number % 9

    def profile(self, dice: random.Random) -> Profile:
        chronic = [name for name, has in (("高血压", self.hypertensive), ("2型糖尿病", self.diabetic)) if has]
        allergic = dice.random() < 0.2
        return Profile(
            blood_type=dice.choice(("A", "B", "AB", "O")),
            height=self.height,
            weight=self.weight,
            has_allergy=allergic,
            allergy_info="青霉素" if allergic else None,
            chronic_diseases=chronic,
            family_history=["高血压"] if dice.random() < 0.4 else [],
            emergency_contact=EmergencyContact("家属", f"1390000{dice.randint(1000, 9999)}", "家人"),
        )

    def year(self, today: datetime, dice: random.Random) -> Iterator[tuple[datetime, Measurement]]:
        for day in range(DAYS, 0, -1):
            morning = today - timedelta(days=day) + timedelta(minutes=dice.randint(-60, 60))
            yield morning, self._blood_pressure(day, dice)
            yield morning + timedelta(minutes=3), _plain("heart_rate", dice.gauss(74, 6))
            yield morning + timedelta(hours=14), _plain("steps", max(0, dice.gauss(6500, 2200)))
            if day % (2 if self.diabetic else 30) == 0:
                level = dice.gauss(7.4 if self.diabetic else 5.2, 0.8 if self.diabetic else 0.3)
                fasting = Measurement("blood_glucose", round(max(3.2, level), 1), context="fasting")
                yield morning + timedelta(minutes=8), fasting
            if day % 7 == 0:
                yield morning + timedelta(minutes=12), Measurement("weight", round(self.weight + dice.gauss(0, 0.5), 1))

    def _blood_pressure(self, day: int, dice: random.Random) -> Measurement:
        season = 4 * math.cos(2 * math.pi * (DAYS - day) / DAYS)  # higher in the cold
        better = 10 * (1 - day / DAYS) if self.hypertensive else 0
        upper = round(self.pressure + season - better + dice.gauss(0, 7))
        return Measurement("blood_pressure", upper, round(upper * 0.62 + dice.gauss(0, 3)))


def _plain(type: RecordType, value: float) -> Measurement:
    return Measurement(type, float(round(value)))


def _id(*names: str) -> str:
    return str(uuid5(NAMESPACE, "/".join(names)))
