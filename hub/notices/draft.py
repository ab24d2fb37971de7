"""A notice to be, and its row. Making one is part of the transaction of what it tells about."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.notice_class import NoticeClass
from hub.platform.identifier import new_id


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What must reach one person. `dedupe_key`: there is one notice with it, ever; name the thing and its revision in it.

    `values` are what the template shows outside: never anything of health. `begins_at`: when the ladder begins at the
    earliest; the grace of the class comes on top where an entry in a conversation can be received meanwhile.
    """

    user: str
    dedupe_key: str
    values: Mapping[str, Any] = {}  # Any: JSON scalars
    subject: str = ""
    template: str = ""
    conversation: str | None = None
    seq: int | None = None
    broadcast: str | None = None
    begins_at: datetime | None = None
    expires_at: datetime | None = None


_INSERT = text("""
INSERT INTO notices (id, user_id, class, lane, shard, template, values, subject, conversation, first_seq, upto_seq,
  broadcast, dedupe_key, next_at, begins_at, expires_at)
SELECT d.id, d.user_id, CAST(:class AS text), CAST(:lane AS text), d.shard, d.template, d.values, d.subject, d.conversation,
  d.seq, d.seq, d.broadcast, d.dedupe_key, d.begins_at, d.begins_at, d.expires_at
FROM unnest(CAST(:id AS uuid[]), CAST(:user AS uuid[]), CAST(:shard AS int[]), CAST(:template AS text[]),
  CAST(:values AS jsonb[]), CAST(:subject AS text[]), CAST(:conversation AS uuid[]), CAST(:seq AS bigint[]),
  CAST(:broadcast AS uuid[]), CAST(:dedupe_key AS text[]), CAST(:begins_at AS timestamptz[]), CAST(:expires_at AS timestamptz[]))
  AS d(id, user_id, shard, template, values, subject, conversation, seq, broadcast, dedupe_key, begins_at, expires_at)
ON CONFLICT DO NOTHING RETURNING dedupe_key
""")


async def insert(
    connection: AsyncConnection, chosen: NoticeClass, shards: int, now: datetime, drafts: Sequence[Draft]
) -> set[str]:
    """Commit these with the caller's transaction; the answer is the dedupe keys that are new. A sweep finds them when due."""
    if not drafts:
        return set()
    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    for draft in drafts:
        for name, value in zip(_COLUMNS, _row(chosen, shards, now, draft), strict=True):
            columns[name].append(value)
    rows = await connection.execute(_INSERT, {**columns, "class": chosen.code, "lane": chosen.lane})
    return {row.dedupe_key for row in rows}


_COLUMNS = (
    "id",
    "user",
    "shard",
    "template",
    "values",
    "subject",
    "conversation",
    "seq",
    "broadcast",
    "dedupe_key",
    "begins_at",
    "expires_at",
)


def _row(chosen: NoticeClass, shards: int, now: datetime, draft: Draft) -> tuple[object, ...]:
    grace = timedelta(seconds=chosen.grace_s if draft.conversation else 0)
    begins_at = max(draft.begins_at or now, now) + grace
    return (
        new_id(),
        draft.user,
        shard_of(draft.user, shards),
        draft.template or chosen.template,
        msgspec.json.encode(draft.values).decode(),
        draft.subject,
        draft.conversation,
        draft.seq,
        draft.broadcast,
        draft.dedupe_key,
        begins_at,
        draft.expires_at or begins_at + timedelta(seconds=chosen.expires_s),
    )


def shard_of(user: str, shards: int) -> int:
    """All notices of one person are in one shard of a lane, so that one worker has them."""
    return zlib.crc32(user.encode()) % shards
