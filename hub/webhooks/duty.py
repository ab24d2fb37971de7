"""What a worker does: post to one webhook what it has not been told. May be repeated, cut off, and run twice at once.

A batch is a row before it is posted, and stays the same bytes under the same id until it is taken; the cursor moves after
that. So whoever dies in between has the batch repeated, and the receiver knows it by its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import SystemRandom
from typing import Literal

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.transport import NotSent, Transport, Unanswered
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import Refusal
from hub.platform.identifier import new_id
from hub.security.sealing import Sealer
from hub.webhooks import feed as feed
from hub.webhooks import post as post
from hub.webhooks import store as store
from hub.webhooks.actions import context
from hub.webhooks.model import Result, back_off_s, headers, packed, why_end
from hub.webhooks.post import Pending, Turn
from hub.webhooks.url import checked_url

POST_S = 8.0  # for one post; the transport's limit
DRAIN_S = 10.0  # then others have a turn; with one more post still within a job's 20 s
LEASE_S = 30.0
FORGETS = 200  # batches of the feed deleted in one sweep: a million events

POSTS = Counter("hub_notice_webhook_posts", "Posts to webhooks", ["outcome"])

log = structlog.get_logger("hub.webhook")
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """What the duty stands on. `transport` must refuse what is inside the network, unless `private`."""

    database: Database
    sealer: Sealer
    transport: Transport
    clock: Clock
    private: bool


async def due_webhooks(database: Database, now: datetime, at_most: int) -> Sequence[str]:
    """Which webhooks have something to be told, for a sweep to enqueue."""
    await feed.give_positions(database)
    async with database.transaction() as connection:
        for webhook in await post.stop_far_behind(connection):
            log.error("notice webhook disabled", webhook=webhook, why="behind")
        return await post.due(connection, now, at_most)


async def forget(database: Database, now: datetime, log_days: int = 30) -> int:
    """Delete events that everybody was told, and what is too much or too old of the logs; 0 days: none is too old. How many rows."""
    forgotten = 0
    for _ in range(FORGETS):
        count = await feed.forget_told(database)
        forgotten += count
        if count < feed.FORGOTTEN:
            break
    async with database.transaction() as connection:
        return forgotten + await store.forget(connection, now - timedelta(days=log_days) if log_days else None)


async def post_events(desk: WebhookDesk, webhook: str) -> None:
    """Post until nothing is left, a post fails, or others should have a turn; nothing to do is fine."""
    await _post_ping(desk, webhook)
    lease, until = new_id(), desk.clock.monotonic() + DRAIN_S
    async with desk.database.transaction() as connection:
        if not await post.take(connection, webhook, lease, desk.clock.now(), _lease_end(desk)):
            return
    while desk.clock.monotonic() < until:
        await feed.give_positions(desk.database)
        async with desk.database.transaction() as connection:
            turn = await post.hold(connection, webhook, lease, _lease_end(desk))
            batch = None if turn is None else await _batch(desk, connection, webhook, lease, turn)
        if turn is None:
            return
        if batch == "nothing":
            break
        if batch is not None and not await _post_batch(desk, webhook, lease, turn, batch):
            return
    async with desk.database.transaction() as connection:
        await post.give_back(connection, webhook, lease, desk.clock.now())


def _lease_end(desk: WebhookDesk) -> datetime:
    return desk.clock.now() + timedelta(seconds=LEASE_S)


async def _batch(
    desk: WebhookDesk, connection: AsyncConnection, webhook: str, lease: str, turn: Turn
) -> Pending | Literal["nothing"] | None:
    """The one to repeat, else a new one; None when all that was looked at is of no interest to it."""
    now = desk.clock.now()
    if pending := await post.pending(connection, webhook, now):
        return pending
    found = await feed.read(connection, turn.cursor, turn.classes)
    if found is None:
        return "nothing"
    if not found.events:
        await post.skip(connection, webhook, lease, found.upto)
        return None
    batch = Pending(new_id(), found.upto, packed(found.events))
    values = {"id": batch.id, "webhook": webhook, "ping": False, "first": found.events[0].id, "upto": batch.upto}
    await store.add_delivery(
        connection, {**values, "events": len(found.events), "body": batch.body, "tries": 1, "at": now}
    )
    return batch


async def _post_batch(desk: WebhookDesk, webhook: str, lease: str, turn: Turn, batch: Pending) -> bool:
    """Post it and write down what came of it; False if that is the end of this turn."""
    result = await _post(desk, webhook, turn.url, turn.secret, batch.id, batch.body)
    async with desk.database.transaction() as connection:
        if not result.is_taken:
            await _put_off(desk, connection, webhook, lease, turn, batch.id, result)
            return False
        if not await post.advance(connection, webhook, lease, batch.upto):
            return False
        await post.log_result(connection, batch.id, "delivered", result)
        return True


async def _put_off(
    desk: WebhookDesk, connection: AsyncConnection, webhook: str, lease: str, turn: Turn, batch: str, result: Result
) -> None:
    now = desk.clock.now()
    delay_s = back_off_s(turn.failures + 1, _random.random())
    if not await post.wait(connection, webhook, lease, now, now + timedelta(seconds=delay_s)):
        return
    await post.log_result(connection, batch, "pending", result)
    if why := why_end(result, turn.failing_since or now, now):
        await post.stop(connection, webhook, why)
        log.error("notice webhook disabled", webhook=webhook, why=why)
    else:
        log.info("notice webhook failed", webhook=webhook, error=result.error, again_in_s=round(delay_s, 1))


async def _post_ping(desk: WebhookDesk, webhook: str) -> None:
    async with desk.database.transaction() as connection:
        ping = await post.take_ping(connection, webhook, desk.clock.now())
    if ping is None:
        return
    result = await _post(desk, webhook, ping.url, ping.secret, ping.id, ping.body)
    async with desk.database.transaction() as connection:
        await post.log_result(connection, ping.id, "delivered" if result.is_taken else "failed", result)


async def _post(desk: WebhookDesk, webhook: str, url: str, sealed: bytes, delivery: str, body: bytes) -> Result:
    key = await desk.sealer.key_for(webhook)
    secret = key.open(sealed, context(webhook)).decode()
    began = desk.clock.monotonic()
    try:
        checked_url(url, private=desk.private)  # the setting may be another than when the webhook was made
        reply = await desk.transport.post(url, body, headers(secret, delivery, body, desk.clock.now()))
        result = Result(status=reply.status, error="" if 200 <= reply.status < 300 else f"status {reply.status}")
    except Refusal:
        result = Result(error="Forbidden")
    except (NotSent, Unanswered) as error:
        result = Result(error=str(error))
    POSTS.labels("taken" if result.is_taken else "failed").inc()
    return Result(status=result.status, error=result.error, took_ms=round((desk.clock.monotonic() - began) * 1000))
