"""Interpretations over HTTP: made at once by the rules, sealed, audited, told in the inbox, and nobody else's business."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from structlog.testing import capture_logs

from hub.accounts.access import grant
from hub.messaging.model import Entry, EntryType
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

PATH = "/ai/interpretations"
KEYS = {
    "id",
    "userId",
    "reportType",
    "state",
    "interpreter",
    "interpretation",
    "confidenceScore",
    "suggestions",
    "isRead",
    "createdAt",
}
REPORT = {"reportType": "blood_routine", "originalData": {"白细胞": "11.2×10^9/L", "备注": "乏力三天"}}


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def patient(hub: CoreHub) -> Caller:
    return await hub.person()


async def ask(hub: CoreHub, who: Caller, **values: Any) -> Any:
    return await hub.call(who, "POST", PATH, json={**REPORT, **values})


async def relate(hub: CoreHub, person: Caller, actor: Caller, state: str = "active") -> None:
    await hub.ground.database.log.execute(
        """INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at)
           VALUES ($1, $2, $3, 'family', $4, $2, now())""", new_id(), person.id, actor.id, state,
    )  # fmt: skip


def cards(hub: CoreHub, interpretation: str) -> list[Entry]:
    """What was told of this one; the outbox may hold those of other tests, too."""
    return [
        each
        for each in hub.announced.entries
        if each.type == EntryType.CARD and interpretation in str(bytes(each.body))
    ]


async def audited(hub: CoreHub, person: Caller) -> list[tuple[str, str, str]]:
    """Who did what with which, in order."""
    rows = await hub.ground.database.log.fetch(
        "SELECT actor, action, subject FROM audit_log WHERE person = $1 ORDER BY number", person.id
    )
    return [(str(row["actor"]), row["action"], row["subject"]) for row in rows]


async def test_a_report_is_interpreted_at_once(hub: CoreHub, patient: Caller) -> None:
    """With the contract's fields; the same when it is read again, and read only when that is said."""
    made = await ask(hub, patient)

    assert set(made) == KEYS
    assert (made["reportType"], made["state"], made["interpreter"]) == ("blood_routine", "done", "rules")
    assert "白细胞计数 11.2×10^9/L，偏高" in made["interpretation"]
    assert "免责声明" in made["interpretation"]
    assert (made["confidenceScore"], made["isRead"]) == (0.9, False)
    assert len(made["suggestions"]) >= 2
    assert await hub.call(patient, "GET", f"{PATH}/{made['id']}") == made
    for _ in range(2):
        assert await hub.call(patient, "POST", f"{PATH}/{made['id']}/read") == {**made, "isRead": True}
    assert await hub.call(patient, "GET", f"{PATH}/{made['id']}") == {**made, "isRead": True}


@pytest.mark.parametrize(
    "data",
    [
        "白细胞 11.2×10^9/L\n' OR 1=1 --",
        '😀 𠮷 \u202e "引号" <script>',
        {"项目": [{"name": "白细胞", "value": 11.2, "unit": "10^9/L"}]},
        {"白细胞": None, "x": [True, 1e300, {}]},
        "字" * 6826,
    ],
)
async def test_a_report_may_have_any_form(hub: CoreHub, patient: Caller, data: Any) -> None:
    """Text or an object, as a camera or a person made it; the name of the report is the person's own."""
    made = await ask(hub, patient, reportType="体检 ' \" 😀", originalData=data)

    assert (made["reportType"], made["state"]) == ("体检 ' \" 😀", "done")


async def test_nothing_about_health_is_in_the_clear(hub: CoreHub, patient: Caller) -> None:
    """Neither in the row, nor in the event, nor in the log."""
    with capture_logs() as logs:
        made = await ask(hub, patient, reportType="HIV抗体检测")
        await hub.call(patient, "GET", f"{PATH}/{made['id']}")
    rows = await hub.ground.database.log.fetch("SELECT * FROM ai_interpretations WHERE user_id = $1", patient.id)
    events = await hub.ground.database.log.fetch("SELECT * FROM events WHERE subject = $1", made["id"])
    told = str([dict(row) for row in (*rows, *events)]) + str(logs)

    assert len(rows) == len(events) == 1
    assert rows[0]["report_type"] == "other"
    shown = (each for each in ("HIV", "白细胞", "乏力", "偏高", "11.2") if each in told or each.encode().hex() in told)
    assert list(shown) == []
    assert "乏力".encode() not in rows[0]["original"] + rows[0]["result"]


async def test_every_read_leaves_one_row_in_the_audit(hub: CoreHub, patient: Caller) -> None:
    """One's own reads included; a refused one leaves none."""
    stranger = await hub.person(name="李四")
    made = (await ask(hub, patient))["id"]
    await hub.call(patient, "GET", PATH)
    await hub.call(patient, "GET", f"{PATH}/{made}")
    await hub.call(patient, "POST", f"{PATH}/{made}/read")
    await hub.call(stranger, "GET", f"{PATH}/{made}", 404)

    assert await audited(hub, patient) == [
        (patient.id, "interpretation.ask", made),
        (patient.id, "interpretation.list", ""),
        (patient.id, "interpretation.read", made),
        (patient.id, "interpretation.read", made),
    ]


async def test_the_finished_interpretation_is_told_once_in_the_inbox(hub: CoreHub, patient: Caller) -> None:
    """A card that says a machine made it, with nothing of what it says."""
    made = await ask(hub, patient)
    await hub.ground.outbox.drain()
    await hub.ground.outbox.drain()
    entries = cards(hub, made["id"])

    assert len(entries) == 1
    assert json.loads(bytes(entries[0].body)) == {
        "card": "interpretation",
        "id": made["id"],
        "title": "报告解读已完成",
        "summary": "由机器自动生成，仅供参考，不是医学诊断，不能代替医生的判断。点击查看解读。",
    }
    inbox = await hub.ground.database.log.fetchrow(
        "SELECT kind FROM conversations WHERE id = $1 AND subject = $2", entries[0].conversation, patient.id
    )
    assert inbox is not None
    assert inbox["kind"] == "inbox"


async def test_family_acts_for_the_person_and_the_person_is_told(hub: CoreHub, patient: Caller) -> None:
    """Asks, reads and marks; who has no relation, or no longer, finds nothing."""
    daughter, stranger = await hub.person(name="张小丽"), await hub.person("staff", "客服")
    await relate(hub, patient, daughter)
    made = await ask(hub, daughter, userId=patient.id)
    await hub.ground.outbox.drain()

    assert made["userId"] == patient.id
    inbox = cards(hub, made["id"])[0].conversation
    assert [change.user for change in hub.announced.changes if change.conversation == inbox] == [patient.id]
    page = await hub.call(daughter, "GET", PATH, params={"userId": patient.id})
    assert [item["id"] for item in page["items"]] == [made["id"]]
    assert (await hub.call(daughter, "GET", PATH))["total"] == 0
    assert (await hub.call(daughter, "POST", f"{PATH}/{made['id']}/read"))["isRead"]
    await hub.ground.database.log.execute("UPDATE user_relations SET state = 'ended' WHERE actor_id = $1", daughter.id)
    for who in (daughter, stranger):
        await hub.call(who, "GET", f"{PATH}/{made['id']}", 404)
        await hub.call(who, "POST", f"{PATH}/{made['id']}/read", 404)
        await hub.call(who, "GET", PATH, 404, params={"userId": patient.id})
        await hub.call(who, "POST", PATH, 404, json={**REPORT, "userId": patient.id})


async def test_a_doctor_reads_while_care_lasts_and_does_not_mark_as_read(hub: CoreHub, patient: Caller) -> None:
    """What is unread is the person's own matter."""
    doctor = await hub.person("doctor", "王医生")
    made = (await ask(hub, patient))["id"]
    await hub.call(doctor, "GET", f"{PATH}/{made}", 404)
    async with hub.ground.database.transaction() as connection:
        now = hub.clock.now()
        await grant(connection, person=patient.id, members=[doctor.id], source=new_id(), scope="care", now=now)

    assert not (await hub.call(doctor, "GET", f"{PATH}/{made}"))["isRead"]
    await hub.call(doctor, "POST", f"{PATH}/{made}/read", 404)
    assert (doctor.id, "interpretation.read", made) in await audited(hub, patient)


async def test_interpretations_are_listed_by_what_was_read_the_newest_first(hub: CoreHub, patient: Caller) -> None:
    """In pages; every one is on one of them."""
    made = []
    for _ in range(5):
        await hub.clock.advance(60)
        made.append((await ask(hub, patient))["id"])
    for each in made[:2]:
        await hub.call(patient, "POST", f"{PATH}/{each}/read")

    async def listed(**query: Any) -> list[str]:
        page = await hub.call(patient, "GET", PATH, params=query)
        assert all(set(item) == KEYS for item in page["items"])
        return [item["id"] for item in page["items"]]

    assert await listed() == made[::-1]
    assert await listed(isRead="true") == [made[1], made[0]]
    assert await listed(isRead="false") == [made[4], made[3], made[2]]
    assert await listed(page=2, pageSize=2) == [made[2], made[1]]
    assert await listed(sort="createdAt", pageSize=1) == [made[0]]


async def test_a_list_costs_the_same_however_long_it_is(hub: CoreHub, patient: Caller, database: Database) -> None:
    """The page, its total, and the audit."""
    for _ in range(6):
        await ask(hub, patient)
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        costs = []
        for size in (1, 6):
            said.clear()
            await hub.call(patient, "GET", PATH, params={"pageSize": size})
            costs.append(len(said))
    finally:
        event.remove(engine, "before_cursor_execute", note)

    assert costs == [3, 3]


async def test_an_erased_person_has_no_interpretations(hub: CoreHub, patient: Caller, database: Database) -> None:
    """Their key is gone: nothing opens, and nothing new is made or told."""
    made = (await ask(hub, patient))["id"]
    async with database.transaction() as connection:
        await hub.ground.sealer.destroy(connection, patient.id)
    await hub.ground.outbox.drain()
    row = await database.log.fetchrow("SELECT done_at, error FROM events WHERE subject = $1", made)

    await hub.call(patient, "GET", f"{PATH}/{made}", 404)
    await hub.call(patient, "POST", PATH, 404, json=REPORT)
    assert row is not None
    assert (row["done_at"] is not None, row["error"]) == (True, None)
    assert cards(hub, made) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"reportType": ""}, "reportType"),
        ({"reportType": " "}, "reportType"),
        ({"reportType": "报" * 51}, "reportType"),
        ({"reportType": "a\x00"}, "reportType"),
        ({"reportType": None}, "reportType"),
        ({"originalData": ""}, "originalData"),
        ({"originalData": {}}, "originalData"),
        ({"originalData": "\x00"}, "originalData"),
        ({"originalData": {"a": ["\x00"]}}, "originalData"),
        ({"originalData": "字" * 6827}, "originalData"),
        ({"originalData": {"a": "x" * 20_480}}, "originalData"),
        ({"originalData": [1]}, "originalData"),
        ({"originalData": 1}, "originalData"),
        ({"originalData": None}, "originalData"),
        ({"originalData": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}}}, "originalData"),
        ({"userId": "x" * 65}, "userId"),
        ({"interpreter": "ai"}, "interpreter"),
    ],
)
async def test_a_bad_request_is_refused_naming_the_field(
    hub: CoreHub, patient: Caller, values: dict[str, Any], field: str
) -> None:
    """400, and nothing is stored."""
    refused = await hub.call(patient, "POST", PATH, 400, json={**REPORT, **values})

    assert list(refused["fields"]) == [field]
    assert (await hub.call(patient, "GET", PATH))["total"] == 0


async def test_a_report_without_end_is_refused(hub: CoreHub, patient: Caller) -> None:
    """Nested deeper than a parser goes."""
    content = '{"reportType": "x", "originalData": {"a": ' + "[" * 9000 + "]" * 9000 + "}}"
    headers = {"Content-Type": "application/json"}

    await hub.call(patient, "POST", PATH, 400, content=content.encode(), headers=headers)


async def test_what_names_nothing_is_not_found(hub: CoreHub, patient: Caller) -> None:
    """Ids and people that do not exist, or cannot."""
    for unknown in (new_id(), "x"):
        await hub.call(patient, "GET", f"{PATH}/{unknown}", 404)
        await hub.call(patient, "POST", f"{PATH}/{unknown}/read", 404)
        await hub.call(patient, "GET", PATH, 404, params={"userId": unknown})
        await hub.call(patient, "POST", PATH, 404, json={**REPORT, "userId": unknown})
    for query in ({"isRead": "maybe"}, {"sort": "isRead"}, {"userId": "x" * 65}):
        refused = await hub.call(patient, "GET", PATH, 400, params=query)
        assert list(refused["fields"]) == list(query)
    await hub.call(None, "GET", PATH, 401)
