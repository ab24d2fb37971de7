"""The SQL of duty rosters. Every function runs in the caller's transaction.

A shift counts only while its person is active and fit for the role: who was suspended, or is no doctor any more, hears of no alert.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.duty import FIT, DutyRole, Planned, Shift
from hub.platform.page import Paging

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)
_users = sa.Table(
    "users", _tables, *(sa.Column(name, sa.Text) for name in ("name", "role", "status")), sa.Column("id", _Id)
)
_shifts = sa.Table(
    "duty_shifts",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("role", sa.Text),
    sa.Column("user_id", _Id),
    sa.Column("starts_at", _Time),
    sa.Column("ends_at", _Time),
    sa.Column("note", sa.Text),
    sa.Column("created_by", _Id),
    sa.Column("created_at", _Time),
)
_TOLD = tuple(_shifts.c[name] for name in ("id", "role", "starts_at", "ends_at", "note", "created_by", "created_at"))
_ALL = sa.select(*_TOLD, _shifts.c.user_id.label("user"), _users.c.name).join(_users, _users.c.id == _shifts.c.user_id)
_SORTS: dict[str, sa.ColumnElement[object]] = {"startsAt": _shifts.c.starts_at, "endsAt": _shifts.c.ends_at}
SHIFT_SORTS = tuple(_SORTS)
# Rosters change seldom, so changes take turns: what one has checked is still so when it commits.
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('duty_shifts'))")
_OVERLAPPING = (
    sa.text("""
SELECT DISTINCT a.id FROM duty_shifts a JOIN duty_shifts b ON b.role = a.role AND b.user_id = a.user_id AND b.id <> a.id
  AND b.starts_at < a.ends_at AND b.ends_at > a.starts_at
WHERE a.id = ANY (:ids)
""")
    .bindparams(sa.bindparam("ids", type_=ARRAY(_Id)))
    .columns(id=_Id)
)
_IS_USED = sa.text("SELECT EXISTS (SELECT FROM duty_shifts) OR EXISTS (SELECT FROM alerts)")


async def on_duty(connection: AsyncConnection, role: str, at: datetime) -> list[str]:
    """Who has the role at this moment, the latest begun shift first; nobody twice."""
    return list(dict.fromkeys(shift.user for shift in await running(connection, role, at)))


async def running(connection: AsyncConnection, role: str, at: datetime) -> list[Shift]:
    """The shifts of this moment, the latest begun first."""
    query = _ALL.where(*_counting(role), _shifts.c.starts_at <= at, _shifts.c.ends_at > at)
    rows = await connection.execute(query.order_by(_shifts.c.starts_at.desc(), _shifts.c.id))
    return [Shift(**row._mapping) for row in rows]


async def taken(
    connection: AsyncConnection, role: DutyRole, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """When somebody has the role, as far as it touches this stretch."""
    query = sa.select(_shifts.c.starts_at, _shifts.c.ends_at).join(_users, _users.c.id == _shifts.c.user_id)
    rows = await connection.execute(query.where(*_counting(role), *_touching(start, end)))
    return [(row.starts_at, row.ends_at) for row in rows]


async def page(
    connection: AsyncConnection, role: DutyRole | None, start: datetime, end: datetime, paging: Paging
) -> tuple[list[Shift], int]:
    """What touches this stretch, also of people who may not have the role any more; and how many there are."""
    fitting = [*_touching(start, end), *([_shifts.c.role == role] if role else [])]
    query = _ALL.where(*fitting).order_by(paging.order(_SORTS), _shifts.c.id)
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    total = await connection.scalar(sa.select(sa.func.count()).select_from(_shifts).where(*fitting))
    return [Shift(**row._mapping) for row in rows], total or 0


async def find(connection: AsyncConnection, shift: str) -> Shift | None:
    row = (await connection.execute(_ALL.where(_shifts.c.id == shift))).one_or_none()
    return None if row is None else Shift(**row._mapping)


async def lock(connection: AsyncConnection) -> None:
    """Until the transaction ends nobody else changes a roster."""
    await connection.execute(_LOCK)


async def account_roles(connection: AsyncConnection, users: Collection[str]) -> Mapping[str, str]:
    """The roles of the active accounts among these."""
    query = sa.select(_users.c.id, _users.c.role).where(_users.c.id.in_(users), _users.c.status == "active")
    return {row.id: row.role for row in await connection.execute(query)}


async def add(connection: AsyncConnection, shift: str, planned: Planned, by: str, at: datetime) -> None:
    fixed = {"id": shift, "created_by": by, "created_at": at}
    await connection.execute(_shifts.insert().values(**fixed, **_values(planned)))


async def save(connection: AsyncConnection, shift: str, planned: Planned) -> None:
    await connection.execute(sa.update(_shifts).where(_shifts.c.id == shift).values(**_values(planned)))


async def end(connection: AsyncConnection, shift: str, at: datetime) -> None:
    """It lasted until now."""
    await connection.execute(sa.update(_shifts).where(_shifts.c.id == shift).values(ends_at=at))


async def delete(connection: AsyncConnection, shift: str) -> None:
    await connection.execute(sa.delete(_shifts).where(_shifts.c.id == shift))


async def overlapping(connection: AsyncConnection, shifts: Sequence[str]) -> set[str]:
    """Those of these during which the same person has the same role already."""
    return set(await connection.scalars(_OVERLAPPING, {"ids": list(shifts)}))


async def is_used(connection: AsyncConnection) -> bool:
    """Whether anybody was ever on duty here, or anything ever needed them."""
    return bool(await connection.scalar(_IS_USED))


def _counting(role: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _shifts.c.role == role, _users.c.status == "active", _users.c.role.in_(FIT[role])


def _touching(start: datetime, end: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return _shifts.c.starts_at < end, _shifts.c.ends_at > start


def _values(planned: Planned) -> dict[str, object]:
    return {
        "role": planned.role,
        "user_id": planned.user,
        "starts_at": planned.starts_at,
        "ends_at": planned.ends_at,
        "note": planned.note,
    }
