"""HTTP of the knowledge base for those who write it. Takes the dependencies `knowledge` and `principal`."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.content import article_actions
from hub.content.actions import Knowledge, Question
from hub.content.api import PAGING, PartView, Word, Words, part_views
from hub.content.model import CONTENT_CHARS, Article, Hit, Status, Tally
from hub.content.shape import ANY, SEEN, Inbound, Outbound
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.page import Page, Paging
from hub.security.token import Principal

Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=SEEN)]
Summary = Annotated[str, Meta(max_length=1000, pattern=ANY)]
Content = Annotated[str, Meta(min_length=1, max_length=CONTENT_CHARS, pattern=SEEN)]
Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=SEEN)]
Tags = Annotated[tuple[Name, ...], Meta(max_length=20)]
Author = Annotated[str, Meta(max_length=50, pattern=ANY)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class NewArticle(Inbound, frozen=True):
    title: Title
    content: Content
    category: Name
    summary: Summary = ""
    tags: Tags = ()
    author: Author = ""
    status: Literal["draft", "published"] = "draft"


class ArticleChange(Inbound, frozen=True):
    """What is left out stays. `version` is the one that was read: who was overtaken gets a conflict."""

    version: Version
    title: Title | UnsetType = UNSET
    content: Content | UnsetType = UNSET
    category: Name | UnsetType = UNSET
    summary: Summary | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    author: Author | UnsetType = UNSET


class DraftView(Outbound, frozen=True):
    """An article as its writers see it."""

    id: str
    title: str
    summary: str
    content: str
    category: str
    tags: Sequence[str]
    author: str
    status: Status
    version: int
    published_at: str | None
    created_at: str
    updated_at: str


class DraftHitView(Outbound, frozen=True):
    id: str
    title: str
    summary: str
    category: str
    tags: Sequence[str]
    author: str
    status: Status
    version: int
    published_at: str | None
    created_at: str
    updated_at: str
    views: int
    likes: int
    snippet: Sequence[PartView]


@get("/admin/knowledge", responses=FAILURES, dependencies=PAGING)
async def list_articles(
    paging: NamedDependency[Paging],
    knowledge: NamedDependency[Knowledge],
    principal: NamedDependency[Principal],
    q: Words = None,
    category: Word = None,
    tag: Word = None,
    status: Annotated[Status | None, QueryParameter()] = None,
) -> Answer[Page[DraftHitView]]:
    """Articles in every state."""
    question = Question(q, category, tag, status)
    hits, tallies = await article_actions.list_all(knowledge, principal, question, paging)
    views = [_hit_view(hit, tallies[hit.article.id]) for hit in hits.items]
    return answer(Page(views, paging.page, paging.page_size, hits.total))


@post("/admin/knowledge", status_code=200, responses=FAILURES)
async def create_article(
    data: JSONBody[NewArticle], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[DraftView]:
    """Write a new article."""
    return answer(_view(await article_actions.create(knowledge, principal, msgspec.structs.asdict(data))))


@get("/admin/knowledge/{article:str}", responses=FAILURES)
async def show_article(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[DraftView]:
    """One article, in whatever state."""
    return answer(_view(await article_actions.show(knowledge, principal, article)))


@route("/admin/knowledge/{article:str}", http_method=[HttpMethod.PATCH, HttpMethod.PUT], responses=FAILURES)
async def change_article(
    article: FromPath[str],
    data: JSONBody[ArticleChange],
    knowledge: NamedDependency[Knowledge],
    principal: NamedDependency[Principal],
) -> Answer[DraftView]:
    """Change what is given; what is published stays so and is changed at once."""
    values = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    version = values.pop("version")
    return answer(_view(await article_actions.change(knowledge, principal, article, version, values)))


@post("/admin/knowledge/{article:str}/publish", status_code=200, responses=FAILURES)
async def publish_article(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[DraftView]:
    """A draft or an archived article is published."""
    return answer(_view(await article_actions.move(knowledge, principal, article, "publish")))


@post("/admin/knowledge/{article:str}/unpublish", status_code=200, responses=FAILURES)
async def unpublish_article(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[DraftView]:
    """A published article is a draft again."""
    return answer(_view(await article_actions.move(knowledge, principal, article, "unpublish")))


@post("/admin/knowledge/{article:str}/archive", status_code=200, responses=FAILURES)
async def archive_article(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[DraftView]:
    """Put away for good, and kept."""
    return answer(_view(await article_actions.move(knowledge, principal, article, "archive")))


@delete("/admin/knowledge/{article:str}", status_code=200, responses=FAILURES)
async def delete_article(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[None]:
    """Delete it with its likes; nothing brings it back."""
    await article_actions.delete(knowledge, principal, article)
    return answer(None)


handlers: list[ControllerRouterHandler] = [
    list_articles,
    create_article,
    show_article,
    change_article,
    publish_article,
    unpublish_article,
    archive_article,
    delete_article,
]


def _view(article: Article) -> DraftView:
    return DraftView(
        article.id,
        article.title,
        article.summary,
        article.content,
        article.category,
        article.tags,
        article.author,
        article.status,
        article.version,
        rfc3339(article.published_at) if article.published_at else None,
        rfc3339(article.created_at),
        rfc3339(article.updated_at),
    )


def _hit_view(hit: Hit, tally: Tally) -> DraftHitView:
    article = hit.article
    return DraftHitView(
        article.id,
        article.title,
        article.summary,
        article.category,
        article.tags,
        article.author,
        article.status,
        article.version,
        rfc3339(article.published_at) if article.published_at else None,
        rfc3339(article.created_at),
        rfc3339(article.updated_at),
        tally.views,
        tally.likes,
        part_views(hit.snippet),
    )
