"""Rows of health profiles: the profile and its tags, each sealed under the key of the person."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care.profile import Profile
from hub.care.table import user_health_profiles as profiles
from hub.platform.error import ErrorCode, Refusal
from hub.security.sealing import DataKey, Sealer

_profile = msgspec.msgpack.Decoder(Profile)
_tags = msgspec.msgpack.Decoder(list[str])


async def find(connection: AsyncConnection, sealer: Sealer, user: str) -> Profile:
    """The person's profile; one in which nothing is known if there is none. Refused as erased if the key was destroyed."""
    row = (await connection.execute(sa.select(profiles).where(profiles.c.user_id == user))).first()
    if row is None:
        return Profile()
    key = (await sealer.by_ids({row.key_id}))[row.key_id]
    if key is None:
        raise Refusal(ErrorCode.NOT_FOUND, "erased")
    profile = _profile.decode(key.open(row.body, _context(user, "body"))) if row.body else Profile()
    tags = _tags.decode(key.open(row.tags, _context(user, "tags"))) if row.tags else ()
    return msgspec.structs.replace(profile, tags=tags)


async def save(connection: AsyncConnection, key: DataKey, profile: Profile, by: str, now: datetime) -> None:
    """Everything but the tags, which are said apart. `key` is that of the person."""
    body = msgspec.msgpack.encode(msgspec.structs.replace(profile, tags=()))
    await _save(connection, key, "body", body, by, now)


async def save_tags(connection: AsyncConnection, key: DataKey, tags: list[str], by: str, now: datetime) -> None:
    await _save(connection, key, "tags", msgspec.msgpack.encode(tags), by, now)


async def _save(connection: AsyncConnection, key: DataKey, column: str, content: bytes, by: str, now: datetime) -> None:
    change = {
        column: key.seal(content, _context(key.subject, column)),
        "key_id": key.id,
        "updated_by": by,
        "updated_at": now,
    }
    statement = insert(profiles).values(user_id=key.subject, **change)
    await connection.execute(statement.on_conflict_do_update(index_elements=[profiles.c.user_id], set_=change))


def _context(user: str, column: str) -> bytes:
    return f"health profile|{user}|{column}".encode()
