"""Writing the knowledge base: staff only, one step after another, and nobody overwrites what they have not seen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

KEYS = {
    "id",
    "title",
    "summary",
    "content",
    "category",
    "tags",
    "author",
    "status",
    "version",
    "publishedAt",
    "createdAt",
    "updatedAt",
}
ARTICLE = {"title": "高血压", "content": "少盐", "category": "慢病"}
ODD = "  引号\"'`\\ 😀𠮷 \u202eRTL <script>alert('x')</script> ' OR 1=1; -- \n\t"


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def editor(hub: CoreHub) -> Caller:
    return await hub.person("staff", "编辑甲")


async def write(hub: CoreHub, editor: Caller, **values: Any) -> Any:
    return await hub.call(editor, "POST", "/admin/knowledge", json={**ARTICLE, **values})


async def found(hub: CoreHub, who: Caller, q: str) -> list[str]:
    page = await hub.call(who, "GET", "/knowledge", params={"q": q})
    return [item["id"] for item in page["items"]]


async def test_an_article_is_written_shown_changed_and_deleted(hub: CoreHub, editor: Caller) -> None:
    """A new one is a draft; every change raises its version; deleted, it is gone."""
    created = await write(hub, editor, summary="概要", tags=["盐", "饮食"], author="王医生")
    path = f"/admin/knowledge/{created['id']}"

    assert set(created) == KEYS
    assert (created["status"], created["version"], created["publishedAt"]) == ("draft", 1, None)
    assert await hub.call(editor, "GET", path) == created
    await hub.clock.advance(60)
    changed = await hub.call(editor, "PATCH", path, json={"version": 1, "title": "新标题", "tags": []})
    assert changed == created | {"title": "新标题", "tags": [], "version": 2, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > created["updatedAt"]
    again = await hub.call(editor, "PUT", path, json={"version": 2, "summary": ""})
    assert (again["summary"], again["version"], again["title"]) == ("", 3, "新标题")
    assert await hub.call(editor, "DELETE", path) is None
    for method in ("GET", "DELETE"):
        await hub.call(editor, method, path, 404)


async def test_text_comes_back_as_it_was_written(hub: CoreHub, editor: Caller) -> None:
    """Quotes, markup, four-byte signs, marks of direction: data, all of it."""
    created = await write(
        hub, editor, title=ODD, content=ODD, summary=ODD, tags=[ODD.strip()[:50]], author="作者😀", category="类'别"
    )

    shown = await hub.call(editor, "GET", f"/admin/knowledge/{created['id']}")
    assert (shown["title"], shown["content"], shown["summary"], shown["tags"]) == (ODD, ODD, ODD, [ODD.strip()[:50]])
    assert (shown["author"], shown["category"]) == ("作者😀", "类'别")


async def test_a_change_is_found_by_its_new_words_only(hub: CoreHub, editor: Caller) -> None:
    """An update tokenises again, and readers see it at once, copies or not."""
    article = await write(hub, editor, content="旧词甲乙丙", status="published")
    assert await found(hub, editor, "旧词甲乙丙") == [article["id"]]
    await hub.call(editor, "GET", f"/knowledge/{article['id']}")
    change = {"version": 1, "content": "新词丁戊己"}
    await hub.call(editor, "PATCH", f"/admin/knowledge/{article['id']}", json=change)

    assert await found(hub, editor, "旧词甲乙丙") == []
    assert await found(hub, editor, "新词丁戊己") == [article["id"]]
    assert (await hub.call(editor, "GET", f"/knowledge/{article['id']}"))["content"] == "新词丁戊己"


async def test_who_was_overtaken_gets_a_conflict(hub: CoreHub, editor: Caller) -> None:
    """Of several who change the same version one wins, and nothing of the others is kept."""
    path = f"/admin/knowledge/{(await write(hub, editor))['id']}"
    wanted = [{"version": 1, "title": f"标题{number}"} for number in range(4)]
    headers = {"Authorization": f"Bearer {editor.token}"}
    responses = await asyncio.gather(
        *(hub.client.patch(f"/api/v1{path}", json=each, headers=headers) for each in wanted)
    )

    assert sorted(response.status_code for response in responses) == [200, 409, 409, 409]
    winner = next(response.json()["data"] for response in responses if response.status_code == 200)
    assert await hub.call(editor, "GET", path) == winner
    lost = await hub.call(editor, "PATCH", path, 409, json={"version": 1, "title": "迟到"})
    assert (lost["type"], list(lost["fields"])) == ("conflict", ["version"])


MOVES = [
    ("draft", "publish", "published"),
    ("draft", "archive", "archived"),
    ("draft", "unpublish", None),
    ("published", "unpublish", "draft"),
    ("published", "archive", "archived"),
    ("published", "publish", None),
    ("archived", "publish", "published"),
    ("archived", "unpublish", None),
    ("archived", "archive", None),
]


@pytest.mark.parametrize(("status", "move", "target"), MOVES)
async def test_an_article_moves_as_the_table_says(
    hub: CoreHub, editor: Caller, status: str, move: str, target: str | None
) -> None:
    """What the table does not have is refused with 409 and changes nothing."""
    article = await write(hub, editor, status="draft" if status == "draft" else "published")
    path = f"/admin/knowledge/{article['id']}"
    before = await hub.call(editor, "POST", f"{path}/archive") if status == "archived" else article
    await hub.clock.advance(60)
    if target is None:
        assert (await hub.call(editor, "POST", f"{path}/{move}", 409))["type"] == "conflict"
        assert await hub.call(editor, "GET", path) == before
        return

    after = await hub.call(editor, "POST", f"{path}/{move}")
    assert (after["status"], after["version"]) == (target, before["version"] + 1)
    assert (after["publishedAt"] is None) == (target == "archived" and status == "draft")
    if before["publishedAt"]:
        assert after["publishedAt"] == before["publishedAt"]


async def test_drafts_are_listed_for_staff_and_found_by_state(hub: CoreHub, editor: Caller) -> None:
    """With filters, words and counts."""
    admin = await hub.person("admin", "管理员")
    draft = await write(hub, editor, title="幽门螺杆菌甲", category="消化")
    public = await write(hub, editor, title="幽门螺杆菌乙", category="消化", status="published")
    reader = await hub.person()
    await hub.call(reader, "POST", f"/knowledge/{public['id']}/like")

    async def ids(**query: Any) -> set[str]:
        page = await hub.call(admin, "GET", "/admin/knowledge", params={"q": "幽门螺杆菌", **query})
        return {item["id"] for item in page["items"]}

    assert await ids() == await ids(category="消化") == {draft["id"], public["id"]}
    assert await ids(status="draft") == {draft["id"]}
    assert await ids(status="archived") == set()
    page = await hub.call(admin, "GET", "/admin/knowledge", params={"q": "幽门螺杆菌", "status": "published"})
    assert set(page["items"][0]) == (KEYS - {"content"}) | {"views", "likes", "snippet"}
    assert page["items"][0]["likes"] == 1


@pytest.mark.parametrize("role", ["patient", "companion", "doctor"])
async def test_writing_is_for_staff(hub: CoreHub, editor: Caller, role: str) -> None:
    """Everybody else is refused, whatever exists."""
    path = f"/admin/knowledge/{(await write(hub, editor))['id']}"
    who = await hub.person(role)
    for method, where, request in (
        ("GET", "/admin/knowledge", {}),
        ("POST", "/admin/knowledge", {"json": ARTICLE}),
        ("GET", path, {}),
        ("PATCH", path, {"json": {"version": 1}}),
        ("PUT", path, {"json": {"version": 1}}),
        ("DELETE", path, {}),
        ("POST", f"{path}/publish", {}),
        ("POST", f"{path}/unpublish", {}),
        ("POST", f"{path}/archive", {}),
    ):
        assert (await hub.call(who, method, where, 403, **request))["type"] == "forbidden"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": "题" * 201}, "title"),
        ({"title": "a\x00"}, "title"),
        ({"title": None}, "title"),
        ({"content": ""}, "content"),
        ({"content": "　\n"}, "content"),
        ({"content": "字" * 50_001}, "content"),
        ({"content": "字\x00"}, "content"),
        ({"summary": "要" * 1001}, "summary"),
        ({"category": ""}, "category"),
        ({"category": 1}, "category"),
        ({"tags": ["标"] * 21}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": "标"}, "tags"),
        ({"author": "\x00"}, "author"),
        ({"status": "archived"}, "status"),
        ({"publishedAt": "2026-01-01T00:00:00Z"}, "publishedAt"),
    ],
)
async def test_a_bad_article_is_refused_naming_the_field(
    hub: CoreHub, editor: Caller, values: dict[str, Any], field: str
) -> None:
    """The same when it is changed."""
    refused = await hub.call(editor, "POST", "/admin/knowledge", 400, json={**ARTICLE, **values})
    assert [name.split("[")[0].split(".")[0] for name in refused["fields"]] == [field]
    path = f"/admin/knowledge/{(await write(hub, editor))['id']}"

    refused = await hub.call(editor, "PATCH", path, 400, json={"version": 1, **values})
    assert [name.split("[")[0].split(".")[0] for name in refused["fields"]] == [field]


async def test_the_longest_article_is_kept_and_found(hub: CoreHub, editor: Caller) -> None:
    """Even one of forty thousand different signs of four bytes each."""
    longest = "".join(chr(0x20000 + number % 40_000) for number in range(50_000))
    article = await write(hub, editor, content=longest, status="published")

    assert article["content"] == longest
    assert await found(hub, editor, longest[30_000:30_050]) == [article["id"]]


@pytest.mark.parametrize("change", [{}, {"title": "没有版本"}, {"version": 0}, {"version": "一"}, {"version": 2**31}])
async def test_a_change_names_the_version_that_it_changes(hub: CoreHub, editor: Caller, change: dict[str, Any]) -> None:
    """Or nobody could be told that they were overtaken."""
    path = f"/admin/knowledge/{(await write(hub, editor))['id']}"
    refused = await hub.call(editor, "PATCH", path, 400, json=change)

    assert list(refused["fields"]) == ["version"]


async def test_what_names_no_article_is_not_found(hub: CoreHub, editor: Caller) -> None:
    """Well-formed or not."""
    for unknown in (new_id(), "x"):
        path = f"/admin/knowledge/{unknown}"
        await hub.call(editor, "GET", path, 404)
        await hub.call(editor, "PATCH", path, 404, json={"version": 1})
        await hub.call(editor, "POST", f"{path}/publish", 404)
        await hub.call(editor, "DELETE", path, 404)
