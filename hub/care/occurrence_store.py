"""Rows of occurrences. When and what became of it is in the clear; what it was stands in the plan, sealed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.model import RecordType
from hub.care.occurrence import MEASURED_BEFORE, Occurrence, Pick, State, place_of
from hub.timers.model import Due

_SHAPE = {
    "id": "uuid",
    "plan_id": "uuid",
    "user_id": "uuid",
    "at": "timestamptz",
    "revision": "int",
    "state": "text",
    "snoozed_until": "timestamptz",
    "snoozes": "int",
    "told_at": "timestamptz",
    "acted_at": "timestamptz",
    "acted_by": "uuid",
    "reading": "uuid",
}
_UNNEST = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _SHAPE.items())
_ROWS = f"unnest({_UNNEST}) AS n({', '.join(_SHAPE)})"
_CHANGING = ("state", "snoozed_until", "snoozes", "told_at", "acted_at", "acted_by", "reading")

_ADD = sa.text(f"""
INSERT INTO plan_occurrences ({", ".join(_SHAPE)}) SELECT n.* FROM {_ROWS}
ON CONFLICT (plan_id, at) DO NOTHING RETURNING plan_id, at
""")  # noqa: S608 - the parts are constants of this module
_SAVE = sa.text(f"""
UPDATE plan_occurrences o SET {", ".join(f"{name} = n.{name}" for name in _CHANGING)} FROM {_ROWS} WHERE o.id = n.id
""")  # noqa: S608 - the parts are constants of this module
# What nobody was told of, put off or acted on makes room; what was due before goes on under the new revision.
_RENEW = sa.text("""
WITH gone AS (
  DELETE FROM plan_occurrences
  WHERE plan_id = CAST(:plan AS uuid) AND state = 'due' AND at >= :now AND told_at IS NULL AND snoozes = 0)
UPDATE plan_occurrences SET revision = :revision
WHERE plan_id = CAST(:plan AS uuid) AND state = 'due' AND (at < :now OR told_at IS NOT NULL OR snoozes > 0) RETURNING *
""").bindparams(sa.bindparam("now", type_=sa.DateTime(timezone=True)))
_LOCK = sa.text(
    "SELECT * FROM plan_occurrences WHERE plan_id = CAST(:plan AS uuid) AND at = :at FOR UPDATE"
).bindparams(sa.bindparam("at", type_=sa.DateTime(timezone=True)))
# Sorted, so that those who remind and those who find it missed wait for each other in one direction only.
_RIPE = sa.text("""
SELECT o.* FROM unnest(CAST(:plans AS uuid[]), CAST(:moments AS timestamptz[]), CAST(:revisions AS int[]), CAST(:snoozes AS int[]))
  AS t(plan_id, at, revision, snoozes)
JOIN plan_occurrences o ON o.plan_id = t.plan_id AND o.at = t.at AND o.revision = t.revision AND o.snoozes = t.snoozes
WHERE o.state = 'due' ORDER BY o.id FOR UPDATE OF o
""")
_BETWEEN = """
SELECT * FROM plan_occurrences WHERE {owner} = CAST(:owner AS uuid) AND at >= :start AND at < :end ORDER BY at, id LIMIT :most
"""
_OF: dict[Literal["plan", "user"], sa.TextClause] = {
    "plan": sa.text(_BETWEEN.format(owner="plan_id")),
    "user": sa.text(_BETWEEN.format(owner="user_id")),
}
_COUNTS = sa.text("""
SELECT plan_id, state, count(*) AS number FROM plan_occurrences
WHERE plan_id = ANY (CAST(:plans AS uuid[])) AND at >= :since AND state <> 'due' GROUP BY plan_id, state
""")
# The type of a reading is in the clear, its value is not. One that served another occurrence of the plan serves no second.
_PICKS = sa.text("""
SELECT w.id, r.id AS reading, r.recorded_at
FROM unnest(CAST(:ids AS uuid[]), CAST(:plans AS uuid[]), CAST(:users AS uuid[]), CAST(:types AS text[]), CAST(:moments AS timestamptz[]))
  AS w(id, plan_id, user_id, type, at)
CROSS JOIN LATERAL (
  SELECT id, recorded_at FROM health_data_records h
  WHERE h.user_id = w.user_id AND h.type = w.type AND h.recorded_at >= w.at - CAST(:before AS interval)
    AND h.recorded_at <= CAST(:now AS timestamptz)
    AND NOT EXISTS (SELECT FROM plan_occurrences p WHERE p.plan_id = w.plan_id AND p.reading = h.id)
  ORDER BY h.recorded_at LIMIT 1) r
""")


async def add(connection: AsyncConnection, wanted: Sequence[Occurrence]) -> set[tuple[str, datetime]]:
    """The plan and moment of each that was not there."""
    if not wanted:
        return set()
    return {(str(row.plan_id), row.at) for row in await connection.execute(_ADD, _columns(wanted))}


async def save(connection: AsyncConnection, changed: Sequence[Occurrence]) -> None:
    """What became of these, which the caller has locked."""
    if changed:
        await connection.execute(_SAVE, _columns(changed))


async def renew(connection: AsyncConnection, plan: str, revision: int, now: datetime) -> list[Occurrence]:
    """Take away what is still to come of a plan; the answer is what was due before and still is, now of this revision."""
    rows = await connection.execute(_RENEW, {"plan": plan, "revision": revision, "now": now})
    return [_occurrence(row) for row in rows]


async def lock(connection: AsyncConnection, plan: str, at: datetime) -> Occurrence | None:
    row = (await connection.execute(_LOCK, {"plan": plan, "at": at})).first()
    return None if row is None else _occurrence(row)


async def lock_ripe(connection: AsyncConnection, timers: Sequence[Due]) -> list[Occurrence]:
    """The occurrences of these timers of which nothing became, by the same revision and put off as often as when they were set."""
    places = [place_of(each.key) for each in timers]
    values = {
        "plans": [each.subject for each in timers],
        "moments": [at for at, _ in places],
        "revisions": [each.revision for each in timers],
        "snoozes": [snoozes for _, snoozes in places],
    }
    return [_occurrence(row) for row in await connection.execute(_RIPE, values)]


async def between(
    connection: AsyncConnection, of: Literal["plan", "user"], owner: str, start: datetime, end: datetime, most: int
) -> list[Occurrence]:
    """The first `most` of a plan, or of a person, with start <= moment < end."""
    values = {"owner": owner, "start": start, "end": end, "most": most}
    return [_occurrence(row) for row in await connection.execute(_OF[of], values)]


async def counts(connection: AsyncConnection, plans: Collection[str], since: datetime) -> dict[str, dict[State, int]]:
    """How many of each plan became what since then."""
    found: dict[str, dict[State, int]] = {plan: {} for plan in plans}
    for row in await connection.execute(_COUNTS, {"plans": list(plans), "since": since}):
        found[str(row.plan_id)][row.state] = row.number
    return found


async def picks(
    connection: AsyncConnection, wanted: Sequence[Occurrence], types: Mapping[str, RecordType], now: datetime
) -> list[Pick]:
    """For each of these the first reading of its plan's type around its time. `types`: by plan; others are left out."""
    asked = [each for each in wanted if each.plan in types]
    if not asked:
        return []
    values = {
        "ids": [each.id for each in asked],
        "plans": [each.plan for each in asked],
        "users": [each.user for each in asked],
        "types": [types[each.plan] for each in asked],
        "moments": [each.at for each in asked],
        "before": MEASURED_BEFORE,
        "now": now,
    }
    rows = await connection.execute(_PICKS, values)
    return [Pick(str(row.id), str(row.reading), row.recorded_at) for row in rows]


def _columns(given: Sequence[Occurrence]) -> dict[str, list[Any]]:  # Any: columns of several types
    fields = Occurrence.__struct_fields__
    return {name: [getattr(each, field) for each in given] for name, field in zip(_SHAPE, fields, strict=True)}


def _occurrence(row: Any) -> Occurrence:  # Any: a row of one of the statements above
    return Occurrence(
        id=str(row.id),
        plan=str(row.plan_id),
        user=str(row.user_id),
        at=row.at,
        revision=row.revision,
        state=row.state,
        snoozed_until=row.snoozed_until,
        snoozes=row.snoozes,
        told_at=row.told_at,
        acted_at=row.acted_at,
        acted_by=None if row.acted_by is None else str(row.acted_by),
        reading=None if row.reading is None else str(row.reading),
    )
