"""The outside interpreter: only for who agreed, only without what tells who they are, and the rules when it fails."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from hub.accounts.consent import AI_EXTERNAL, PURPOSES
from hub.accounts.consent_actions import Consents
from hub.content import interpretation_duty
from hub.content.interpretation_duty import INSTEAD, Desk
from hub.content.openai import open_interpreter
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.token import Principal
from scheduler import ticker
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.standins.openai import ANSWER, MODEL, OpenAiStandin
from workers import worker

PATH = "/ai/interpretations"
REPORT = {
    "reportType": "血常规",
    "originalData": {"姓名": "张三丰", "电话": "13800138000", "血小板": "18×10^9/L", "备注": "陪同：张小丽"},
}


@pytest.fixture
def ai() -> Iterator[OpenAiStandin]:
    with OpenAiStandin() as running:
        yield running


@pytest.fixture
def chosen(ai: OpenAiStandin, database_url: str, redis_url: str) -> settings.Settings:
    """As `open_core`'s keys, so that a real worker opens what it sealed."""
    return settings.Settings(
        ai=settings.Ai(base_url=ai.url, model=MODEL, timeout_s=1.0),
        database=settings.Database(url=database_url, pool_size=2, log_pool_size=1),
        redis=settings.Redis(url=redis_url, prefix=f"t{new_id()}"),
        security=settings.Security(
            master_keys=f"k:{base64.b64encode(b'm' * 32).decode()}", signing_key=base64.b64encode(b"s" * 32).decode()
        ),
        scheduler=settings.Scheduler(tick_s=0.1),
    )


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str, chosen: settings.Settings) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url, chosen) as opened:
        yield opened


@pytest_asyncio.fixture
async def desk(hub: CoreHub, chosen: settings.Settings) -> AsyncIterator[Desk]:
    """A worker's part, on the clock of the test."""
    ground = hub.ground
    async with open_interpreter(chosen, hub.clock) as outside:
        yield Desk(ground.database, ground.sealer, ground.audit, hub.clock, outside, chosen.ai.tries)


@pytest_asyncio.fixture
async def patient(hub: CoreHub) -> Caller:
    """Somebody who agreed."""
    who = await hub.person()
    await agree(hub, who)
    return who


async def agree(hub: CoreHub, who: Caller, given: bool = True) -> None:
    consents = Consents(hub.ground.database, hub.clock)
    principal = Principal(who.id, "", "patient", 0)
    if given:
        await consents.give(principal, AI_EXTERNAL, PURPOSES[AI_EXTERNAL].version)
    else:
        await consents.withdraw(principal, AI_EXTERNAL)


async def ask(hub: CoreHub, who: Caller, **values: Any) -> Any:
    return await hub.call(who, "POST", PATH, json={**REPORT, **values})


async def shown(hub: CoreHub, who: Caller, interpretation: str) -> Any:
    return await hub.call(who, "GET", f"{PATH}/{interpretation}")


async def due(desk: Desk) -> list[str]:
    return [each.id for each in await interpretation_duty.due_interpretations(desk.database, desk.clock.now(), 100)]


async def test_who_agreed_gets_the_outside_interpretation(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """Pending first and not to be marked as read; then done, labelled, told in the inbox, with what the rules find urgent."""
    asked = await ask(hub, patient)
    assert (asked["state"], asked["interpretation"], asked["confidenceScore"]) == ("pending", None, None)
    assert (asked["interpreter"], asked["suggestions"], asked["isRead"]) == (None, [], False)
    refused = await hub.call(patient, "POST", f"{PATH}/{asked['id']}/read", 409)
    assert refused["type"] == "conflict"
    assert asked["id"] in await due(desk)
    await interpretation_duty.interpret(desk, asked["id"])
    made = await shown(hub, patient, asked["id"])

    assert (made["state"], made["interpreter"], made["confidenceScore"]) == ("done", f"ai:{MODEL}", 0.83)
    assert made["interpretation"].startswith("【AI 生成，仅供参考】")
    assert "免责声明" in made["interpretation"]
    assert made["suggestions"][0].startswith("请尽快就医：血小板计数 18×10^9/L")
    assert made["suggestions"][1:] == ANSWER["suggestions"]
    assert asked["id"] not in await due(desk)
    await hub.ground.outbox.drain()
    assert asked["id"] in str([bytes(entry.body) for entry in hub.announced.entries])


async def test_nothing_personal_arrives_outside(hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin) -> None:
    """Neither the person's name nor that of who asked for them; and sending leaves a row in the audit."""
    daughter = await hub.person(name="张小丽")
    await hub.ground.database.log.execute(
        """INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at)
           VALUES ($1, $2, $3, 'family', 'active', $2, now())""", new_id(), patient.id, daughter.id,
    )  # fmt: skip
    asked = await ask(hub, daughter, userId=patient.id, reportType="张三丰血常规")
    await interpretation_duty.interpret(desk, asked["id"])
    sent = json.loads(ai.received[0])["messages"][1]["content"]

    assert "血小板" in sent
    told = ("张三丰", "张小丽", "13800138000", patient.phone, patient.id, daughter.id, asked["id"])
    assert [each for each in told if each in ai.received[0] or each in sent] == []
    rows = await hub.ground.database.log.fetch(
        "SELECT actor, subject FROM audit_log WHERE person = $1 AND action = 'interpretation.send'", patient.id
    )
    assert [(row["actor"].int, row["subject"]) for row in rows] == [(0, asked["id"])]


async def test_who_did_not_agree_is_sent_nowhere(hub: CoreHub, desk: Desk, ai: OpenAiStandin) -> None:
    """The rules interpret at once; family's agreement is not the person's."""
    patient, son = await hub.person(), await hub.person(name="张大伟")
    await agree(hub, son)
    await hub.ground.database.log.execute(
        """INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at)
           VALUES ($1, $2, $3, 'family', 'active', $2, now())""", new_id(), patient.id, son.id,
    )  # fmt: skip
    for made in (await ask(hub, patient), await ask(hub, son, userId=patient.id)):
        assert (made["state"], made["interpreter"]) == ("done", "rules")
        await interpretation_duty.interpret(desk, made["id"])

    assert ai.received == []


async def test_who_withdrew_meanwhile_is_sent_nowhere(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """Asked again at the moment of sending."""
    asked = await ask(hub, patient)
    await agree(hub, patient, given=False)
    await interpretation_duty.interpret(desk, asked["id"])
    made = await shown(hub, patient, asked["id"])

    assert (made["state"], made["interpreter"], INSTEAD in made["interpretation"]) == ("done", "rules", False)
    assert ai.received == []


@pytest.mark.parametrize("mood", ["prose", "refused", "long"])
async def test_the_rules_answer_when_the_outside_gives_no_answer(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin, mood: str
) -> None:
    """At once when trying again would not help; and it says so."""
    ai.mood = mood
    asked = await ask(hub, patient)
    await interpretation_duty.interpret(desk, asked["id"])
    made = await shown(hub, patient, asked["id"])

    assert (made["state"], made["interpreter"]) == ("done", "rules")
    assert made["interpretation"].startswith(INSTEAD)
    assert "血小板计数 18×10^9/L，偏低" in made["interpretation"]
    assert len(ai.received) == 1


async def test_a_passing_trouble_is_tried_again_and_not_for_ever(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """After a pause; the second failure is the last, and the rules answer."""
    ai.mood = "busy"
    asked = await ask(hub, patient)
    await interpretation_duty.interpret(desk, asked["id"])
    await interpretation_duty.interpret(desk, asked["id"])  # not due yet
    assert (await shown(hub, patient, asked["id"]))["state"] == "pending"
    assert asked["id"] not in await due(desk)
    assert len(ai.received) == 1
    await hub.clock.advance(5)
    assert asked["id"] in await due(desk)
    await interpretation_duty.interpret(desk, asked["id"])

    made = await shown(hub, patient, asked["id"])
    assert (made["state"], made["interpreter"], len(ai.received)) == ("done", "rules", 2)


async def test_a_second_try_that_works_is_the_answer(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """The trouble was passing."""
    ai.mood = "broken"
    asked = await ask(hub, patient)
    await interpretation_duty.interpret(desk, asked["id"])
    ai.mood = ""
    await hub.clock.advance(5)
    await interpretation_duty.interpret(desk, asked["id"])

    assert (await shown(hub, patient, asked["id"]))["interpreter"] == f"ai:{MODEL}"


async def test_two_workers_ask_once(hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin) -> None:
    """The lease in the row decides; one event, one card."""
    asked = await ask(hub, patient)
    await asyncio.gather(*(interpretation_duty.interpret(desk, asked["id"]) for _ in range(4)))
    events = await hub.ground.database.log.fetch("SELECT FROM events WHERE subject = $1", asked["id"])

    assert len(ai.received) == len(events) == 1


async def test_a_worker_that_died_is_followed_by_another_and_they_are_counted(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """Its lease runs out; who comes after so many deaths asks nobody outside, and the very last gives up."""
    asked, worse = await ask(hub, patient), await ask(hub, patient)
    ai.mood = "silent"
    dying = asyncio.create_task(interpretation_duty.interpret(desk, asked["id"]))
    while not ai.received:  # noqa: ASYNC110  the stand-in is another thread
        await asyncio.sleep(0)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    assert asked["id"] not in await due(desk)
    await hub.clock.advance(60)
    assert asked["id"] in await due(desk)
    log = hub.ground.database.log
    await log.execute("UPDATE ai_interpretations SET attempts = 2 WHERE id = $1", asked["id"])
    await log.execute("UPDATE ai_interpretations SET attempts = 5 WHERE id = $1", worse["id"])
    for each in (asked, worse):
        await interpretation_duty.interpret(desk, each["id"])

    made, failed = await shown(hub, patient, asked["id"]), await shown(hub, patient, worse["id"])
    assert (made["state"], made["interpreter"], len(ai.received)) == ("done", "rules", 1)
    assert (failed["state"], failed["interpretation"], failed["suggestions"]) == ("failed", None, [])
    assert (await hub.call(patient, "POST", f"{PATH}/{worse['id']}/read"))["isRead"]


async def test_a_worker_that_comes_too_late_changes_nothing(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """Somebody else took over meanwhile: theirs counts."""
    asked = await ask(hub, patient)
    ai.mood = "slow"
    late = asyncio.create_task(interpretation_duty.interpret(desk, asked["id"]))
    while not ai.received:  # noqa: ASYNC110  as above
        await asyncio.sleep(0)
    await hub.clock.advance(61)
    ai.mood = ""
    await interpretation_duty.interpret(desk, asked["id"])
    await late
    events = await hub.ground.database.log.fetch("SELECT FROM events WHERE subject = $1", asked["id"])

    assert len(events) == 1
    assert (await shown(hub, patient, asked["id"]))["interpreter"] == f"ai:{MODEL}"


async def test_an_erased_persons_report_is_not_sent(
    hub: CoreHub, patient: Caller, desk: Desk, ai: OpenAiStandin
) -> None:
    """Their key is gone; the row ends."""
    asked = await ask(hub, patient)
    async with hub.ground.database.transaction() as connection:
        await hub.ground.sealer.destroy(connection, patient.id)
    await interpretation_duty.interpret(desk, asked["id"])
    row = await hub.ground.database.log.fetchrow("SELECT state FROM ai_interpretations WHERE id = $1", asked["id"])

    assert row is not None
    assert (row["state"], ai.received) == ("failed", [])


async def test_scheduler_and_worker_bring_it_to_an_end(
    hub: CoreHub, patient: Caller, chosen: settings.Settings, ai: OpenAiStandin
) -> None:
    """Nobody wakes the worker but the sweep; two of each, and one answer."""
    asked = await ask(hub, patient)
    await hub.ground.database.log.execute(
        "UPDATE ai_interpretations SET due_at = now() - interval '1 minute' WHERE id = $1", asked["id"]
    )
    runs = [asyncio.create_task(run(chosen)) for run in (ticker.run, worker.run) * 2]
    try:
        async with asyncio.timeout(30):
            while await hub.ground.database.log.fetchval(  # noqa: ASYNC110  other tasks end it
                "SELECT state = 'pending' FROM ai_interpretations WHERE id = $1", asked["id"]
            ):
                await asyncio.sleep(0)
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    assert (await shown(hub, patient, asked["id"]))["interpreter"] == f"ai:{MODEL}"
    assert len([each for each in ai.received if "18×10^9/l" in each]) == 1
