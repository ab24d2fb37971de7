"""Rows of health records: sealed on the way in, opened on the way out, each column under the key of the person it is about.

In the clear are ids, types, units, sources and times. What is sealed opens only in its own column of its own row.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.model import Assessment, Measurement, Original, Reading, RecordType, Scalar, Source
from hub.care.table import health_data_records as records
from hub.care.unit import QUANTITIES
from hub.platform.error import ErrorCode, Refusal
from hub.security.sealing import DataKey, Sealer

# The order of the values that `seal` answers; for COPY.
COLUMNS = tuple(column.name for column in records.columns)

_KIND = {sa.Uuid: "uuid", sa.LargeBinary: "bytea", sa.DateTime: "timestamptz", sa.Text: "text"}
_UNNEST = ", ".join(f"CAST(:{each.name} AS {_KIND[type(each.type)]}[])" for each in records.columns)
_ADD = sa.text(f"""
INSERT INTO health_data_records ({", ".join(COLUMNS)}) SELECT * FROM unnest({_UNNEST})
ON CONFLICT (user_id, type, recorded_at, source) DO NOTHING RETURNING id
""")  # noqa: S608 - the parts are constants of this module
_STANDING = sa.text("""
SELECT * FROM health_data_records WHERE user_id = CAST(:user AS uuid)
  AND type = ANY (CAST(:types AS text[])) AND recorded_at = ANY (CAST(:moments AS timestamptz[]))
""").columns(*records.columns)

# Opening one takes about 5 µs; after so many, others have their turn: a wristband's year is a hundred thousand readings.
TURN = 500

Moment = tuple[RecordType, datetime, Source]  # of one person, there is one reading of each


class Standing(NamedTuple):
    """A reading that was there before, and the digest of its content."""

    reading: Reading
    digest: bytes


class Place(NamedTuple):
    """Where a page of records ended."""

    at: datetime
    id: str


class _Content(msgspec.Struct, frozen=True, array_like=True):
    """What the column `value` seals."""

    value: float
    diastolic: float | None
    heart_rate: float | None
    context: str | None
    as_pair: bool
    original: Original | None
    assessment: Assessment


_content = msgspec.msgpack.Decoder(_Content)
_metadata = msgspec.msgpack.Decoder(dict[str, Scalar])
_encode = msgspec.msgpack.Encoder().encode


def moment_of(reading: Reading) -> Moment:
    return reading.type, reading.recorded_at, reading.source


def seal(key: DataKey, reading: Reading) -> tuple[object, ...]:
    """The reading as a row, in the order of `COLUMNS`. `key` is that of the person it is about."""
    user, record, measured = reading.user, reading.id, reading.measurement
    content = _Content(
        measured.value,
        measured.diastolic,
        measured.heart_rate,
        measured.context,
        reading.as_pair,
        reading.original,
        reading.assessment,
    )
    return (
        record,
        user,
        measured.type,
        key.seal(_encode(content), _context(user, record, "value")),
        QUANTITIES[measured.type].unit,
        reading.source,
        reading.recorded_at,
        key.seal(reading.notes.encode(), _context(user, record, "notes")) if reading.notes else None,
        key.seal(_encode(reading.metadata), _context(user, record, "metadata")) if reading.metadata else None,
        key.id,
        digest(key, reading),
        reading.actor,
        reading.created_at,
    )


def digest(key: DataKey, reading: Reading) -> bytes:
    """Equal for equal content: what was measured and said of it, not what was found or who sent it."""
    return key.digest(_encode((reading.measurement, reading.notes, sorted(reading.metadata.items()))))


async def open_rows(sealer: Sealer, rows: Sequence[sa.Row[Any]]) -> list[Reading]:  # Any: a row of the whole table
    """The readings of these rows; refused as erased if the key of one was destroyed."""
    keys = await sealer.by_ids({row.key_id for row in rows})
    readings = []
    for at, row in enumerate(rows, 1):
        if at % TURN == 0:
            await asyncio.sleep(0)
        key = keys[row.key_id]
        if key is None:
            raise Refusal(ErrorCode.NOT_FOUND, "erased")
        readings.append(_open(key, row))
    return readings


def _open(key: DataKey, row: Sequence[Any]) -> Reading:
    # Unpacked at once: looking up each column by its name takes as long again as opening.
    record, user, kind, value, _, source, recorded_at, notes, metadata, _, _, actor, created_at = row
    content = _content.decode(key.open(value, _context(user, record, "value")))
    return Reading(
        id=record,
        user=user,
        actor=actor,
        measurement=Measurement(kind, content.value, content.diastolic, content.heart_rate, content.context),
        assessment=content.assessment,
        source=source,
        recorded_at=recorded_at,
        created_at=created_at,
        as_pair=content.as_pair,
        original=content.original,
        notes=key.open(notes, _context(user, record, "notes")).decode() if notes else "",
        metadata=_metadata.decode(key.open(metadata, _context(user, record, "metadata"))) if metadata else {},
    )


def _context(user: str, record: str, column: str) -> bytes:
    return f"health record|{user}|{record}|{column}".encode()


async def add(connection: AsyncConnection, key: DataKey, readings: Sequence[Reading]) -> set[str]:
    """Insert readings of one person; the answer is the ids of those whose moment was free."""
    # Sorted, so that two devices that send the same readings at once wait for each other in one direction only.
    rows = [seal(key, reading) for reading in sorted(readings, key=moment_of)]
    columns = map(list, zip(*rows, strict=True))
    found = await connection.execute(_ADD, dict(zip(COLUMNS, columns, strict=True)))
    return {str(record) for record in found.scalars()}


async def standing(
    connection: AsyncConnection, sealer: Sealer, user: str, readings: Sequence[Reading]
) -> dict[Moment, Standing]:
    """What stands at the moments of these, which `add` did not insert.

    A statement of its own: it sees what others committed while `add` waited for them.
    """
    values = {
        "user": user,
        "types": sorted({reading.type for reading in readings}),
        "moments": [reading.recorded_at for reading in readings],
    }
    rows = (await connection.execute(_STANDING, values)).all()
    opened = await open_rows(sealer, rows)
    return {moment_of(each): Standing(each, row.digest) for each, row in zip(opened, rows, strict=True)}


async def readings(
    connection: AsyncConnection,
    sealer: Sealer,
    user: str,
    type: RecordType | None,
    start: datetime,
    end: datetime,
) -> list[Reading]:
    """Everything of a person from `start` to before `end`, the oldest first; of one type, or of all."""
    query = _of(user, type).where(records.c.recorded_at >= start, records.c.recorded_at < end)
    rows = (await connection.execute(query.order_by(records.c.recorded_at))).all()
    return await open_rows(sealer, rows)


async def page(
    connection: AsyncConnection,
    sealer: Sealer,
    user: str,
    type: RecordType | None,
    start: datetime,
    end: datetime,
    after: Place | None,
    limit: int,
) -> list[Reading]:
    """The newest `limit` of the same that are older than `after`, the newest first."""
    at, record = records.c.recorded_at, records.c.id
    query = _of(user, type).where(at >= start, at < end)
    if after is not None:
        # The first condition says the same less exactly: by it the planner leaves out partitions.
        query = query.where(at <= after.at, sa.tuple_(at, record) < _place(after))
    query = query.order_by(at.desc(), record.desc()).limit(limit)
    return await open_rows(sealer, (await connection.execute(query)).all())


async def find(connection: AsyncConnection, sealer: Sealer, record: str) -> Reading | None:
    query = sa.select(records).where(records.c.id == record)
    rows = (await connection.execute(query)).all()
    return (await open_rows(sealer, rows))[0] if rows else None


async def delete(connection: AsyncConnection, reading: Reading) -> bool:
    gone = sa.delete(records).where(records.c.id == reading.id, records.c.recorded_at == reading.recorded_at)
    return (await connection.execute(gone)).rowcount == 1


def _place(after: Place) -> sa.Tuple:
    return sa.tuple_(sa.literal(after.at, records.c.recorded_at.type), sa.literal(after.id, records.c.id.type))


def _of(user: str, type: RecordType | None) -> sa.Select[Any]:
    query = sa.select(records).where(records.c.user_id == user)
    return query if type is None else query.where(records.c.type == type)
