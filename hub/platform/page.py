"""Paging of lists: what was asked for, and what is answered."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, UnaryExpression

from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

MAX_PAGE = 10_000
MAX_PAGE_SIZE = 100

Item = TypeVar("Item")


class Paging(msgspec.Struct, frozen=True):
    """One page of a sorted list; `sort` is a name that the endpoint offers."""

    page: int
    page_size: int
    sort: str
    descending: bool

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size

    def order(self, columns: Mapping[str, ColumnElement[object]]) -> UnaryExpression[object]:
        """The ORDER BY of this page; add a unique column after it, or rows with equal values move between pages."""
        column = columns[self.sort]
        return column.desc() if self.descending else column.asc()


class Page(msgspec.Struct, Generic[Item], frozen=True, rename="camel"):
    items: Sequence[Item]
    page: int
    page_size: int
    total: int


def page_of(items: Sequence[Item], paging: Paging, total: int) -> Page[Item]:
    return Page(items, paging.page, paging.page_size, total)


class CursorPage(msgspec.Struct, Generic[Item], frozen=True, rename="camel"):
    """A stretch of something that grows, the newest first; `next_cursor` leads to what is older, null at the end."""

    items: Sequence[Item]
    next_cursor: str | None


def cursor_after(at: datetime, row: str) -> str:
    """Where a page ended: after the row with this time and id."""
    return urlsafe_b64encode(f"{at.isoformat()}|{row}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, str]:
    """The time and id in a cursor of ours; refused naming `cursor` if it is none."""
    try:
        at, _, row = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        when = datetime.fromisoformat(at)
    except ValueError as error:
        raise Refusal(ErrorCode.INVALID, fields={"cursor": "cursor_invalid"}) from error
    if when.tzinfo is None or not is_id(row):
        raise Refusal(ErrorCode.INVALID, fields={"cursor": "cursor_invalid"})
    return when, row
