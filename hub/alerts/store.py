"""The SQL of alerts; the rule, the sources and what people say are sealed under the key of the person.

Every function runs in the caller's transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.alerts.model import Alert, Found, Rule, Source, StepFired, Taking
from hub.security.sealing import DataKey

SHOWN = 50  # sources and steps, the newest
MINUTE_MOST = 20  # sources of one open alert that are kept; more are counted

COLUMNS = """a.id::text, a.person::text, u.name, u.phone, a.kind, a.severity, a.drill,
  a.conversation::text, a.key_id::text AS key, a.state, a.number, a.step, a.next_at, a.count, a.opened_at, a.last_at, a.acknowledged_at,
  a.acknowledged_by::text, a.resolved_at, a.resolved_by::text"""
_AT = TIMESTAMP(timezone=True)

# What one person's sources raise takes turns: the second sees what the first opened.
_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('alerts of ' || :person, 0))")
_BY_SOURCE = text("SELECT alert::text FROM alert_sources WHERE digest = :digest")
# A critical finding does not join a warning: it must not wait as long.
_JOIN = text("""
WITH joined AS (
  UPDATE alerts SET count = count + 1, last_at = :now WHERE id = (
    SELECT id FROM alerts WHERE person = CAST(:person AS uuid) AND rule_digest = :rule AND drill = :drill AND state = 'open'
      AND severity IN ('critical', :severity)
    ORDER BY severity LIMIT 1) AND state = 'open' RETURNING id)
SELECT id::text, (SELECT count(*) FROM (
  SELECT FROM alert_sources s WHERE s.alert = joined.id AND s.at > :since LIMIT :most) recent) >= :most FROM joined
""").bindparams(bindparam("now", type_=_AT), bindparam("since", type_=_AT))
_ADD = text("""
INSERT INTO alerts (id, person, kind, severity, rule, rule_digest, drill, conversation, next_at, opened_at, last_at, key_id)
VALUES (CAST(:id AS uuid), CAST(:person AS uuid), :kind, :severity, :rule, :digest, :drill,
  CAST(:conversation AS uuid), :now, :now, :now, CAST(:key AS uuid))
""").bindparams(bindparam("now", type_=_AT))
_ADD_SOURCE = text("""
INSERT INTO alert_sources (digest, alert, at, actor, source, note, key_id)
VALUES (:digest, CAST(:alert AS uuid), :now, CAST(:by AS uuid), :source, :note, CAST(:key AS uuid))
""").bindparams(bindparam("now", type_=_AT))
_FIND = text(f"SELECT {COLUMNS} FROM alerts a JOIN users u ON u.id = a.person WHERE a.id = CAST(:alert AS uuid)")  # noqa: S608 - a constant
# In one order, so that two who lock several do not wait for each other in a circle.
_LOCK = text(f"""
SELECT {COLUMNS} FROM alerts a JOIN users u ON u.id = a.person WHERE a.id = ANY (CAST(:alerts AS uuid[]))
ORDER BY a.id FOR UPDATE OF a
""")  # noqa: S608 - a constant
_SOURCES = text("""
SELECT digest, at, actor::text, source, note FROM alert_sources WHERE alert = CAST(:alert AS uuid)
ORDER BY at DESC, number DESC LIMIT :most
""")
_SEALED = text("SELECT rule, acknowledge_note, resolve_note FROM alerts WHERE id = CAST(:alert AS uuid)")
_STEPS = text("""
SELECT number, step, told::text[] AS told, due_at, fired_at, until FROM alert_steps WHERE alert = CAST(:alert AS uuid)
ORDER BY number DESC LIMIT :most
""")
_TOLD = text("""
SELECT s.alert::text, s.number, t::text FROM alert_steps s, unnest(s.told) t WHERE s.alert = ANY (CAST(:alerts AS uuid[])) ORDER BY s.number
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
  {taking[:-1]}_note = :note WHERE id = CAST(:alert AS uuid)
""").bindparams(bindparam("now", type_=_AT))  # noqa: S608 - constants
    for taking in ("acknowledged", "resolved")
}
# Without anybody who did it: the hub itself.
_CLOSE = text("""
UPDATE alerts SET state = 'resolved', resolved_at = :now, next_at = NULL WHERE id = ANY (CAST(:alerts AS uuid[]))
""").bindparams(bindparam("now", type_=_AT))
_ROLE = text("SELECT role FROM users WHERE id = CAST(:who AS uuid) AND status = 'active'")
_STAFF = text("SELECT id::text FROM users WHERE role IN ('staff', 'admin') AND status = 'active'")
_WAS_TOLD = text("""
SELECT EXISTS (SELECT FROM alert_steps WHERE alert = CAST(:alert AS uuid) AND told @> ARRAY[CAST(:who AS uuid)])
""")


class Joined(NamedTuple):
    """`is_flooded`: so many sources came within a minute that this one is counted only."""

    alert: str
    is_flooded: bool


def seal(key: DataKey | None, alert: str, place: str, note: str) -> bytes | None:
    """`place`: which note of the alert; it opens nowhere else. Nothing is kept under a key that was destroyed."""
    return key.seal(note.encode(), _context(alert, place)) if key is not None and note else None


async def take_turn(connection: AsyncConnection, person: str) -> None:
    await connection.execute(_TURN, {"person": person})


async def raised_by(connection: AsyncConnection, key: DataKey, source: str) -> str | None:
    """The alert that this source raised."""
    return (await connection.execute(_BY_SOURCE, {"digest": _source_digest(key, source)})).scalar_one_or_none()


async def join(connection: AsyncConnection, key: DataKey, found: Found, now: datetime) -> Joined | None:
    """Count it to an open alert of the same person and rule, at least as severe; None if there is none."""
    values = {
        "person": found.person,
        "rule": _rule_digest(key, found.rule),
        "drill": found.drill,
        "severity": found.severity,
        "now": now,
        "since": now - timedelta(minutes=1),
        "most": MINUTE_MOST,
    }
    row = (await connection.execute(_JOIN, values)).first()
    return None if row is None else Joined(*row)


async def add(connection: AsyncConnection, key: DataKey, alert: str, found: Found, now: datetime) -> None:
    values = {name: getattr(found, name) for name in ("person", "kind", "severity", "drill", "conversation")}
    rule = msgspec.json.encode(Rule(found.rule, found.rule_version)).decode()
    sealed = {"rule": seal(key, alert, "rule", rule), "digest": _rule_digest(key, found.rule), "key": key.id}
    await connection.execute(_ADD, {**values, **sealed, "id": alert, "now": now})


async def add_source(connection: AsyncConnection, key: DataKey, alert: str, found: Found, now: datetime) -> None:
    digest = _source_digest(key, found.source)
    values = {
        "digest": digest,
        "alert": alert,
        "by": found.by,
        "source": seal(key, alert, f"source|{digest.hex()}", found.source),
        "note": seal(key, alert, f"note|{digest.hex()}", found.note),
        "key": key.id,
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


async def told_of(connection: AsyncConnection, key: DataKey | None, alert: str) -> tuple[Rule, str, str]:
    """The rule that found it, and what was said by who acknowledged it, and by who resolved it."""
    row = (await connection.execute(_SEALED, {"alert": alert})).one()
    rule = _opened(key, row.rule, alert, "rule")
    return (
        msgspec.json.decode(rule, type=Rule) if rule else Rule(),
        _opened(key, row.acknowledge_note, alert, "acknowledged"),
        _opened(key, row.resolve_note, alert, "resolved"),
    )


async def sources(connection: AsyncConnection, key: DataKey | None, alert: str) -> list[Source]:
    """What raised it, the newest `SHOWN` in order."""
    rows = (await connection.execute(_SOURCES, {"alert": alert, "most": SHOWN})).all()
    return [
        Source(
            source=_opened(key, row.source, alert, f"source|{row.digest.hex()}"),
            at=row.at,
            by=row.actor,
            note=_opened(key, row.note, alert, f"note|{row.digest.hex()}"),
        )
        for row in reversed(rows)
    ]


async def steps(connection: AsyncConnection, alert: str) -> list[StepFired]:
    """Its ladder so far, the newest `SHOWN` in order."""
    rows = (await connection.execute(_STEPS, {"alert": alert, "most": SHOWN})).all()
    return [StepFired(**row._mapping) for row in reversed(rows)]


async def told(connection: AsyncConnection, alerts: Collection[str]) -> list[tuple[str, int, str]]:
    """(alert, step, user): who was told of these, all of them."""
    return [tuple(row) for row in await connection.execute(_TOLD, {"alerts": sorted(alerts)})]


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


async def take(
    connection: AsyncConnection, alert: str, taking: Taking, by: str, note: bytes | None, now: datetime
) -> None:
    await connection.execute(_TAKE[taking], {"alert": alert, "by": by, "note": note, "now": now})


async def close(connection: AsyncConnection, alerts: Collection[str], now: datetime) -> None:
    """Resolve these, which are open and locked, in nobody's name."""
    await connection.execute(_CLOSE, {"alerts": sorted(alerts), "now": now})


async def role_of(connection: AsyncConnection, who: str) -> str | None:
    """None where the account is not active."""
    return (await connection.execute(_ROLE, {"who": who})).scalar_one_or_none()


async def active_staff(connection: AsyncConnection) -> list[str]:
    return list(await connection.scalars(_STAFF))


async def was_told(connection: AsyncConnection, alert: str, who: str) -> bool:
    return bool(await connection.scalar(_WAS_TOLD, {"alert": alert, "who": who}))


def _opened(key: DataKey | None, sealed: bytes | None, alert: str, place: str) -> str:
    """Empty where nothing was said, or where the key is destroyed."""
    return "" if sealed is None or key is None else key.open(sealed, _context(alert, place)).decode()


def _rule_digest(key: DataKey, rule: str) -> bytes:
    return key.digest(f"alert rule|{rule}".encode())


def _source_digest(key: DataKey, source: str) -> bytes:
    return key.digest(f"alert source|{source}".encode())


def alert_of(row: Any) -> Alert:  # Any: a row of `COLUMNS`
    """The alert in a row."""
    return Alert(**row._mapping)


def _context(alert: str, place: str) -> bytes:
    return f"alert|{alert}|{place}".encode()
