"""Plans in time: made ahead, reminded of once, missed once, whatever changes and whatever dies."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import occurrence_actions, occurrence_firing, occurrence_window, plan_actions, plan_store
from hub.care.occurrence import GRACE, GRACE_CRITICAL, PLAN_DUE, PLAN_MISSED, PLAN_WINDOW
from hub.care.plan_change import MOVES_A_DAY
from hub.platform.database import Database
from hub.timers import actions
from hub.timers.model import Timer
from tests.integration.care_scene import erase, reading, record, statements
from tests.integration.core_app import START, Caller
from tests.integration.plan_scene import TEN, TODAY, TWENTY, PlanHub, days, open_plans

# Of locks, not of activity: what a transaction is told of that stands still.
WAITS_FOR_ME = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
)


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[PlanHub]:
    async with open_plans(database, redis_url) as opened:
        yield opened


async def test_a_new_plan_makes_three_days_ahead(hub: PlanHub) -> None:
    """P10, P12: nothing for the past, though it began earlier; the timers name no more than the plan and the moment."""
    who = await hub.core.person()
    plan = await hub.make(who, startsAt=f"{TODAY - timedelta(days=30)}")
    made = days(TEN, 3)

    assert list(await hub.rows(plan)) == made
    assert await hub.pending(plan) == [
        *((PLAN_DUE, at, 1) for at in made),
        *((PLAN_MISSED, at + GRACE, 1) for at in made),
        (PLAN_WINDOW, TEN + timedelta(days=2), 1),
    ]
    rows = await hub.database.log.fetch("SELECT * FROM timers WHERE subject = $1", plan)
    assert {str(row["person"]) for row in rows} == {who.id}
    assert "血压" not in str(rows)
    assert "blood_pressure" not in str(rows)


async def test_a_change_takes_hold_in_its_transaction(hub: PlanHub) -> None:
    """P10: what was due before stays and is missed at its time; everything else is due by the new rule only."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    await hub.act(who, plan, TWENTY, "skip")
    noon = "FREQ=DAILY;BYHOUR=12,20;BYMINUTE=0"
    await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"schedule": noon})
    twelve = TEN + timedelta(hours=2)
    made = [at for at in days(twelve, 4) if at < TEN + timedelta(days=3)]
    coming = [twelve + timedelta(days=day, hours=hours) for day in range(3) for hours in (0, 8)]
    rows = await hub.rows(plan)

    assert made[0] == twelve
    assert list(rows) == [TEN, *coming]
    assert [(at, row["state"]) for at, row in rows.items() if row["state"] != "due"] == [(TWENTY, "skipped")]
    fresh = [at for at in coming if at != TWENTY]
    assert await hub.pending(plan) == [
        *((PLAN_DUE, at, 2) for at in fresh),
        *((PLAN_MISSED, at + GRACE, 2) for at in (TEN, *fresh)),
        (PLAN_WINDOW, twelve + timedelta(days=2), 2),
    ]
    await hub.pass_time(TEN + timedelta(hours=7))
    assert hub.reminded(plan) == [TEN, twelve]
    assert (await hub.rows(plan))[TEN]["state"] == "missed"


@pytest.mark.parametrize("rest", ["paused", "ended"])
async def test_a_plan_that_rests_reminds_of_nothing(hub: PlanHub, rest: str) -> None:
    """What was due before is missed at its time, and nothing else is left."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True)
    await hub.pass_time(TEN)
    path = f"/health/plans/{plan}"
    if rest == "paused":
        await hub.core.call(who, "PATCH", path, json={"state": "paused"})
    else:
        await hub.core.call(who, "DELETE", path)

    assert await hub.pending(plan) == [(PLAN_MISSED, TEN + GRACE_CRITICAL, 2)]
    await hub.pass_time(START + timedelta(days=4), timedelta(hours=6))
    assert {at: row["state"] for at, row in (await hub.rows(plan)).items()} == {TEN: "missed"}
    assert hub.reminded(plan) == [TEN]
    assert await hub.missed_events(who.id) == []
    if rest == "paused":
        await hub.core.call(who, "PATCH", path, json={"state": "active"})
        assert [at for at in await hub.rows(plan) if at > TEN] == days(TEN + timedelta(days=4), 3)


async def test_changing_over_and_over_leaves_nothing(hub: PlanHub) -> None:
    """P10: timers and occurrences are those of the newest revision; the day has so many of them, whoever reads the plan."""
    who = await hub.core.person()
    plan = await hub.make(who)
    count = "SELECT count(*) FROM timers WHERE subject = $1"
    made = await hub.database.log.fetchval(count, plan)
    for state in ("paused", "active") * (MOVES_A_DAY // 2):
        await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"state": state})
    refused = await hub.core.call(who, "PATCH", f"/health/plans/{plan}", 429, json={"state": "paused"})

    assert refused["type"] == "rate_limited"
    assert await hub.database.log.fetchval(count, plan) == made == 13
    assert {revision for *_, revision in await hub.pending(plan)} == {MOVES_A_DAY + 1}
    assert list(await hub.rows(plan)) == days(TEN, 3)


@pytest.mark.parametrize("what", ["done", "skip"])
async def test_what_is_answered_waits_for_nothing(hub: PlanHub, what: str) -> None:
    """P10: its timers go with the answer; those of its neighbours stay, and an answer that is refused takes none."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    await hub.act(who, plan, TEN, "snooze", json={"minutes": 30})
    before = await hub.pending(plan)
    await hub.act(who, plan, TWENTY + timedelta(days=1), "done", 409)
    assert await hub.pending(plan) == before
    await hub.act(who, plan, TEN, what)

    half = TEN + timedelta(minutes=30)
    own = [(PLAN_DUE, half, 1), (PLAN_MISSED, TEN + GRACE, 1), (PLAN_MISSED, half + GRACE, 1)]
    assert await hub.pending(plan) == [each for each in before if each not in own]
    assert len(before) - len(await hub.pending(plan)) == len(own)


async def test_a_change_that_fails_changes_no_timer(hub: PlanHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: everything of it or nothing."""
    who = await hub.core.person()
    plan = await hub.make(who)
    before = await hub.pending(plan), list(await hub.rows(plan))

    async def die(*_: object) -> None:
        raise RuntimeError("刻意失败")

    monkeypatch.setattr(plan_actions, "publish", die)
    await hub.core.call(who, "PATCH", f"/health/plans/{plan}", 500, json={"state": "paused"})

    assert (await hub.pending(plan), list(await hub.rows(plan))) == before


async def test_a_week_reminds_of_each_once(hub: PlanHub) -> None:
    """P10: two schedulers at each step; the window goes on by itself, and what nobody did is missed once."""
    who = await hub.core.person()
    plan = await hub.make(who)
    end = START + timedelta(days=7)
    while hub.core.clock.now() < end:
        await hub.core.clock.advance(7200)
        await asyncio.gather(hub.fire(), hub.fire())
    moments = days(TEN, 7)
    rows = await hub.rows(plan)

    assert hub.reminded(plan) == moments
    assert [at for at in rows if at < end] == moments
    assert {rows[at]["state"] for at in moments} == {"missed"}
    assert all(row["state"] == "due" for at, row in rows.items() if at > end)
    assert list(rows)[-1] >= end + timedelta(days=1)
    expiries = await hub.database.log.fetch(
        "SELECT class, template, values, subject, expires_at FROM notices WHERE user_id = $1 ORDER BY expires_at",
        who.id,
    )
    assert [row["expires_at"] for row in expiries] == [at + GRACE for at in moments]
    assert {(row["class"], row["template"], str(row["values"])) for row in expiries} == {("plan", "plan", "{}")}


async def test_an_outage_brings_no_heap(hub: PlanHub) -> None:
    """P10: after three days only what is still of use is reminded of; everything is accounted for, and asked after once."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True)
    await hub.go_to(TWENTY + timedelta(days=5, minutes=20))
    await hub.fire(PLAN_MISSED, PLAN_WINDOW, PLAN_DUE, PLAN_MISSED)
    rows = await hub.rows(plan)

    assert hub.reminded(plan) == [TWENTY + timedelta(days=5)]
    assert [at for at, row in rows.items() if row["state"] == "missed"] == days(TEN, 6)[:-1]
    # Before the outage three days were made; what came later was made afterwards, and asked after apart.
    assert [each["plan"] for each in await hub.missed_events(who.id)] == [plan, plan]


async def test_a_critical_measurement_that_is_missed_is_told(hub: PlanHub) -> None:
    """P11: an hour after its time, once, with ids only; what is not critical is nobody's alarm."""
    who = await hub.core.person()
    plan, other = await hub.make(who, critical=True), await hub.make(who)
    await hub.pass_time(TEN + GRACE_CRITICAL - timedelta(seconds=1))
    assert await hub.missed_events(who.id) == []
    await hub.pass_time(TEN + GRACE)
    occurrence = (await hub.rows(plan))[TEN]

    assert (occurrence["state"], (await hub.rows(other))[TEN]["state"]) == ("missed", "missed")
    assert await hub.missed_events(who.id) == [{"subject": who.id, "plan": plan, "occurrence": str(occurrence["id"])}]


async def test_that_it_is_critical_takes_hold_at_once(hub: PlanHub) -> None:
    """The timers that are pending are set anew."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"critical": True})

    assert (PLAN_MISSED, TEN + GRACE_CRITICAL, 2) in await hub.pending(plan)
    assert {revision for _, _, revision in await hub.pending(plan)} == {2}


async def test_a_reading_makes_it_done(hub: PlanHub) -> None:
    """Of its type, from an hour before; it serves one occurrence, and who has measured is not reminded."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True, schedule="FREQ=DAILY;BYHOUR=10,11;BYMINUTE=0")
    early, late = TEN - timedelta(minutes=50), TEN + timedelta(minutes=75)
    await record(hub.core, who, [reading(who, "weight", early, 60)])
    await hub.go_to(TEN)
    await hub.fire()
    assert hub.reminded(plan) == [TEN]

    found = reading(who, "blood_pressure", TEN + timedelta(minutes=10), 128, 82)
    await record(hub.core, who, [found])
    await hub.go_to(TEN + timedelta(minutes=30))
    assert (await hub.shown(who, plan))[0] == (TEN, "done")
    assert (await hub.rows(plan))[TEN]["state"] == "due"

    await hub.go_to(TEN + GRACE_CRITICAL)
    await hub.fire(PLAN_MISSED, PLAN_DUE)
    row = (await hub.rows(plan))[TEN]
    assert (row["state"], str(row["reading"]), row["acted_at"]) == ("done", found.id, found.recorded_at)
    assert hub.reminded(plan) == [TEN, TEN + timedelta(hours=1)]

    await record(hub.core, who, [reading(who, "blood_pressure", late, 130, 80)])
    await hub.pass_time(TEN + timedelta(hours=3))
    assert (await hub.rows(plan))[TEN + timedelta(hours=1)]["state"] == "done"
    tomorrow = TEN + timedelta(days=1)
    await record(hub.core, who, [reading(who, "blood_pressure", tomorrow - timedelta(minutes=5), 120, 80)])
    await hub.pass_time(tomorrow)
    assert (await hub.rows(plan))[tomorrow]["state"] == "done"
    assert hub.reminded(plan) == [TEN, TEN + timedelta(hours=1)]
    assert await hub.missed_events(who.id) == []


async def test_a_snooze_reminds_again_and_is_missed_later(hub: PlanHub) -> None:
    """P10: three times at most; the timers before it do nothing."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    for number in (1, 2, 3):
        put_off = await hub.act(who, plan, TEN, "snooze", json={"minutes": 60})
        assert put_off["snoozes"] == number
        assert await hub.act(who, plan, TEN, "snooze", json={"minutes": 60}) == put_off
        await hub.pass_time(TEN + timedelta(hours=number))
    refused = await hub.act(who, plan, TEN, "snooze", 409, json={"minutes": 60})
    assert refused["fields"] == {"minutes": "最多稍后提醒 3 次"}

    assert hub.reminded(plan) == [TEN] * 4
    await hub.pass_time(TEN + timedelta(hours=7) - timedelta(seconds=1))
    assert (await hub.rows(plan))[TEN]["state"] == "due"
    await hub.pass_time(TEN + timedelta(hours=7))
    assert (await hub.rows(plan))[TEN]["state"] == "missed"


async def test_a_snooze_outlives_a_change(hub: PlanHub) -> None:
    """P10: it reminds once, by the new revision."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.pass_time(TEN)
    await hub.act(who, plan, TEN, "snooze", json={"minutes": 30})
    await hub.core.call(who, "PATCH", f"/health/plans/{plan}", json={"schedule": "FREQ=DAILY;BYHOUR=21;BYMINUTE=0"})
    await hub.pass_time(TEN + timedelta(hours=5))

    assert hub.reminded(plan) == [TEN, TEN]
    assert (await hub.rows(plan))[TEN]["state"] == "missed"


async def test_what_is_done_is_neither_reminded_of_nor_missed(hub: PlanHub) -> None:
    """Before its time and after it."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True)
    await hub.act(who, plan, TEN, "done")
    await hub.pass_time(TWENTY)
    await hub.act(who, plan, TWENTY, "done")
    await hub.pass_time(TWENTY + timedelta(hours=6))

    assert hub.reminded(plan) == [TWENTY]
    assert [(await hub.rows(plan))[at]["state"] for at in (TEN, TWENTY)] == ["done", "done"]
    assert await hub.missed_events(who.id) == []


@pytest.mark.parametrize(
    ("kind", "module", "step"),
    [
        (PLAN_DUE, occurrence_firing, "notify_all"),
        (PLAN_MISSED, occurrence_firing, "publish"),
        (PLAN_WINDOW, occurrence_window, "set_timers"),
    ],
    ids=["remind", "miss", "extend"],
)
async def test_a_crash_leaves_nothing_half(
    hub: PlanHub, monkeypatch: pytest.MonkeyPatch, kind: str, module: Any, step: str
) -> None:
    """P10: who dies after the last statement has done nothing; the next one does all of it, once."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True)
    at = {PLAN_DUE: TEN, PLAN_MISSED: TEN + GRACE_CRITICAL, PLAN_WINDOW: TEN + timedelta(days=2)}[kind]
    await hub.pass_time(at - timedelta(minutes=1), timedelta(days=1))
    if kind != PLAN_DUE:
        await hub.fire(PLAN_DUE)
    real = getattr(module, step)

    async def die(*given: Any) -> Any:
        await real(*given)
        raise RuntimeError("刻意失败")

    await hub.go_to(at)
    before = await hub.pending(plan), await hub.rows(plan), hub.reminded(plan), await hub.missed_events(who.id)
    with monkeypatch.context() as broken:
        broken.setattr(module, step, die)
        await hub.firing.fire(kind, at)
    assert (
        await hub.pending(plan),
        await hub.rows(plan),
        hub.reminded(plan),
        await hub.missed_events(who.id),
    ) == before

    await hub.core.clock.advance(2)
    await hub.fire(kind)
    await hub.fire(kind)
    assert {
        PLAN_DUE: len(hub.reminded(plan)) - len(before[2]),
        PLAN_MISSED: len(await hub.missed_events(who.id)) - len(before[3]),
        PLAN_WINDOW: (len(await hub.rows(plan)) - len(before[1])) // 6,
    }[kind] == 1


async def test_a_plan_that_is_being_changed_holds_no_window_up(hub: PlanHub) -> None:
    """Who changes a plan waits for its timers; so who fires them must not wait for the plan."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.go_to(TEN + timedelta(days=2))
    async with hub.database.transaction() as connection:
        await plan_store.find(connection, hub.core.ground.sealer, plan, lock=True)
        await hub.firing.fire(PLAN_WINDOW, hub.core.clock.now())
        assert len(await hub.rows(plan)) == 12


async def test_a_change_during_the_making_leaves_one_revision(hub: PlanHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: it waits for who makes the window, and takes back what was made by the old rule."""
    who = await hub.core.person()
    plan = await hub.make(who)
    await hub.go_to(TEN + timedelta(days=2))
    change = {"schedule": "FREQ=DAILY;BYHOUR=21;BYMINUTE=0"}
    changing = change_during(hub, monkeypatch, occurrence_window, who, plan, change)
    await hub.firing.fire(PLAN_WINDOW, hub.core.clock.now())
    await changing[0]

    assert {revision for _, _, revision in await hub.pending(plan)} == {2}
    coming = [at for at in await hub.rows(plan) if at >= hub.core.clock.now()]
    assert [at.hour for at in coming] == [13, 13, 13]


async def test_a_snooze_during_a_change_goes_by_the_new_revision(hub: PlanHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: the change takes it over; the timers that the snooze set by the old revision do nothing."""
    who = await hub.core.person()
    plan = await hub.make(who, critical=True)
    await hub.pass_time(TEN)
    changing = change_during(hub, monkeypatch, occurrence_actions, who, plan, {"critical": False})
    await hub.act(who, plan, TEN, "snooze", json={"minutes": 30})
    await changing[0]
    await hub.pass_time(TEN + timedelta(hours=4))

    assert hub.reminded(plan) == [TEN, TEN]
    assert (await hub.rows(plan))[TEN]["state"] == "due"
    await hub.pass_time(TEN + timedelta(minutes=30) + GRACE)
    assert (await hub.rows(plan))[TEN]["state"] == "missed"


def change_during(
    hub: PlanHub, monkeypatch: pytest.MonkeyPatch, module: ModuleType, who: Caller, plan: str, change: dict[str, Any]
) -> list[asyncio.Task[Any]]:
    """Whoever sets timers in `module` next is overtaken by a change of the plan, which waits for it. The change is answered."""
    changing: list[asyncio.Task[Any]] = []

    async def set_timers(connection: AsyncConnection, timers: Sequence[Timer]) -> None:
        await actions.set_timers(connection, timers)
        if not changing:
            changing.append(asyncio.create_task(hub.core.call(who, "PATCH", f"/health/plans/{plan}", json=change)))
            while not await connection.scalar(text(WAITS_FOR_ME)):
                pass  # each look is a round trip, in which the change goes on

    monkeypatch.setattr(module, "set_timers", set_timers)
    return changing


async def test_a_batch_costs_a_fixed_number_of_statements(hub: PlanHub) -> None:
    """However many people are reminded."""
    costs = []
    for number in (2, 9):
        people = [await hub.core.person() for _ in range(number)]
        at = TEN if number == 2 else TWENTY
        hours = "10" if number == 2 else "20"
        plans = [await hub.make(who, schedule=f"FREQ=DAILY;BYHOUR={hours};BYMINUTE=0") for who in people]
        await hub.go_to(at)
        for kind, delay in ((PLAN_DUE, timedelta()), (PLAN_MISSED, GRACE), (PLAN_WINDOW, timedelta(days=2))):
            with statements(hub.core) as said:
                assert await hub.firing.fire(kind, at + delay) >= number
            costs.append((kind, len(said)))
        assert [hub.reminded(plan) for plan in plans] == [[at]] * number
        await hub.database.log.execute("UPDATE timers SET state = 'cancelled', next_at = NULL WHERE state = 'pending'")

    assert costs[:3] == costs[3:]


async def test_nobody_is_reminded_who_was_erased(hub: PlanHub) -> None:
    """P12: nothing of theirs is said any more, and the window ends."""
    who, other = await hub.core.person(), await hub.core.person()
    plan, plan_of_other = await hub.make(who), await hub.make(other)
    await erase(hub.core, who)
    await hub.core.clock.advance(120)  # longer than a key is kept at hand
    await hub.pass_time(START + timedelta(days=5), timedelta(hours=3))

    assert hub.reminded(plan) == []
    assert len(hub.reminded(plan_of_other)) == 10
    assert await hub.pending(plan) == []
