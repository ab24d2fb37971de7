"""The SQL of the knowledge base: finding articles, keeping them, counting what people do with them.

Every function runs in the caller's transaction.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content.model import Article, Tally, Wanted
from hub.content.search import Term
from hub.content.table import knowledge
from hub.platform.page import Paging

IN_TITLE, IN_SUMMARY, IN_CONTENT = 8, 3, 1  # what a term adds to an article's relevance by where it is
COUNT_PARTS = 8  # rows per article: who counts at the same time seldom waits for the same one

_ARTICLE = tuple(knowledge.c[name] for name in Article.__struct_fields__)
_COLUMN_OF = {
    "relevance": "relevance",
    "publishedAt": "published_at",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "title": "title",
}
SORTS = tuple(_COLUMN_OF)

# Without it the planner, who does not know what unpacking a long text costs, reads every article for a common word.
_BY_INDEX = sa.text("SET LOCAL enable_seqscan = off")
_TALLY = sa.text("""
SELECT a.id, COALESCE(sum(c.likes), 0)::bigint AS likes, COALESCE(sum(c.views), 0)::bigint AS views,
  EXISTS (SELECT FROM knowledge_likes l WHERE l.article = a.id AND l.user_id = CAST(:user AS uuid)) AS liked
FROM unnest(CAST(:ids AS uuid[])) a (id) LEFT JOIN knowledge_counts c ON c.article = a.id GROUP BY a.id
""")
# A view may be lost in a power cut; nobody should wait for the disk to look at an article.
_LAZY_COMMIT = sa.text("SET LOCAL synchronous_commit = off")
_COUNT_VIEW = sa.text("""
INSERT INTO knowledge_counts (article, part, views)
SELECT id, CAST(:part AS smallint), 1 FROM health_knowledge WHERE id = CAST(:article AS uuid) AND status = 'published'
ON CONFLICT (article, part) DO UPDATE SET views = knowledge_counts.views + 1
""")
_COUNT_LIKE = sa.text("""
INSERT INTO knowledge_counts (article, part, likes) VALUES (CAST(:article AS uuid), CAST(:part AS smallint), :likes)
ON CONFLICT (article, part) DO UPDATE SET likes = knowledge_counts.likes + excluded.likes
""")
_LIKE = sa.text("""
INSERT INTO knowledge_likes (article, user_id)
SELECT id, CAST(:user AS uuid) FROM health_knowledge
WHERE id = CAST(:article AS uuid) AND status = 'published' ON CONFLICT DO NOTHING
""")
_UNLIKE = sa.text("""
DELETE FROM knowledge_likes WHERE article = CAST(:article AS uuid) AND user_id = CAST(:user AS uuid)
""")


# Finding


async def find(connection: AsyncConnection, wanted: Wanted, paging: Paging) -> tuple[list[Article], int]:
    """One page and how many there are, in three statements at most. Articles come whole, for their snippets."""
    if wanted.terms is not None:
        if not wanted.terms:
            return [], 0
        await connection.execute(_BY_INDEX)
    hits = _hits(wanted)
    page = sa.select(hits.c.id).order_by(*_order(hits, wanted, paging)).limit(paging.page_size).offset(paging.offset)
    ids = sa.func.array(page.scalar_subquery(), type_=ARRAY(knowledge.c.id.type))
    count = sa.select(sa.func.count()).select_from(hits).scalar_subquery()
    total, wanted_ids = (await connection.execute(sa.select(count, ids))).one()
    found = await articles(connection, wanted_ids)
    return [found[each] for each in wanted_ids], total


def _hits(wanted: Wanted) -> sa.FromClause:
    """Every article that is wanted, with what lists are sorted by."""
    fits: list[sa.ColumnElement[bool]] = []
    for column, value in ((knowledge.c.category, wanted.category), (knowledge.c.status, wanted.status)):
        if value is not None:
            fits.append(column == value)
    if wanted.tag is not None:
        fits.append(knowledge.c.tags.contains([wanted.tag]))
    columns = tuple(knowledge.c[name] for name in ("id", "title", "published_at", "created_at", "updated_at"))
    if not wanted.terms:
        return sa.select(*columns).where(*fits).subquery("hit")
    lexemes = " & ".join(term.lexemes for term in wanted.terms)
    fits.append(knowledge.c.search.bool_op("@@")(sa.cast(sa.literal(lexemes, sa.Text), TSQUERY)))
    fits += [_holds(term) for term in wanted.terms if not term.exact]
    relevance = reduce(add, (_relevance(term) for term in wanted.terms)).label("relevance")
    # Once, for the count and for the page.
    return sa.select(*columns, relevance).where(*fits).cte("hit").prefix_with("MATERIALIZED")


def _order(hits: sa.FromClause, wanted: Wanted, paging: Paging) -> list[sa.UnaryExpression[object]]:
    newest = [hits.c.published_at.desc().nulls_last(), hits.c.id.desc()]
    if paging.sort == "relevance" and not wanted.terms:
        return newest
    columns = {name: hits.c[column] for name, column in _COLUMN_OF.items() if column in hits.c}
    return [paging.order(columns).nulls_last(), *newest]


def _holds(term: Term) -> sa.ColumnElement[bool]:
    """The short texts first: they are at hand, and the content must be unpacked."""
    return sa.or_(*(_is_in(column, term) for column in _FOLDED))


def _relevance(term: Term) -> sa.ColumnElement[int]:
    title, summary, _ = _FOLDED
    return sa.case((_is_in(title, term), IN_TITLE), (_is_in(summary, term), IN_SUMMARY), else_=IN_CONTENT)


def _is_in(column: sa.ColumnElement[str], term: Term) -> sa.ColumnElement[bool]:
    return sa.func.strpos(column, sa.literal(term.folded)) > 0


_FOLDED = (knowledge.c.folded_title, knowledge.c.folded_summary, knowledge.c.folded_content)


# Articles


async def articles(connection: AsyncConnection, ids: Sequence[str]) -> Mapping[str, Article]:
    rows = await connection.execute(sa.select(*_ARTICLE).where(knowledge.c.id.in_(ids)))
    return {row.id: Article(**row._mapping) for row in rows}


async def article(connection: AsyncConnection, article_id: str, *, lock: bool = False) -> Article | None:
    """With its row locked until the transaction ends, if so wished."""
    query = sa.select(*_ARTICLE).where(knowledge.c.id == article_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else Article(**row._mapping)


async def add_articles(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of `model.article_row`, many in one call; one whose id is there already is left as it is."""
    values = insert(knowledge).values({name: sa.bindparam(name) for name in rows[0]} | {"search": _search()})
    await connection.execute(values.on_conflict_do_nothing(index_elements=["id"]), list(rows))


async def change_article(
    connection: AsyncConnection, article_id: str, values: Mapping[str, Any], now: datetime
) -> Article:
    """The article with these columns changed and its version raised; its row must be locked."""
    change = sa.update(knowledge).where(knowledge.c.id == article_id)
    given: dict[str, Any] = {**values, "version": knowledge.c.version + 1, "updated_at": now}
    if "search" in values:
        given["search"] = sa.cast(sa.literal(values["search"], sa.Text), TSVECTOR)
    row = (await connection.execute(change.values(given).returning(*_ARTICLE))).one()
    return Article(**row._mapping)


async def delete_article(connection: AsyncConnection, article_id: str) -> bool:
    return (await connection.execute(sa.delete(knowledge).where(knowledge.c.id == article_id))).rowcount == 1


def _search() -> sa.ColumnElement[Any]:
    # By way of text: asyncpg has no codec for a tsvector.
    return sa.cast(sa.bindparam("search", type_=sa.Text), TSVECTOR)


# Counts


async def tallies(connection: AsyncConnection, ids: Sequence[str], user: str) -> Mapping[str, Tally]:
    """Of each of these, in one statement."""
    rows = await connection.execute(_TALLY, {"ids": list(ids), "user": user})
    return {str(row.id): Tally(row.likes, row.views, row.liked) for row in rows}


async def count_view(connection: AsyncConnection, article_id: str) -> bool:
    """One more; False if there is no such published article. Call it last in a transaction of its own."""
    await connection.execute(_LAZY_COMMIT)
    return (await connection.execute(_COUNT_VIEW, {"article": article_id, "part": _part()})).rowcount == 1


async def like(connection: AsyncConnection, article_id: str, user: str) -> bool:
    """Whether that is new."""
    if (await connection.execute(_LIKE, {"article": article_id, "user": user})).rowcount != 1:
        return False
    await connection.execute(_COUNT_LIKE, {"article": article_id, "part": _part(), "likes": 1})
    return True


async def unlike(connection: AsyncConnection, article_id: str, user: str) -> bool:
    """Whether it was liked."""
    if (await connection.execute(_UNLIKE, {"article": article_id, "user": user})).rowcount != 1:
        return False
    await connection.execute(_COUNT_LIKE, {"article": article_id, "part": _part(), "likes": -1})
    return True


async def is_published(connection: AsyncConnection, article_id: str) -> bool:
    query = sa.select(sa.exists().where(knowledge.c.id == article_id, knowledge.c.status == "published"))
    return bool(await connection.scalar(query))


def _part() -> int:
    return secrets.randbelow(COUNT_PARTS)
