"""What staff do with the knowledge base: write articles, publish and withdraw them. Each use case is one transaction."""

from collections.abc import Mapping
from typing import Any

from hub.content import actions, model, store
from hub.content.actions import AREA, Knowledge, Question, check_id
from hub.content.model import EDITOR_ROLES, Article, Hits, Move, Tally
from hub.platform.error import ErrorCode, Refusal
from hub.platform.page import Paging
from hub.security.token import Principal

SEARCHED = ("title", "summary", "tags", "content")  # a change of one of these is tokenised again


async def list_all(
    services: Knowledge, who: Principal, question: Question, paging: Paging
) -> tuple[Hits, Mapping[str, Tally]]:
    """Articles in every state, as they are now."""
    _permit(who)
    async with services.database.transaction() as connection:
        hits = await actions.find(connection, question, paging)
        return hits, await store.tallies(connection, [hit.article.id for hit in hits.items], who.user)


async def show(services: Knowledge, who: Principal, article_id: str) -> Article:
    _permit(who)
    check_id(article_id)
    async with services.database.transaction() as connection:
        return _found(await store.article(connection, article_id))


async def create(services: Knowledge, who: Principal, values: Mapping[str, Any]) -> Article:
    """A new article, as a draft or at once published; `values` are columns by name."""
    _permit(who)
    now = services.clock.now()
    published_at = now if values["status"] == "published" else None
    row = model.article_row(**values, published_at=published_at, created_by=who.user)
    async with services.database.transaction() as connection:
        await store.add_articles(connection, [row | {"created_at": now, "updated_at": now}])
        article = _found(await store.article(connection, row["id"]))
    await services.hot_reads.forget(AREA)
    return article


async def change(
    services: Knowledge, who: Principal, article_id: str, version: int, values: Mapping[str, Any]
) -> Article:
    """Change these columns of the article as it was in `version`; refused as a conflict if somebody was quicker."""
    _permit(who)
    check_id(article_id)
    async with services.database.transaction() as connection:
        article = _found(await store.article(connection, article_id, lock=True))
        if article.version != version:
            raise Refusal(ErrorCode.CONFLICT, "article_changed", fields={"version": "article_changed"})
        if values.keys() & set(SEARCHED):
            searched = {name: values.get(name, getattr(article, name)) for name in SEARCHED}
            values = {**values, **model.searched(**searched)}
        if values:
            article = await store.change_article(connection, article_id, values, services.clock.now())
    await services.hot_reads.forget(AREA)
    return article


async def move(services: Knowledge, who: Principal, article_id: str, wanted: Move) -> Article:
    """Publish, unpublish or archive. The time of its first publication stays."""
    _permit(who)
    check_id(article_id)
    now = services.clock.now()
    async with services.database.transaction() as connection:
        article = _found(await store.article(connection, article_id, lock=True))
        status = model.moved(article.status, wanted)
        published_at = article.published_at or (now if status == "published" else None)
        values = {"status": status, "published_at": published_at}
        article = await store.change_article(connection, article_id, values, now)
    await services.hot_reads.forget(AREA)
    return article


async def delete(services: Knowledge, who: Principal, article_id: str) -> None:
    """For ever, with its likes and counts; to withdraw it, archive it."""
    _permit(who)
    check_id(article_id)
    async with services.database.transaction() as connection:
        if not await store.delete_article(connection, article_id):
            raise Refusal(ErrorCode.NOT_FOUND)
    await services.hot_reads.forget(AREA)


def _permit(who: Principal) -> None:
    if who.role not in EDITOR_ROLES:
        raise Refusal(ErrorCode.FORBIDDEN)


def _found(article: Article | None) -> Article:
    if article is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return article
