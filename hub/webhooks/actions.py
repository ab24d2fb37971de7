"""Looking after webhooks: admins say who is told of notices. One use case, one transaction; each leaves a row in the audit."""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.admin import check_writer
from hub.notices.class_book import ClassBook
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.platform.page import CursorPage
from hub.security.audit import Audit
from hub.security.sealing import Sealer
from hub.security.token import Principal
from hub.webhooks import store as store
from hub.webhooks.model import SECRET_BYTES, WEBHOOKS, Delivery, Webhook, packed
from hub.webhooks.url import checked_url, is_outside

RESOLVE_S = 3.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is UNSET stays. `classes` None: all but those that must be named."""

    url: str | UnsetType = UNSET
    classes: Sequence[str] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The use cases, all for admins. One per process; posts nothing, that is the workers' (`webhook_duty`)."""

    database: Database
    sealer: Sealer
    audit: Audit
    classes: ClassBook
    clock: Clock
    settings: settings.Notices

    async def create(self, who: Principal, url: str, classes: Sequence[str] | None) -> tuple[Webhook, str]:
        """The webhook and its secret, which nobody is ever shown again. It begins with what happens from now on."""
        check_writer(who)
        await self._check(url, classes)
        webhook, now = new_id(), self.clock.now()
        async with self.database.transaction() as connection:
            if await store.count(connection) >= WEBHOOKS:  # two at once may be one more
                raise Refusal(ErrorCode.CONFLICT, "webhooks_many")
            secret, sealed = await self._secret(webhook)
            values = {"id": webhook, "url": url, "secret": sealed, "classes": classes, "by": who.user, "at": now}
            await store.add(connection, values)
            made = await self._lock(connection, webhook)
            await self.audit.record(connection, who, who.user, "webhook.created", webhook)
        return made, secret

    async def all(self, who: Principal) -> list[Webhook]:
        check_writer(who)
        async with self.database.transaction() as connection:
            return await store.webhooks(connection)

    async def change(self, who: Principal, webhook: str, change: Change) -> Webhook:
        """Enabled again, it begins anew: what happened while it was off is in the ledger only."""
        check_writer(who)
        await self._check(change.url or None, change.classes or None)
        async with self.database.transaction() as connection:
            before = await self._lock(connection, webhook)
            await self._apply(connection, before, change)
            after = await self._lock(connection, webhook)
            await self.audit.record(connection, who, who.user, "webhook.changed", _described(before, after))
        return after

    async def _apply(self, connection: AsyncConnection, webhook: Webhook, change: Change) -> None:
        if change.url is not UNSET:
            await store.set_url(connection, webhook.id, change.url)
        if change.classes is not UNSET:
            await store.set_classes(connection, webhook.id, change.classes)
        if change.enabled is True and not webhook.enabled:
            await store.enable(connection, webhook.id, self.clock.now())
        if change.enabled is False and webhook.enabled:
            await store.disable(connection, webhook.id, "staff")

    async def rotate(self, who: Principal, webhook: str) -> str:
        """A new secret, shown this once; every post from now on is signed with it, repetitions too."""
        check_writer(who)
        if not is_id(webhook):
            raise Refusal(ErrorCode.NOT_FOUND)
        async with self.database.transaction() as connection:
            await self._lock(connection, webhook)
            secret, sealed = await self._secret(webhook)
            await store.set_secret(connection, webhook, sealed)
            await self.audit.record(connection, who, who.user, "webhook.rotated", webhook)
        return secret

    async def delete(self, who: Principal, webhook: str) -> None:
        """With its log; the key of its secret is destroyed."""
        check_writer(who)
        async with self.database.transaction() as connection:
            await self._lock(connection, webhook)
            await store.delete(connection, webhook)
            await self.sealer.destroy(connection, webhook)
            await self.audit.record(connection, who, who.user, "webhook.deleted", webhook)

    async def test(self, who: Principal, webhook: str) -> str:
        """Have a worker post a ping, once and also when it is off; the answer is the delivery, whose outcome is in the log."""
        check_writer(who)
        delivery = {"id": new_id(), "webhook": webhook, "ping": True, "first": None, "upto": None, "events": 0}
        values = {**delivery, "body": packed([], ping=True), "tries": 0, "at": self.clock.now()}
        async with self.database.transaction() as connection:
            await self._lock(connection, webhook)
            if await store.add_delivery(connection, values):
                await self.audit.record(connection, who, who.user, "webhook.tested", webhook)
                return str(values["id"])
            return await store.pending_ping(connection, webhook) or str(values["id"])

    async def deliveries(self, who: Principal, webhook: str, before: str | None, limit: int) -> CursorPage[Delivery]:
        """The log, the newest first."""
        check_writer(who)
        if before is not None and not is_id(before):
            raise Refusal(ErrorCode.INVALID, fields={"before": "cursor_invalid"})
        async with self.database.transaction() as connection:
            await self._lock(connection, webhook)
            found = await store.deliveries(connection, webhook, before, limit + 1)
        return CursorPage(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def _secret(self, webhook: str) -> tuple[str, bytes]:
        """A new one, and how it is kept."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        key = await self.sealer.key_for(webhook)
        return secret, key.seal(secret.encode(), context(webhook))

    async def _lock(self, connection: AsyncConnection, webhook: str) -> Webhook:
        found = await store.lock(connection, webhook) if is_id(webhook) else None
        if found is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        return found

    async def _check(self, url: str | None, classes: Sequence[str] | None) -> None:
        known = await self.classes.all()
        if any(each not in known for each in classes or ()):
            raise Refusal(ErrorCode.INVALID, fields={"classes": "webhook_class_unknown"})
        if url is not None:
            host, port = checked_url(url, private=self.settings.webhook_private)
            if not self.settings.webhook_private and not await leads_outside(host, port):
                raise Refusal(ErrorCode.INVALID, fields={"url": "webhook_url_inside"})


def context(webhook: str) -> bytes:
    """What a sealed secret is bound to."""
    return f"notice webhook|{webhook}".encode()


async def leads_outside(host: str, port: int) -> bool:
    """An early no for a clear answer; what counts is asked again at each connection. What cannot be resolved here may be there."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    return all(is_outside(str(address[0])) for *_, address in found)


def _described(before: Webhook, after: Webhook) -> str:
    """For the audit: what is another. An address may hold somebody's token, so it is only said to be another."""
    parts = [after.id]
    if before.url != after.url:
        parts.append("url")
    if before.classes != after.classes:
        parts.append(f"classes={'usual' if after.classes is None else ','.join(after.classes)}")
    if before.enabled != after.enabled:
        parts.append(f"enabled={str(after.enabled).lower()}")
    return " ".join(parts)
