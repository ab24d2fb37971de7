"""The SQL of classes that staff changed. A row replaces what the code has; without one, that holds."""

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.class_rule import HeldClass
from hub.notices.notice_class import CLASSES, NoticeClass

# Classes name templates: who changes either sees the other as it is. Changes are few, so they all take turns until commit.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('notice definitions', 0))")
_ALL = text("SELECT value::text, version FROM notice_classes")
_WRITE = text("""
INSERT INTO notice_classes (code, value, version, changed_by)
VALUES (:code, CAST(:value AS jsonb), nextval('notice_versions'), CAST(:by AS uuid))
ON CONFLICT (code) DO UPDATE SET value = excluded.value, version = excluded.version, changed_by = excluded.changed_by,
  changed_at = clock_timestamp()
RETURNING version
""")
_REMOVE = text("DELETE FROM notice_classes WHERE code = :code")


async def lock(connection: AsyncConnection) -> None:
    """Nobody else changes a class or a template until commit."""
    await connection.execute(_LOCK)


async def all_held(connection: AsyncConnection) -> dict[str, HeldClass]:
    """Every class as it holds, by code."""
    rows = await connection.execute(_ALL)
    changed = [HeldClass(msgspec.json.decode(row.value, type=NoticeClass), row.version) for row in rows]
    return {code: HeldClass(each) for code, each in CLASSES.items()} | {each.value.code: each for each in changed}


async def write(connection: AsyncConnection, value: NoticeClass, by: str) -> HeldClass:
    values = {"code": value.code, "value": msgspec.json.encode(value).decode(), "by": by}
    return HeldClass(value, (await connection.execute(_WRITE, values)).scalar_one())


async def remove(connection: AsyncConnection, code: str) -> None:
    await connection.execute(_REMOVE, {"code": code})
