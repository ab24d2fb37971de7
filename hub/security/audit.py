"""Who looked at whose health data (P13): one row for each read, chained by hashes so that a change or a gap shows.

Three things hold a chain together. Each row bears a seal made with a key that the database does not have: none can be
made up or changed. Each row's hash covers the one before it. And under its seal each row names a head that its writer
had seen committed: who takes rows out and computes all hashes anew contradicts the rows that came after.
`audit_check` verifies.
"""

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import Clock
from hub.platform.http import current_request_id
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring
from hub.security.token import Principal

CHAINS = 16  # rows of one chain take turns until commit; people are spread over the chains
PURPOSE = "audit"  # of the signing key's sub-key

# One statement: the head's row lock orders the rows of a chain, and who waited for it goes on from the head left behind.
# `settled` is the head before this transaction: committed for certain, while what this one writes may yet be undone.
_RECORD = sa.text("""
WITH head AS (
  UPDATE audit_heads SET number = number + 1, hash = sha256(hash || CAST(:seal AS bytea)), writer = pg_current_xact_id(),
    settled_number = CASE WHEN writer = pg_current_xact_id() THEN settled_number ELSE number END,
    settled_hash = CASE WHEN writer = pg_current_xact_id() THEN settled_hash ELSE hash END
  WHERE chain = CAST(:chain AS smallint) RETURNING number, hash, settled_number, settled_hash),
written AS (
  INSERT INTO audit_log (chain, number, id, at, actor, person, action, subject, request_id, seen_number, seen_hash, seal, hash)
  SELECT CAST(:chain AS smallint), head.number, CAST(:id AS uuid), CAST(:at AS timestamptz), CAST(:actor AS uuid),
    CAST(:person AS uuid), CAST(:action AS text), CAST(:subject AS text), CAST(:request_id AS text),
    CAST(:seen_number AS bigint), CAST(:seen_hash AS bytea), CAST(:seal AS bytea), head.hash FROM head)
SELECT settled_number, settled_hash FROM head
""")


class Head(msgspec.Struct, frozen=True, order=True):
    """Where a chain stands: how many rows, and the hash over all of them."""

    number: int = 0
    hash: bytes = b""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what with whose data, when, and in which request; and which head of the chain the writer had seen."""

    chain: int
    id: str
    at: datetime
    actor: str
    person: str
    action: str
    subject: str
    request_id: str
    seen_number: int
    seen_hash: bytes


class Audit:
    """Writes the chains. One per process."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._key = keyring.derive(PURPOSE)
        self._clock = clock
        self._seen: dict[int, Head] = {}

    async def record(
        self, connection: AsyncConnection, who: Principal, person: str, action: str, subject: str = ""
    ) -> None:
        """One row, in the caller's transaction: `who` did `action` ("health.read", ...) with data of `person`.

        Call it last in the transaction: the rows of one chain take turns until commit.
        """
        chain = chain_of(person)
        seen = self._seen.get(chain, Head())
        row = Row(
            chain=chain,
            id=new_id(),
            at=self._clock.now(),
            actor=who.user,
            person=person,
            action=action,
            subject=subject,
            request_id=current_request_id(),
            seen_number=seen.number,
            seen_hash=seen.hash,
        )
        values = {**msgspec.structs.asdict(row), "seal": seal(self._key, row)}
        settled = (await connection.execute(_RECORD, values)).first()
        if settled is None:
            raise RuntimeError(f"audit chain {chain} has no head: nothing may be read without a trace")
        self._seen[chain] = max(Head(*settled), self._seen.get(chain, Head()))


def chain_of(person: str) -> int:
    return hashlib.sha256(person.encode()).digest()[0] % CHAINS


def seal(key: bytes, row: Row) -> bytes:
    """Who has only the database can neither make nor change a row that bears it."""
    content = msgspec.structs.replace(row, at=row.at.astimezone(UTC))
    return hmac.digest(key, msgspec.json.encode(msgspec.structs.astuple(content)), "sha256")


def link(previous: bytes, sealed: bytes) -> bytes:
    """The hash of the next row of a chain, as the statement above computes it."""
    return hashlib.sha256(previous + sealed).digest()
