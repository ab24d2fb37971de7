"""The SQL of the ledger. Every list reads a bounded stretch of one index, whatever else is asked for."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.ledger import Line, Lines, Period, Search, Stretch, Tried, least_id
from hub.notices.model import AttemptState, State
from hub.platform.database import Database

SCANNED = 2000  # notices looked at for one stretch where no index has all that is asked for
EXPORTED = 500  # notices of one page of an export

_LINE = """n.id::text, n.user_id::text AS user, u.name, n.class AS class_, n.state, n.reason, n.subject, n.conversation::text, n.upto_seq,
  n.broadcast::text, n.created_at, n.begins_at, n.expires_at, n.next_at, n.delivered_at, n.seen_at, n.ended_at"""

_CONDITIONS = {
    "user": "n.user_id = CAST(:user AS uuid)",
    "conversation": "n.conversation = CAST(:conversation AS uuid)",
    "broadcast": "n.broadcast = CAST(:broadcast AS uuid)",
    "state": "n.state = :state",
    "class_": "n.class = :class_",
}
_BOUNDS = {"before": "n.id < CAST(:before AS uuid)", "after": "n.id > CAST(:after AS uuid)"}

# What is asked for → the columns that lead an index with the id behind them; the first that is asked for in full is read.
_LEADS = (
    ("user", "conversation"),
    ("conversation",),
    ("user",),
    ("broadcast", "state"),
    ("broadcast",),
    ("state",),
    (),
)

_ALONG = "SELECT n.* FROM notices n WHERE {lead} ORDER BY n.id {order} LIMIT :scanned"
# The index of broadcasts has the state before the id: a stretch of each state, merged.
_ALONG_STATES = """SELECT n.* FROM unnest(CAST(:states AS text[])) AS s(state), LATERAL (
    SELECT n.* FROM notices n WHERE n.state = s.state AND {lead} ORDER BY n.id {order} LIMIT :scanned) n
  ORDER BY n.id {order} LIMIT :scanned"""
_LIST = """
WITH looked AS MATERIALIZED ({along})
SELECT far.*, found.* FROM (
  SELECT (SELECT count(*) FROM looked) AS looked_at, (SELECT id::text FROM looked ORDER BY id {onward} LIMIT 1) AS upto) far
LEFT JOIN LATERAL (
  SELECT {line} FROM looked n JOIN users u ON u.id = n.user_id WHERE {rest} ORDER BY n.id {order} LIMIT :most) found ON true
ORDER BY found.id {order}
"""
_ONE = sa.text(f"""
SELECT {_LINE}, coalesce(m.delivered_seq, 0) AS delivered_seq, coalesce(m.read_seq, 0) AS read_seq
FROM notices n JOIN users u ON u.id = n.user_id LEFT JOIN members m ON m.conversation = n.conversation AND m.user_id = n.user_id
WHERE n.id = CAST(:id AS uuid)
""")  # noqa: S608 - constants only
# Behind the bar stands what lets one change the message (WeCom's response_code), which is for workers only.
_TRIED = sa.text("""
SELECT a.notice::text, a.id::text, a.step, a.channel, a.provider, a.address, a.number, a.state, a.code, a.detail,
  split_part(a.provider_id, '|', 1) AS provider_id,
  a.aside, a.created_at, a.sent_at, a.settled_at, a.next_at, a.receipt_until, a.withdrawn_at
FROM notice_attempts a WHERE a.notice = ANY (CAST(:notices AS uuid[])) ORDER BY a.notice, a.created_at, a.id
""")
_PAGE = sa.text(f"""
SELECT {_LINE} FROM (
  SELECT * FROM notices WHERE id >= CAST(:since AS uuid) AND id < CAST(:until AS uuid) ORDER BY id LIMIT :most) n
JOIN users u ON u.id = n.user_id ORDER BY n.id
""")  # noqa: S608 - constants only


def statement_of(search: Search, stretch: Stretch) -> tuple[str, dict[str, object]]:
    """The statement of a list, and its parameters: no condition that holds nothing, so that each has the plan of its index."""
    given = {name: value for name, value in msgspec.structs.asdict(search).items() if value is not None}
    bounds = {name: value for name in _BOUNDS if (value := getattr(stretch, name)) is not None}
    lead = next(each for each in _LEADS if set(each) <= given.keys())
    rest = [_CONDITIONS[name] for name in given if name not in lead]
    order, onward = ("ASC", "DESC") if stretch.is_upward else ("DESC", "ASC")
    leading = [*(_CONDITIONS[name] for name in lead), *(_BOUNDS[name] for name in bounds)]
    along = (_ALONG_STATES if lead == ("broadcast",) else _ALONG).format(lead=_all(leading), order=order)
    most = stretch.limit + 1
    values: dict[str, object] = {**given, **bounds, "most": most, "scanned": SCANNED if rest else most}
    if lead == ("broadcast",):
        values["states"] = [each.value for each in State]
    return _LIST.format(along=along, line=_LINE, rest=_all(rest), order=order, onward=onward), values


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "true"


async def lines(connection: AsyncConnection, search: Search, stretch: Stretch) -> Lines:
    """A stretch of those that are asked for; it may be short, or empty, and yet have a `following`. One statement."""
    statement, values = statement_of(search, stretch)
    rows = (await connection.execute(sa.text(statement), values)).all()
    found = [_line(row) for row in rows if row.id is not None]
    items = found[: stretch.limit]
    following = None
    if len(found) > stretch.limit:
        following = items[-1].id
    elif rows[0].looked_at == values["scanned"]:
        following = rows[0].upto
    return Lines(items[::-1] if stretch.is_upward else items, following)


async def line(connection: AsyncConnection, notice: str) -> tuple[Line, tuple[int, int]] | None:
    """The notice, with up to where its person has received and read."""
    row = (await connection.execute(_ONE, {"id": notice})).first()
    return None if row is None else (_line(row), (row.delivered_seq, row.read_seq))


async def tried(connection: AsyncConnection, notices: Sequence[str]) -> list[Tried]:
    """Every attempt of these, in the order in which they were made."""
    return [
        Tried(**{**row._mapping, "state": AttemptState(row.state)})
        for row in await connection.execute(_TRIED, {"notices": list(notices)})
    ]


async def export(database: Database, period: Period) -> AsyncIterator[Sequence[tuple[Line, Sequence[Tried]]]]:
    """Everything made in the period with its attempts, in the order of making, page by page; each is a transaction of its own."""
    since, until = least_id(period.since), least_id(period.until)
    while True:
        async with database.transaction() as connection:
            values = {"since": since, "until": until, "most": EXPORTED}
            found = [_line(row) for row in await connection.execute(_PAGE, values)]
            attempts = await tried(connection, [each.id for each in found])
        by_notice: dict[str, list[Tried]] = {each.id: [] for each in found}
        for attempt in attempts:
            by_notice[attempt.notice].append(attempt)
        if found:
            yield [(each, by_notice[each.id]) for each in found]
        if len(found) < EXPORTED:
            return
        since = _after(found[-1].id)


def _after(notice: str) -> str:
    """The id that comes next, whether there is such a row or not."""
    text = f"{int(notice.replace('-', ''), 16) + 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _line(row: sa.Row[Any]) -> Line:  # Any: as SQLAlchemy types its rows
    fields = {name: row._mapping[name] for name in Line.__struct_fields__}
    return Line(**{**fields, "state": State(row.state)})
