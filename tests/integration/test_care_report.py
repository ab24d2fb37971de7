"""Reports over HTTP: made once and kept, sealed, printed for whoever may read them, and hidden from everybody else."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.accounts.access import grant
from hub.care.trend import SHANGHAI
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.care_scene import audited, erase, reading, record, relate, statements
from tests.integration.core_app import START, Caller, CoreHub, open_core

TODAY = START.astimezone(SHANGHAI).replace(hour=0)
REPORT = {
    *("id", "userId", "period", "start", "end", "metrics", "risks", "recommendations", "visualizations", "sources"),
    "generatedAt",
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def measured(hub: CoreHub, name: str = "张三丰") -> Caller:
    """Somebody with a high blood pressure this month, a lower one the month before, and a weight."""
    who = await hub.person(name=name)
    days = [TODAY - timedelta(days=n) + timedelta(hours=8) for n in range(35)]
    pressures = [reading(who, "blood_pressure", at, 150 if n < 30 else 140, 95) for n, at in enumerate(days)]
    await record(hub, who, [*pressures, reading(who, "weight", days[1], 70.5)])
    return who


async def make(hub: CoreHub, who: Caller, period: str = "30d", **more: Any) -> Any:
    return await hub.call(who, "POST", "/health/reports", json={"period": period, **more})


async def printed(hub: CoreHub, who: Caller, report: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {who.token}"}
    return await hub.client.get(f"/api/v1/health/reports/{report}/page", headers=headers)


async def doctor_of(hub: CoreHub, patient: Caller) -> Caller:
    doctor = await hub.person("doctor", "李医生")
    async with hub.ground.database.transaction() as connection:
        await grant(
            connection, person=patient.id, members=[doctor.id], source=new_id(), scope="care", now=hub.clock.now()
        )
    return doctor


async def test_a_report_has_the_shape_of_the_contract_and_stays_as_it_was_made(hub: CoreHub) -> None:
    """Metrics with the change against before, risks, recommendations, charts; later readings change nothing in it."""
    who = await measured(hub)
    found = await make(hub, who)
    pressure, weight = found["metrics"]

    assert set(found) == REPORT
    assert (found["userId"], found["period"], found["generatedAt"]) == (
        who.id,
        "30d",
        f"{START:%F}T01:00:00.000Z",
    )
    assert (found["start"], found["end"]) == (f"{TODAY - timedelta(days=29):%F}", f"{TODAY:%F}")
    expected = {"type": "blood_pressure", "name": "血压", "unit": "mmHg", "count": 30, "previousCount": 5}
    assert expected.items() <= pressure.items()
    expected = {"latest": 150.0, "average": 150.0, "max": 150.0, "min": 150.0, "previousAverage": 140.0, "change": 10.0}
    assert expected.items() <= pressure.items()
    assert pressure["diastolic"]["change"] == 0
    assert (pressure["trend"], pressure["level"], weight["change"]) == ("stable", "high", None)
    (risk,) = found["risks"]
    assert (risk["type"], risk["level"], risk["count"], risk["total"]) == ("blood_pressure", "medium", 30, 30)
    assert "收缩压(mmHg) ≥ 140" in risk["reasons"][0]
    assert found["recommendations"][0]["level"] == "warning"
    systolic, diastolic = found["visualizations"][0]["series"]
    assert (systolic["name"], systolic["label"], len(systolic["points"])) == ("systolic", "收缩压", 30)
    assert set(diastolic["points"][0]) == {"at", "value"}
    assert found["visualizations"][0]["bands"][0] == {
        "series": "systolic",
        "label": "参考 90 至 120",
        "low": 90.0,
        "high": 120.0,
    }
    assert "中国高血压防治指南2024年修订版" in found["sources"]

    await record(hub, who, [reading(who, "blood_pressure", hub.clock.now(), 180, 110)])
    assert await hub.call(who, "GET", f"/health/reports/{found['id']}") == found


async def test_a_report_is_read_in_the_language_asked_for(hub: CoreHub) -> None:
    """Whatever language it was made in."""
    who = await measured(hub)
    made = await make(hub, who)
    found = await hub.call(who, "GET", f"/health/reports/{made['id']}", headers={"Accept-Language": "en-GB"})

    assert found["metrics"][0]["name"] == "Blood pressure"
    assert found["recommendations"][0]["content"].startswith("The average of 150/95 mmHg")
    assert found["sources"] != made["sources"]


async def test_every_reading_of_a_report_leaves_a_row(hub: CoreHub) -> None:
    """Made, read, printed and listed: who, what and which."""
    who = await measured(hub)
    made = (await make(hub, who))["id"]
    await hub.call(who, "GET", f"/health/reports/{made}")
    assert (await printed(hub, who, made)).status_code == 200
    await hub.call(who, "GET", "/health/reports")

    assert await audited(hub, who.id) == [
        (who.id, "health_report.make", made),
        (who.id, "health_report.read", made),
        (who.id, "health_report.print", made),
        (who.id, "health_report.list", ""),
    ]


async def test_what_a_report_says_is_sealed(hub: CoreHub) -> None:
    """The row tells nothing to who lacks the key, and nothing to anybody once the key is destroyed."""
    who = await measured(hub)
    made = (await make(hub, who))["id"]
    row = await hub.ground.database.log.fetchrow("SELECT * FROM health_reports WHERE id = $1", made)
    assert row is not None
    for word in ("blood_pressure", "血压", "150", "systolic"):
        assert word.encode() not in row["body"]
    await erase(hub, who)

    refused = await hub.call(who, "GET", f"/health/reports/{made}", 404)
    assert refused["type"] == "not_found"
    assert (await printed(hub, who, made)).status_code == 404
    await hub.call(who, "POST", "/health/reports", 404, json={"period": "7d"})


async def test_the_page_is_printed_for_oneself_with_the_full_name(hub: CoreHub) -> None:
    """HTML, kept by nothing on the way, with a policy that lets nothing in."""
    who = await measured(hub, "<b>张三丰</b>")
    response = await printed(hub, who, (await make(hub, who))["id"])

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "&lt;b&gt;张三丰&lt;/b&gt;" in response.text
    assert f"{START.astimezone(SHANGHAI):%Y年%m月%d日} 09:00（北京时间）" in response.text
    assert "<svg" in response.text


async def test_the_name_is_masked_for_a_doctor_and_full_for_family(hub: CoreHub) -> None:
    """Who may act for the person knows them; a doctor gets what is needed for care."""
    who = await measured(hub)
    doctor, daughter = await doctor_of(hub, who), await hub.person(name="张小红")
    await relate(hub, who.id, daughter.id)
    made = (await make(hub, doctor, userId=who.id))["id"]

    page = (await printed(hub, doctor, made)).text
    assert "张*丰" in page
    assert "张三丰" not in page
    assert "张三丰" in (await printed(hub, daughter, made)).text


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff", "admin"])
async def test_somebody_elses_report_is_not_there(hub: CoreHub, role: str) -> None:
    """404 for reading, printing, listing and making, and no trace of a read that was none."""
    who, other = await measured(hub), await hub.person(role)
    made = (await make(hub, who))["id"]
    before = await audited(hub, who.id)
    for path in (f"/health/reports/{made}", f"/health/reports/{made}/page", f"/health/reports?userId={who.id}"):
        assert (await hub.call(other, "GET", path, 404))["type"] == "not_found"
    await hub.call(other, "POST", "/health/reports", 404, json={"period": "7d", "userId": who.id})

    assert await audited(hub, who.id) == before


@pytest.mark.parametrize("report", ["x", "0", "%00", "01a20b4b-e3f5-776c-8b61-b3f4d09ccecf", "'%20OR%201=1"])
async def test_what_is_no_report_is_not_there(hub: CoreHub, report: str) -> None:
    """Whatever is asked for, with and without the page."""
    who = await hub.person()

    for path in (f"/health/reports/{report}", f"/health/reports/{report}/page"):
        assert (await hub.call(who, "GET", path, 404))["type"] == "not_found"


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "period"),
        ({"period": "2y"}, "period"),
        ({"period": None}, "period"),
        ({"period": "7d", "start": "2026-01-01"}, "start"),
        ({"period": "7d", "userId": 7}, "userId"),
        ({"period": "7d", "userId": "x" * 37}, "userId"),
    ],
)
async def test_a_bad_order_is_refused_naming_the_field(hub: CoreHub, sent: dict[str, object], field: str) -> None:
    """400, and which field it was."""
    refused = await hub.call(await hub.person(), "POST", "/health/reports", 400, json=sent)

    assert list(refused["fields"]) == [field]


async def test_reports_are_listed_newest_first_in_pages(hub: CoreHub) -> None:
    """Without what they say; one's own only."""
    who = await measured(hub)
    made = []
    for period in ("7d", "30d", "90d"):
        made.append((await make(hub, who, period))["id"])
        await hub.clock.advance(60)
    await make(hub, await measured(hub))
    found = await hub.call(who, "GET", "/health/reports", params={"pageSize": 2})

    assert (found["total"], found["page"], found["pageSize"]) == (3, 1, 2)
    assert [each["id"] for each in found["items"]] == made[:0:-1]
    assert set(found["items"][0]) == {"id", "userId", "period", "generatedAt"}
    rest = await hub.call(who, "GET", "/health/reports", params={"pageSize": 2, "page": 2})
    assert [each["id"] for each in rest["items"]] == made[:1]
    upwards = await hub.call(who, "GET", "/health/reports", params={"sort": "createdAt"})
    assert [each["id"] for each in upwards["items"]] == made
    assert list((await hub.call(who, "GET", "/health/reports", 400, params={"sort": "period"}))["fields"]) == ["sort"]


async def test_reports_cost_a_fixed_number_of_statements(hub: CoreHub) -> None:
    """However much was measured, and however many are listed."""
    who = await measured(hub)
    await make(hub, who)  # the key is at hand afterwards
    with statements(hub) as said:
        await make(hub, who)
    assert len(said) == 11  # the profile, eight types, the report, the audit
    with statements(hub) as said:
        await hub.call(who, "GET", "/health/reports")
    assert len(said) == 3  # the page, its total, the audit


async def test_nobody_signed_in_sees_nothing(hub: CoreHub) -> None:
    """401 before anything is looked up."""
    for method, path in (("GET", "/health/reports"), ("POST", "/health/reports"), ("GET", "/health/reports/x/page")):
        assert (await hub.call(None, method, path, 401))["type"] == "unauthorized"
