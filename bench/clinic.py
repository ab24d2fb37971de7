"""A clinic at its busiest minute: people with an appointment, whose reminders are due together. For the bench and the chaos tests."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer

PROVIDERS = 200
PART = 5000
KEYS_AT_ONCE = 40
AHEAD = timedelta(minutes=15)
DURATION = timedelta(hours=1)

_PEOPLE = (
    "INSERT INTO users (id, name, role) SELECT t.id, t.name, $3 FROM unnest($1::uuid[], $2::text[]) AS t(id, name)"
)
_SERVICE = (
    "INSERT INTO services (id, name, category, price, duration_minutes) VALUES ($1, '门诊陪诊', 'companion', 198, 60)"
)
_CONVERSATIONS = """
INSERT INTO conversations (id, kind, subject, source, direct_key, policy)
SELECT t.id, $4, t.subject, t.source, CASE WHEN $4 = 'inbox' THEN 'inbox:' || t.subject END, '{}'
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS t(id, subject, source)
"""
_MEMBERS = """
INSERT INTO members (conversation, user_id, role, from_seq, delivered_seq, read_seq)
SELECT t.id, t.user_id, $3, 1, 0, 0 FROM unnest($1::uuid[], $2::uuid[]) AS t(id, user_id)
"""
_ORDERS = """
INSERT INTO orders (id, order_no, user_id, actor_id, service_id, provider, quantity, amount, state, details, key_id, conversation,
  expires_at, paid_at, created_at, updated_at)
SELECT t.id, 'C' || t.id, t.user_id, t.user_id, $5, t.provider, 1, 198, 'paid', '', t.key_id, t.conversation, $7, $7, $7, $7
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $6::uuid[]) AS t(id, user_id, provider, key_id, conversation)
"""
_APPOINTMENTS = """
INSERT INTO appointments (id, order_id, user_id, staff_id, state, starts_at, ends_at, key_id, created_at, updated_at)
SELECT t.id, t.order_id, t.user_id, t.staff_id, 'scheduled', $6, $7, t.key_id, $8, $8
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) AS t(id, order_id, user_id, staff_id, key_id)
"""
# Three of each appointment: the patient, who does it, and the care conversation; spread over `$2` seconds from `$1` on.
_TIMERS = """
INSERT INTO timers (id, kind, subject, key, person, due_at, next_at, expires_at)
SELECT gen_random_uuid(), 'appointment_reminder', id, '15:' || whom || ':clinic', person, at, at, starts_at
FROM (
  SELECT a.id, a.starts_at, p.person, p.whom, $1::timestamptz + make_interval(secs => random() * $2) AS at FROM appointments a
  CROSS JOIN LATERAL (VALUES (a.user_id, a.user_id::text), (a.staff_id, a.staff_id::text), (NULL, 'conversation')) AS p(person, whom)) t
"""


class Clinic:
    """The people and appointments of one run, in a migrated database without any."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._pool = database.log
        self._sealer = Sealer(keyring, database)
        self.patients: list[str] = []
        self.providers: list[str] = []

    async def fill(self, count: int) -> None:
        """So many appointments a quarter of an hour from now, each with its conversation; everybody has an inbox."""
        service, starts_at = new_id(), datetime.now(UTC) + AHEAD + timedelta(minutes=5)
        await self._pool.execute(_SERVICE, service)
        self.providers = await self._people(PROVIDERS, "companion")
        for start in range(0, count, PART):
            patients = await self._people(min(PART, count - start), "patient")
            self.patients += patients
            await self._appointments(service, starts_at, patients)
        for table in ("users", "conversations", "members", "orders", "appointments", "data_keys"):
            await self._pool.execute(f"ANALYZE {table}")

    async def remind(self, at: datetime, within_s: float) -> int:
        """Make their reminders due; how many."""
        done: str = await self._pool.execute(_TIMERS, at, within_s, timeout=300)
        return int(done.split()[-1])

    async def _people(self, count: int, role: str) -> list[str]:
        people = [new_id() for _ in range(count)]
        await self._pool.execute(_PEOPLE, people, [f"张{number}" for number in range(count)], role)
        inboxes = [new_id() for _ in people]
        await self._pool.execute(_CONVERSATIONS, inboxes, people, [None] * count, "inbox")
        await self._pool.execute(_MEMBERS, inboxes, people, "reader")
        return people

    async def _appointments(self, service: str, starts_at: datetime, patients: Sequence[str]) -> None:
        keys = await self._keys(patients)
        await self._keys(self.providers)
        orders, appointments, rooms = ([new_id() for _ in patients] for _ in range(3))
        providers = [self.providers[number % PROVIDERS] for number in range(len(patients))]
        now = datetime.now(UTC)
        await self._pool.execute(_CONVERSATIONS, rooms, patients, orders, "care")
        await self._pool.execute(_MEMBERS, [*rooms, *rooms], [*patients, *providers], "member")
        await self._pool.execute(_ORDERS, orders, patients, providers, keys, service, rooms, now)
        ends_at = starts_at + DURATION
        await self._pool.execute(
            _APPOINTMENTS, appointments, orders, patients, providers, keys, starts_at, ends_at, now
        )

    async def _keys(self, people: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(people), KEYS_AT_ONCE):
            keys = await asyncio.gather(*map(self._sealer.key_for, people[start : start + KEYS_AT_ONCE]))
            found += [key.id for key in keys]
        return found
