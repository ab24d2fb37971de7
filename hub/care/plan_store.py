"""Rows of plans: what they say sealed under the key of the person, when they are due in the clear, for the scheduler."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.model import RecordType
from hub.care.plan import Kind, Plan, State, Timing
from hub.platform.error import ErrorCode, Refusal
from hub.platform.page import Paging
from hub.security.sealing import DataKey, Sealer

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)
plans = sa.Table(
    "health_plans",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("actor_id", _Id),
    sa.Column("kind", sa.Text),
    sa.Column("body", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("schedule", sa.Text),
    sa.Column("starts_at", sa.DateTime),
    sa.Column("timezone", sa.Text),
    sa.Column("until", _Time),
    sa.Column("ends_at", _Time),
    sa.Column("state", sa.Text),
    sa.Column("revision", sa.Integer),
    sa.Column("created_at", _Time),
    sa.Column("updated_at", _Time),
)
_SORTS: dict[str, sa.ColumnElement[Any]] = {  # Any: columns of several types
    "createdAt": plans.c.created_at,
    "updatedAt": plans.c.updated_at,
}
PLAN_SORTS = tuple(_SORTS)


class _Content(msgspec.Struct, frozen=True, array_like=True):
    """What the column `body` seals."""

    title: str
    notes: str
    measurement_type: RecordType | None
    critical: bool = False
    moved_on: date | None = None
    moves: int = 0


_content = msgspec.msgpack.Decoder(_Content)


async def add(connection: AsyncConnection, key: DataKey, plan: Plan) -> None:
    """`key` is that of the person it is for."""
    fixed = {
        "id": plan.id,
        "user_id": plan.user,
        "actor_id": plan.actor,
        "kind": plan.kind,
        "created_at": plan.created_at,
    }
    await connection.execute(plans.insert().values(**fixed, **_changing(key, plan)))


async def save(connection: AsyncConnection, key: DataKey, plan: Plan) -> None:
    """Everything that can change."""
    await connection.execute(sa.update(plans).where(plans.c.id == plan.id).values(**_changing(key, plan)))


async def find(connection: AsyncConnection, sealer: Sealer, plan: str, *, lock: bool = False) -> Plan | None:
    """Locked, so that two changes at once are one after the other."""
    query = sa.select(plans).where(plans.c.id == plan)
    # Its key stays, so a scheduler that adds occurrences meanwhile need not wait: its timers are waited for (FOR NO KEY UPDATE).
    rows = (await connection.execute(query.with_for_update(key_share=True) if lock else query)).all()
    return (await _open(sealer, rows))[0] if rows else None


async def find_all(connection: AsyncConnection, sealer: Sealer, ids: Collection[str]) -> dict[str, Plan]:
    """Those of these that are there, by id; not those of people whose key was destroyed."""
    rows = (await connection.execute(sa.select(plans).where(plans.c.id.in_(ids)))).all()
    keys = await sealer.by_ids({row.key_id for row in rows})
    return {row.id: _opened(row, key) for row in rows if (key := keys[row.key_id]) is not None}


async def of_person(
    connection: AsyncConnection, sealer: Sealer, user: str, now: datetime, ids: Collection[str]
) -> list[Plan]:
    """Everything of a person that has not ended, and these."""
    query = sa.select(plans).where(plans.c.user_id == user, sa.or_(~_is("ended", now), plans.c.id.in_(ids)))
    return await _open(sealer, (await connection.execute(query.order_by(plans.c.created_at, plans.c.id))).all())


async def page(
    connection: AsyncConnection,
    sealer: Sealer,
    user: str,
    kind: Kind | None,
    state: State | None,
    now: datetime,
    paging: Paging,
) -> tuple[list[Plan], int]:
    fitting = [plans.c.user_id == user]
    if kind is not None:
        fitting.append(plans.c.kind == kind)
    if state is not None:
        fitting.append(_is(state, now))
    query = sa.select(plans).where(*fitting).order_by(paging.order(_SORTS), plans.c.id)
    rows = (await connection.execute(query.limit(paging.page_size).offset(paging.offset))).all()
    total = await connection.scalar(sa.select(sa.func.count()).select_from(plans).where(*fitting))
    return await _open(sealer, rows), total or 0


async def count_open(connection: AsyncConnection, user: str, now: datetime) -> int:
    open_ones = sa.select(sa.func.count()).select_from(plans).where(plans.c.user_id == user, ~_is("ended", now))
    return await connection.scalar(open_ones) or 0


def _is(state: State, now: datetime) -> sa.ColumnElement[bool]:
    """The same as `plan.state_at`."""
    over = sa.func.coalesce(plans.c.ends_at < now, False)
    return sa.or_(plans.c.state == state, over) if state == "ended" else sa.and_(plans.c.state == state, ~over)


def _changing(key: DataKey, plan: Plan) -> dict[str, Any]:  # Any: values of columns of several types
    content = _Content(plan.title, plan.notes, plan.measurement_type, plan.critical, plan.moved_on, plan.moves)
    return {
        "body": key.seal(msgspec.msgpack.encode(content), _context(plan.user, plan.id)),
        "key_id": key.id,
        **msgspec.structs.asdict(plan.timing),
        "state": plan.state,
        "revision": plan.revision,
        "updated_at": plan.updated_at,
    }


async def _open(sealer: Sealer, rows: Sequence[sa.Row[Any]]) -> list[Plan]:
    """The plans of these rows; refused as erased if the key of one was destroyed."""
    keys = await sealer.by_ids({row.key_id for row in rows})
    found = []
    for row in rows:
        key = keys[row.key_id]
        if key is None:
            raise Refusal(ErrorCode.NOT_FOUND, "erased")
        found.append(_opened(row, key))
    return found


def _opened(row: sa.Row[Any], key: DataKey) -> Plan:
    content = _content.decode(key.open(row.body, _context(row.user_id, row.id)))
    return Plan(
        id=row.id,
        user=row.user_id,
        actor=row.actor_id,
        kind=row.kind,
        title=content.title,
        notes=content.notes,
        measurement_type=content.measurement_type,
        critical=content.critical,
        timing=Timing(row.schedule, row.starts_at, row.timezone, row.until, row.ends_at),
        state=row.state,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        moved_on=content.moved_on,
        moves=content.moves,
    )


def _context(user: str, plan: str) -> bytes:
    return f"health plan|{user}|{plan}".encode()
