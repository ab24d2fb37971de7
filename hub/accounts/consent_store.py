"""The SQL of consents. A row is one giving of one purpose; it holds while `withdrawn_at` is null."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.consent import PURPOSES, Decision
from hub.platform.identifier import new_id

SHOWN = 50  # decisions of one purpose in a history: all there are, except for somebody who tries how many fit

# Decisions of one person take turns, or booking could give again what is being withdrawn at this moment.
_LOCK = sa.text("SELECT FROM users WHERE id = CAST(:user AS uuid) FOR NO KEY UPDATE")
_HELD = sa.text("""
SELECT version FROM consents
WHERE user_id = CAST(:user AS uuid) AND purpose = CAST(:purpose AS text) AND withdrawn_at IS NULL
""")
_DECIDED = sa.text("""
SELECT EXISTS (SELECT FROM consents WHERE user_id = CAST(:user AS uuid) AND purpose = CAST(:purpose AS text))
""")
_HISTORY = sa.text("""
SELECT purpose, version, given_at, withdrawn_at, implied FROM (
  SELECT *, source IS NOT NULL AS implied, row_number() OVER (
    PARTITION BY purpose ORDER BY COALESCE(given_at, withdrawn_at) DESC, id DESC) AS back
  FROM consents WHERE user_id = CAST(:user AS uuid)) ordered
WHERE back <= :shown ORDER BY purpose, back
""")
_END = sa.text("""
UPDATE consents SET withdrawn_at = :now
WHERE user_id = CAST(:user AS uuid) AND purpose = CAST(:purpose AS text) AND withdrawn_at IS NULL
""")
_ADD = sa.text("""
INSERT INTO consents (id, user_id, purpose, version, actor_id, given_at, withdrawn_at)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), CAST(:purpose AS text), CAST(:version AS text), CAST(:user AS uuid),
  CAST(:given_at AS timestamptz), CAST(:withdrawn_at AS timestamptz))
""")
_IMPLY = sa.text("""
INSERT INTO consents (id, user_id, purpose, version, actor_id, given_at, source)
SELECT CAST(:id AS uuid), CAST(:user AS uuid), CAST(:purpose AS text), CAST(:version AS text), CAST(:user AS uuid),
  :now, CAST(:source AS uuid)
WHERE NOT EXISTS (SELECT FROM consents WHERE user_id = CAST(:user AS uuid) AND purpose = CAST(:purpose AS text))
""")


async def lock(connection: AsyncConnection, user: str) -> None:
    await connection.execute(_LOCK, {"user": user})


async def held_version(connection: AsyncConnection, user: str, purpose: str) -> str | None:
    """What is agreed to now."""
    found: str | None = await connection.scalar(_HELD, {"user": user, "purpose": purpose})
    return found


async def is_decided(connection: AsyncConnection, user: str, purpose: str) -> bool:
    """Whether the person ever gave or refused it."""
    return bool(await connection.scalar(_DECIDED, {"user": user, "purpose": purpose}))


async def history(connection: AsyncConnection, user: str) -> list[Decision]:
    """What was decided last, by purpose, the newest first."""
    rows = await connection.execute(_HISTORY, {"user": user, "shown": SHOWN})
    return [Decision(*row) for row in rows]


async def add(connection: AsyncConnection, user: str, purpose: str, version: str, given_at: datetime) -> None:
    """Given from now on; end what was given before first."""
    values = {"id": new_id(), "user": user, "purpose": purpose, "version": version}
    await connection.execute(_ADD, {**values, "given_at": given_at, "withdrawn_at": None})


async def add_refused(connection: AsyncConnection, user: str, purpose: str, version: str, now: datetime) -> None:
    """Withdrawn without having been given: it stays so until it is given."""
    values = {"id": new_id(), "user": user, "purpose": purpose, "version": version}
    await connection.execute(_ADD, {**values, "given_at": None, "withdrawn_at": now})


async def end(connection: AsyncConnection, user: str, purpose: str, now: datetime) -> bool:
    """Whether there was anything to end."""
    return (await connection.execute(_END, {"user": user, "purpose": purpose, "now": now})).rowcount > 0


async def imply(connection: AsyncConnection, user: str, purpose: str, source: str, now: datetime) -> None:
    """Given by what the person did (`source`), if they never decided about it."""
    await lock(connection, user)
    values = {"id": new_id(), "user": user, "purpose": purpose, "version": PURPOSES[purpose].version}
    await connection.execute(_IMPLY, {**values, "source": source, "now": now})
