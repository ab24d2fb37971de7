"""Rows of health reports: the whole report sealed under the key of the person, its period and times in the clear."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.report import Report
from hub.care.trend import Period
from hub.platform.error import ErrorCode, Refusal
from hub.platform.page import Paging
from hub.security.sealing import DataKey, Sealer

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
reports = sa.Table(
    "health_reports",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("actor_id", _Id),
    sa.Column("period", sa.Text),
    sa.Column("body", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("created_at", sa.DateTime(timezone=True)),
)
_SORTS: dict[str, sa.ColumnElement[Any]] = {"createdAt": reports.c.created_at}  # Any: columns of several types
REPORT_SORTS = tuple(_SORTS)

_report = msgspec.msgpack.Decoder(Report)


class Entry(msgspec.Struct, frozen=True):
    """A report as a list shows it: nothing of what it says."""

    id: str
    user: str
    period: Period
    created_at: datetime


async def add(connection: AsyncConnection, key: DataKey, entry: Entry, by: str, report: Report) -> None:
    """`key` is that of the person it is about."""
    values = {
        "id": entry.id,
        "user_id": entry.user,
        "actor_id": by,
        "period": entry.period,
        "body": key.seal(msgspec.msgpack.encode(report), _context(entry.user, entry.id)),
        "key_id": key.id,
        "created_at": entry.created_at,
    }
    await connection.execute(reports.insert().values(values))


async def find(connection: AsyncConnection, report: str) -> Entry | None:
    query = sa.select(reports.c.id, reports.c.user_id, reports.c.period, reports.c.created_at)
    row = (await connection.execute(query.where(reports.c.id == report))).first()
    return None if row is None else Entry(*row)


async def content(connection: AsyncConnection, sealer: Sealer, entry: Entry) -> Report:
    """What it says; refused as erased if the key was destroyed."""
    query = sa.select(reports.c.body, reports.c.key_id).where(reports.c.id == entry.id)
    row = (await connection.execute(query)).one()
    key = (await sealer.by_ids([row.key_id]))[row.key_id]
    if key is None:
        raise Refusal(ErrorCode.NOT_FOUND, "erased")
    return _report.decode(key.open(row.body, _context(entry.user, entry.id)))


async def page(connection: AsyncConnection, user: str, paging: Paging) -> tuple[list[Entry], int]:
    query = sa.select(reports.c.id, reports.c.user_id, reports.c.period, reports.c.created_at)
    query = query.where(reports.c.user_id == user).order_by(paging.order(_SORTS), reports.c.id)
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    count = sa.select(sa.func.count()).select_from(reports).where(reports.c.user_id == user)
    return [Entry(*row) for row in rows], await connection.scalar(count) or 0


def _context(user: str, report: str) -> bytes:
    return f"health report|{user}|{report}".encode()
