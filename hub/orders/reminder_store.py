"""The SQL of reminders: what decides about them, and what people wish. In the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.orders.reminder import Course
from hub.platform.text import Language

_COURSES = text("""
SELECT a.id::text AS id, a.state, a.starts_at, a.revision, a.attendance, a.reminder_minutes AS minutes,
  a.user_id::text AS patient, a.staff_id::text AS provider,
  CASE WHEN o.actor_id <> a.user_id AND EXISTS (
    SELECT FROM user_relations r WHERE r.person_id = a.user_id AND r.actor_id = o.actor_id AND r.state = 'active'
      AND (r.expires_at IS NULL OR r.expires_at > :now)) THEN o.actor_id::text END AS orderer,
  CASE WHEN o.closed_at IS NULL THEN o.conversation::text END AS conversation,
  s.name AS service, coalesce(h.name, '') AS hospital, a.location, a.key_id::text AS key_id
FROM appointments a JOIN orders o ON o.id = a.order_id JOIN services s ON s.id = o.service_id
LEFT JOIN hospitals h ON h.id = a.hospital_id
WHERE a.id = ANY (CAST(:ids AS uuid[]))
""")
_HEARERS = text("""
SELECT u.id::text AS id, r.minutes, n.language FROM users u
LEFT JOIN reminder_preferences r ON r.user_id = u.id LEFT JOIN notice_preferences n ON n.user_id = u.id
WHERE u.id = ANY (CAST(:ids AS uuid[]))
""")
_COMING = text("""
SELECT id::text AS id FROM appointments
WHERE user_id = CAST(:person AS uuid) AND starts_at > :now AND state IN ('scheduled', 'confirmed')
UNION
SELECT id::text FROM appointments
WHERE staff_id = CAST(:person AS uuid) AND starts_at > :now AND state IN ('scheduled', 'confirmed')
UNION
SELECT a.id::text FROM orders o JOIN appointments a ON a.order_id = o.id
WHERE o.actor_id = CAST(:person AS uuid) AND o.actor_id <> o.user_id AND o.state IN ('paid', 'confirmed')
  AND a.starts_at > :now AND a.state IN ('scheduled', 'confirmed')
""")
_HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended('reminders of ' || CAST(:person AS text), 0))")
_HOLD_WISHES = text("""
SELECT pg_advisory_xact_lock_shared(hashtextextended('reminders of ' || p.id, 0))
FROM appointments a JOIN orders o ON o.id = a.order_id
CROSS JOIN LATERAL (SELECT a.user_id::text UNION SELECT a.staff_id::text UNION SELECT o.actor_id::text) AS p(id)
WHERE a.id = CAST(:appointment AS uuid)
""")
_WISH = text("SELECT minutes FROM reminder_preferences WHERE user_id = CAST(:person AS uuid)")
_SET_WISH = text("""
INSERT INTO reminder_preferences (user_id, minutes) VALUES (CAST(:person AS uuid), CAST(:minutes AS int[]))
ON CONFLICT (user_id) DO UPDATE SET minutes = excluded.minutes, updated_at = clock_timestamp()
""")
_FORGET_WISH = text("DELETE FROM reminder_preferences WHERE user_id = CAST(:person AS uuid)")


class Occasion(Course, frozen=True, kw_only=True):
    """An appointment with what is said of it. `location` is sealed under `key_id`; no conversation: none, or it is closed."""

    conversation: str | None
    service: str
    hospital: str
    location: bytes | None
    key_id: str


class Hearer(msgspec.Struct, frozen=True):
    """`minutes`: None for who wishes nothing in particular."""

    minutes: Sequence[int] | None
    language: Language


async def occasions(connection: AsyncConnection, ids: Collection[str], now: datetime) -> Mapping[str, Occasion]:
    rows = await connection.execute(_COURSES, {"ids": list(ids), "now": now})
    return {row["id"]: msgspec.convert(dict(row), Occasion) for row in rows.mappings()}


async def hearers(connection: AsyncConnection, courses: Collection[Course]) -> Mapping[str, Hearer]:
    """Everybody whom these appointments concern."""
    people = {each for course in courses for each in (course.patient, course.provider, course.orderer) if each}
    rows = await connection.execute(_HEARERS, {"ids": list(people)})
    return {row.id: Hearer(row.minutes, row.language or "zh") for row in rows}


async def coming(connection: AsyncConnection, person: str, now: datetime) -> list[str]:
    """The appointments that the person may be reminded of: their own, those they do, those they ordered."""
    return list(await connection.scalars(_COMING, {"person": person, "now": now}))


async def hold(connection: AsyncConnection, person: str) -> None:
    """Until commit, nobody plans by what this person wishes; who did so has committed."""
    await connection.execute(_HOLD, {"person": person})


async def hold_wishes(connection: AsyncConnection, appointment: str) -> None:
    """Until commit, what those wish whom it concerns stays. Before anything is done with its timers."""
    await connection.execute(_HOLD_WISHES, {"appointment": appointment})


async def wish(connection: AsyncConnection, person: str) -> Sequence[int] | None:
    minutes: Sequence[int] | None = await connection.scalar(_WISH, {"person": person})
    return minutes


async def set_wish(connection: AsyncConnection, person: str, minutes: Sequence[int] | None) -> None:
    if minutes is None:
        await connection.execute(_FORGET_WISH, {"person": person})
    else:
        await connection.execute(_SET_WISH, {"person": person, "minutes": list(minutes)})
