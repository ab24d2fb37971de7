"""The SQL of addresses. A row is reached while `gone_at` is null; no two people have the same address at a time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices.address import Asking, Counted, EmailCode, Held
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

Channel = Literal["webpush", "wecom", "email"]

GONE_DAYS = 90  # questions about a notice come within them
BATCH = 500
BATCHES = 50  # of each kind in one sweep

# Who binds an address waits for whoever binds it at the same moment, and a person's own bindings take turns.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_PERSON = text("SELECT true FROM users WHERE id = CAST(:user AS uuid) FOR NO KEY UPDATE")
_SESSION = text("""
SELECT true FROM sessions WHERE id = CAST(:session AS uuid) AND user_id = CAST(:user AS uuid)
  AND revoked_at IS NULL AND expires_at > clock_timestamp() FOR SHARE
""")
# From somebody else a mailbox is taken by who proved it, and a browser by who has its keys; an account at WeCom never.
_UNBIND = text("""
UPDATE notice_addresses SET gone_at = clock_timestamp(), gone_why = 'rebound'
WHERE channel = :channel AND value = :value AND gone_at IS NULL AND user_id <> CAST(:user AS uuid)
  AND (channel = 'email' OR channel = 'webpush' AND extra = CAST(:extra AS jsonb))
""")
# WeCom's user ids know no case (developer.work.weixin.qq.com, path/90236); endpoints do, and mailboxes are in lower case here.
_HELD = {
    channel: text(f"""
SELECT true FROM notice_addresses
WHERE channel = '{channel}' AND {same} AND gone_at IS NULL AND user_id <> CAST(:user AS uuid)
""")  # noqa: S608 - constants only
    for channel, same in (
        ("webpush", "value = :value"),
        ("email", "value = :value"),
        ("wecom", "lower(value) = lower(:value)"),
    )
}
# The row that stays is the person's own for the same value: its id goes on in the ledger.
_BIND = text("""
INSERT INTO notice_addresses (id, user_id, channel, value, extra, session_id)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), :channel, :value, CAST(:extra AS jsonb), CAST(:session AS uuid))
ON CONFLICT (channel, value) WHERE gone_at IS NULL DO UPDATE SET extra = excluded.extra, session_id = excluded.session_id
RETURNING id::text
""")
_REPLACE = text("""
UPDATE notice_addresses SET gone_at = clock_timestamp(), gone_why = 'replaced'
WHERE user_id = CAST(:user AS uuid) AND channel = :channel AND gone_at IS NULL AND id <> CAST(:kept AS uuid)
""")
_REMOVE = text("""
UPDATE notice_addresses SET gone_at = clock_timestamp(), gone_why = :why
WHERE user_id = CAST(:user AS uuid) AND channel = :channel AND gone_at IS NULL
  AND (CAST(:value AS text) IS NULL OR value = :value)
""")
# First those of devices that are not signed in any more, then of those that were not used for the longest time.
_CROWDED = text("""
UPDATE notice_addresses SET gone_at = clock_timestamp(), gone_why = 'crowded' WHERE id IN (
  SELECT a.id FROM notice_addresses a LEFT JOIN sessions s ON s.id = a.session_id
  WHERE a.user_id = CAST(:user AS uuid) AND a.channel = 'webpush' AND a.gone_at IS NULL AND a.id <> CAST(:kept AS uuid)
  ORDER BY s.revoked_at IS NULL AND s.expires_at > clock_timestamp() DESC, s.last_seen_at DESC, a.id DESC OFFSET :most - 1)
""")
_LIST = text("""
SELECT a.id::text, a.channel, a.value, a.session_id::text AS session, a.created_at
FROM notice_addresses a LEFT JOIN sessions s ON s.id = a.session_id
WHERE a.user_id = CAST(:user AS uuid) AND a.gone_at IS NULL AND a.verified
  AND (a.session_id IS NULL OR s.revoked_at IS NULL AND s.expires_at > clock_timestamp())
ORDER BY a.id
""")
_ACCOUNT = text("SELECT phone, wechat_openid FROM users WHERE id = CAST(:user AS uuid)")
_CODE_SENT = {
    counted: text(f"""
SELECT created_at FROM email_codes WHERE {condition} ORDER BY created_at DESC OFFSET :back - 1 LIMIT 1
""")  # noqa: S608 - constants only
    for counted, condition in (
        ("user", "user_id = CAST(:user AS uuid)"),
        ("pair", "user_id = CAST(:user AS uuid) AND email = :email"),
        ("email", "email = :email"),
        ("address", "address = :address"),
    )
}
_ADD_CODE = text("""
INSERT INTO email_codes (id, user_id, email, address, code_hash, created_at, expires_at)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), :email, :address, :code_hash, :now, :expires_at)
""")
_NEWEST_CODE = text("""
SELECT id::text, email, code_hash, attempts, expires_at FROM email_codes
WHERE user_id = CAST(:user AS uuid) ORDER BY created_at DESC, id DESC LIMIT 1 FOR UPDATE
""")
_COUNT_TRY = text("UPDATE email_codes SET attempts = attempts + 1 WHERE id = CAST(:id AS uuid)")
_SPEND_CODE = text("UPDATE email_codes SET expires_at = created_at WHERE id = CAST(:id AS uuid)")
# Codes that no limit counts any more; gone addresses, of which the ledger needs the id only; quotas of nobody. Those not at
# once: what somebody agrees to may be told before they have an account.
_FORGET = (
    text("""
DELETE FROM email_codes WHERE id IN (
  SELECT id FROM email_codes WHERE created_at < statement_timestamp() - interval '1 day' ORDER BY created_at LIMIT :batch)
"""),
    text(f"""
UPDATE notice_addresses SET value = '', extra = '{{}}' WHERE id IN (
  SELECT id FROM notice_addresses WHERE gone_at < statement_timestamp() - interval '{GONE_DAYS} days' AND value <> ''
  ORDER BY gone_at LIMIT :batch)
"""),  # noqa: S608 - a constant
    text("""
DELETE FROM wechat_quotas WHERE (openid, template) IN (
  SELECT q.openid, q.template FROM wechat_quotas q WHERE q.updated_at < statement_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT FROM users u WHERE u.wechat_openid = q.openid) LIMIT :batch)
"""),
)

_TAKEN: dict[Channel, dict[str, str]] = {
    "webpush": {"endpoint": "webpush_taken"},
    "wecom": {"userId": "wecom_user_taken"},
    "email": {},  # never: it was proved
}


async def lock_person(connection: AsyncConnection, user: str) -> bool:
    """Whether there is such a person; their bindings take turns until commit."""
    return (await connection.execute(_PERSON, {"user": user})).first() is not None


async def is_signed_in(connection: AsyncConnection, user: str, session: str) -> bool:
    """Whether the session stands; nobody ends it before commit."""
    return (await connection.execute(_SESSION, {"user": user, "session": session})).first() is not None


async def bind(
    connection: AsyncConnection,
    user: str,
    channel: Channel,
    value: str,
    extra: Mapping[str, str] | None = None,
    session: str | None = None,
) -> str:
    """The person has it alone from now on; the answer is the row's id. Refused where it stays somebody else's. `lock_person` first."""
    row = {"user": user, "channel": channel, "value": value, "id": new_id(), "session": session}
    row["extra"] = msgspec.json.encode(extra or {}).decode()
    await connection.execute(_LOCK, {"key": f"notice address {channel} {value.lower()}"})
    await connection.execute(_UNBIND, row)
    if (await connection.execute(_HELD[channel], row)).first() is not None:
        raise Refusal(ErrorCode.CONFLICT, fields=_TAKEN[channel])
    return str((await connection.execute(_BIND, row)).scalar_one())


async def keep_only(connection: AsyncConnection, user: str, channel: Channel, kept: str) -> None:
    """A person has one of these: the others go."""
    await connection.execute(_REPLACE, {"user": user, "channel": channel, "kept": kept})


async def drop_crowded(connection: AsyncConnection, user: str, kept: str, most: int) -> None:
    """No more than `most` push subscriptions; `kept`, the newest, is one of them."""
    await connection.execute(_CROWDED, {"user": user, "kept": kept, "most": most})


async def remove(
    connection: AsyncConnection, user: str, channel: Channel, value: str | None = None, why: str = "removed"
) -> bool:
    """Whether there was one: with this value, or any of the channel."""
    values = {"user": user, "channel": channel, "value": value, "why": why}
    return (await connection.execute(_REMOVE, values)).rowcount > 0


async def held(connection: AsyncConnection, user: str) -> list[Held]:
    """Every way to reach the person, those of the account first."""
    found = []
    account = (await connection.execute(_ACCOUNT, {"user": user})).first()
    if account is not None and account.phone:
        found.append(Held(id="", channel="sms", value=account.phone, session=None, created_at=None))
    if account is not None and account.wechat_openid:
        found.append(Held(id="", channel="wechat", value=account.wechat_openid, session=None, created_at=None))
    return found + [Held(**row._asdict()) for row in await connection.execute(_LIST, {"user": user})]


async def lock_limits(connection: AsyncConnection, asking: Asking) -> None:
    """Who asks for a code to the same mailbox, or from the same address, takes turns; the person is locked already.

    Always in this order: nobody waits for a mailbox while holding an address.
    """
    for key in (f"email code {asking.email}", f"email address {asking.address}"):
        await connection.execute(_LOCK, {"key": key})


async def code_sent_at(connection: AsyncConnection, counted: Counted, asking: Asking, back: int) -> datetime | None:
    """When the code was asked for that is `back` codes ago (1: the newest), of those that count together."""
    values = {**msgspec.structs.asdict(asking), "back": back}
    found: datetime | None = await connection.scalar(_CODE_SENT[counted], values)
    return found


async def add_code(
    connection: AsyncConnection, asking: Asking, code_hash: bytes, now: datetime, expires_at: datetime
) -> None:
    values = {"id": new_id(), "code_hash": code_hash, "now": now, "expires_at": expires_at}
    await connection.execute(_ADD_CODE, {**msgspec.structs.asdict(asking), **values})


async def lock_newest_code(connection: AsyncConnection, user: str) -> EmailCode | None:
    """The last code sent to the person; a newer one voids the older. Locked, so that guesses are counted one by one."""
    row = (await connection.execute(_NEWEST_CODE, {"user": user})).first()
    return None if row is None else EmailCode(*row)


async def count_try(connection: AsyncConnection, code: str) -> None:
    await connection.execute(_COUNT_TRY, {"id": code})


async def spend_code(connection: AsyncConnection, code: str) -> None:
    """It is good no more; it still counts for the limits."""
    await connection.execute(_SPEND_CODE, {"id": code})


async def forget(database: Database) -> int:
    """Take away what nobody needs any more, in small transactions; the answer is how many rows. Safe to run twice at once."""
    forgotten = 0
    for statement in _FORGET:
        for _ in range(BATCHES):
            async with database.transaction() as connection:
                batch = (await connection.execute(statement, {"batch": BATCH})).rowcount
            forgotten += batch
            if batch < BATCH:
                break
    return forgotten
