"""The knowledge base over HTTP: found exactly, counted rightly, and only what is published exists."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event

from hub.content import actions
from hub.content.model import article_row
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.core_app import Caller, CoreHub, open_core

LIST_KEYS = {
    "id",
    "title",
    "summary",
    "category",
    "tags",
    "author",
    "publishedAt",
    "updatedAt",
    "views",
    "likes",
    "liked",
    "snippet",
}
_numbers = count(1)


@pytest_asyncio.fixture
async def hub(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    async with open_core(database, redis_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def reader(hub: CoreHub) -> Caller:
    return await hub.person()


@pytest_asyncio.fixture
async def editor(hub: CoreHub) -> Caller:
    return await hub.person("staff", "编辑甲")


@pytest.fixture
def category() -> str:
    """A category of the test's own, so that it finds its articles only."""
    return f"分类{next(_numbers)}"


async def write(hub: CoreHub, editor: Caller, category: str, title: str, **values: Any) -> Any:
    wanted = {"title": title, "content": "正文", "category": category, "status": "published", **values}
    return await hub.call(editor, "POST", "/admin/knowledge", json=wanted)


async def titles(hub: CoreHub, reader: Caller, **query: Any) -> list[str]:
    page = await hub.call(reader, "GET", "/knowledge", params=query)
    return [item["title"] for item in page["items"]]


async def test_articles_are_listed_with_the_shape_of_the_contract(
    hub: CoreHub, reader: Caller, editor: Caller, category: str
) -> None:
    """A page of published ones, the newest first, with what people did with them."""
    first = await write(
        hub, editor, category, "高血压饮食指南", summary="少盐", tags=["高血压", "饮食"], author="张医生"
    )
    await hub.clock.advance(60)
    await write(hub, editor, category, "糖尿病运动指南")
    await write(hub, editor, category, "未完成", status="draft")
    page = await hub.call(reader, "GET", "/knowledge", params={"category": category, "pageSize": 10})

    assert [item["title"] for item in page["items"]] == ["糖尿病运动指南", "高血压饮食指南"]
    assert {key: page[key] for key in ("page", "pageSize", "total")} == {"page": 1, "pageSize": 10, "total": 2}
    assert page["items"][1] == {
        "id": first["id"],
        "title": "高血压饮食指南",
        "summary": "少盐",
        "category": category,
        "tags": ["高血压", "饮食"],
        "author": "张医生",
        "publishedAt": first["publishedAt"],
        "updatedAt": first["updatedAt"],
        "views": 0,
        "likes": 0,
        "liked": False,
        "snippet": [],
    }
    assert set(page["items"][0]) == LIST_KEYS


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("癌", ["甲"]),
        ("血压", ["丙", "乙"]),
        ("高血压", ["乙"]),  # 丙 has 高血 and 血压, but not 高血压
        ("２型糖尿病", ["丁"]),
        ("2 型 糖尿病", ["丁"]),
        ("hba1c 糖尿病", ["丁"]),
        ("hba", []),  # words are whole
        ("1.5", ["丁"]),
        ("𠮷野家", ["戊"]),
        ("' OR 1=1 --", ["戊"]),  # two words like others
        ("😀", []),
        ("没有这样的话", []),
    ],
)
async def test_what_is_found_holds_exactly_what_was_asked_for(
    hub: CoreHub, reader: Caller, editor: Caller, category: str, q: str, expected: list[str]
) -> None:
    """One sign, a word, a phrase, several: each article found has them all as they stand, and no other is."""
    await write(hub, editor, category, "甲", content="早期肺癌的筛查")
    await write(hub, editor, category, "乙", content="**高血压**患者每天测量一次")
    await write(hub, editor, category, "丙", content="高血脂的人，也要降血压")
    await write(hub, editor, category, "丁", content="2 型糖尿病的 HbA1c 应低于 7.0%，1.5 小时后复测")
    await write(hub, editor, category, "戊", content="“𠮷野家” ' OR 1=2; <b>盐</b>")

    assert sorted(await titles(hub, reader, q=q, category=category)) == expected


async def test_a_title_counts_more_than_a_summary_and_that_more_than_the_content(
    hub: CoreHub, reader: Caller, editor: Caller, category: str
) -> None:
    """Relevance decides unless another order is asked for; of equals the newer is first."""
    await write(hub, editor, category, "痛风怎么吃")
    for title, values in (
        ("其一", {"content": "说说痛风"}),
        ("其二", {"summary": "说说痛风"}),
        ("其三", {"tags": ["痛风"]}),
        ("其四", {"content": "不说"}),
    ):
        await hub.clock.advance(60)
        await write(hub, editor, category, title, **values)

    assert await titles(hub, reader, q="痛风", category=category) == ["痛风怎么吃", "其三", "其二", "其一"]
    by_age = await titles(hub, reader, q="痛风", category=category, sort="-publishedAt")
    assert by_age == ["其三", "其二", "其一", "痛风怎么吃"]


async def test_a_snippet_says_where_it_was_found_as_data(
    hub: CoreHub, reader: Caller, editor: Caller, category: str
) -> None:
    """Parts of plain text; markup in the content stays the text that it is."""
    content = "前言" * 40 + "😀<script>alert(1)</script>**失眠**时不要看手机，失眠会好的。" + "后记" * 200
    await write(hub, editor, category, "睡眠", content=content)
    page = await hub.call(reader, "GET", "/knowledge", params={"q": "失眠", "category": category})
    parts = page["items"][0]["snippet"]

    assert [part["text"] for part in parts if part["hit"]] == ["失眠", "失眠"]
    assert "".join(part["text"] for part in parts) in content
    assert len("".join(part["text"] for part in parts)) <= 130


async def test_filters_and_pages_hold_together(hub: CoreHub, reader: Caller, editor: Caller, category: str) -> None:
    """A tag is the whole tag; every article is on one page exactly."""
    for number in range(5):
        await write(hub, editor, category, f"第{number}篇 感冒", tags=["感冒"] if number % 2 else ["感冒药"])
    pages = [
        await titles(hub, reader, q="感冒", category=category, page=number, pageSize=2, sort="title")
        for number in (1, 2, 3, 4)
    ]

    assert pages == [["第0篇 感冒", "第1篇 感冒"], ["第2篇 感冒", "第3篇 感冒"], ["第4篇 感冒"], []]
    assert await titles(hub, reader, tag="感冒", category=category, sort="title") == ["第1篇 感冒", "第3篇 感冒"]
    assert await titles(hub, reader, tag="感", category=category) == []


async def test_reading_counts_a_view_and_liking_counts_once(
    hub: CoreHub, reader: Caller, editor: Caller, category: str
) -> None:
    """Copies of the article are kept, its counts and one's own like are always those of now."""
    article = (await write(hub, editor, category, "流感疫苗", content="# 接种\n每年一次"))["id"]
    other = await hub.person(name="李四")
    assert (await hub.call(reader, "GET", f"/knowledge/{article}"))["views"] == 1
    liked = [await hub.call(reader, "POST", f"/knowledge/{article}/like") for _ in range(2)]
    await hub.call(other, "POST", f"/knowledge/{article}/like")
    seen = await hub.call(reader, "GET", f"/knowledge/{article}")

    assert liked == [{"liked": True, "likes": 1}] * 2
    assert (seen["views"], seen["likes"], seen["liked"]) == (2, 2, True)
    assert seen["content"] == "# 接种\n每年一次"
    assert set(seen) == (LIST_KEYS | {"content"}) - {"snippet"}
    unliked = [await hub.call(reader, "DELETE", f"/knowledge/{article}/like") for _ in range(2)]
    assert unliked == [{"liked": False, "likes": 1}] * 2
    item = (await hub.call(other, "GET", "/knowledge", params={"category": category}))["items"][0]
    assert (item["views"], item["likes"], item["liked"]) == (2, 1, True)


async def test_likes_and_views_are_not_lost_when_many_come_at_once(hub: CoreHub, editor: Caller, category: str) -> None:
    """The same person twice is one like; every view counts."""
    article = (await write(hub, editor, category, "热门"))["id"]
    people = [await hub.person(name=f"读者{number}") for number in range(8)]
    await asyncio.gather(
        *(hub.call(who, "POST", f"/knowledge/{article}/like") for who in people * 3),
        *(hub.call(who, "GET", f"/knowledge/{article}") for who in people),
    )
    seen = await hub.call(people[0], "GET", f"/knowledge/{article}")

    assert (seen["likes"], seen["views"]) == (8, 9)


async def test_only_what_is_published_exists_for_readers(
    hub: CoreHub, reader: Caller, editor: Caller, category: str
) -> None:
    """A draft, a withdrawn and an archived article are not found, by staff neither on this way; nor are ids that name nothing."""
    article = (await write(hub, editor, category, "待定", status="draft"))["id"]
    path = f"/knowledge/{article}"

    async def is_gone() -> None:
        for who in (reader, editor):
            assert (await hub.call(who, "GET", path, 404))["type"] == "not_found"
        await hub.call(reader, "POST", f"{path}/like", 404)
        assert await titles(hub, reader, category=category) == []

    await is_gone()
    await hub.call(editor, "POST", f"/admin{path}/publish")
    assert (await hub.call(reader, "GET", path))["title"] == "待定"
    assert await titles(hub, reader, category=category) == ["待定"]
    await hub.call(reader, "POST", f"{path}/like")
    await hub.call(editor, "POST", f"/admin{path}/unpublish")
    await is_gone()
    # What one liked one may always like no more.
    assert await hub.call(reader, "DELETE", f"{path}/like") == {"liked": False, "likes": 0}
    await hub.call(reader, "DELETE", f"{path}/like", 404)
    await hub.call(editor, "POST", f"/admin{path}/archive")
    await is_gone()
    for unknown in (new_id(), "x", "1' OR '1'='1"):
        await hub.call(reader, "GET", f"/knowledge/{unknown}", 404)
        await hub.call(reader, "POST", f"/knowledge/{unknown}/like", 404)
        await hub.call(reader, "DELETE", f"/knowledge/{unknown}/like", 404)


async def test_a_stale_copy_of_a_withdrawn_article_is_not_shown(
    hub: CoreHub, reader: Caller, editor: Caller, category: str, database: Database
) -> None:
    """Whoever withdrew it died before dropping the copies: the row that the view is counted on decides."""
    article = (await write(hub, editor, category, "旧闻"))["id"]
    await hub.call(reader, "GET", f"/knowledge/{article}")
    await database.log.execute("UPDATE health_knowledge SET status = 'draft' WHERE id = $1", article)

    await hub.call(reader, "GET", f"/knowledge/{article}", 404)


async def test_a_list_costs_the_same_however_long_it_is(
    hub: CoreHub, reader: Caller, editor: Caller, category: str, database: Database
) -> None:
    """Three statements to find, one for all the counts; from a copy only the counts are read."""
    for number in range(12):
        await write(hub, editor, category, f"感染性疾病{number}")
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        sizes = []
        for size in (1, 12):
            said.clear()
            query = {"q": "感染性", "category": category, "pageSize": size}
            assert len(await titles(hub, reader, **query)) == size
            sizes.append(len(said))
        said.clear()
        await titles(hub, reader, **query)
    finally:
        event.remove(engine, "before_cursor_execute", note)

    assert sizes == [4, 4]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "血" * 101}, "q"),
        ({"q": "a\x00b"}, "q"),
        ({"category": "\x00"}, "category"),
        ({"tag": "标" * 51}, "tag"),
        ({"sort": "-content"}, "sort"),
        ({"page": 0}, "page"),
        ({"pageSize": 101}, "pageSize"),
    ],
)
async def test_a_bad_question_is_refused_naming_the_field(
    hub: CoreHub, reader: Caller, query: dict[str, Any], field: str
) -> None:
    """400, never an empty list or a fault."""
    refused = await hub.call(reader, "GET", "/knowledge", 400, params=query)

    assert list(refused["fields"]) == [field]


async def test_the_knowledge_base_is_for_people_who_are_signed_in(hub: CoreHub) -> None:
    """What one liked is part of every answer."""
    for path in ("/knowledge", f"/knowledge/{new_id()}"):
        await hub.call(None, "GET", path, 401)


async def test_rows_made_for_seeding_are_found_like_written_ones(
    hub: CoreHub, reader: Caller, category: str, database: Database
) -> None:
    """Many in one call, tokenised by the application; a repetition adds nothing."""
    now = hub.clock.now()
    rows = [
        article_row(
            title=f"带状疱疹之{number}",
            content="神经痛",
            category=category,
            status="published",
            published_at=now,
        )
        for number in range(3)
    ]
    for _ in range(2):
        async with database.transaction() as connection:
            await actions.add_articles(connection, rows)

    found = await titles(hub, reader, q="带状疱疹 神经痛", category=category, sort="title")
    assert found == ["带状疱疹之0", "带状疱疹之1", "带状疱疹之2"]
