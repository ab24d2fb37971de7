"""The SQL of preferences: one row for each person who ever said what they want."""

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.model import ClassPreference, QuietHours
from hub.notices.preference import Preference
from hub.notices.quiet import HOME

_READ = text("""
SELECT language, timezone, quiet::text AS quiet, classes::text AS classes FROM notice_preferences WHERE user_id = CAST(:user AS uuid)
""")
_WRITE = text("""
INSERT INTO notice_preferences (user_id, language, timezone, quiet, classes)
VALUES (CAST(:user AS uuid), :language, :timezone, CAST(:quiet AS jsonb), CAST(:classes AS jsonb))
ON CONFLICT (user_id) DO UPDATE SET language = excluded.language, timezone = excluded.timezone, quiet = excluded.quiet,
  classes = excluded.classes, updated_at = clock_timestamp()
""")


async def read(connection: AsyncConnection, user: str) -> Preference:
    row = (await connection.execute(_READ, {"user": user})).first()
    if row is None:
        return Preference()
    return Preference(
        language=row.language or "zh",
        timezone=row.timezone or HOME,
        quiet=msgspec.json.decode(row.quiet, type=QuietHours) if row.quiet is not None else None,
        classes=msgspec.json.decode(row.classes, type=dict[str, ClassPreference]),
    )


async def write(connection: AsyncConnection, user: str, preference: Preference) -> None:
    values = {
        "user": user,
        "language": preference.language,
        "timezone": preference.timezone,
        "quiet": msgspec.json.encode(preference.quiet).decode() if preference.quiet else None,
        "classes": msgspec.json.encode(preference.classes).decode(),
    }
    await connection.execute(_WRITE, values)
