"""What people do with the knowledge base: look for articles, read and like them. Only published ones exist for them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content import search, store
from hub.content.model import Article, Hit, Hits, Status, Tally, Wanted
from hub.content.snippet import snippet
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.hot_read import HotReads
from hub.platform.identifier import is_id
from hub.platform.page import Paging
from hub.security.token import Principal

AREA = "knowledge"  # of the hot reads


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the use cases stand on."""

    database: Database
    hot_reads: HotReads
    clock: Clock


class Question(msgspec.Struct, frozen=True):
    """What a list is asked for; None: anything."""

    q: str | None = None
    category: str | None = None
    tag: str | None = None
    status: Status | None = None


class Liking(msgspec.Struct, frozen=True):
    liked: bool
    likes: int


async def list_published(
    services: Knowledge, who: Principal, question: Question, paging: Paging
) -> tuple[Hits, Mapping[str, Tally]]:
    """Published articles, with what people did with them. What is asked often is answered from a copy."""
    question = msgspec.structs.replace(question, status="published")

    async def load() -> Hits:
        async with services.database.transaction() as connection:
            return await find(connection, question, paging)

    asked = hashlib.sha256(msgspec.json.encode([question, paging])).hexdigest()
    hits = await services.hot_reads.through(AREA, f"list:{asked}", Hits, load)
    async with services.database.transaction() as connection:
        return hits, await store.tallies(connection, [hit.article.id for hit in hits.items], who.user)


async def find(connection: AsyncConnection, question: Question, paging: Paging) -> Hits:
    """The articles that hold what is asked for, the most relevant first unless `paging` says otherwise."""
    terms = None if question.q is None else search.query_tokens(question.q)
    wanted = Wanted(terms, question.category, question.tag, question.status)
    articles, total = await store.find(connection, wanted, paging)
    return Hits([Hit(article.brief(), snippet(article.content, terms or ())) for article in articles], total)


async def read(services: Knowledge, who: Principal, article_id: str) -> tuple[Article, Tally]:
    """One published article, which counts as a view of it."""
    check_id(article_id)

    async def load() -> list[Article]:
        async with services.database.transaction() as connection:
            article = await store.article(connection, article_id)
        return [article] if article is not None and article.status == "published" else []

    copies = await services.hot_reads.through(AREA, article_id, list[Article], load)
    if not copies:
        raise Refusal(ErrorCode.NOT_FOUND)
    async with services.database.transaction() as connection:
        tally = await _tally(connection, article_id, who)
        # The copy may be older than a withdrawal; the row that is counted on is not.
        if not await store.count_view(connection, article_id):
            raise Refusal(ErrorCode.NOT_FOUND)
    return copies[0], msgspec.structs.replace(tally, views=tally.views + 1)


async def like(services: Knowledge, who: Principal, article_id: str) -> Liking:
    """Like a published article; again changes nothing."""
    check_id(article_id)
    async with services.database.transaction() as connection:
        is_new = await store.like(connection, article_id, who.user)
        if not is_new and not await store.is_published(connection, article_id):
            raise Refusal(ErrorCode.NOT_FOUND)
        return Liking(True, (await _tally(connection, article_id, who)).likes)


async def unlike(services: Knowledge, who: Principal, article_id: str) -> Liking:
    """Like it no more; possible for what was withdrawn since, and again changes nothing."""
    check_id(article_id)
    async with services.database.transaction() as connection:
        if not await store.unlike(connection, article_id, who.user) and not await store.is_published(
            connection, article_id
        ):
            raise Refusal(ErrorCode.NOT_FOUND)
        return Liking(False, (await _tally(connection, article_id, who)).likes)


async def add_articles(connection: AsyncConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of `model.article_row`, many in one call, for seeding; whose id is there already stays as it is.

    Call `hot_reads.forget("knowledge")` after the commit.
    """
    if rows:
        await store.add_articles(connection, rows)


async def _tally(connection: AsyncConnection, article_id: str, who: Principal) -> Tally:
    return (await store.tallies(connection, [article_id], who.user))[article_id]


def check_id(article_id: str) -> None:
    """Refuse what can name no article."""
    if not is_id(article_id):
        raise Refusal(ErrorCode.NOT_FOUND)
