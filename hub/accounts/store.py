"""The SQL of accounts: rows in, structs of the model out. Every function runs in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.model import Code, Device, Person, RefreshToken, Role, Scene, Session, User
from hub.accounts.table import refresh_tokens, sessions, sms_codes, socket_tickets, users
from hub.platform.identifier import new_id
from hub.platform.page import Paging

_USER = (
    users.c.id,
    users.c.phone,
    users.c.name,
    users.c.avatar,
    users.c.role,
    users.c.membership_level,
    users.c.status,
)
_SESSION_SORTS = {"createdAt": sessions.c.created_at, "lastSeenAt": sessions.c.last_seen_at}
SESSION_SORTS = tuple(_SESSION_SORTS)


# People


async def user_by_id(connection: AsyncConnection, user: str) -> User | None:
    return _user((await connection.execute(sa.select(*_USER).where(users.c.id == user))).first())


async def user_by_phone(connection: AsyncConnection, phone: str) -> User:
    """The person with this phone, registered as a patient if there is none; two who try at once get the same person."""
    fresh = insert(users).values(id=new_id(), phone=phone).on_conflict_do_nothing(index_elements=["phone"])
    return await _user_or_new(connection, users.c.phone == phone, fresh)


async def id_of_phone(connection: AsyncConnection, phone: str) -> str | None:
    found: str | None = await connection.scalar(sa.select(users.c.id).where(users.c.phone == phone))
    return found


async def user_by_openid(connection: AsyncConnection, openid: str) -> User:
    """The same for a person who comes from WeChat, without a phone at first."""
    fresh = insert(users).values(id=new_id(), wechat_openid=openid)
    fresh = fresh.on_conflict_do_nothing(index_elements=["wechat_openid"])
    return await _user_or_new(connection, users.c.wechat_openid == openid, fresh)


async def _user_or_new(connection: AsyncConnection, same: sa.ColumnElement[bool], fresh: sa.Insert) -> User:
    # Shared: who is being suspended at this moment is seen as suspended, not signed in past it.
    find = sa.select(*_USER).where(same).with_for_update(read=True)
    found = _user((await connection.execute(find)).first())
    if found is None:
        await connection.execute(fresh)
        found = _user((await connection.execute(find)).one())
    assert found is not None
    return found


async def openid_of(connection: AsyncConnection, user: str) -> str | None:
    return (await connection.execute(sa.select(users.c.wechat_openid).where(users.c.id == user))).scalar_one_or_none()


async def save_user(connection: AsyncConnection, phone: str, name: str, role: Role) -> str:
    """Insert; a person who is there already keeps the name and gets the role."""
    fresh = insert(users).values(id=new_id(), phone=phone, name=name, role=role)
    fresh = fresh.on_conflict_do_update(index_elements=["phone"], set_={"role": fresh.excluded.role})
    return str((await connection.execute(fresh.returning(users.c.id))).scalar_one())


_SAVE_USERS = sa.text("""
INSERT INTO users (id, phone, name, role)
SELECT id, phone, name, :role FROM unnest(CAST(:ids AS uuid[]), CAST(:phones AS text[]), CAST(:names AS text[])) AS fresh (id, phone, name)
ON CONFLICT (phone) DO UPDATE SET role = excluded.role, updated_at = clock_timestamp() WHERE users.role = 'patient'
""")


async def save_users(connection: AsyncConnection, names: Mapping[str, str], role: Role) -> dict[str, str]:
    """Insert those who are new and make patients what `role` says; the answer is everybody of these with that role."""
    phones = sorted(names)  # in one order, so that two who save the same people do not wait for each other in a circle
    values = {"ids": [new_id() for _ in phones], "phones": phones, "names": [names[phone] for phone in phones]}
    await connection.execute(_SAVE_USERS, {**values, "role": role})
    same = sa.and_(users.c.phone == sa.any_(sa.bindparam("phones", phones, sa.ARRAY(sa.Text))), users.c.role == role)
    rows = await connection.execute(sa.select(users.c.phone, users.c.id).where(same))
    return {row.phone: row.id for row in rows}


async def change_user(connection: AsyncConnection, user: str, values: dict[str, str]) -> User | None:
    change = sa.update(users).where(users.c.id == user).values(**values, updated_at=sa.func.clock_timestamp())
    return _user((await connection.execute(change.returning(*_USER))).first())


async def people(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Person]:
    columns = (users.c.id, users.c.name, users.c.avatar, users.c.role)
    rows = await connection.execute(sa.select(*columns).where(users.c.id.in_(ids)))
    return {row.id: Person(row.id, row.name, row.avatar, row.role) for row in rows}


def _user(row: sa.Row[*tuple[Any, ...]] | None) -> User | None:
    return None if row is None else User(**row._asdict())


# Codes


async def lock_sms_limits(connection: AsyncConnection, phone: str, address: str) -> None:
    """Requests for one phone, or from one address, take turns until commit, or two could both be the last allowed.

    Always the phone first: nobody waits for a phone while holding an address.
    """
    for key in (f"sms phone {phone}", f"sms address {address}"):
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))


async def code_sent_at(connection: AsyncConnection, column: str, value: str, back: int) -> datetime | None:
    """When the code was asked for that is `back` codes ago (1: the newest) for this phone or address."""
    newest = sa.select(sms_codes.c.created_at).where(sms_codes.c[column] == value)
    newest = newest.order_by(sms_codes.c.created_at.desc()).offset(back - 1).limit(1)
    return (await connection.execute(newest)).scalar_one_or_none()


async def add_code(
    connection: AsyncConnection, phone: str, address: str, scene: Scene, hashed: bytes, now: datetime, life: timedelta
) -> None:
    values = {"phone": phone, "scene": scene, "code_hash": hashed, "address": address}
    code = sms_codes.insert().values(**values, id=new_id(), created_at=now, expires_at=now + life)
    await connection.execute(code)


async def lock_newest_code(connection: AsyncConnection, phone: str, scenes: Sequence[Scene]) -> Code | None:
    """The last code sent to the phone; a newer one voids the older. Locked, so that guesses are counted one by one."""
    columns = (sms_codes.c[name] for name in Code.__struct_fields__)
    newest = sa.select(*columns).where(sms_codes.c.phone == phone, sms_codes.c.scene.in_(scenes))
    newest = newest.order_by(sms_codes.c.created_at.desc(), sms_codes.c.id.desc()).limit(1).with_for_update()
    row = (await connection.execute(newest)).first()
    return None if row is None else Code(**row._asdict())


async def count_attempt(connection: AsyncConnection, code: str) -> None:
    attempt = sa.update(sms_codes).where(sms_codes.c.id == code).values(attempts=sms_codes.c.attempts + 1)
    await connection.execute(attempt)


async def consume_code(connection: AsyncConnection, code: str, now: datetime) -> None:
    await connection.execute(sa.update(sms_codes).where(sms_codes.c.id == code).values(consumed_at=now))


# Sessions, refresh tokens, tickets


async def add_session(connection: AsyncConnection, user: str, device: Device, now: datetime, until: datetime) -> str:
    session = new_id()
    values = {"device": device.name, "user_agent": device.user_agent, "address": device.address}
    fresh = sessions.insert().values(**values, id=session, user_id=user, created_at=now)
    await connection.execute(fresh.values(last_seen_at=now, expires_at=until))
    return session


async def touch_session(
    connection: AsyncConnection, session: str, device: Device, now: datetime, until: datetime
) -> None:
    change = sa.update(sessions).where(sessions.c.id == session)
    seen = {"user_agent": device.user_agent, "address": device.address, "last_seen_at": now, "expires_at": until}
    await connection.execute(change.values(**seen))


async def revoke_session(connection: AsyncConnection, session: str, why: str, owner: str | None = None) -> bool:
    """Whether there was such a session to revoke, of this owner if one is given.

    The database's clock stamps it, because the watchers of all nodes look back on that clock.
    """
    now = sa.func.clock_timestamp()
    revoke = sa.update(sessions).where(sessions.c.id == session, sessions.c.revoked_at.is_(None))
    if owner is not None:
        revoke = revoke.where(sessions.c.user_id == owner)
    revoke = revoke.values(revoked_at=now, revoked_why=why, expires_at=sa.func.least(sessions.c.expires_at, now))
    return (await connection.execute(revoke)).rowcount > 0


async def live_sessions(
    connection: AsyncConnection, user: str, now: datetime, paging: Paging
) -> tuple[list[Session], int]:
    live = (sessions.c.user_id == user, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now)
    columns = (
        sessions.c.id,
        sessions.c.user_id.label("user"),
        sessions.c.device,
        sessions.c.user_agent,
        sessions.c.address,
        sessions.c.created_at,
        sessions.c.last_seen_at,
    )
    order = paging.order(_SESSION_SORTS)
    page = sa.select(*columns).where(*live).order_by(order, sessions.c.id).limit(paging.page_size)
    rows = await connection.execute(page.offset(paging.offset))
    total = await connection.scalar(sa.select(sa.func.count()).select_from(sessions).where(*live))
    return [Session(**row._asdict()) for row in rows], total or 0


async def lock_refresh_token(connection: AsyncConnection, hashed: bytes) -> tuple[RefreshToken, User] | None:
    """The token and whose it is. Both are locked, so that two uses of one token are judged in turn."""
    token = (refresh_tokens.c.session_id, refresh_tokens.c.expires_at, refresh_tokens.c.used_at, sessions.c.revoked_at)
    joined = refresh_tokens.join(sessions, sessions.c.id == refresh_tokens.c.session_id)
    joined = joined.join(users, users.c.id == sessions.c.user_id)
    query = sa.select(*token, *_USER).select_from(joined).where(refresh_tokens.c.token_hash == hashed)
    row = (await connection.execute(query.with_for_update(of=[sessions, refresh_tokens]))).first()
    if row is None:
        return None
    return RefreshToken(*row[: len(token)]), User(*row[len(token) :])


async def add_refresh_token(
    connection: AsyncConnection, hashed: bytes, session: str, now: datetime, until: datetime
) -> None:
    values = {"token_hash": hashed, "session_id": session, "issued_at": now, "expires_at": until}
    await connection.execute(refresh_tokens.insert().values(**values))


async def use_refresh_token(connection: AsyncConnection, hashed: bytes, now: datetime, kept: timedelta) -> None:
    change = sa.update(refresh_tokens).where(refresh_tokens.c.token_hash == hashed)
    until = sa.func.least(refresh_tokens.c.expires_at, now + kept)
    await connection.execute(change.values(used_at=now, expires_at=until))


async def session_of_refresh_token(connection: AsyncConnection, hashed: bytes) -> str | None:
    query = sa.select(refresh_tokens.c.session_id).where(refresh_tokens.c.token_hash == hashed)
    return (await connection.execute(query)).scalar_one_or_none()


async def add_ticket(connection: AsyncConnection, hashed: bytes, session: str, until: datetime) -> None:
    values = {"ticket_hash": hashed, "session_id": session, "expires_at": until}
    await connection.execute(socket_tickets.insert().values(**values))


async def redeem_ticket(connection: AsyncConnection, hashed: bytes, now: datetime) -> tuple[str, User] | None:
    """The session and the person of a ticket, which is gone afterwards; None if used, too old or revoked."""
    gone = sa.delete(socket_tickets).where(socket_tickets.c.ticket_hash == hashed)
    ticket = gone.returning(socket_tickets.c.session_id, socket_tickets.c.expires_at).cte("ticket")
    joined = ticket.join(sessions, sessions.c.id == ticket.c.session_id).join(users, users.c.id == sessions.c.user_id)
    query = sa.select(sessions.c.id, *_USER).select_from(joined)
    row = (await connection.execute(query.where(ticket.c.expires_at > now, sessions.c.revoked_at.is_(None)))).first()
    return None if row is None else (row[0], User(*row[1:]))


# Growth


async def delete_old(connection: AsyncConnection, table: sa.Table, column: str, before: datetime, at_most: int) -> int:
    key = next(iter(table.primary_key.columns))
    old = sa.select(key).where(table.c[column] < before).limit(at_most)
    return (await connection.execute(sa.delete(table).where(key.in_(old)))).rowcount
