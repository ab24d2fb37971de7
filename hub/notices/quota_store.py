"""The SQL of WeChat's quotas as events and people see them; workers spend them in `store` and give back in `record`."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.text import Language

# In one order everywhere, so that no two writers wait for each other.
_RESET = text("""
INSERT INTO wechat_quotas AS q (openid, template)
SELECT t.openid, t.template FROM unnest(CAST(:openids AS text[]), CAST(:templates AS text[])) AS t(openid, template)
ORDER BY t.openid, t.template
ON CONFLICT (openid, template) DO UPDATE SET remaining = 0, updated_at = clock_timestamp()
""")
_ADD = text("""
INSERT INTO wechat_quotas AS q (openid, template, remaining)
SELECT t.openid, t.template, t.plus
FROM unnest(CAST(:openids AS text[]), CAST(:templates AS text[]), CAST(:plus AS int[])) AS t(openid, template, plus)
ORDER BY t.openid, t.template
ON CONFLICT (openid, template) DO UPDATE SET remaining = q.remaining + excluded.remaining, updated_at = clock_timestamp()
""")
_OF_USER = text("""
SELECT p.language, (SELECT coalesce(jsonb_object_agg(q.template, q.remaining), '{}') FROM wechat_quotas q
  WHERE q.openid = u.wechat_openid)::text AS quotas
FROM users u LEFT JOIN notice_preferences p ON p.user_id = u.id WHERE u.id = CAST(:user AS uuid)
""")


class Change(msgspec.Struct, frozen=True):
    """Forget what there is, if `reset`, and then add."""

    reset: bool = False
    plus: int = 0


async def change(connection: AsyncConnection, changes: Mapping[tuple[str, str], Change]) -> None:
    """Of each (openid, template)."""
    reset = [place for place, each in changes.items() if each.reset]
    if reset:
        await connection.execute(_RESET, {"openids": [o for o, _ in reset], "templates": [t for _, t in reset]})
    added = [(*place, each.plus) for place, each in changes.items() if each.plus]
    if added:
        openids, templates, plus = (list(column) for column in zip(*added, strict=True))
        await connection.execute(_ADD, {"openids": openids, "templates": templates, "plus": plus})


async def of_user(connection: AsyncConnection, user: str) -> tuple[Language, Mapping[str, int]]:
    """The language that a person is written to in, and what is left of each template, by WeChat's id."""
    row = (await connection.execute(_OF_USER, {"user": user})).first()
    if row is None:
        return "zh", {}
    return row.language or "zh", msgspec.json.decode(row.quotas, type=dict[str, int])
