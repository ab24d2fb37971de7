"""HTTP of the knowledge base for everybody. Takes the dependencies `knowledge` and `principal`."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from hub.content import actions
from hub.content.actions import Knowledge, Liking, Question
from hub.content.model import Article, Hit, Hits, Tally
from hub.content.shape import ANY, Outbound
from hub.content.snippet import Part
from hub.content.store import SORTS
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer, paging
from hub.platform.page import Page, Paging
from hub.security.token import Principal

Words = Annotated[str | None, QueryParameter(max_length=100, pattern=ANY)]
Word = Annotated[str | None, QueryParameter(max_length=50, pattern=ANY)]

PAGING = {"paging": paging(*SORTS, default="-relevance")}


class PartView(Outbound, frozen=True):
    """A piece of plain text, and whether it is what was asked for."""

    text: str
    hit: bool


class HitView(Outbound, frozen=True):
    """An article in a list; `snippet` is empty unless something was asked for with `q`."""

    id: str
    title: str
    summary: str
    category: str
    tags: Sequence[str]
    author: str
    published_at: str | None
    updated_at: str
    views: int
    likes: int
    liked: bool
    snippet: Sequence[PartView]


class ArticleView(Outbound, frozen=True):
    """An article; `content` is Markdown, to be shown as text or by a renderer that lets no HTML through."""

    id: str
    title: str
    summary: str
    content: str
    category: str
    tags: Sequence[str]
    author: str
    published_at: str | None
    updated_at: str
    views: int
    likes: int
    liked: bool


class LikingView(Outbound, frozen=True):
    liked: bool
    likes: int


@get("/knowledge", responses=FAILURES, dependencies=PAGING)
async def list_knowledge(
    paging: NamedDependency[Paging],
    knowledge: NamedDependency[Knowledge],
    principal: NamedDependency[Principal],
    q: Words = None,
    category: Word = None,
    tag: Word = None,
) -> Answer[Page[HitView]]:
    """Published articles: those that hold all that `q` asks for, the most relevant first; without it the newest first."""
    hits, tallies = await actions.list_published(knowledge, principal, Question(q, category, tag), paging)
    return answer(_page(hits, tallies, paging))


@get("/knowledge/{article:str}", responses=FAILURES)
async def show_knowledge(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[ArticleView]:
    """One published article; counts as a view."""
    return answer(_article_view(*await actions.read(knowledge, principal, article)))


@post("/knowledge/{article:str}/like", status_code=200, responses=FAILURES)
async def like_knowledge(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[LikingView]:
    """Like it; may be repeated."""
    return answer(_liking_view(await actions.like(knowledge, principal, article)))


@delete("/knowledge/{article:str}/like", status_code=200, responses=FAILURES)
async def unlike_knowledge(
    article: FromPath[str], knowledge: NamedDependency[Knowledge], principal: NamedDependency[Principal]
) -> Answer[LikingView]:
    """Like it no more; may be repeated."""
    return answer(_liking_view(await actions.unlike(knowledge, principal, article)))


handlers: list[ControllerRouterHandler] = [list_knowledge, show_knowledge, like_knowledge, unlike_knowledge]


def part_views(parts: Sequence[Part]) -> list[PartView]:
    return [PartView(part.text, part.hit) for part in parts]


def _page(hits: Hits, tallies: Mapping[str, Tally], paging: Paging) -> Page[HitView]:
    views = [_hit_view(hit, tallies[hit.article.id]) for hit in hits.items]
    return Page(views, paging.page, paging.page_size, hits.total)


def _hit_view(hit: Hit, tally: Tally) -> HitView:
    article = hit.article
    return HitView(
        article.id,
        article.title,
        article.summary,
        article.category,
        article.tags,
        article.author,
        rfc3339(article.published_at) if article.published_at else None,
        rfc3339(article.updated_at),
        tally.views,
        tally.likes,
        tally.liked,
        part_views(hit.snippet),
    )


def _article_view(article: Article, tally: Tally) -> ArticleView:
    return ArticleView(
        article.id,
        article.title,
        article.summary,
        article.content,
        article.category,
        article.tags,
        article.author,
        rfc3339(article.published_at) if article.published_at else None,
        rfc3339(article.updated_at),
        tally.views,
        tally.likes,
        tally.liked,
    )


def _liking_view(liking: Liking) -> LikingView:
    return LikingView(liking.liked, liking.likes)
