"""The demo's articles, signed by its doctors, with what readers thought of them."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content import store
from hub.content.model import article_row
from hub.demo.cast import CAST, id_of
from hub.demo.directory import TEXT, doctors_of

BETWEEN = timedelta(hours=39)  # from one article to the next: all of them within a year

_LIKE = text("""
INSERT INTO knowledge_likes (article, user_id, created_at)
SELECT CAST(:article AS uuid), reader, CAST(:at AS timestamptz) FROM unnest(CAST(:readers AS uuid[])) reader
""")
_COUNT = text("""
INSERT INTO knowledge_counts (article, part, likes, views) VALUES (:article, 0, cardinality(CAST(:readers AS uuid[])), :views)
""")

Values = dict[str, Any]  # Any: the columns of a row


async def add_articles(connection: AsyncConnection, people: Mapping[str, str], now: datetime) -> int:
    """The answer is how many."""
    rows = list(_articles(now))
    await store.add_articles(connection, rows)
    counts = [_popularity(row, people) for row in rows]
    await connection.execute(_LIKE, [{key: each[key] for key in ("article", "at", "readers")} for each in counts])
    await connection.execute(_COUNT, [{key: each[key] for key in ("article", "views", "readers")} for each in counts])
    return len(rows)


def _articles(now: datetime) -> Iterator[Values]:
    """The newest are one of each category: what a reader sees first has something of everything."""
    files = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(TEXT.glob("article_*.toml"))]
    for place, data in enumerate(files):
        authors = cycle(_authors(data))
        for number, each in enumerate(data["article"]):
            yield article_row(
                title=each["title"],
                content=each["content"].strip(),
                category=data["category"],
                summary=each["summary"],
                tags=each["tags"],
                author=next(authors),
                article_id=id_of("article", each["title"]),
                status="published",
                published_at=now - (number * len(files) + place + 1) * BETWEEN,
            )


def _authors(data: Values) -> Sequence[str]:
    if "author" in data:
        return [data["author"]]
    return [signed for department in data["departments"] for signed in doctors_of(department)]


def _popularity(row: Values, people: Mapping[str, str]) -> Values:
    """Views as they come, and some of the readers who liked it; the same in every installation."""
    dice = random.Random(row["title"])  # noqa: S311 - no secret
    readers = dice.sample(range(1, CAST["patient"][1] + 1), int(dice.triangular(0, 24, 3)))
    views = int(dice.lognormvariate(5.5, 0.8)) + 6 * len(readers)
    likers = sorted(people[f"p{number}"] for number in readers)
    return {"article": row["id"], "at": row["published_at"] + timedelta(hours=30), "readers": likers, "views": views}
