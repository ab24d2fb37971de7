"""What people and admins do with addresses: bind, prove and remove them. One use case, one transaction."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.webpush_endpoint import checked_endpoint, checked_keys
from channels.webpush_vapid import public_key_of
from hub.accounts.admin import check_writer
from hub.notices import address as rules
from hub.notices import address_store as store
from hub.notices.address import CODE_DIGITS, CODE_LIFE, LIMITS, PUSH_MOST, Asking, Held
from hub.notices.email_code import EmailCodeSender
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.text import Language
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.token import Principal


class CodeSent(msgspec.Struct, frozen=True):
    expires_in: int
    shown: str | None  # the code itself, from the development sender only


class NoticeAddresses:
    """The use cases. One per process."""

    def __init__(
        self,
        database: Database,
        audit: Audit,
        keyring: Keyring,
        chosen: settings.Webpush,
        sender: EmailCodeSender,
        clock: Clock,
    ) -> None:
        self._database = database
        self._audit = audit
        self._hosts = chosen.hosts
        self._push_key = public_key_of(chosen)
        self._code_key = keyring.derive("email code")
        self._sender = sender
        self._clock = clock

    async def list(self, who: Principal) -> Sequence[Held]:
        """Every way in which one is reached now."""
        async with self._database.transaction() as connection:
            return await store.held(connection, who.user)

    def push_key(self) -> str:
        """The `applicationServerKey` that a browser subscribes with."""
        if not self._push_key:
            raise Refusal(ErrorCode.NOT_FOUND, "webpush_unconfigured")
        return self._push_key

    async def subscribe(self, who: Principal, endpoint: str, p256dh: str, auth: str) -> None:
        """This browser is pushed to from now on, for this person only, and until this session ends.

        From somebody else it is taken only with the same keys: the same browser brings them, who just knows the endpoint cannot.
        """
        checked_endpoint(endpoint, self._hosts)
        try:
            checked_keys(p256dh, auth)
        except Refusal as refusal:
            fields = {f"keys.{name}": reason for name, reason in refusal.fields.items()}
            raise Refusal(refusal.code, refusal.text, fields=fields) from None
        async with self._database.transaction() as connection:
            await store.lock_person(connection, who.user)
            if not await store.is_signed_in(connection, who.user, who.session):
                raise Refusal(ErrorCode.UNAUTHORIZED, "session_revoked")
            keys = {"p256dh": p256dh, "auth": auth}
            kept = await store.bind(connection, who.user, "webpush", endpoint, keys, who.session)
            await store.drop_crowded(connection, who.user, kept, PUSH_MOST)

    async def unsubscribe(self, who: Principal, endpoint: str) -> None:
        """One's own; that there is none is no fault, so it may be repeated."""
        async with self._database.transaction() as connection:
            await store.remove(connection, who.user, "webpush", endpoint)

    async def bind_wecom(self, who: Principal, user: str, user_id: str) -> None:
        """For admins: this person is that member of the company. Replaces what they had; refused where somebody else has it.

        Not for staff: who binds their own account to somebody gets that person's notices, and can say they were seen.
        """
        check_writer(who)
        rules.checked_wecom(user_id)
        async with self._database.transaction() as connection:
            await self._find(connection, user)
            kept = await store.bind(connection, user, "wecom", user_id)
            await store.keep_only(connection, user, "wecom", kept)
            await self._audit.record(connection, who, user, "notice_address.changed", "wecom bound")

    async def unbind_wecom(self, who: Principal, user: str) -> None:
        """For admins; nothing happens if none is bound."""
        check_writer(who)
        async with self._database.transaction() as connection:
            await self._find(connection, user)
            if await store.remove(connection, user, "wecom"):
                await self._audit.record(connection, who, user, "notice_address.changed", "wecom removed")

    async def _find(self, connection: AsyncConnection, user: str) -> None:
        if not is_id(user) or not await store.lock_person(connection, user):
            raise Refusal(ErrorCode.NOT_FOUND)

    async def ask_email(self, who: Principal, email: str, language: Language, address: str) -> CodeSent:
        """Send a code there, which voids the one before. Nobody is written to before the code has come back."""
        email = rules.checked_email(email)
        asking = Asking(who.user, email, address)
        now = self._clock.now()
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        async with self._database.transaction() as connection:
            await store.lock_person(connection, who.user)
            await store.lock_limits(connection, asking)
            await _check_limits(connection, asking, now)
            hashed = rules.code_hash(self._code_key, who.user, email, code)
            await store.add_code(connection, asking, hashed, now, now + CODE_LIFE)
        # After the commit: a code that arrives is a code that works, and a slow server holds no connection of ours.
        shown = await self._sender.send_code(email, code, language)
        return CodeSent(int(CODE_LIFE.total_seconds()), shown)

    async def confirm_email(self, who: Principal, code: str) -> None:
        """The mailbox is the person's, and nobody else's any more; what they had before is replaced."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock_person(connection, who.user)
            stored = await store.lock_newest_code(connection, who.user)
            if stored is not None and rules.code_fits(stored, self._code_key, who.user, code, now):
                await store.spend_code(connection, stored.id)
                kept = await store.bind(connection, who.user, "email", stored.email)
                await store.keep_only(connection, who.user, "email", kept)
                return
            if stored is not None:
                await store.count_try(connection, stored.id)
        # Outside of the transaction, because the failed attempt must be committed.
        raise Refusal(ErrorCode.INVALID, fields={"code": "code_wrong"})

    async def remove_email(self, who: Principal) -> None:
        """No more e-mail; nothing happens if there was none."""
        async with self._database.transaction() as connection:
            await store.remove(connection, who.user, "email")


async def _check_limits(connection: AsyncConnection, asking: Asking, now: datetime) -> None:
    for counted, allowed, window in LIMITS:
        sent_at = await store.code_sent_at(connection, counted, asking, allowed)
        if sent_at is not None and sent_at + window > now:
            wait_ms = int((sent_at + window - now) / timedelta(milliseconds=1))
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=wait_ms)
