"""The ledger over HTTP, and notices in every state for it to tell of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.di import Provide

from hub.accounts.guard import Gate, build_guard, principal_of
from hub.notices.class_book import ClassBook
from hub.notices.ledger_actions import Ledger
from hub.notices.ledger_api import handlers
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.security.ratelimit import open_rate_limits
from tests.integration.core_app import CoreHub, open_core

_NOTICE = """
INSERT INTO notices (id, user_id, class, lane, shard, template, conversation, first_seq, upto_seq, derived, broadcast, dedupe_key, state,
  reason, subject, begins_at, expires_at, seen_at)
VALUES ($1, $2, $3, 'normal', 0, $3, $4, $5, $5, $6, $7, $1::uuid::text, $8, $9, $10, clock_timestamp() - interval '1 hour',
  clock_timestamp() + make_interval(secs => $11), CASE WHEN $8 = 'seen' THEN clock_timestamp() END)
"""
_ATTEMPT = """
INSERT INTO notice_attempts (id, notice, step, channel, provider, state, code, detail, provider_id, number, sent_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $5 <> '' THEN clock_timestamp() END)
"""


async def notice(database: Database, user: str, state: str = "open", *attempts: tuple[Any, ...], **fields: Any) -> str:
    """One in this state; its attempts are (step, channel, state, code), sent unless `suppressed` or `superseded`."""
    found, place = fields.get("id") or new_id(), fields.get("conversation")
    await database.log.execute(
        _NOTICE,
        found,
        user,
        fields.get("class_", "chat"),
        place,
        fields.get("seq", 1) if place else None,
        fields.get("derived", False),
        fields.get("broadcast"),
        state,
        fields.get("reason", ""),
        fields.get("subject", ""),
        fields.get("expires_s", 3600.0),
    )
    for number, (step, channel, how, code) in enumerate(attempts, 1):
        sent = how not in ("suppressed", "superseded")
        values = (channel if sent else "", how, code, "", f"mid-{number}" if sent else "", number)
        await database.log.execute(_ATTEMPT, new_id(), found, step, channel, *values)
    return found


@asynccontextmanager
async def open_ledger(database: Database, redis_url: str) -> AsyncIterator[CoreHub]:
    """A core whose clients reach the ledger, and it alone."""
    redis = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    async with open_core(database, redis_url) as hub, open_rate_limits(redis) as limits:
        ground = hub.ground
        ledger = Ledger(database, ground.audit, ClassBook(database, ground.clock), ground.clock)
        gate = Gate(ground.keyring, ground.revoked, limits, ground.clock)
        router = Router(
            "/api/v1",
            route_handlers=handlers,
            guards=[build_guard(gate)],
            dependencies={
                "notice_ledger": Provide(lambda: ledger, sync_to_thread=False),
                "principal": Provide(principal_of, sync_to_thread=False),
            },
        )
        app: Any = Litestar(  # Any: Litestar's and httpx's idea of an ASGI scope differ
            [router],
            exception_handlers=exception_handlers,
            middleware=[RequestContext()],
            before_send=[echo_request_id],
            logging_config=None,
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
            hub.client = client
            yield hub
