"""The SQL of imports: a batch of rows at once, as one JSON parameter. Every function runs in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory.import_report import Counts
from hub.directory.table import departments, doctors, hospitals, users
from hub.platform.identifier import new_id

Rows = Sequence[Mapping[str, object]]

# What rows of a file set, and the type of each column; constants, so that statements can be put together of them.
_TYPES = {
    "id": "uuid",
    "hospital_id": "uuid",
    "department_id": "uuid",
    "user_id": "uuid",
    "specialties": "text[]",
    "fee": "numeric(10, 2)",
    "sort_order": "int",
    "is_active": "boolean",
}
_KEYS = {hospitals.name: ("code",), departments.name: ("hospital_id", "name"), doctors.name: ("user_id",)}
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('directory import', 0))")


async def begin(connection: AsyncConnection) -> bool:
    """Whether no other import is under way, on any node; none begins before the caller's transaction ends."""
    return bool(await connection.scalar(_LOCK))


async def save(connection: AsyncConnection, table: sa.Table, rows: Rows) -> Counts:
    """Insert or change by the table's key. All rows have the same columns; those that they lack stay as they are."""
    fields, key = list(rows[0]), _KEYS[table.name]
    made = [{**row, "id": new_id()} for row in rows]
    columns, others = ", ".join(["id", *fields]), [each for each in fields if each not in key]
    stored = ", ".join(f"{table.name}.{each}" for each in others)
    given = ", ".join(f"excluded.{each}" for each in others)
    change = f"""UPDATE SET ({", ".join(others)}, updated_at) = ROW({given}, clock_timestamp())
    WHERE ({stored}) IS DISTINCT FROM ({given})"""
    statement = f"""
    INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {_recordset(["id", *fields])}
    ON CONFLICT ({", ".join(key)}) DO {change if others else "NOTHING"} RETURNING id
    """  # noqa: S608 - names of columns and tables of this module
    ours = {row["id"] for row in made}
    written = (await connection.execute(sa.text(statement), _parameter(made))).scalars().all()
    created = sum(str(each) in ours for each in written)
    return Counts(created, len(written) - created, len(rows) - len(written))


async def turning(connection: AsyncConnection, table: sa.Table, rows: Rows) -> Sequence[str]:
    """The accounts of the doctors at what these rows make active or inactive, in order."""
    key = _KEYS[table.name]
    same = " AND ".join(f"{table.name}.{each} = given.{each}" for each in key)
    statement = f"""
    SELECT DISTINCT doctors.user_id FROM doctors JOIN departments ON departments.id = doctors.department_id
    JOIN hospitals ON hospitals.id = departments.hospital_id
    JOIN {_recordset([*key, "is_active"])} ON {same} WHERE {table.name}.is_active <> given.is_active ORDER BY 1
    """  # noqa: S608 - as above
    wanted = [{each: row[each] for each in (*key, "is_active")} for row in rows]
    return [str(each) for each in (await connection.execute(sa.text(statement), _parameter(wanted))).scalars()]


def _recordset(fields: Sequence[str]) -> str:
    shape = ", ".join(f"{each} {_TYPES.get(each, 'text')}" for each in fields)
    return f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS given ({shape})"


def _parameter(rows: Rows) -> dict[str, str]:
    return {"rows": msgspec.json.encode(rows).decode()}


async def hospital_ids(connection: AsyncConnection, codes: Collection[str]) -> dict[str, str]:
    rows = await connection.execute(sa.select(hospitals.c.code, hospitals.c.id).where(_among(hospitals.c.code, codes)))
    return {row.code: row.id for row in rows}


async def department_ids(connection: AsyncConnection, codes: Collection[str]) -> dict[tuple[str, str], str]:
    """Of these hospitals, by code and name."""
    places = departments.join(hospitals, hospitals.c.id == departments.c.hospital_id)
    query = sa.select(hospitals.c.code, departments.c.name, departments.c.id).select_from(places)
    rows = await connection.execute(query.where(_among(hospitals.c.code, codes)))
    return {(row.code, row.name): row.id for row in rows}


async def providers(connection: AsyncConnection, phones: Collection[str]) -> dict[str, str]:
    """The doctors and companions with these phones."""
    query = sa.select(users.c.phone, users.c.id).where(_among(users.c.phone, phones))
    rows = await connection.execute(query.where(users.c.role.in_(("doctor", "companion"))))
    return {row.phone: row.id for row in rows}


def _among(column: sa.ColumnElement[str], values: Collection[str]) -> sa.ColumnElement[bool]:
    return column == sa.any_(sa.bindparam("among", list(values), sa.ARRAY(sa.Text)))
