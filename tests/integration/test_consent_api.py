"""What people agree to, over HTTP: given, withdrawn, remembered; and a doctor sees nothing more from that moment on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts import consent
from hub.accounts.access import grant
from hub.accounts.consent import AI_EXTERNAL, CARE_SHARING, PURPOSES
from hub.accounts.consent_actions import has_consent
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

Json = dict[str, Any]
PATH = "/users/me/consents"


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


async def standing(hub: CoreHub, who: Caller, purpose: str = AI_EXTERNAL) -> Json:
    found: list[Json] = await hub.call(who, "GET", PATH)
    return next(each for each in found if each["purpose"] == purpose)


async def give(hub: CoreHub, who: Caller, purpose: str = AI_EXTERNAL, version: str = "1", status: int = 200) -> Any:
    return await hub.call(who, "POST", PATH, status, json={"purpose": purpose, "version": version})


async def withdraw(hub: CoreHub, who: Caller, purpose: str = AI_EXTERNAL, status: int = 200) -> Any:
    return await hub.call(who, "DELETE", f"{PATH}/{purpose}", status)


async def holds(hub: CoreHub, who: Caller, purpose: str = AI_EXTERNAL) -> bool:
    async with hub.ground.database.transaction() as connection:
        return await has_consent(connection, who.id, purpose)


async def care(hub: CoreHub, person: Caller, doctor: Caller) -> None:
    async with hub.ground.database.transaction() as connection:
        await grant(
            connection, person=person.id, members=[doctor.id], source=new_id(), scope="care", now=hub.clock.now()
        )


async def test_every_purpose_is_listed_with_its_title(hub: CoreHub) -> None:
    """In the language that is asked for; nobody has agreed to anything at first."""
    who = await hub.person()
    found = await hub.call(who, "GET", PATH)
    english = await hub.call(who, "GET", PATH, headers={"Accept-Language": "en"})

    assert [each["purpose"] for each in found] == ["health_data", "care_sharing", "ai_external", "marketing"]
    assert found[2] == {
        "purpose": "ai_external",
        "title": "使用外部人工智能服务解读报告",
        "version": "1",
        "given": False,
        "givenVersion": None,
        "history": [],
    }
    assert english[2]["title"] == "Having reports interpreted by an outside AI service"
    assert not await holds(hub, who)


async def test_a_consent_holds_from_its_giving_to_its_withdrawal(hub: CoreHub) -> None:
    """And again after it was given again; each change is remembered with its time, the newest first."""
    who = await hub.person()
    given_at = rfc3339(hub.clock.now())
    first = await give(hub, who)
    assert (first["given"], first["givenVersion"]) == (True, "1")
    assert await holds(hub, who)
    await hub.clock.advance(10)
    assert await give(hub, who) == first
    withdrawn = await withdraw(hub, who)
    assert (withdrawn["given"], withdrawn["givenVersion"]) == (False, None)
    assert not await holds(hub, who)
    await hub.clock.advance(10)
    assert await withdraw(hub, who) == withdrawn
    await give(hub, who)
    assert await holds(hub, who)

    history = (await standing(hub, who))["history"]
    again_at, ended_at = rfc3339(hub.clock.now()), withdrawn["history"][0]["endedAt"]
    assert history == [
        {"version": "1", "givenAt": again_at, "endedAt": None, "by": "self"},
        {"version": "1", "givenAt": given_at, "endedAt": ended_at, "by": "self"},
    ]
    assert not (await standing(hub, who, "marketing"))["given"]


async def test_giving_at_the_same_time_is_giving_once(hub: CoreHub) -> None:
    """And no failure."""
    who = await hub.person()
    await asyncio.gather(*(give(hub, who) for _ in range(4)))

    assert len((await standing(hub, who))["history"]) == 1


async def test_only_the_text_of_today_can_be_agreed_to(hub: CoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older or made-up version is refused; what was given before a new text holds until it is withdrawn."""
    who = await hub.person()
    for version in ("0", "2", "", "1 ", "\u0000"):
        assert list((await give(hub, who, version=version, status=400))["fields"]) == ["version"]
    await give(hub, who)
    newer = {**PURPOSES, AI_EXTERNAL: consent.Purpose(AI_EXTERNAL, "2", "新版", "New")}
    monkeypatch.setattr(consent, "PURPOSES", newer)
    await give(hub, who, version="1", status=400)
    known = await standing(hub, who)
    assert (known["version"], known["given"], known["givenVersion"]) == ("2", True, "1")
    assert await holds(hub, who)
    await hub.clock.advance(5)
    renewed = await give(hub, who, version="2")

    assert renewed["givenVersion"] == "2"
    assert [each["version"] for each in renewed["history"]] == ["2", "1"]
    assert renewed["history"][1]["endedAt"] == renewed["history"][0]["givenAt"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"purpose": "world_peace", "version": "1"}, "purpose"),
        ({"purpose": None, "version": "1"}, "purpose"),
        ({"version": "1"}, "purpose"),
        ({"purpose": "marketing"}, "version"),
        ({"purpose": "marketing", "version": 1}, "version"),
        ({"purpose": "marketing", "version": "1" * 21}, "version"),
        ({"purpose": "marketing", "version": "1", "user": "x"}, "user"),
    ],
)
async def test_bad_input_is_refused_naming_the_field(hub: CoreHub, body: Json, field: str) -> None:
    """And nothing is agreed to."""
    who = await hub.person()
    refused = await hub.call(who, "POST", PATH, 400, json=body)

    assert list(refused["fields"]) == [field]


async def test_a_purpose_that_is_none_cannot_be_withdrawn(hub: CoreHub) -> None:
    """There is no such thing."""
    who = await hub.person()
    for purpose in ("world_peace", "%00", "' OR 1=1"):
        assert (await withdraw(hub, who, purpose, 404))["type"] == "not_found"


async def test_a_doctor_sees_nothing_more_when_sharing_is_withdrawn(hub: CoreHub) -> None:
    """Booking agrees by itself; the withdrawal holds at once, also against a later booking, until it is given again."""
    person, doctor = await hub.person(), await hub.person("doctor")
    profile = f"/users/{person.id}/health-profile"
    await hub.call(person, "PUT", profile, json={"bloodType": "A", "height": 170, "weight": 60})
    await hub.call(doctor, "GET", profile, 404)
    await care(hub, person, doctor)
    await hub.call(doctor, "GET", profile)
    assert (await standing(hub, person, CARE_SHARING))["history"][0]["by"] == "booking"
    await withdraw(hub, person, CARE_SHARING)
    assert (await hub.call(doctor, "GET", profile, 404))["type"] == "not_found"
    await care(hub, person, doctor)
    await hub.call(doctor, "GET", profile, 404)
    await give(hub, person, CARE_SHARING)

    await hub.call(doctor, "GET", profile)


async def test_who_refuses_before_the_first_booking_is_not_overruled_by_it(hub: CoreHub) -> None:
    """A withdrawal of what was never given is a decision too."""
    person, doctor = await hub.person(), await hub.person("doctor")
    refused = await withdraw(hub, person, CARE_SHARING)
    assert refused["history"] == [{"version": "1", "givenAt": None, "endedAt": rfc3339(hub.clock.now()), "by": "self"}]
    await care(hub, person, doctor)

    assert not await holds(hub, person, CARE_SHARING)
    await hub.call(doctor, "GET", f"/users/{person.id}/health-profile", 404)


async def test_a_booking_and_a_withdrawal_at_the_same_time_end_withdrawn(hub: CoreHub) -> None:
    """Whichever comes first, the person's word is the last."""
    doctor = await hub.person("doctor")
    for _ in range(5):
        person = await hub.person()
        await asyncio.gather(care(hub, person, doctor), withdraw(hub, person, CARE_SHARING))

        assert not await holds(hub, person, CARE_SHARING)


async def test_a_list_costs_one_statement(hub: CoreHub) -> None:
    """However long the history."""
    who = await hub.person()
    for _ in range(3):
        await give(hub, who)
        await withdraw(hub, who)
    with Scene(hub.ground.database).statements() as said:
        await hub.call(who, "GET", PATH)

    assert len(said) == 1
