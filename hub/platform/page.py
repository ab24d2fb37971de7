"""Paging of lists: what was asked for, and what is answered."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, UnaryExpression

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
