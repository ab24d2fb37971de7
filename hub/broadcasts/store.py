"""The SQL of broadcasts: their rows, who comes next, and the notices of one as a whole. In the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.broadcasts.model import Segment, State
from hub.platform.page import Paging

NOBODY = "00000000-0000-0000-0000-000000000000"
WINDOW = 20_000  # users read for one chunk at most, however few of them are meant: some 20 ms
COUNTED = 50_000  # users counted in one statement
WITHDRAWN = 2000  # notices withdrawn in one transaction

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_At = sa.DateTime(timezone=True)

broadcasts = sa.Table(
    "broadcasts",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("class", sa.Text, key="class_"),
    sa.Column("title", sa.LargeBinary),
    sa.Column("body", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("segment", JSONB),
    sa.Column("state", sa.Text),
    sa.Column("seq", sa.BigInteger),
    sa.Column("cursor", _Id),
    sa.Column("estimated", sa.BigInteger),
    sa.Column("is_least", sa.Boolean),
    sa.Column("looked_at", sa.BigInteger),
    sa.Column("reached", sa.BigInteger),
    sa.Column("left_out", JSONB),
    sa.Column("busy_s", sa.Float),
    sa.Column("per_s", sa.Integer),
    sa.Column("next_at", _At),
    sa.Column("lease", _Id),
    sa.Column("runs", sa.Integer),
    sa.Column("created_by", _Id),
    sa.Column("created_at", _At),
    sa.Column("starts_at", _At),
    sa.Column("started_at", _At),
    sa.Column("finished_at", _At),
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast as stored: title and body are sealed."""

    id: str
    class_: str
    title: bytes
    body: bytes | None
    key_id: str
    segment: Segment
    state: State
    seq: int | None
    cursor: str
    estimated: int
    is_least: bool
    looked_at: int
    reached: int
    left_out: dict[str, int]
    busy_s: float
    per_s: int | None
    next_at: datetime | None
    created_by: str
    created_at: datetime
    starts_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class Due(NamedTuple):
    id: str
    runs: int


class Next(NamedTuple):
    """`users`: who is meant, each with the reason to leave them out, or none. `until`: the last one looked at; None: no more come."""

    users: Sequence[tuple[str, str]]
    until: str | None


_ROW = tuple(broadcasts.c[name].label(name) for name in Row.__struct_fields__)
_SORTS = {"createdAt": broadcasts.c.created_at}
SORTS = tuple(_SORTS)


def _row(row: sa.Row[Any]) -> Row:
    fields = dict(row._mapping)
    return Row(**{**fields, "segment": msgspec.convert(fields["segment"], Segment)})


async def add(connection: AsyncConnection, values: Mapping[str, object]) -> Row:
    return _row((await connection.execute(broadcasts.insert().values(**values).returning(*_ROW))).one())


async def find(connection: AsyncConnection, broadcast: str, *, lock: bool = False) -> Row | None:
    query = sa.select(*_ROW).where(broadcasts.c.id == broadcast)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else _row(row)


async def page(connection: AsyncConnection, paging: Paging) -> tuple[list[Row], int]:
    """Two statements."""
    total = await connection.scalar(sa.select(sa.func.count()).select_from(broadcasts))
    query = sa.select(*_ROW).order_by(paging.order(_SORTS), broadcasts.c.id.desc())
    rows = await connection.execute(query.limit(paging.page_size).offset(paging.offset))
    return [_row(row) for row in rows], total or 0


async def change(connection: AsyncConnection, broadcast: str, values: Mapping[str, object]) -> Row:
    statement = sa.update(broadcasts).where(broadcasts.c.id == broadcast).values(**values)
    return _row((await connection.execute(statement.returning(*_ROW))).one())


# For the worker


async def due(connection: AsyncConnection, now: datetime, at_most: int) -> list[Due]:
    query = sa.select(broadcasts.c.id, broadcasts.c.runs).where(broadcasts.c.next_at <= now)
    rows = await connection.execute(query.order_by(broadcasts.c.next_at).limit(at_most))
    return [Due(*row) for row in rows]


async def lease(
    connection: AsyncConnection, broadcast: str, lease_id: str, now: datetime, until: datetime
) -> Row | None:
    """Take it until then, and answer it as it was before; None if somebody else has it, or if there is nothing to do."""
    before = sa.select(*_ROW).where(broadcasts.c.id == broadcast, broadcasts.c.next_at <= now)
    row = (await connection.execute(before.with_for_update(skip_locked=True))).first()
    if row is None:
        return None
    values = {"lease": lease_id, "next_at": until, "runs": broadcasts.c.runs + 1}
    await connection.execute(sa.update(broadcasts).where(broadcasts.c.id == broadcast).values(**values))
    return _row(row)


async def held(connection: AsyncConnection, broadcast: str, lease_id: str) -> Row | None:
    """The row under its lock, if the lease still holds: staff take it away when they pause or cancel."""
    query = sa.select(*_ROW).where(broadcasts.c.id == broadcast, broadcasts.c.lease == lease_id)
    row = (await connection.execute(query.with_for_update())).first()
    return None if row is None else _row(row)


async def give_back(connection: AsyncConnection, broadcast: str, lease_id: str, next_at: datetime | None) -> None:
    """Somebody may go on from then; None: nothing is left to do."""
    statement = sa.update(broadcasts).where(broadcasts.c.id == broadcast, broadcasts.c.lease == lease_id)
    await connection.execute(statement.values(lease=None, next_at=next_at))


# Whom it is for. The users are read along their ids, so that each is looked at once whatever happens in between.

_FROM_HERE = "FROM users u WHERE u.id > CAST(:cursor AS uuid)"
_NAMED = f"{_FROM_HERE} AND u.id = ANY (CAST(:users AS uuid[]))"

_MEANT = """(CAST(:roles AS text[]) IS NULL OR w.role = ANY (CAST(:roles AS text[])))
  AND (CAST(:levels AS text[]) IS NULL OR w.membership_level = ANY (CAST(:levels AS text[])))
  AND (CAST(:after AS timestamptz) IS NULL OR w.created_at >= CAST(:after AS timestamptz))
  AND (CAST(:before AS timestamptz) IS NULL OR w.created_at < CAST(:before AS timestamptz))"""

# Where the chunk ends: at its last one if it is full, else where the window ends, else nowhere.
_NEXT = """
WITH chunk AS MATERIALIZED (
  SELECT w.id, w.status FROM (SELECT u.* {source} ORDER BY u.id LIMIT :window) w WHERE {meant} ORDER BY w.id LIMIT :chunk
)
SELECT e.until::text, c.id::text,
  CASE WHEN c.status <> 'active' THEN 'inactive'
    WHEN CAST(:consent AS text) IS NOT NULL AND NOT EXISTS (
      SELECT FROM consents s WHERE s.user_id = c.id AND s.purpose = CAST(:consent AS text) AND s.withdrawn_at IS NULL) THEN 'consent'
    WHEN CAST(:optional AS boolean) AND coalesce(CAST(p.classes -> CAST(:class AS text) ->> 'off' AS boolean), false) THEN 'off'
    ELSE '' END AS why
FROM (SELECT CASE WHEN (SELECT count(*) FROM chunk) = :chunk THEN (SELECT id FROM chunk ORDER BY id DESC LIMIT 1)
  ELSE (SELECT u.id {source} ORDER BY u.id OFFSET :window - 1 LIMIT 1) END AS until) e
LEFT JOIN chunk c ON true LEFT JOIN notice_preferences p ON p.user_id = c.id ORDER BY c.id
"""
_COUNT = """
WITH w AS MATERIALIZED (SELECT u.* {source} ORDER BY u.id LIMIT :window)
SELECT (SELECT count(*) FROM w WHERE {meant}) AS meant,
  CASE WHEN (SELECT count(*) FROM w) = :window THEN (SELECT id::text FROM w ORDER BY id DESC LIMIT 1) END AS until
"""


def _both(statement: str) -> dict[bool, sa.TextClause]:
    return {
        named: sa.text(statement.replace("{source}", source).replace("{meant}", _MEANT))
        for named, source in ((False, _FROM_HERE), (True, _NAMED))
    }


_NEXTS, _COUNTS = _both(_NEXT), _both(_COUNT)


def _meant(segment: Segment, cursor: str, window: int) -> dict[str, object]:
    values: dict[str, object] = {
        "cursor": cursor,
        "window": window,
        "roles": segment.roles,
        "levels": segment.membership_levels,
        "after": segment.registered_after,
        "before": segment.registered_before,
    }
    return values if segment.users is None else {**values, "users": segment.users}


async def next_users(
    connection: AsyncConnection,
    segment: Segment,
    cursor: str,
    chunk: int,
    *,
    code: str,
    consent: str | None,
    optional: bool,
    window: int = WINDOW,
) -> Next:
    """Who comes after `cursor`, at most `chunk`. One statement."""
    values = {
        **_meant(segment, cursor, window),
        "chunk": chunk,
        "class": code,
        "consent": consent,
        "optional": optional,
    }
    rows = (await connection.execute(_NEXTS[segment.users is not None], values)).all()
    return Next([(row.id, row.why) for row in rows if row.id is not None], rows[0].until)


async def count(connection: AsyncConnection, segment: Segment, cursor: str) -> tuple[int, str | None]:
    """How many are meant among the next `COUNTED` users, and where to go on counting; None: these were all."""
    row = (await connection.execute(_COUNTS[segment.users is not None], _meant(segment, cursor, COUNTED))).one()
    return row.meant, row.until


async def unknown(connection: AsyncConnection, users: Collection[str]) -> set[str]:
    """Those of these ids that are nobody's."""
    known = sa.text("SELECT id::text FROM users WHERE id = ANY (CAST(:users AS uuid[]))")
    return set(users) - set(await connection.scalars(known, {"users": list(users)}))


# Its notices. One that a worker is at stays with the worker, who looks at it once more; what some device shows is taken back.

_STATES = sa.text("SELECT state, count(*) FROM notices WHERE broadcast = CAST(:broadcast AS uuid) GROUP BY state")
_WITHDRAW = sa.text("""
UPDATE notices n SET state = 'superseded', reason = 'cancelled', ended_at = clock_timestamp(),
  next_at = CASE WHEN n.lease IS NOT NULL THEN n.next_at
    WHEN EXISTS (SELECT FROM notice_attempts a WHERE a.notice = n.id) THEN clock_timestamp() END
WHERE n.id IN (
  SELECT id FROM notices WHERE broadcast = CAST(:broadcast AS uuid) AND state = 'open' LIMIT :most FOR NO KEY UPDATE SKIP LOCKED)
""")
_OPEN = sa.text("SELECT EXISTS (SELECT FROM notices WHERE broadcast = CAST(:broadcast AS uuid) AND state = 'open')")


async def notice_states(connection: AsyncConnection, broadcast: str) -> dict[str, int]:
    """How many of its notices are in which state."""
    return {row[0]: row[1] for row in await connection.execute(_STATES, {"broadcast": broadcast})}


async def withdraw(connection: AsyncConnection, broadcast: str) -> int:
    """End up to `WITHDRAWN` of its open notices; the answer is how many."""
    return (await connection.execute(_WITHDRAW, {"broadcast": broadcast, "most": WITHDRAWN})).rowcount


async def has_open(connection: AsyncConnection, broadcast: str) -> bool:
    return bool(await connection.scalar(_OPEN, {"broadcast": broadcast}))
