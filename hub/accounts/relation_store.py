"""The SQL of relations. What is read is a relation as `viewer` sees it: only the two of it find it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.relation import Asking, Kind, Relation, State
from hub.platform.identifier import new_id
from hub.platform.page import Paging

SORTS = ("askedAt",)

# Who was asked by phone is whoever has that phone, until they answer.
_SEEN = """FROM user_relations r JOIN users me ON me.id = CAST(:viewer AS uuid)
LEFT JOIN users other ON other.id = CASE
  WHEN r.asked_by <> me.id THEN r.asked_by WHEN r.person_id = me.id THEN r.actor_id ELSE r.person_id END
WHERE (r.person_id = me.id OR r.actor_id = me.id OR (r.asked_phone = me.phone AND r.state = 'asked'))"""
_COLUMNS = """r.id::text, me.id::text AS viewer, r.kind, r.state, r.asked_by::text, r.asked_phone, r.person_id::text AS person,
  r.actor_id::text AS actor, r.asked_at, r.answered_at, r.expires_at, r.ended_at, other.name AS other_name"""
_SHOWN = "CASE WHEN r.state IN ('asked', 'active') AND r.expires_at <= :now THEN 'expired' ELSE r.state END"
_OF_STATE = f"AND (CAST(:state AS text) IS NULL OR {_SHOWN} = CAST(:state AS text))"

_ONE = sa.text(f"SELECT {_COLUMNS} {_SEEN} AND r.id = CAST(:id AS uuid)")
_LOCK = sa.text(f"SELECT {_COLUMNS} {_SEEN} AND r.id = CAST(:id AS uuid) FOR UPDATE OF r")
_COUNT = sa.text(f"SELECT count(*) {_SEEN} {_OF_STATE}")
# The same wish that is still open or granted: to this person or, if asked by phone, to this phone or to whom it led.
_EXISTING = sa.text(f"""SELECT {_COLUMNS} {_SEEN} AND r.state IN ('asked', 'active') AND (
    (CAST(:user AS uuid) IS NOT NULL AND r.person_id = CAST(:person AS uuid) AND r.actor_id = CAST(:actor AS uuid))
    OR (CAST(:phone AS text) IS NOT NULL AND COALESCE(r.person_id = me.id, false) = :for_me AND (
      (r.asked_by = me.id AND r.asked_phone = :phone AND r.state = 'asked')
      OR (other.phone = :phone AND r.state = 'active'))))
ORDER BY r.state, r.id LIMIT 1 FOR UPDATE OF r""")
_LOCK_ASKER = sa.text("SELECT phone FROM users WHERE id = CAST(:user AS uuid) FOR NO KEY UPDATE")
_ASKED_AT = sa.text("""
SELECT asked_at FROM user_relations WHERE asked_by = CAST(:asker AS uuid) ORDER BY asked_at DESC OFFSET :back LIMIT 1
""")
_INSERT = sa.text("""
INSERT INTO user_relations (id, person_id, actor_id, asked_phone, kind, state, asked_by, asked_at, expires_at)
VALUES (CAST(:id AS uuid), CAST(:person AS uuid), CAST(:actor AS uuid), CAST(:phone AS text), CAST(:kind AS text), 'asked',
  CAST(:asker AS uuid), CAST(:now AS timestamptz), CAST(:expires_at AS timestamptz))
""")
# Whoever answers is the other side from now on.
_ANSWER = sa.text("""
UPDATE user_relations SET state = CAST(:state AS text), answered_at = :now,
  person_id = COALESCE(person_id, CAST(:by AS uuid)), actor_id = COALESCE(actor_id, CAST(:by AS uuid))
WHERE id = CAST(:id AS uuid)
""")
_END = sa.text("UPDATE user_relations SET state = 'ended', ended_at = :at WHERE id = CAST(:id AS uuid)")
# What expired stands in nobody's way.
_END_EXPIRED = sa.text("""
UPDATE user_relations SET state = 'ended', ended_at = expires_at
WHERE person_id = CAST(:person AS uuid) AND actor_id = CAST(:actor AS uuid) AND state IN ('asked', 'active') AND expires_at <= :now
  AND id <> CAST(:id AS uuid)
""")
_ASKED = sa.text("""
SELECT asked.id::text AS asked, asker.name AS asker, r.person_id = r.asked_by AS for_asker, r.kind FROM user_relations r
JOIN users asker ON asker.id = r.asked_by
JOIN users asked ON asked.phone = r.asked_phone OR asked.id = CASE WHEN r.person_id = r.asked_by THEN r.actor_id ELSE r.person_id END
WHERE r.id = CAST(:id AS uuid) AND r.state = 'asked'
""")


async def lock_asker(connection: AsyncConnection, user: str) -> str | None:
    """The person's phone. What one person asks takes turns, so that a limit holds."""
    return (await connection.execute(_LOCK_ASKER, {"user": user})).scalar_one_or_none()


async def asked_at(connection: AsyncConnection, asker: str, back: int) -> datetime | None:
    """When this person asked for the relation that is `back` askings ago (1: the newest)."""
    found: datetime | None = await connection.scalar(_ASKED_AT, {"asker": asker, "back": back - 1})
    return found


async def relation(connection: AsyncConnection, viewer: str, relation: str, *, lock: bool = False) -> Relation | None:
    found = (await connection.execute(_LOCK if lock else _ONE, {"viewer": viewer, "id": relation})).first()
    return None if found is None else Relation(**found._asdict())


async def existing(connection: AsyncConnection, asker: str, asking: Asking) -> Relation | None:
    """What was asked for or agreed to already, maybe expired; locked."""
    person, actor = _sides(asker, asking)
    values = {"viewer": asker, "user": asking.user, "phone": asking.phone, "person": person, "actor": actor}
    found = (await connection.execute(_EXISTING, {**values, "for_me": asking.direction == "for_me"})).first()
    return None if found is None else Relation(**found._asdict())


async def add(connection: AsyncConnection, asker: str, asking: Asking, now: datetime) -> str:
    """Asked from now on. `IntegrityError` if the other side asks for the same at this moment."""
    person, actor = _sides(asker, asking)
    relation = new_id()
    values = {"id": relation, "person": person, "actor": actor, "phone": asking.phone, "kind": asking.kind}
    await connection.execute(_INSERT, {**values, "asker": asker, "now": now, "expires_at": asking.expires_at})
    return relation


def _sides(asker: str, asking: Asking) -> tuple[str | None, str | None]:
    """Who it is about, and who acts."""
    return (asker, asking.user) if asking.direction == "for_me" else (asking.user, asker)


async def answer(connection: AsyncConnection, relation: str, by: str, state: State, now: datetime) -> None:
    await connection.execute(_ANSWER, {"id": relation, "by": by, "state": state, "now": now})


async def end(connection: AsyncConnection, relation: str, at: datetime) -> None:
    await connection.execute(_END, {"id": relation, "at": at})


async def end_expired(connection: AsyncConnection, relation: str, person: str, actor: str, now: datetime) -> None:
    """Others of these two in the same direction that have expired."""
    await connection.execute(_END_EXPIRED, {"id": relation, "person": person, "actor": actor, "now": now})


async def relations(
    connection: AsyncConnection, viewer: str, state: str | None, paging: Paging, now: datetime
) -> tuple[list[Relation], int]:
    """A page of what this person is part of, and how many there are."""
    values = {"viewer": viewer, "state": state, "now": now}
    order = "DESC" if paging.descending else "ASC"
    page = sa.text(
        f"SELECT {_COLUMNS} {_SEEN} {_OF_STATE} ORDER BY r.asked_at {order}, r.id LIMIT :size OFFSET :offset"
    )
    rows = await connection.execute(page, {**values, "size": paging.page_size, "offset": paging.offset})
    found = [Relation(**row._asdict()) for row in rows]
    return found, await connection.scalar(_COUNT, values) or 0


async def asked(connection: AsyncConnection, relation: str) -> tuple[str, str, bool, Kind] | None:
    """Who is asked, the asker's name, whether the asker wants to act, and the kind."""
    found = (await connection.execute(_ASKED, {"id": relation})).first()
    return None if found is None else (found.asked, found.asker, not found.for_asker, found.kind)
