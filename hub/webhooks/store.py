"""The SQL of webhooks and their log, for staff. Every function runs in the caller's transaction.

Whoever locks a webhook and its deliveries locks the webhook first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.webhooks.model import Delivery, Webhook, Why

KEPT = 1000  # deliveries of one webhook
FORGOTTEN = 500  # deleted in one statement, of each webhook

_COLUMNS = """w.id::text, w.url, w.classes, w.enabled, w.disabled_why, w.failures, w.failing_since, w.created_by::text,
  w.created_at, CASE WHEN w.enabled THEN greatest(h.upto - w.cursor, 0) ELSE 0 END AS behind"""
_ALL = text(f"SELECT {_COLUMNS} FROM notice_webhooks w, notice_event_head h ORDER BY w.id")  # noqa: S608
_LOCK = text(
    f"SELECT {_COLUMNS} FROM notice_webhooks w, notice_event_head h WHERE w.id = :id FOR UPDATE OF w"  # noqa: S608
)
_COUNT = text("SELECT count(*) FROM notice_webhooks")
# It begins with what happens from now on.
_ADD = text("""
INSERT INTO notice_webhooks (id, url, secret, classes, cursor, next_at, created_by, created_at)
SELECT :id, :url, :secret, CAST(:classes AS text[]), upto, :at, :by, :at FROM notice_event_head
""")
_SET_URL = text("UPDATE notice_webhooks SET url = :url WHERE id = :id")
_SET_CLASSES = text("UPDATE notice_webhooks SET classes = CAST(:classes AS text[]) WHERE id = :id")
_SET_SECRET = text("UPDATE notice_webhooks SET secret = :secret WHERE id = :id")
# What happened meanwhile may not be kept any more, so it begins anew.
_ENABLE = text("""
UPDATE notice_webhooks SET enabled = true, disabled_why = '', failures = 0, failing_since = NULL, lease = NULL, next_at = :at,
  cursor = (SELECT upto FROM notice_event_head) WHERE id = :id
""")
_DISABLE = text("UPDATE notice_webhooks SET enabled = false, disabled_why = :why, lease = NULL WHERE id = :id")
_DROP = text("""
UPDATE notice_webhook_deliveries SET status = 'dropped', body = NULL WHERE webhook = :id AND status = 'pending' AND NOT ping
""")
_DELETE = text("DELETE FROM notice_webhooks WHERE id = :id")
_ADD_DELIVERY = text("""
INSERT INTO notice_webhook_deliveries (id, webhook, ping, from_number, upto_number, events, body, tries, created_at, at)
VALUES (:id, :webhook, :ping, :first, :upto, :events, :body, :tries, :at, :at) ON CONFLICT DO NOTHING
""")
_PENDING_PING = text(
    "SELECT id::text FROM notice_webhook_deliveries WHERE webhook = :id AND status = 'pending' AND ping"
)
_DELIVERIES = text("""
SELECT id::text, ping, events, status, tries, http_status, error, created_at, at, took_ms FROM notice_webhook_deliveries
WHERE webhook = :id AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid)) ORDER BY id DESC LIMIT :limit
""")
_FORGET = text("""
DELETE FROM notice_webhook_deliveries WHERE id IN (SELECT d.id FROM notice_webhooks w CROSS JOIN LATERAL (
  (SELECT id FROM notice_webhook_deliveries WHERE webhook = w.id AND status <> 'pending'
   ORDER BY id DESC OFFSET :kept LIMIT :most)
  UNION
  (SELECT id FROM notice_webhook_deliveries WHERE webhook = w.id AND status <> 'pending' AND created_at < :before
   ORDER BY id LIMIT :most)) d)
""")


async def webhooks(connection: AsyncConnection) -> list[Webhook]:
    """All of them, the oldest first; there are few."""
    return [Webhook(**row._mapping) for row in await connection.execute(_ALL)]


async def lock(connection: AsyncConnection, webhook: str) -> Webhook | None:
    row = (await connection.execute(_LOCK, {"id": webhook})).first()
    return None if row is None else Webhook(**row._mapping)


async def count(connection: AsyncConnection) -> int:
    return int(await connection.scalar(_COUNT) or 0)


async def add(connection: AsyncConnection, values: Mapping[str, object]) -> None:
    """`id`, `url`, `secret`, `classes`, `by`, `at`."""
    await connection.execute(_ADD, values)


async def set_url(connection: AsyncConnection, webhook: str, url: str) -> None:
    """A batch that is being repeated goes there too."""
    await connection.execute(_SET_URL, {"id": webhook, "url": url})


async def set_classes(connection: AsyncConnection, webhook: str, classes: Sequence[str] | None) -> None:
    """Of batches that are still to be made."""
    await connection.execute(_SET_CLASSES, {"id": webhook, "classes": classes})


async def set_secret(connection: AsyncConnection, webhook: str, secret: bytes) -> None:
    await connection.execute(_SET_SECRET, {"id": webhook, "secret": secret})


async def enable(connection: AsyncConnection, webhook: str, at: datetime) -> None:
    await connection.execute(_ENABLE, {"id": webhook, "at": at})


async def disable(connection: AsyncConnection, webhook: str, why: Why) -> None:
    """Whoever is posting finds its lease gone; the batch that was not taken is given up."""
    await connection.execute(_DISABLE, {"id": webhook, "why": why})
    await connection.execute(_DROP, {"id": webhook})


async def delete(connection: AsyncConnection, webhook: str) -> None:
    """With its log."""
    await connection.execute(_DELETE, {"id": webhook})


async def add_delivery(connection: AsyncConnection, values: Mapping[str, object]) -> bool:
    """`id`, `webhook`, `ping`, `first`, `upto`, `events`, `body`, `tries`, `at`; False if one of its kind is pending."""
    return (await connection.execute(_ADD_DELIVERY, values)).rowcount == 1


async def pending_ping(connection: AsyncConnection, webhook: str) -> str | None:
    found: str | None = await connection.scalar(_PENDING_PING, {"id": webhook})
    return found


async def deliveries(connection: AsyncConnection, webhook: str, before: str | None, limit: int) -> list[Delivery]:
    """The newest first."""
    rows = await connection.execute(_DELIVERIES, {"id": webhook, "before": before, "limit": limit})
    return [Delivery(**row._mapping) for row in rows]


async def forget(connection: AsyncConnection, before: datetime | None) -> int:
    """Delete some of the log: beyond the newest 1,000, or older than that. The answer is how many."""
    values = {"kept": KEPT, "most": FORGOTTEN, "before": before}
    return (await connection.execute(_FORGET, values)).rowcount
