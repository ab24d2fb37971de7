"""The classes as they hold now: those of the code, and what staff made of them."""

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.book import Book
from hub.notices.notice_class import CLASSES, NoticeClass

_CHANGED = text("SELECT code, value::text AS value FROM notice_classes")

log = structlog.get_logger("hub.notices")


class ClassBook(Book[dict[str, NoticeClass]]):
    """By code."""

    async def of(self, code: str, connection: AsyncConnection | None = None) -> NoticeClass:
        """The class; whoever names one that does not exist has a defect: `KeyError`."""
        return (await self.all(connection))[code]

    async def read(self, connection: AsyncConnection) -> dict[str, NoticeClass]:
        rows = (await connection.execute(_CHANGED)).all()
        changed = (_class(row.code, row.value) for row in rows)
        return {**CLASSES, **{each.code: each for each in changed if each is not None}}


def _class(code: str, value: str) -> NoticeClass | None:
    """None for one of a newer version that this process cannot read: the class of the code holds meanwhile."""
    try:
        return msgspec.json.decode(value, type=NoticeClass)
    except msgspec.ValidationError:
        log.error("class not readable", notice_class=code)
        return None
