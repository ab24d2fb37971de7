"""The ledger over HTTP: lists that page, one notice as a story, exports, one's own inbox; and what is refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from hub.messaging.model import TextBody
from hub.messaging.posting import post_to_inbox
from hub.notices import ledger_store
from hub.notices.ledger import Search, Stretch, least_id
from hub.notices.model import State
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub
from tests.integration.ledger_scene import notice, open_ledger

Json = dict[str, Any]


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_ledger(database, redis_url) as opened:
        yield opened


async def ids(hub: CoreHub, who: Caller, **query: Any) -> list[str]:
    """Every id of a list, to the end."""
    found, onward = [], "after" if "after" in query and "before" not in query else "before"
    while True:
        page = await hub.call(who, "GET", "/admin/notices", params=query)
        assert page.keys() == {"items", "nextCursor"}
        assert len(page["items"]) <= query.get("limit", 20)
        stretch = [each["id"] for each in page["items"]]
        assert stretch == sorted(stretch, reverse=True)
        found = stretch + found if onward == "after" else found + stretch
        if page["nextCursor"] is None:
            return found
        query[onward] = page["nextCursor"]


async def tell(hub: CoreHub, user: str, words: str) -> str:
    """An entry in somebody's inbox; the answer is the inbox."""
    async with hub.ground.database.transaction() as connection:
        outcomes = await post_to_inbox(hub.ground.messaging, connection, user, TextBody(text=words), new_id())
    return outcomes[-1].conversation


async def read(hub: CoreHub, user: str, conversation: str, seq: int) -> None:
    statement = "UPDATE members SET read_seq = $3, delivered_seq = $3 WHERE user_id = $1 AND conversation = $2"
    await hub.ground.database.log.execute(statement, user, conversation, seq)


# For staff


async def test_staff_find_notices_by_everything_that_names_them(hub: CoreHub) -> None:
    """Each filter alone and together, the newest first."""
    staff, one, other = await hub.person("staff"), await hub.person(), await hub.person()
    database, room, broadcast = hub.ground.database, new_id(), new_id()
    chat = await notice(database, one.id, "failed", conversation=room)
    order = await notice(database, one.id, "seen", class_="order", conversation=room, seq=2)
    offer = await notice(database, one.id, "open", class_="marketing", conversation=broadcast, broadcast=broadcast)
    others = await notice(database, other.id, "failed", class_="marketing", conversation=broadcast, broadcast=broadcast)
    newest = sorted([chat, order, offer], reverse=True)

    assert await ids(hub, staff, user=one.id) == newest
    assert await ids(hub, staff, conversation=room) == sorted([chat, order], reverse=True)
    assert await ids(hub, staff, user=one.id, conversation=broadcast) == [offer]
    assert await ids(hub, staff, broadcast=broadcast) == sorted([offer, others], reverse=True)
    assert await ids(hub, staff, broadcast=broadcast, state="failed") == [others]
    assert await ids(hub, staff, user=one.id, state="failed") == [chat]
    assert await ids(hub, staff, user=one.id, **{"class": "order"}) == [order]
    assert {chat, others} <= set(await ids(hub, staff, state="failed"))
    assert await ids(hub, staff, user=new_id()) == []


@pytest.mark.parametrize("leading", ["user", "broadcast", "class"])
async def test_lists_page_to_the_end_both_ways(hub: CoreHub, leading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, also where a stretch of the index holds few that are asked for."""
    monkeypatch.setattr(ledger_store, "SCANNED", 3)
    await hub.ground.database.log.execute("DELETE FROM notices")
    staff, one, broadcast = await hub.person("staff"), await hub.person(), new_id()
    states = ["failed", "seen", "seen", "open", "seen", "seen", "seen", "failed", "failed"]
    made = [
        await notice(hub.ground.database, one.id, state, class_="plan", conversation=broadcast, broadcast=broadcast)
        for state in states
    ]
    query = {"user": {"user": one.id}, "broadcast": {"broadcast": broadcast}, "class": {"class": "plan"}}[leading]
    wanted = sorted(made, reverse=True)
    failed = sorted((each for each, state in zip(made, states, strict=True) if state == "failed"), reverse=True)

    later = least_id(hub.clock.now() + timedelta(days=2))  # a fresh id may be the lesser of two of one millisecond
    assert await ids(hub, staff, limit=2, before=later, **{**query, "class": "plan"}) == wanted
    assert (
        await ids(
            hub, staff, limit=2, after=least_id(hub.clock.now() - timedelta(days=2)), **{**query, "class": "plan"}
        )
        == wanted
    )
    assert await ids(hub, staff, limit=2, state="failed", **{**query, "class": "plan"}) == failed
    assert await ids(hub, staff, after=wanted[4], before=wanted[0], **query) == wanted[1:4]


async def test_names_are_masked_but_for_admins(hub: CoreHub) -> None:
    """Contract, section 5."""
    staff, admin, one = await hub.person("staff"), await hub.person("admin"), await hub.person(name="张三丰")
    made = await notice(hub.ground.database, one.id, "failed", reason="refused", conversation=new_id(), seq=4)
    for who, name in ((staff, "张*丰"), (admin, "张三丰")):
        (line,) = (await hub.call(who, "GET", "/admin/notices", params={"user": one.id}))["items"]
        story = await hub.call(who, "GET", f"/admin/notices/{made}")

        assert line["name"] == story["notice"]["name"] == name
        assert line == story["notice"]
        assert (line["state"], line["reason"], line["why"]) == ("failed", "refused", "渠道拒绝发送")
        assert (line["class"], line["seq"], line["user"]) == ("chat", 4, one.id)


async def test_a_story_tells_each_step_in_one_answer(hub: CoreHub) -> None:
    """P8: the socket, each attempt on each channel, why a step was not taken, and who saw it when."""
    staff, one = await hub.person("staff"), await hub.person(name="张三丰")
    inbox = await tell(hub, one.id, "您的预约已确认")
    made = await notice(
        hub.ground.database,
        one.id,
        "open",
        (0, "webpush", "retry", "503"),
        (0, "webpush", "accepted", ""),
        (1, "wechat", "suppressed", "quota"),
        conversation=inbox,
    )
    story = await hub.call(staff, "GET", f"/admin/notices/{made}")

    assert story.keys() == {"notice", "socket", "steps", "seen"}
    assert (story["socket"]["state"], story["socket"]["acceptedAt"]) == ("accepted", story["notice"]["createdAt"])
    assert story["seen"] is None
    assert [(each["channel"], each["state"], each["why"]) for each in story["steps"]] == [
        ("webpush", "taken", ""),
        ("wechat", "skipped", "用户的微信订阅次数已用完"),
        ("wecom", "waiting", ""),
        ("sms", "waiting", ""),
    ]
    first, second = story["steps"][0]["attempts"]
    assert (first["state"], first["code"], first["number"]) == ("retry", "503", 1)
    assert (second["state"], second["provider"], second["providerId"]) == ("accepted", "webpush", "mid-2")
    assert second["sentAt"] is not None

    await read(hub, one.id, inbox, 1)
    await hub.ground.database.log.execute(
        "UPDATE notices SET state = 'seen', reason = 'read', seen_at = clock_timestamp() WHERE id = $1", made
    )
    story = await hub.call(staff, "GET", f"/admin/notices/{made}", headers={"Accept-Language": "en"})

    assert story["socket"]["state"] == "seen"
    assert story["seen"] == {"user": one.id, "name": "张*丰", "at": story["notice"]["seenAt"]}
    assert [each["why"] for each in story["steps"][2:]] == ["The person has read it"] * 2


async def test_who_looks_leaves_a_row_in_the_audit(hub: CoreHub) -> None:
    """P13: a health alert alone says something of somebody's health; nothing is shown without its row."""
    staff, one = await hub.person("staff"), await hub.person()
    made = await notice(hub.ground.database, one.id, class_="health_alert")
    for query in ({"user": one.id, "class": "health_alert"}, {"state": "open", "limit": 1}, {"limit": 1}):
        await hub.call(staff, "GET", "/admin/notices", params=query)
    await hub.call(staff, "GET", f"/admin/notices/{made}")
    audited = await hub.ground.database.log.fetch(
        "SELECT person::text, action, subject FROM audit_log WHERE actor = $1 ORDER BY id", staff.id
    )

    assert [tuple(row) for row in audited] == [
        (one.id, "notices.read", f"user={one.id} class=health_alert"),
        (staff.id, "notices.read", "state=open"),
        (staff.id, "notices.read", ""),
        (one.id, "notice.read", made),
    ]


async def test_what_may_change_a_message_of_wecom_is_not_shown(hub: CoreHub) -> None:
    """Its response_code, kept behind the message's id, is a right to rewrite it."""
    staff, one = await hub.person("staff"), await hub.person()
    made = await notice(hub.ground.database, one.id, "unconfirmed", (0, "wecom", "accepted", "0"))
    await hub.ground.database.log.execute(
        "UPDATE notice_attempts SET provider_id = 'msg-1|response-code' WHERE notice = $1", made
    )
    story = await hub.call(staff, "GET", f"/admin/notices/{made}")
    files = [await download(hub, staff, form) for form in ("csv", "ndjson")]

    (attempt,) = next(each["attempts"] for each in story["steps"] if each["channel"] == "wecom" and each["attempts"])
    assert attempt["providerId"] == "msg-1"
    assert all("msg-1" in each and "response-code" not in each for each in files)


async def test_only_staff_look_and_only_admins_retry(hub: CoreHub) -> None:
    """Nobody sees others' notices; looking is not changing."""
    patient, doctor, staff = await hub.person(), await hub.person("doctor"), await hub.person("staff")
    made = await notice(hub.ground.database, patient.id, "failed")
    period = {"from": "2026-03-01", "to": "2026-03-02"}
    for path, query in (("/admin/notices", {}), (f"/admin/notices/{made}", {}), ("/admin/notices/export", period)):
        for who in (patient, doctor):
            assert (await hub.call(who, "GET", path, 403, params=query))["type"] == "forbidden"
        await hub.call(None, "GET", path, 401, params=query)
    assert (await hub.call(staff, "POST", f"/admin/notices/{made}/retry", 403))["type"] == "forbidden"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"user": "1"}, "user"),
        ({"conversation": "x"}, "conversation"),
        ({"broadcast": "-"}, "broadcast"),
        ({"class": "news"}, "class"),
        ({"state": "lost"}, "state"),
        ({"before": "x"}, "before"),
        ({"after": "x"}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(hub: CoreHub, query: Json, field: str) -> None:
    """P14: with the name of the field."""
    error = await hub.call(await hub.person("staff"), "GET", "/admin/notices", 400, params=query)

    assert list(error["fields"]) == [field]


@pytest.mark.parametrize("which", ["nothing", "00000000-0000-7000-8000-000000000000"])
async def test_a_notice_that_is_none_is_not_found(hub: CoreHub, which: str) -> None:
    """Looking and retrying alike."""
    admin = await hub.person("admin")
    await hub.call(admin, "GET", f"/admin/notices/{which}", 404)
    await hub.call(admin, "POST", f"/admin/notices/{which}/retry", 404)


# Export


async def download(hub: CoreHub, who: Caller, form: str) -> str:
    now = hub.clock.now()
    params = {
        "from": (now - timedelta(days=1)).isoformat(),
        "to": (now + timedelta(days=2)).isoformat(),
        "format": form,
    }
    headers = {"Authorization": f"Bearer {who.token}"}
    response = await hub.client.get("/api/v1/admin/notices/export", params=params, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"] == f'attachment; filename="notices.{form}"'
    return response.text


async def test_an_export_has_everything_once_and_is_audited_once(hub: CoreHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages; what was made outside of the time is not in it."""
    monkeypatch.setattr(ledger_store, "EXPORTED", 2)
    staff, one = await hub.person("staff"), await hub.person()
    old = await notice(hub.ground.database, one.id, id="01000000-0000-7000-8000-000000000001")
    made = [await notice(hub.ground.database, one.id, "failed", (0, "webpush", "gone", "410")) for _ in range(4)]
    exported = [msgspec.json.decode(row) for row in (await download(hub, staff, "ndjson")).splitlines()]
    table = await download(hub, staff, "csv")
    audited = await hub.ground.database.log.fetch(
        "SELECT subject FROM audit_log WHERE actor = $1 AND action = 'notices.exported' ORDER BY id", staff.id
    )

    assert sorted(made) == [each["id"] for each in exported if each["user"] == one.id]
    assert [each["attempts"][0]["code"] for each in exported if each["id"] in made] == ["410"] * 4
    assert all(table.count(each) == 1 for each in made)
    assert old not in table
    assert [row["subject"].split()[0] for row in audited] == ["ndjson", "csv"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"to": "2026-03-02"}, {"from"}),
        ({"from": "2026-03-01", "to": "heute"}, {"to"}),
        ({"from": "2026-03-01", "to": "2026-04-02"}, {"to"}),
        ({"from": "2026-03-02", "to": "2026-03-01"}, {"to"}),
        ({"from": "2026-03-01", "to": "2026-03-02", "format": "xlsx"}, {"format"}),
    ],
)
async def test_an_export_that_makes_no_sense_is_refused(hub: CoreHub, query: Json, fields: set[str]) -> None:
    """Before anything is sent, and without a row in the audit."""
    staff = await hub.person("staff")
    error = await hub.call(staff, "GET", "/admin/notices/export", 400, params=query)

    assert error["fields"].keys() == fields
    assert not await hub.ground.database.log.fetchval("SELECT count(*) FROM audit_log WHERE actor = $1", staff.id)


# One's own


async def test_people_see_their_own_notices_with_the_unread_count(hub: CoreHub) -> None:
    """In their language, without the reasons of staff; nobody else's."""
    one, other = await hub.person(), await hub.person()
    inbox = await tell(hub, one.id, "您的订单已支付")
    made = await notice(
        hub.ground.database, one.id, "suppressed", class_="order", reason="preference", conversation=inbox
    )
    await notice(hub.ground.database, other.id)
    mine = await hub.call(one, "GET", "/notices")

    assert mine.keys() == {"items", "nextCursor", "unread", "version"}
    (item,) = mine["items"]
    assert item.keys() == {"id", "class", "title", "state", "at", "conversation", "seq", "seen", "seenAt"}
    assert (item["id"], item["class"], item["title"], item["seq"], item["seen"]) == (
        made,
        "order",
        "订单进展",
        1,
        False,
    )
    english = await hub.call(one, "GET", "/notices", headers={"Accept-Language": "en"})
    assert english["items"][0]["title"] == "Orders"
    assert (await hub.call(one, "GET", "/notices", params={"before": made}))["items"] == []
    await hub.call(one, "GET", "/notices", 400, params={"before": "1"})
    await hub.call(None, "GET", "/notices", 401)


async def test_the_unread_count_is_that_of_the_inbox_and_its_version_only_grows(hub: CoreHub) -> None:
    """Whatever changes it makes a newer version; nothing told yet is nothing unread."""
    one = await hub.person()
    seen = [await hub.call(one, "GET", "/notices/unread")]
    inbox = await tell(hub, one.id, "一")
    seen.append(await hub.call(one, "GET", "/notices/unread"))
    await tell(hub, one.id, "二")
    await tell(hub, one.id, "三")
    seen.append(await hub.call(one, "GET", "/notices/unread"))
    await read(hub, one.id, inbox, 2)
    seen.append(await hub.call(one, "GET", "/notices/unread"))
    await read(hub, one.id, inbox, 3)
    seen.append(await hub.call(one, "GET", "/notices/unread"))
    listed = await hub.call(one, "GET", "/notices")

    assert [each["unread"] for each in seen] == [0, 1, 3, 1, 0]
    versions = [each["version"] for each in seen]
    assert versions == sorted(set(versions))
    assert (listed["unread"], listed["version"]) == (0, versions[-1])


# Retrying


async def test_an_admin_lets_a_notice_live_again_and_it_is_audited(hub: CoreHub) -> None:
    """The answer is its story: under way, what failed is put aside."""
    admin, one = await hub.person("admin"), await hub.person()
    made = await notice(hub.ground.database, one.id, "failed", (0, "webpush", "dead", "500"), reason="500")
    story = await hub.call(admin, "POST", f"/admin/notices/{made}/retry")
    row = await hub.ground.database.log.fetchrow(
        "SELECT person::text, subject FROM audit_log WHERE actor = $1 AND action = 'notice.retried'", admin.id
    )

    assert (story["notice"]["state"], story["notice"]["reason"]) == ("open", "")
    assert story["notice"]["nextAt"] is not None
    assert story["steps"][0]["state"] == "waiting"
    assert [(each["code"], each["aside"]) for each in story["steps"][0]["attempts"]] == [("500", 1)]
    assert row is not None
    assert (row["person"], row["subject"]) == (one.id, made)
    error = await hub.call(admin, "POST", f"/admin/notices/{made}/retry", 409)
    assert error["fields"] == {"state": "通知仍在发送中，不能重试"}


@pytest.mark.parametrize("state", ["seen", "delivered", "superseded", "open"])
async def test_what_reached_somebody_is_not_retried(hub: CoreHub, state: str) -> None:
    """P8: nothing is sent after somebody has seen it."""
    admin, one = await hub.person("admin"), await hub.person()
    made = await notice(hub.ground.database, one.id, state)
    await hub.call(admin, "POST", f"/admin/notices/{made}/retry", 409)

    assert await hub.ground.database.log.fetchval("SELECT state FROM notices WHERE id = $1", made) == state


# The database


SEARCHES = [
    Search(user=new_id()),
    Search(user=new_id(), state=State.FAILED, class_="chat"),
    Search(conversation=new_id()),
    Search(user=new_id(), conversation=new_id()),
    Search(broadcast=new_id()),
    Search(broadcast=new_id(), state=State.FAILED),
    Search(state=State.FAILED),
    Search(class_="health_alert"),
    Search(),
]


async def filled(database: Database) -> None:
    """So many that reading all of them is never the better plan."""
    async with database.log.acquire() as connection:
        await connection.execute(
            "INSERT INTO users (id, name) SELECT md5('u' || g)::uuid, '张三' FROM generate_series(0, 999) g"
        )
        await connection.execute("""
            INSERT INTO notices (id, user_id, class, lane, shard, template, dedupe_key, state, begins_at, expires_at,
              conversation, upto_seq, broadcast)
            SELECT md5('n' || g)::uuid, md5('u' || g % 1000)::uuid,
              (ARRAY['chat', 'order', 'system', 'marketing'])[1 + g % 4], 'normal', 0, 'chat',
              'k' || g, (ARRAY['seen', 'seen', 'delivered', 'unconfirmed', 'failed', 'expired'])[1 + g % 6], now(), now(),
              md5('c' || g % 1000)::uuid, g, CASE WHEN g % 4 = 3 THEN md5('b' || g % 3)::uuid END
            FROM generate_series(1, 20000) g""")
        await connection.execute("""
            INSERT INTO notice_attempts (id, notice, step, channel, state)
            SELECT md5('a' || g)::uuid, md5('n' || g)::uuid, 0, 'webpush', 'accepted'
            FROM generate_series(1, 20000) g""")
        await connection.execute("ANALYZE notices, notice_attempts, users")


async def test_every_statement_reads_along_an_index(hub: CoreHub) -> None:
    """A table of a hundred million rows is not read for a list of twenty."""
    await filled(hub.ground.database)
    statements = [ledger_store.statement_of(search, Stretch(before=new_id())) for search in SEARCHES]
    statements += [
        (ledger_store._ONE.text, {"id": new_id()}),
        (ledger_store._TRIED.text, {"notices": [new_id()]}),
        (ledger_store._PAGE.text, {"since": new_id(), "until": new_id(), "most": 500}),
    ]
    async with hub.ground.database.transaction() as connection:
        for statement, values in statements:
            plan = "\n".join(row[0] for row in await connection.execute(sa.text(f"EXPLAIN {statement}"), values))

            assert "Seq Scan on notice" not in plan, plan
            assert "Index" in plan, plan
