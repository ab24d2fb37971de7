"""The SQL of posting to webhooks: who is due, whose turn it is (a lease in the row), the batch, and what came of it.

Every function runs in the caller's transaction. Who has lost the lease changes nothing any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.webhooks import store as webhook_store
from hub.webhooks.model import BEHIND, Result, Why

# A pending batch is behind the cursor's place too; a ping waits for nothing, also of a webhook that is off.
_DUE = text("""
SELECT w.id::text FROM notice_webhooks w, notice_event_head h
WHERE (w.enabled AND w.next_at <= :now AND w.cursor < h.upto) OR EXISTS (
  SELECT FROM notice_webhook_deliveries d WHERE d.webhook = w.id AND d.status = 'pending' AND d.ping)
ORDER BY w.next_at LIMIT :most
""")
_FAR_BEHIND = text("""
SELECT w.id::text FROM notice_webhooks w, notice_event_head h WHERE w.enabled AND h.upto - w.cursor > :most FOR UPDATE OF w
""")
_TAKE = text("""
UPDATE notice_webhooks SET lease = :lease, next_at = :until WHERE id = :id AND enabled AND next_at <= :now
""")
_HOLD = text("""
UPDATE notice_webhooks SET next_at = :until WHERE id = :id AND lease = :lease
RETURNING url, secret, classes, cursor, failures, failing_since
""")
_GIVE_BACK = text("UPDATE notice_webhooks SET lease = NULL, next_at = :now WHERE id = :id AND lease = :lease")
_SKIP = text("UPDATE notice_webhooks SET cursor = :upto WHERE id = :id AND lease = :lease")
_PENDING = text("""
UPDATE notice_webhook_deliveries SET tries = tries + 1, at = :at WHERE webhook = :id AND status = 'pending' AND NOT ping
RETURNING id::text, upto_number AS upto, body
""")
_TAKE_PING = text("""
UPDATE notice_webhook_deliveries d SET tries = 1, at = :at, status = 'failed', error = 'interrupted' FROM notice_webhooks w
WHERE d.webhook = :id AND d.status = 'pending' AND d.ping AND w.id = d.webhook RETURNING d.id::text, d.body, w.url, w.secret
""")
_ADVANCE = text("""
UPDATE notice_webhooks SET cursor = :upto, failures = 0, failing_since = NULL WHERE id = :id AND lease = :lease
""")
_WAIT = text("""
UPDATE notice_webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, :now), next_at = :again, lease = NULL
WHERE id = :id AND lease = :lease
""")
_LOG = text("""
UPDATE notice_webhook_deliveries SET status = :status, http_status = :http_status, error = :error, took_ms = :took_ms,
  body = CASE WHEN CAST(:status AS text) = 'pending' THEN body END WHERE id = :id
""")


class Turn(NamedTuple):
    """A webhook as it is while one posts to it. `secret` is sealed."""

    url: str
    secret: bytes
    classes: list[str] | None
    cursor: int
    failures: int
    failing_since: datetime | None


class Pending(NamedTuple):
    """A batch that is to be posted, again or for the first time; taken, it moves the cursor to `upto`."""

    id: str
    upto: int
    body: bytes


class Ping(NamedTuple):
    id: str
    body: bytes
    url: str
    secret: bytes


async def due(connection: AsyncConnection, now: datetime, at_most: int) -> Sequence[str]:
    return list(await connection.scalars(_DUE, {"now": now, "most": at_most}))


async def stop_far_behind(connection: AsyncConnection) -> Sequence[str]:
    """Give those up for which the feed would grow without end; the answer is which."""
    found = list(await connection.scalars(_FAR_BEHIND, {"most": BEHIND}))
    for webhook in found:
        await webhook_store.disable(connection, webhook, "behind")
    return found


async def take(connection: AsyncConnection, webhook: str, lease: str, now: datetime, until: datetime) -> bool:
    """Whether it is this one's turn until then."""
    values = {"id": webhook, "lease": lease, "now": now, "until": until}
    return (await connection.execute(_TAKE, values)).rowcount == 1


async def hold(connection: AsyncConnection, webhook: str, lease: str, until: datetime) -> Turn | None:
    """Go on until then, with the webhook as it is now; None if the lease is lost."""
    row = (await connection.execute(_HOLD, {"id": webhook, "lease": lease, "until": until})).first()
    return None if row is None else Turn(*row)


async def give_back(connection: AsyncConnection, webhook: str, lease: str, now: datetime) -> None:
    await connection.execute(_GIVE_BACK, {"id": webhook, "lease": lease, "now": now})


async def skip(connection: AsyncConnection, webhook: str, lease: str, upto: int) -> None:
    """Up to there nothing was to be told."""
    await connection.execute(_SKIP, {"id": webhook, "lease": lease, "upto": upto})


async def pending(connection: AsyncConnection, webhook: str, at: datetime) -> Pending | None:
    """The batch that was made before and never taken, as far as is known; this counts as a try."""
    row = (await connection.execute(_PENDING, {"id": webhook, "at": at})).first()
    return None if row is None else Pending(*row)


async def take_ping(connection: AsyncConnection, webhook: str, at: datetime) -> Ping | None:
    """A ping is posted once: until its end is known it is one that was interrupted."""
    row = (await connection.execute(_TAKE_PING, {"id": webhook, "at": at})).first()
    return None if row is None else Ping(*row)


async def advance(connection: AsyncConnection, webhook: str, lease: str, upto: int) -> bool:
    """It has been told up to there; False if the lease is lost."""
    return (await connection.execute(_ADVANCE, {"id": webhook, "lease": lease, "upto": upto})).rowcount == 1


async def wait(connection: AsyncConnection, webhook: str, lease: str, now: datetime, again: datetime) -> bool:
    """One more failure; the next try is then. False if the lease is lost."""
    values = {"id": webhook, "lease": lease, "now": now, "again": again}
    return (await connection.execute(_WAIT, values)).rowcount == 1


async def stop(connection: AsyncConnection, webhook: str, why: Why) -> None:
    """No more posts until staff enable it again."""
    await webhook_store.disable(connection, webhook, why)


async def log_result(connection: AsyncConnection, delivery: str, status: str, result: Result) -> None:
    values = {
        "id": delivery,
        "status": status,
        "http_status": result.status,
        "error": result.error,
        "took_ms": result.took_ms,
    }
    await connection.execute(_LOG, values)
