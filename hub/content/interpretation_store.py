"""The SQL of interpretations; what tells something about health is sealed. Every function runs in the caller's transaction."""

from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content.interpretation import Finding, Interpretation, Original, Row
from hub.platform.page import Paging
from hub.security.sealing import DataKey

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_At = sa.DateTime(timezone=True)

interpretations = sa.Table(
    "ai_interpretations",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("actor_id", _Id),
    sa.Column("report_type", sa.Text),
    sa.Column("original", sa.LargeBinary),
    sa.Column("result", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("state", sa.Text),
    sa.Column("interpreter", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("due_at", _At),
    sa.Column("created_at", _At),
    sa.Column("read_at", _At),
)
_ROW = tuple(interpretations.c[name] for name in Row.__struct_fields__)
_SORTS = {"createdAt": interpretations.c.created_at}
SORTS = tuple(_SORTS)


class Due(NamedTuple):
    id: str
    attempts: int


class Lease(NamedTuple):
    """Whoever holds it interprets; `attempts` tells it from an earlier one that ran out."""

    id: str
    user: str
    actor: str
    original: bytes
    attempts: int


async def add(
    connection: AsyncConnection,
    key: DataKey,
    who: str,
    code: str,
    interpretation: Interpretation,
    original: Original,
    due_at: datetime | None,
) -> None:
    """A new one, with its finding if there is one already; `due_at` for one that a worker is to make."""
    finding = interpretation.finding
    values = {
        "id": interpretation.id,
        "user_id": interpretation.user,
        "actor_id": who,
        "report_type": code,
        "original": key.seal(msgspec.json.encode(original), _context(interpretation.id, "original")),
        "result": None if finding is None else _sealed(key, interpretation.id, finding),
        "key_id": key.id,
        "state": interpretation.state,
        "interpreter": finding.interpreter if finding else "",
        "due_at": due_at,
        "created_at": interpretation.created_at,
    }
    await connection.execute(interpretations.insert().values(values))


async def page(connection: AsyncConnection, user: str, is_read: bool | None, paging: Paging) -> tuple[list[Row], int]:
    """Two statements."""
    fits = [interpretations.c.user_id == user]
    if is_read is not None:
        fits.append(interpretations.c.read_at.is_not(None) if is_read else interpretations.c.read_at.is_(None))
    total = await connection.scalar(sa.select(sa.func.count()).select_from(interpretations).where(*fits))
    query = sa.select(*_ROW).where(*fits).order_by(paging.order(_SORTS), interpretations.c.id.desc())
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [Row(**row._mapping) for row in rows], total or 0


async def find(connection: AsyncConnection, interpretation: str) -> Row | None:
    row = (await connection.execute(sa.select(*_ROW).where(interpretations.c.id == interpretation))).first()
    return None if row is None else Row(**row._mapping)


async def mark_read(connection: AsyncConnection, interpretation: str, now: datetime) -> Row:
    """Read since then, or since it was read first."""
    change = sa.update(interpretations).where(interpretations.c.id == interpretation)
    change = change.values(read_at=sa.func.coalesce(interpretations.c.read_at, now))
    return Row(**(await connection.execute(change.returning(*_ROW))).one()._mapping)


def opened(key: DataKey, row: Row) -> Interpretation:
    original = msgspec.json.decode(key.open(row.original, _context(row.id, "original")), type=Original)
    finding = None
    if row.result is not None:
        finding = msgspec.json.decode(key.open(row.result, _context(row.id, "result")), type=Finding)
    return Interpretation(
        id=row.id,
        user=row.user_id,
        report_type=original.report_type,
        state=row.state,
        created_at=row.created_at,
        read_at=row.read_at,
        finding=finding,
    )


# For the worker


async def due(connection: AsyncConnection, now: datetime, at_most: int) -> list[Due]:
    query = sa.select(interpretations.c.id, interpretations.c.attempts).where(interpretations.c.due_at <= now)
    rows = await connection.execute(query.order_by(interpretations.c.due_at).limit(at_most))
    return [Due(*row) for row in rows]


async def lease(connection: AsyncConnection, interpretation: str, now: datetime, until: datetime) -> Lease | None:
    """Take it until then; None if somebody else has, or if there is nothing to do."""
    table = interpretations
    change = sa.update(table).where(table.c.id == interpretation, table.c.state == "pending", table.c.due_at <= now)
    change = change.values(attempts=table.c.attempts + 1, due_at=until)
    columns = (table.c.id, table.c.user_id, table.c.actor_id, table.c.original, table.c.attempts)
    row = (await connection.execute(change.returning(*columns))).first()
    return None if row is None else Lease(*row)


def original_of(key: DataKey, taken: Lease) -> Original:
    return msgspec.json.decode(key.open(taken.original, _context(taken.id, "original")), type=Original)


async def finish(connection: AsyncConnection, taken: Lease, key: DataKey, finding: Finding) -> bool:
    """Done; False if the lease ran out and somebody else went on."""
    values = {"result": _sealed(key, taken.id, finding), "interpreter": finding.interpreter}
    return await _end(connection, taken, {**values, "state": "done", "due_at": None})


async def fail(connection: AsyncConnection, taken: Lease) -> bool:
    return await _end(connection, taken, {"state": "failed", "due_at": None})


async def put_back(connection: AsyncConnection, taken: Lease, due_at: datetime) -> bool:
    return await _end(connection, taken, {"due_at": due_at})


async def _end(connection: AsyncConnection, taken: Lease, values: dict[str, object]) -> bool:
    table = interpretations
    change = sa.update(table).where(
        table.c.id == taken.id, table.c.state == "pending", table.c.attempts == taken.attempts
    )
    return (await connection.execute(change.values(values))).rowcount == 1


def _sealed(key: DataKey, interpretation: str, finding: Finding) -> bytes:
    return key.seal(msgspec.json.encode(finding), _context(interpretation, "result"))


def _context(interpretation: str, column: str) -> bytes:
    """Bound to its place: one interpretation's text opens in no other."""
    return f"interpretation|{interpretation}|{column}".encode()
