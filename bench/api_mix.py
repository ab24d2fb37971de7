"""What people ask the API for, and how often: reads and writes of an ordinary day."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from bench.http_client import packet

SHANGHAI = ZoneInfo("Asia/Shanghai")
WORDS = ("高血压", "糖", "睡眠", "饮食", "血脂", "运动", "陪诊", "用药")


class Patient(msgspec.Struct, frozen=True):
    user: str
    token: str
    orders: list[str]


class World(msgspec.Struct, frozen=True):
    """What is in the database: whom and what requests can name."""

    patients: list[Patient]
    services: list[str]
    bookable: list[tuple[str, str]]  # a service and a doctor who gives it
    hospitals: list[str]
    doctors: list[str]
    articles: list[str]
    today: datetime


Build = Callable[[random.Random, World, Patient], bytes]


class Endpoint(msgspec.Struct, frozen=True):
    """One kind of request. `writes` are repeated with other content; `also` are statuses that are no fault."""

    name: str
    weight: int
    build: Build
    also: tuple[int, ...] = ()


def _get(path: str) -> Build:
    return lambda _dice, _world, who: packet("GET", f"/api/v1{path}", who.token)


def _service(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/services?page={dice.randint(1, 2)}&pageSize=10", who.token)


def _departments(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/hospitals/{dice.choice(world.hospitals)}/departments", who.token)


def _schedule(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/doctors/{dice.choice(world.doctors)}/schedule", who.token)


def _search(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/knowledge?q={quote(dice.choice(WORDS))}", who.token)


def _article(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/knowledge/{dice.choice(world.articles)}", who.token)


def _profile(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/users/{who.user}/health-profile", who.token)


def _order(dice: random.Random, world: World, who: Patient) -> bytes:
    return packet("GET", f"/api/v1/orders/{dice.choice(who.orders)}", who.token)


def _slots(dice: random.Random, world: World, who: Patient) -> bytes:
    service, doctor = dice.choice(world.bookable)
    day = (world.today + timedelta(days=dice.randint(1, 20))).date()
    return packet(
        "GET", f"/api/v1/appointments/available-slots?serviceId={service}&doctorId={doctor}&date={day}", who.token
    )


def _record(dice: random.Random, world: World, who: Patient) -> bytes:
    at = datetime.now(UTC) - timedelta(seconds=dice.uniform(0, 86400 * 30))
    systolic, diastolic = dice.randint(105, 165), dice.randint(60, 100)
    body = {
        "type": "blood_pressure",
        "value": systolic,
        "unit": "mmHg",
        "recordedAt": at.isoformat(),
        "source": "device",
        "notes": "晨起测量",
        "metadata": {"systolic": systolic, "diastolic": diastolic, "heartRate": dice.randint(55, 95)},
    }
    return packet("POST", "/api/v1/health/records", who.token, body)


def _book(dice: random.Random, world: World, who: Patient) -> bytes:
    service, doctor = dice.choice(world.bookable)
    at = (world.today + timedelta(days=dice.randint(1, 50))).replace(
        hour=dice.randint(8, 16), minute=dice.choice((0, 30))
    )
    body = {
        "serviceId": service,
        "doctorId": doctor,
        "scheduledTime": at.isoformat(),
        "contactPerson": "赵六",
        "contactPhone": "13900000000",
        "notes": "请提前联系",
    }
    return packet("POST", "/api/v1/appointments", who.token, body)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET /users/me", 6, _get("/users/me")),
    Endpoint("GET /users/{id}/health-profile", 4, _profile),
    Endpoint("GET /health/records", 12, _get("/health/records?type=blood_pressure&limit=20")),
    Endpoint("GET /health/trends", 5, _get("/health/trends?type=blood_pressure&period=30d")),
    Endpoint("POST /health/records", 14, _record),
    Endpoint("GET /services", 8, _service),
    Endpoint("GET /hospitals", 4, _get("/hospitals")),
    Endpoint("GET /hospitals/{id}/departments", 4, _departments),
    Endpoint("GET /doctors", 5, _get("/doctors?pageSize=10")),
    Endpoint("GET /doctors/{id}/schedule", 4, _schedule),
    Endpoint("GET /appointments/available-slots", 8, _slots),
    # Slots run out, and are not in everybody's hours: a clear no is an answer.
    Endpoint("POST /appointments", 4, _book, also=(400, 409)),
    Endpoint("GET /orders", 6, _get("/orders")),
    Endpoint("GET /orders/{id}", 6, _order),
    Endpoint("GET /knowledge?q=", 5, _search),
    Endpoint("GET /knowledge/{id}", 5, _article),
)


def pick(dice: random.Random, world: World) -> tuple[Endpoint, bytes]:
    """The next request of somebody."""
    endpoint = dice.choices(ENDPOINTS, [each.weight for each in ENDPOINTS])[0]
    return endpoint, endpoint.build(dice, world, dice.choice(world.patients))
