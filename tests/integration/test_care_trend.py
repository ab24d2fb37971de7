"""Trends over HTTP: the contract's shape, Shanghai's days, advice in the reader's language, and who may see it."""

import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.care.profile import Profile
from hub.care.trend import SHANGHAI
from hub.platform.database import Database
from tests.integration.care_scene import audited, profile, reading, record, relate
from tests.integration.core_app import START, CoreHub, open_core

TODAY = START.astimezone(SHANGHAI).replace(hour=0)


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


def morning(days_ago: int, hour: int = 8) -> datetime:
    return TODAY - timedelta(days=days_ago) + timedelta(hours=hour)


async def test_the_answer_has_the_shape_of_the_contract(hub: CoreHub) -> None:
    """Statistics, trend, points with day and time in Shanghai, and advice; one row in the audit."""
    who = await hub.person()
    await record(
        hub, who, [reading(who, "blood_glucose", morning(n), 5.0 + n / 10, context="fasting") for n in range(6)]
    )
    found = await hub.call(who, "GET", "/health/trends", params={"type": "blood_glucose", "period": "7d"})

    assert set(found) == {"statistics", "trend", "dataPoints", "advice"}
    assert found["statistics"] == {"average": 5.25, "max": 5.5, "min": 5.0, "count": 6}
    assert found["trend"] == "down"
    assert found["dataPoints"][0] == {"date": f"{morning(5):%Y-%m-%d}", "time": "08:00", "value": 5.5}
    assert [point["value"] for point in found["dataPoints"]] == [5.5, 5.4, 5.3, 5.2, 5.1, 5.0]
    assert [set(said) for said in found["advice"]] == [{"level", "content"}]
    assert found["advice"][0]["level"] == "info"
    assert "空腹 5.2 mmol/L" in found["advice"][0]["content"]
    assert "就医" in found["advice"][0]["content"]
    assert await audited(hub, who.id) == [(who.id, "health_trend.read", "blood_glucose")]


async def test_blood_pressure_has_both_values(hub: CoreHub) -> None:
    """`value` is the systolic one, so that the contract's shape holds; the diastolic one stands beside it."""
    who = await hub.person()
    readings = [reading(who, "blood_pressure", morning(n), 150 - 2 * n, 84) for n in range(10)]
    await record(hub, who, readings)
    found = await hub.call(who, "GET", "/health/trends", params={"type": "blood_pressure"})

    assert found["statistics"] == {
        "average": 141.0,
        "max": 150.0,
        "min": 132.0,
        "count": 10,
        "diastolic": {"average": 84.0, "max": 84.0, "min": 84.0, "count": 10},
    }
    assert (found["trend"], found["diastolicTrend"]) == ("up", "stable")
    assert found["dataPoints"][-1] == {
        "date": f"{TODAY:%Y-%m-%d}",
        "time": "08:00",
        "value": 150.0,
        "diastolic": 84.0,
    }
    assert [said["level"] for said in found["advice"]] == ["warning", "attention"]
    assert "141/84 mmHg" in found["advice"][0]["content"]


async def test_advice_comes_in_the_language_asked_for(hub: CoreHub) -> None:
    """Chinese unless English is preferred."""
    who = await hub.person()
    await record(hub, who, [reading(who, "steps", morning(n), 3000) for n in range(7)])
    english = {"Accept-Language": "en"}
    found = await hub.call(who, "GET", "/health/trends", params={"type": "steps"}, headers=english)

    assert [said["content"] for said in found["advice"]] == [
        "The average of 3000 steps a day is under the recommended 6000. Walk a little more each week; if exercise brings "
        "chest pain or breathlessness, stop and see a doctor."
    ]


async def test_nothing_recorded_is_an_answer_too(hub: CoreHub) -> None:
    """Empty numbers, a stable trend, and advice to measure."""
    found = await hub.call(await hub.person(), "GET", "/health/trends", params={"type": "weight"})

    assert found["statistics"] == {"average": None, "max": None, "min": None, "count": 0}
    assert (found["trend"], found["dataPoints"], len(found["advice"])) == ("stable", [], 1)


async def test_both_ends_of_the_range_are_days_of_shanghai_and_included(hub: CoreHub) -> None:
    """From midnight to midnight there, whatever day it is in UTC."""
    who = await hub.person()
    first, last = morning(3, 0), morning(1, 0) + timedelta(days=1)
    moments = [first - timedelta(seconds=1), first, last - timedelta(seconds=1), last]
    await record(hub, who, [reading(who, "weight", at, 60 + n) for n, at in enumerate(moments)])
    asked = {"type": "weight", "start": f"{morning(3):%Y-%m-%d}", "end": f"{morning(1):%Y-%m-%d}", "period": "1y"}
    found = await hub.call(who, "GET", "/health/trends", params=asked)

    assert [point["value"] for point in found["dataPoints"]] == [61.0, 62.0]
    assert [point["time"] for point in found["dataPoints"]] == ["00:00", "23:59"]


async def test_a_height_in_the_profile_rates_the_weight(hub: CoreHub) -> None:
    """Advice goes by the profile as it is now."""
    who = await hub.person()
    await profile(hub, who, Profile(height=160))
    await record(hub, who, [reading(who, "weight", morning(n), 80) for n in range(7)])
    found = await hub.call(who, "GET", "/health/trends", params={"type": "weight"})

    assert [said["level"] for said in found["advice"]] == ["warning"]
    assert "80 kg" in found["advice"][0]["content"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "type"),
        ({"type": "mood"}, "type"),
        ({"type": "weight", "period": "2y"}, "period"),
        ({"type": "weight", "start": "2026-02-30"}, "start"),
        ({"type": "weight", "start": "yesterday"}, "start"),
        ({"type": "weight", "end": "2026-01-01T00:00:00Z"}, "end"),
        ({"type": "weight", "start": "2026-02-01", "end": "2026-01-01"}, "start"),
        ({"type": "weight", "start": "2020-01-01", "end": "2026-01-01"}, "start"),
        ({"type": "weight", "start": "0001-01-01", "end": "0001-01-01"}, "start"),
        ({"type": "weight", "end": "9999-12-31"}, "end"),
    ],
)
async def test_a_bad_question_is_refused_naming_the_field(hub: CoreHub, asked: dict[str, str], field: str) -> None:
    """400, and which parameter it was."""
    refused = await hub.call(await hub.person(), "GET", "/health/trends", 400, params=asked)

    assert list(refused["fields"]) == [field]


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff", "admin"])
async def test_somebody_else_sees_nothing(hub: CoreHub, role: str) -> None:
    """Not even whether there is something; and nothing is audited that was not read."""
    owner, other = await hub.person(), await hub.person(role)
    for person in (owner.id, "'; DROP TABLE users", "\x00"):
        refused = await hub.call(other, "GET", "/health/trends", 404, params={"type": "weight", "userId": person})
        assert refused["type"] == "not_found"

    assert await audited(hub, owner.id) == []


async def test_who_may_act_for_somebody_sees_their_trend(hub: CoreHub) -> None:
    """By `userId`; the audit says who it was."""
    mother, daughter = await hub.person(name="王芳"), await hub.person(name="李娜")
    await relate(hub, mother.id, daughter.id)
    await record(hub, mother, [reading(mother, "spo2", morning(1), 97)])
    found = await hub.call(daughter, "GET", "/health/trends", params={"type": "spo2", "userId": mother.id})

    assert found["statistics"]["count"] == 1
    assert await audited(hub, mother.id) == [(daughter.id, "health_trend.read", "spo2")]


async def test_a_year_of_readings_is_answered_soon_and_thinned(hub: CoreHub) -> None:
    """Four readings a day: all count, 500 at most are shown, the extremes among them."""
    who = await hub.person()
    readings = [
        reading(who, "blood_pressure", morning(n // 4, 6 + n % 4), 110 + n % 23, 70 + n % 11) for n in range(1460)
    ]
    readings[700] = reading(who, "blood_pressure", readings[700].recorded_at, 199, 111)
    await record(hub, who, readings)
    took_ms, found = await timed(hub, who, {"type": "blood_pressure", "period": "1y"})

    assert found["statistics"]["count"] == 1460
    assert found["statistics"]["max"] == 199
    assert 200 < len(found["dataPoints"]) <= 500
    assert {"value": 199.0, "diastolic": 111.0}.items() <= max(
        found["dataPoints"], key=lambda each: each["value"]
    ).items()
    assert took_ms < 500  # 35 ms on the machine it was written on; a shared one may take longer


async def timed(hub: CoreHub, who: Any, asked: dict[str, str]) -> tuple[float, Any]:
    """The best of five, in milliseconds."""
    best, found = 1e9, None
    for _ in range(5):
        began = time.perf_counter()
        found = await hub.call(who, "GET", "/health/trends", params=asked)
        best = min(best, (time.perf_counter() - began) * 1000)
    return best, found
