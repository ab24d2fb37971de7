"""What people do with their accounts: ask for a code, sign in, stay so, sign out. One use case, one transaction."""

import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import model, store, table
from hub.accounts.model import Device, Person, Role, Scene, Session, User, Verdict
from hub.accounts.sms import SmsSender
from hub.accounts.wechat import Openids
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging, page_of
from hub.security import token
from hub.security.keyring import Keyring
from hub.security.token import Principal, RevokedSessions

TICKET_S = 30
SWEEP_BATCH = 1000
SWEEP_BATCHES = 20  # of one table in one sweep, so that a sweep ends soon after a long pause, too


class CodeSent(msgspec.Struct, frozen=True):
    expires_in: int
    shown: str | None  # the code itself, from the development sender only


class Pair(msgspec.Struct, frozen=True):
    """An access token and the refresh token for the next one."""

    token: str
    refresh_token: str
    expires_in: int


class Ticket(msgspec.Struct, frozen=True):
    ticket: str
    expires_in: int


class Accounts:
    """The use cases. One per process."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        chosen: settings.Accounts,
        sender: SmsSender,
        wechat: Openids,
        revoked: RevokedSessions,
        clock: Clock,
    ) -> None:
        self._database = database
        self._settings = chosen
        self._sender = sender
        self._wechat = wechat
        self._revoked = revoked
        self._clock = clock
        self._token_key = keyring.derive(token.PURPOSE)
        self._code_key = keyring.derive("sms code")
        self._ticket_key = keyring.derive("socket ticket")

    async def send_code(self, phone: str, scene: Scene, address: str) -> CodeSent:
        """Send a fresh code, which voids the one before; refused past the limits of the phone or the address."""
        model.checked_phone(phone)
        code = f"{secrets.randbelow(10**model.CODE_DIGITS):0{model.CODE_DIGITS}d}"
        life = timedelta(seconds=self._settings.code_s)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._check_code_limits(connection, phone, address, now)
            hashed = model.code_hash(self._code_key, phone, scene, code)
            await store.add_code(connection, phone, address, scene, hashed, now, life)
        # After the commit: a code that arrives is a code that works, and a slow provider holds no connection of ours.
        shown = await self._sender.send_code(phone, code)
        return CodeSent(self._settings.code_s, shown)

    async def _check_code_limits(self, connection: AsyncConnection, phone: str, address: str, now: datetime) -> None:
        await store.lock_sms_limits(connection, phone, address)
        hour, minute = timedelta(hours=1), timedelta(minutes=1)
        limits = (
            ("phone", phone, self._settings.codes_per_phone_minute, minute),
            ("phone", phone, self._settings.codes_per_phone_hour, hour),
            ("address", address, self._settings.codes_per_address_hour, hour),
        )
        for column, value, allowed, window in limits:
            sent_at = await store.code_sent_at(connection, column, value, allowed)
            if sent_at is not None and sent_at + window > now:
                wait_ms = int((sent_at + window - now) / timedelta(milliseconds=1))
                raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=wait_ms)

    async def login(self, phone: str, code: str, device: Device) -> tuple[Pair, User]:
        """Sign in with a code; the first sign-in registers a patient."""
        model.checked_phone(phone)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            fits = await self._spend_code(connection, phone, code, now)
            if fits:
                user = await store.user_by_phone(connection, phone)
                return await self._open_session(connection, user, device, now), user
        # Outside of the transaction, because the failed attempt must be committed.
        raise Refusal(ErrorCode.CODE_WRONG, fields={"code": "code_wrong"})

    async def _spend_code(self, connection: AsyncConnection, phone: str, code: str, now: datetime) -> bool:
        stored = await store.lock_newest_code(connection, phone, model.LOGIN_SCENES)
        if stored is None:
            return False
        if model.code_fits(stored, self._code_key, phone, code, now, self._settings.code_attempts):
            await store.consume_code(connection, stored.id, now)
            return True
        await store.count_attempt(connection, stored.id)
        return False

    async def login_wechat(self, code: str, device: Device) -> tuple[Pair, User]:
        """Sign in from the mini-program; the first sign-in registers a patient without a phone."""
        openid = await self._wechat.openid_of(code)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            user = await store.user_by_openid(connection, openid)
            return await self._open_session(connection, user, device, now), user

    async def _open_session(self, connection: AsyncConnection, user: User, device: Device, now: datetime) -> Pair:
        model.check_active(user)
        session = await store.add_session(connection, user.id, device, now, self._until(now))
        return await self._issue(connection, user, session, now)

    async def refresh(self, presented: str, device: Device) -> Pair:
        """A new pair for a refresh token. One that comes back after the grace was copied: its session ends."""
        now, hashed = self._clock.now(), model.secret_hash(presented)
        async with self._database.transaction() as connection:
            found = await store.lock_refresh_token(connection, hashed)
            if found is None:
                raise Refusal(ErrorCode.UNAUTHORIZED)
            stored, user = found
            match model.judge(stored, now, self._settings.refresh_grace_s):
                case Verdict.REVOKED:
                    model.check_active(user)  # who was suspended hears that, and not of a device signed out
                    raise Refusal(ErrorCode.UNAUTHORIZED, "session_revoked")
                case Verdict.EXPIRED:
                    raise Refusal(ErrorCode.UNAUTHORIZED, "token_expired")
                case Verdict.REUSED:
                    await store.revoke_session(connection, stored.session, "refresh token reused")
                case Verdict.FRESH | Verdict.REPEATED as verdict:
                    model.check_active(user)
                    if verdict is Verdict.FRESH:
                        await store.use_refresh_token(connection, hashed, now, model.USED_TOKEN_KEPT)
                    await store.touch_session(connection, stored.session, device, now, self._until(now))
                    return await self._issue(connection, user, stored.session, now)
        self._revoked.add(stored.session, self._clock.monotonic())
        raise Refusal(ErrorCode.UNAUTHORIZED, "refresh_reused")

    async def _issue(self, connection: AsyncConnection, user: User, session: str, now: datetime) -> Pair:
        refresh_token = secrets.token_urlsafe(32)
        hashed = model.secret_hash(refresh_token)
        await store.add_refresh_token(connection, hashed, session, now, self._until(now))
        life_s = self._settings.access_token_s
        access = token.issue(self._token_key, user=user.id, session=session, role=user.role, now=now, life_s=life_s)
        return Pair(access, refresh_token, life_s)

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.refresh_token_s)

    async def logout(self, refresh_token: str) -> None:
        """End the session of this refresh token; nothing happens if there is none, so it may be repeated."""
        async with self._database.transaction() as connection:
            session = await store.session_of_refresh_token(connection, model.secret_hash(refresh_token))
            if session is not None:
                await store.revoke_session(connection, session, "logout")
        if session is not None:
            self._revoked.add(session, self._clock.monotonic())

    async def sessions(self, who: Principal, paging: Paging) -> Page[Session]:
        """One's signed-in devices."""
        async with self._database.transaction() as connection:
            live, total = await store.live_sessions(connection, who.user, self._clock.now(), paging)
        return page_of(live, paging, total)

    async def revoke(self, who: Principal, session: str) -> None:
        """Sign a device out: one's own, or as admin anybody's. Somebody else's looks as if it were not there."""
        if not is_id(session):
            raise Refusal(ErrorCode.NOT_FOUND)
        owner = None if who.role == "admin" else who.user
        async with self._database.transaction() as connection:
            if not await store.revoke_session(connection, session, f"revoked by {who.user}", owner):
                raise Refusal(ErrorCode.NOT_FOUND)
        self._revoked.add(session, self._clock.monotonic())

    async def me(self, who: Principal) -> User:
        async with self._database.transaction() as connection:
            return _found(await store.user_by_id(connection, who.user))

    async def change_me(self, who: Principal, name: str | None, avatar: str | None) -> User:
        """Change what is given."""
        values = {}
        if name is not None:
            values["name"] = model.checked_name(name)
        if avatar is not None:
            values["avatar"] = model.checked_avatar(avatar)
        async with self._database.transaction() as connection:
            return _found(await store.change_user(connection, who.user, values))

    async def socket_ticket(self, who: Principal) -> Ticket:
        """A ticket that opens one socket within `TICKET_S`, for clients that can send no header."""
        ticket = model.sign_ticket(self._ticket_key, secrets.token_urlsafe(24))
        until = self._clock.now() + timedelta(seconds=TICKET_S)
        async with self._database.transaction() as connection:
            await store.add_ticket(connection, model.secret_hash(ticket), who.session, until)
        return Ticket(ticket, TICKET_S)

    async def redeem(self, ticket: str) -> Principal:
        """Who may open a socket with this ticket. A forged one is refused before the database is asked."""
        if not model.is_signed_ticket(self._ticket_key, ticket):
            raise Refusal(ErrorCode.UNAUTHORIZED)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await store.redeem_ticket(connection, model.secret_hash(ticket), now)
        if found is None or found[1].status != "active":
            raise Refusal(ErrorCode.UNAUTHORIZED)
        session, user = found
        return Principal(user.id, session, user.role, now.timestamp() + self._settings.access_token_s)


def _found(user: User | None) -> User:
    if user is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return user


async def ensure_user(connection: AsyncConnection, *, phone: str, name: str, role: Role) -> str:
    """The id of the person with this phone, who has this role from now on; somebody new gets the name, too."""
    return await store.save_user(connection, model.checked_phone(phone), model.checked_name(name), role)


async def ensure_users(connection: AsyncConnection, names: Mapping[str, str], role: Role) -> dict[str, str]:
    """The same for many, from phone to name, all checked before: phone → id of those who have the role now.

    Only a patient, or somebody new, gets another role: who is a companion, staff or admin is left out of the answer.
    """
    return await store.save_users(connection, names, role)


async def openid_of(connection: AsyncConnection, user: str) -> str | None:
    """Who they are to WeChat; None for who never signed in from the mini-program."""
    return await store.openid_of(connection, user)


async def people(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Person]:
    """What others see of these people; who does not exist is left out."""
    return await store.people(connection, ids)


async def id_of_phone(connection: AsyncConnection, phone: str) -> str | None:
    """Who has this phone; None: nobody."""
    return await store.id_of_phone(connection, phone)


async def sweep(database: Database, now: datetime) -> int:
    """Delete what nobody needs any more, in small transactions; the answer is how many rows."""
    month, day = timedelta(days=30), timedelta(days=1)
    duties = (
        (table.sms_codes, "created_at", now - day),
        (table.socket_tickets, "expires_at", now),
        (table.refresh_tokens, "expires_at", now),
        (table.sessions, "expires_at", now - month),
    )
    deleted = 0
    for rows, column, before in duties:
        for _ in range(SWEEP_BATCHES):
            async with database.transaction() as connection:
                batch = await store.delete_old(connection, rows, column, before, SWEEP_BATCH)
            deleted += batch
            if batch < SWEEP_BATCH:
                break
    return deleted
