"""The SQL of alerts; what people say of them is sealed under the key of the person. Every function runs in the caller's transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.model import Alert, Found, Source, StepFired, Taking
from hub.security.sealing import DataKey, Sealer

COLUMNS = """a.id::text, a.person::text, u.name, u.phone, a.kind, a.severity, a.rule, a.rule_version, a.drill,
  a.conversation::text, a.state, a.number, a.step, a.next_at, a.count, a.opened_at, a.last_at, a.acknowledged_at,
  a.acknowledged_by::text, a.resolved_at, a.resolved_by::text"""
_AT = TIMESTAMP(timezone=True)

# What one person's sources raise takes turns: the second sees what the first opened.
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('alerts of ' || :person, 0))")
_BY_SOURCE = text("SELECT alert::text FROM alert_sources WHERE source = :source")
# A critical finding does not join a warning: it must not wait as long.
_JOIN = text("""
UPDATE alerts SET count = count + 1, last_at = :now WHERE id = (
  SELECT id FROM alerts WHERE person = CAST(:person AS uuid) AND rule = :rule AND drill = :drill AND state = 'open'
    AND severity IN ('critical', :severity)
  ORDER BY severity LIMIT 1) AND state = 'open' RETURNING id::text
""").bindparams(bindparam("now", type_=_AT))
_ADD = text("""
INSERT INTO alerts (id, person, kind, severity, rule, rule_version, drill, conversation, next_at, opened_at, last_at)
VALUES (CAST(:id AS uuid), CAST(:person AS uuid), :kind, :severity, :rule, :rule_version, :drill,
  CAST(:conversation AS uuid), :now, :now, :now)
""").bindparams(bindparam("now", type_=_AT))
_ADD_SOURCE = text("""
INSERT INTO alert_sources (source, alert, at, actor, note, key_id)
VALUES (:source, CAST(:alert AS uuid), :now, CAST(:by AS uuid), :note, CAST(:key AS uuid))
""").bindparams(bindparam("now", type_=_AT))
_FIND = text(f"SELECT {COLUMNS} FROM alerts a JOIN users u ON u.id = a.person WHERE a.id = CAST(:alert AS uuid)")  # noqa: S608 - a constant
# In one order, so that two who lock several do not wait for each other in a circle.
_LOCK = text(f"""
SELECT {COLUMNS} FROM alerts a JOIN users u ON u.id = a.person WHERE a.id = ANY (CAST(:alerts AS uuid[]))
ORDER BY a.id FOR UPDATE OF a
""")  # noqa: S608 - a constant
_SOURCES = text(
    "SELECT source, at, actor::text, note, key_id::text FROM alert_sources WHERE alert = CAST(:alert AS uuid) ORDER BY at, source"
)
_NOTES = text("SELECT acknowledge_note, resolve_note, key_id::text FROM alerts WHERE id = CAST(:alert AS uuid)")
_STEPS = text("""
SELECT number, step, told::text[] AS told, due_at, fired_at, until FROM alert_steps WHERE alert = CAST(:alert AS uuid) ORDER BY number
""")
_ADD_STEPS = text("""
INSERT INTO alert_steps (alert, number, step, told, due_at, fired_at, until)
SELECT alert, number, step, CAST(string_to_array(told, ',') AS uuid[]), due_at, fired_at, until
FROM unnest(CAST(:alert AS uuid[]), CAST(:number AS int[]), CAST(:step AS text[]), CAST(:told AS text[]),
  CAST(:due_at AS timestamptz[]), CAST(:fired_at AS timestamptz[]), CAST(:until AS timestamptz[]))
  AS t(alert, number, step, told, due_at, fired_at, until)
""")
_STAND = text("""
UPDATE alerts a SET number = t.number, step = t.step, next_at = t.next_at
FROM unnest(CAST(:alert AS uuid[]), CAST(:number AS int[]), CAST(:step AS text[]), CAST(:next_at AS timestamptz[]))
  AS t(alert, number, step, next_at)
WHERE a.id = t.alert
""")
_TAKE: dict[Taking, Any] = {  # Any: statements
    taking: text(f"""
UPDATE alerts SET state = '{taking}', {taking}_at = :now, {taking}_by = CAST(:by AS uuid), next_at = NULL,
  {taking[:-1]}_note = :note, key_id = coalesce(CAST(:key AS uuid), key_id) WHERE id = CAST(:alert AS uuid)
""").bindparams(bindparam("now", type_=_AT))  # noqa: S608 - constants
    for taking in ("acknowledged", "resolved")
}
_STAFF = text("SELECT id::text FROM users WHERE role IN ('staff', 'admin') AND status = 'active'")
_WAS_TOLD = text("""
SELECT EXISTS (SELECT FROM alert_steps WHERE alert = CAST(:alert AS uuid) AND told @> ARRAY[CAST(:who AS uuid)])
""")


class Sealed(msgspec.Struct, frozen=True):
    """A note on its way to the database; without a key nothing is kept of it: the person's data was erased."""

    note: bytes | None = None
    key: str | None = None


def seal(key: DataKey | None, alert: str, place: str, note: str) -> Sealed:
    """`place`: which note of the alert; it opens nowhere else."""
    return Sealed(key.seal(note.encode(), _context(alert, place)), key.id) if key is not None and note else Sealed()


async def take_turn(connection: AsyncConnection, person: str) -> None:
    await connection.execute(_TURN, {"person": person})


async def raised_by(connection: AsyncConnection, source: str) -> str | None:
    """The alert that this source raised."""
    return (await connection.execute(_BY_SOURCE, {"source": source})).scalar_one_or_none()


async def join(connection: AsyncConnection, found: Found, now: datetime) -> str | None:
    """Count it to an open alert of the same person and rule, at least as severe; None if there is none."""
    values = {"person": found.person, "rule": found.rule, "drill": found.drill, "severity": found.severity, "now": now}
    return (await connection.execute(_JOIN, values)).scalar_one_or_none()


async def add(connection: AsyncConnection, alert: str, found: Found, now: datetime) -> None:
    values = {name: getattr(found, name) for name in ("person", "kind", "severity", "rule", "rule_version", "drill")}
    await connection.execute(_ADD, {**values, "id": alert, "conversation": found.conversation, "now": now})


async def add_source(connection: AsyncConnection, alert: str, found: Found, sealed: Sealed, now: datetime) -> None:
    values = {
        "source": found.source,
        "alert": alert,
        "by": found.by,
        "note": sealed.note,
        "key": sealed.key,
        "now": now,
    }
    await connection.execute(_ADD_SOURCE, values)


async def find(connection: AsyncConnection, alert: str) -> Alert | None:
    row = (await connection.execute(_FIND, {"alert": alert})).first()
    return None if row is None else alert_of(row)


async def lock(connection: AsyncConnection, alerts: Collection[str]) -> dict[str, Alert]:
    """Nobody else changes these until commit. Who cancels their timers too does that before."""
    rows = await connection.execute(_LOCK, {"alerts": sorted(alerts)})
    return {row.id: alert_of(row) for row in rows}


async def notes(connection: AsyncConnection, sealer: Sealer, alert: str) -> tuple[str, str]:
    """What was said by who acknowledged it, and by who resolved it."""
    row = (await connection.execute(_NOTES, {"alert": alert})).one()
    return (
        await _opened(sealer, row.key_id, row.acknowledge_note, alert, "acknowledged"),
        await _opened(sealer, row.key_id, row.resolve_note, alert, "resolved"),
    )


async def sources(connection: AsyncConnection, sealer: Sealer, alert: str) -> list[Source]:
    """What raised it, in order."""
    rows = (await connection.execute(_SOURCES, {"alert": alert})).all()
    return [
        Source(
            source=row.source,
            at=row.at,
            by=row.actor,
            note=await _opened(sealer, row.key_id, row.note, alert, row.source),
        )
        for row in rows
    ]


async def steps(connection: AsyncConnection, alert: str) -> list[StepFired]:
    """Its ladder so far, in order."""
    return [StepFired(**row._mapping) for row in await connection.execute(_STEPS, {"alert": alert})]


async def add_steps(connection: AsyncConnection, fired: Sequence[tuple[str, StepFired]]) -> None:
    """Steps of many alerts, each alert's in order; the last of each says where it stands."""
    columns: dict[str, list[object]] = {name: [] for name in ("alert", *StepFired.__struct_fields__)}
    for alert, step in fired:
        for name, value in (("alert", alert), *msgspec.structs.asdict(step).items()):
            columns[name].append(",".join(value) if isinstance(value, list) else value)
    await connection.execute(_ADD_STEPS, columns)
    last = dict(fired)
    stand = {
        "alert": list(last),
        "number": [step.number + 1 for step in last.values()],
        "step": [step.step for step in last.values()],
        "next_at": [step.until for step in last.values()],
    }
    await connection.execute(_STAND, stand)


async def take(connection: AsyncConnection, alert: str, taking: Taking, by: str, sealed: Sealed, now: datetime) -> None:
    values = {"alert": alert, "by": by, "note": sealed.note, "key": sealed.key, "now": now}
    await connection.execute(_TAKE[taking], values)


async def active_staff(connection: AsyncConnection) -> list[str]:
    return list(await connection.scalars(_STAFF))


async def was_told(connection: AsyncConnection, alert: str, who: str) -> bool:
    return bool(await connection.scalar(_WAS_TOLD, {"alert": alert, "who": who}))


async def _opened(sealer: Sealer, key_id: str | None, sealed: bytes | None, alert: str, place: str) -> str:
    """Empty where nothing was said, or where the key is destroyed."""
    if sealed is None or key_id is None:
        return ""
    key = (await sealer.by_ids([key_id]))[key_id]
    return "" if key is None else key.open(sealed, _context(alert, place)).decode()


def alert_of(row: Any) -> Alert:  # Any: a row of `COLUMNS`
    """The alert in a row."""
    return Alert(**row._mapping)


def _context(alert: str, place: str) -> bytes:
    return f"alert|{alert}|{place}".encode()
