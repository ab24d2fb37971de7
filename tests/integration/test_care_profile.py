"""The health profile over HTTP: the contract's shape, who sees how much of it, and what the database holds."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from hub.accounts.access import grant
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.care_scene import audited, erase, relate, statements
from tests.integration.core_app import Caller, CoreHub, open_core

PROFILE: dict[str, Any] = {
    "bloodType": "AB",
    "height": 172.0,
    "weight": 70.5,
    "hasAllergy": True,
    "allergyInfo": "青霉素 ' OR 1=1 --\u200f 😀",
    "chronicDiseases": ["高血压", "2型糖尿病"],
    "familyHistory": ["脑卒中"],
    "emergencyContact": {"name": "李四", "phone": "13800008000", "relation": "配偶"},
}
TAGS = ["行动不便", "高血压随访"]
NOTHING = {
    **dict.fromkeys(("bloodType", "height", "weight", "bmi", "hasAllergy", "allergyInfo", "emergencyContact")),
    "chronicDiseases": [],
    "familyHistory": [],
    "tags": [],
}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def patient(hub: CoreHub) -> Caller:
    return await hub.person()


@pytest_asyncio.fixture
async def known(hub: CoreHub, patient: Caller) -> Caller:
    """A patient with a profile and tags."""
    await hub.call(patient, "PUT", "/users/me/health-profile", json=PROFILE)
    await hub.call(patient, "PUT", "/users/me/health-tags", json={"tags": TAGS})
    return patient


async def granted(hub: CoreHub, person: Caller, role: str, scope: Any) -> Caller:
    """Somebody of this role who has a part in the person's care."""
    member = await hub.person(role, "李医生")
    async with hub.ground.database.transaction() as connection:
        await grant(
            connection, person=person.id, members=[member.id], source=new_id(), scope=scope, now=hub.clock.now()
        )
    return member


async def test_profile_answers_what_was_put_with_bmi(hub: CoreHub, patient: Caller) -> None:
    """Every field of the contract comes back, and the BMI is derived; by one's id or as `me`."""
    path = f"/users/{patient.id}/health-profile"
    put = await hub.call(patient, "PUT", path, json=PROFILE)

    assert put == {**PROFILE, "bmi": 23.8, "tags": []}
    assert await hub.call(patient, "GET", path) == put
    assert await hub.call(patient, "GET", "/users/me/health-profile") == put


async def test_profile_is_empty_before_anything_is_known(hub: CoreHub, patient: Caller) -> None:
    """All fields are there."""
    assert await hub.call(patient, "GET", "/users/me/health-profile") == NOTHING


async def test_put_replaces_all_but_the_tags(hub: CoreHub, known: Caller) -> None:
    """What is left out, or null, is unknown from now on."""
    put = {"height": 165, "chronicDiseases": None}
    found = await hub.call(known, "PUT", "/users/me/health-profile", json=put)

    assert found == {**NOTHING, "height": 165.0, "tags": TAGS}
    assert await hub.call(known, "GET", "/users/me/health-profile") == found


async def test_tags_are_kept_once_and_before_there_is_a_profile(hub: CoreHub, patient: Caller) -> None:
    """The answer is null, as the contract has it."""
    path = f"/users/{patient.id}/health-tags"

    assert await hub.call(patient, "PUT", path, json={"tags": ["糖尿病", "独居", "糖尿病"]}) is None
    assert await hub.call(patient, "GET", "/users/me/health-profile") == {**NOTHING, "tags": ["糖尿病", "独居"]}
    await hub.call(patient, "PUT", "/users/me/health-tags", json={"tags": []})
    assert (await hub.call(patient, "GET", "/users/me/health-profile"))["tags"] == []


async def test_relative_sees_and_writes_all(hub: CoreHub, known: Caller) -> None:
    """Who may act for somebody keeps their profile, too."""
    child = await hub.person(name="张小丰")
    await relate(hub, known.id, child.id)
    path = f"/users/{known.id}/health-profile"

    assert await hub.call(child, "GET", path) == {**PROFILE, "bmi": 23.8, "tags": TAGS}
    await hub.call(child, "PUT", path, json=PROFILE | {"weight": 75})
    assert (await hub.call(known, "GET", path))["bmi"] == 25.4
    await hub.call(known, "GET", f"/users/{child.id}/health-profile", 404)


async def test_doctor_in_care_sees_and_tags(hub: CoreHub, known: Caller) -> None:
    """All but the relative's number; what they do not see in full they cannot replace."""
    doctor = await granted(hub, known, "doctor", "care")
    path = f"/users/{known.id}/health-profile"
    contact = PROFILE["emergencyContact"] | {"phone": "138****8000"}

    assert await hub.call(doctor, "GET", path) == {**PROFILE, "emergencyContact": contact, "bmi": 23.8, "tags": TAGS}
    await hub.call(doctor, "PUT", path, 404, json=PROFILE)
    await hub.call(doctor, "PUT", f"/users/{known.id}/health-tags", json={"tags": ["高危"]})
    assert (await hub.call(known, "GET", path))["tags"] == ["高危"]


@pytest.mark.parametrize("role", ["companion", "staff"])
async def test_companion_sees_what_the_service_needs(hub: CoreHub, known: Caller, role: str) -> None:
    """Allergies, whom to call, how somebody gets about: nothing else, and nothing to write."""
    member = await granted(hub, known, role, "service")

    assert await hub.call(member, "GET", f"/users/{known.id}/health-profile") == {
        **dict.fromkeys(PROFILE),
        "hasAllergy": True,
        "allergyInfo": PROFILE["allergyInfo"],
        "bmi": None,
        "tags": ["行动不便"],
        "emergencyContact": PROFILE["emergencyContact"],
    }
    await hub.call(member, "PUT", f"/users/{known.id}/health-tags", 404, json={"tags": []})
    await hub.call(member, "PUT", f"/users/{known.id}/health-profile", 404, json=PROFILE)


@pytest.mark.parametrize("role", ["patient", "companion", "doctor", "staff", "admin"])
async def test_profile_of_a_stranger_is_not_found(hub: CoreHub, known: Caller, role: str) -> None:
    """Whether somebody has one is private; a role alone opens nothing, and a refused look leaves no audit row."""
    stranger = await hub.person(role)
    for person in (known.id, new_id(), "张三", "ME"):
        await hub.call(stranger, "GET", f"/users/{person}/health-profile", 404)
        await hub.call(stranger, "PUT", f"/users/{person}/health-profile", 404, json=PROFILE)
        await hub.call(stranger, "PUT", f"/users/{person}/health-tags", 404, json={"tags": []})

    assert await audited(hub, known.id) == []


async def test_each_look_leaves_one_audit_row(hub: CoreHub, known: Caller) -> None:
    """One's own included; writing is no reading."""
    doctor = await granted(hub, known, "doctor", "care")
    await hub.call(known, "GET", "/users/me/health-profile")
    await hub.call(doctor, "GET", f"/users/{known.id}/health-profile")

    assert await audited(hub, known.id) == [
        (known.id, "health_profile.read", "full"),
        (doctor.id, "health_profile.read", "care"),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bloodType": "C"}, "bloodType"),
        ({"bloodType": "a"}, "bloodType"),
        ({"height": 1720}, "height"),
        ({"height": "高"}, "height"),
        ({"weight": -1}, "weight"),
        ({"weight": True}, "weight"),
        ({"hasAllergy": False}, "allergyInfo"),
        ({"hasAllergy": "yes"}, "hasAllergy"),
        ({"allergyInfo": "青" * 501}, "allergyInfo"),
        ({"allergyInfo": "青霉素\u0000"}, "allergyInfo"),
        ({"chronicDiseases": "高血压"}, "chronicDiseases"),
        ({"chronicDiseases": ["病"] * 51}, "chronicDiseases"),
        ({"emergencyContact": {"name": "李四", "phone": "1", "relation": "配偶"}}, "emergencyContact.phone"),
        ({"emergencyContact": {"name": "李四", "phone": "13800008000"}}, "emergencyContact.relation"),
        ({"bmi": 23.8}, "bmi"),
        ({"shoeSize": 42}, "shoeSize"),
    ],
)
async def test_profile_is_refused_naming_the_field(
    hub: CoreHub, patient: Caller, change: dict[str, Any], field: str
) -> None:
    """Nothing is stored of what is refused."""
    error = await hub.call(patient, "PUT", "/users/me/health-profile", 400, json=PROFILE | change)

    assert error["type"] == "invalid"
    assert list(error["fields"]) == [field]
    assert await hub.call(patient, "GET", "/users/me/health-profile") == NOTHING


@pytest.mark.parametrize("tags", [["长" * 31], [""], ["a\u0000"], ["标"] * 51, [1], "标", None])
async def test_tags_are_refused_where_they_are_none(hub: CoreHub, patient: Caller, tags: Any) -> None:
    """Naming the field."""
    error = await hub.call(patient, "PUT", "/users/me/health-tags", 400, json={"tags": tags})

    assert all(field.startswith("tags") for field in error["fields"])


async def test_profile_at_rest_tells_nothing(hub: CoreHub, known: Caller) -> None:
    """P12: a look at the table shows ids and times, and after the key is destroyed nobody reads more than that."""
    async with hub.ground.database.transaction() as connection:
        rows = await connection.execute(
            text("SELECT * FROM user_health_profiles WHERE user_id = :user"), {"user": known.id}
        )
        stored = b"|".join(cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row)
    await erase(hub, known)

    assert known.id.encode() in stored
    for secret in ("青霉素", "高血压", "2型糖尿病", "脑卒中", "李四", "13800008000", "行动不便", "height", "bloodType"):
        assert secret.encode() not in stored
    refused = await hub.call(known, "GET", "/users/me/health-profile", 404)
    assert refused == {"type": "not_found", "fields": {}}
    await hub.call(known, "PUT", "/users/me/health-profile", 404, json=PROFILE)


async def test_a_look_takes_the_same_few_statements_always(hub: CoreHub, known: Caller) -> None:
    """The profile and the audit row for oneself; up to three questions about access for others."""
    companion = await granted(hub, known, "companion", "service")
    await hub.call(known, "GET", "/users/me/health-profile")
    with statements(hub) as said:
        await hub.call(known, "GET", "/users/me/health-profile")
    assert len(said) == 2
    with statements(hub) as said:
        await hub.call(companion, "GET", f"/users/{known.id}/health-profile")
    assert len(said) == 5
