"""The SQL of templates that staff changed or added. A row replaces what the code has; without one, that holds."""

from collections.abc import Mapping

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.template import Template
from hub.notices.template_default import DEFAULTS, Key

log = structlog.get_logger("hub.notices")

_ALL = text("SELECT code, channel, language, value::text AS value, version FROM notice_templates")
_WRITE = text("""
INSERT INTO notice_templates (code, channel, language, value, version, changed_by)
VALUES (:code, :channel, :language, CAST(:value AS jsonb), nextval('notice_versions'), CAST(:by AS uuid))
ON CONFLICT (code, channel, language) DO UPDATE SET value = excluded.value, version = excluded.version,
  changed_by = excluded.changed_by, changed_at = clock_timestamp()
RETURNING version
""")
_REMOVE = text("DELETE FROM notice_templates WHERE code = :code AND channel = :channel AND language = :language")


class HeldTemplate(msgspec.Struct, frozen=True):
    """A template as it holds; `version` 0: as the code has it."""

    value: Template
    version: int = 0


async def all_held(connection: AsyncConnection) -> dict[Key, HeldTemplate]:
    """Every template as it holds. One that cannot be read any more is said, and what the code has holds instead."""
    held = {key: HeldTemplate(each) for key, each in DEFAULTS.items()}
    for row in await connection.execute(_ALL):
        try:
            held[row.code, row.channel, row.language] = HeldTemplate(_read(row.value), row.version)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError):
            log.warning("notice_template_unreadable", code=row.code, channel=row.channel, language=row.language)
    return held


async def codes(connection: AsyncConnection) -> frozenset[str]:
    """The codes that a class may name."""
    return frozenset(code for code, _, _ in await all_held(connection))


async def write(connection: AsyncConnection, value: Template, by: str) -> HeldTemplate:
    values = {**_key(key_of(value)), "value": _written(value), "by": by}
    return HeldTemplate(value, (await connection.execute(_WRITE, values)).scalar_one())


async def remove(connection: AsyncConnection, key: Key) -> None:
    await connection.execute(_REMOVE, _key(key))


def key_of(template: Template) -> Key:
    return template.code, template.channel, template.language


def _key(key: Key) -> Mapping[str, str]:
    return dict(zip(("code", "channel", "language"), key, strict=True))


def _written(template: Template) -> str:
    # As pairs: jsonb sorts the keys of an object, and the order of the fields is the provider's.
    plain = msgspec.to_builtins(template)
    return msgspec.json.encode({**plain, "fields": list(template.fields.items())}).decode()


def _read(value: str) -> Template:
    plain = msgspec.json.decode(value)
    return msgspec.convert({**plain, "fields": dict(plain["fields"])}, Template)
