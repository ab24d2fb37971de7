"""Articles of the knowledge base without I/O: what one is, how it comes and goes, and the row that it becomes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from hub.content import search
from hub.content.search import Term
from hub.content.snippet import Part
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

CONTENT_CHARS = 50_000
# A tsvector holds 1 MiB of text. Only what nobody writes for people comes near it: long words that are all different.
SEARCH_BYTES = 900_000

EDITOR_ROLES = frozenset({"staff", "admin"})

Status = Literal["draft", "published", "archived"]
Move = Literal["publish", "unpublish", "archive"]

# Move → from which states, and where to.
MOVES: dict[Move, tuple[frozenset[Status], Status]] = {
    "publish": (frozenset({"draft", "archived"}), "published"),
    "unpublish": (frozenset({"published"}), "draft"),
    "archive": (frozenset({"draft", "published"}), "archived"),
}


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of an article. The content is Markdown: text, which nothing here ever renders."""

    id: str
    title: str
    summary: str
    category: str
    tags: Sequence[str]
    author: str
    status: Status
    version: int
    published_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Article(Brief, frozen=True, kw_only=True):
    content: str

    def brief(self) -> Brief:
        return Brief(**{name: getattr(self, name) for name in Brief.__struct_fields__})


class Hit(msgspec.Struct, frozen=True):
    """An article in a list, and where it says what was asked for; `snippet` is empty when nothing was."""

    article: Brief
    snippet: Sequence[Part]


class Hits(msgspec.Struct, frozen=True):
    """One page, and how many there are in all."""

    items: Sequence[Hit]
    total: int


class Tally(msgspec.Struct, frozen=True):
    """What changes all the time: kept apart from the article, which is cached."""

    likes: int = 0
    views: int = 0
    liked: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """Which articles; None: all. `terms` that are empty, though something was asked for, are in no article."""

    terms: Sequence[Term] | None = None
    category: str | None = None
    tag: str | None = None
    status: Status | None = None


def moved(status: Status, move: Move) -> Status:
    """Where the move leads. Raises `Refusal` from a state that has no such move."""
    sources, target = MOVES[move]
    if status not in sources:
        raise Refusal(ErrorCode.CONFLICT, f"article_is_{status}")
    return target


def article_row(
    *,
    title: str,
    content: str,
    category: str,
    summary: str = "",
    tags: Sequence[str] = (),
    author: str = "",
    article_id: str | None = None,
    status: Status = "draft",
    published_at: datetime | None = None,
    created_by: str | None = None,
) -> dict[str, Any]:  # Any: the columns of one row, of their own types
    """The columns of an article by name, for `store.add_articles` or any bulk load (`search` is a tsvector's text)."""
    tags = list(tags)
    row = {
        "id": article_id or new_id(),
        "title": title,
        "summary": summary,
        "content": content,
        "category": category,
        "tags": tags,
        "author": author,
        "status": status,
        "published_at": published_at,
        "created_by": created_by,
    }
    return row | searched(title, summary, tags, content)


def searched(title: str, summary: str, tags: Sequence[str], content: str) -> dict[str, str]:
    """The columns that an article is found by. Raises `Refusal` if there is too much to find."""
    beside = "\n".join((summary, *tags))
    tokens = search.tsvector_text(search.document_tokens("\n".join((title, beside, content))))
    if len(tokens.encode()) > SEARCH_BYTES:
        raise Refusal(ErrorCode.INVALID, fields={"content": "article_too_varied"})
    return {
        "search": tokens,
        "folded_title": search.folded(title),
        "folded_summary": search.folded(beside),
        "folded_content": search.folded(content),
    }
