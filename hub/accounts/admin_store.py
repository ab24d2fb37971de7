"""The SQL of looking after accounts."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.admin import Account, Search
from hub.accounts.table import sessions, users
from hub.platform.page import Paging

_COLUMNS = tuple(users.c[name] for name in Account.__struct_fields__)
_SORTS = {"createdAt": users.c.created_at, "name": users.c.name}
SORTS = tuple(_SORTS)


async def accounts(connection: AsyncConnection, search: Search, paging: Paging) -> tuple[list[Account], int]:
    """A page of those who fit, and how many there are."""
    fits = _conditions(search)
    page = sa.select(*_COLUMNS).where(*fits).order_by(paging.order(_SORTS), users.c.id)
    rows = await connection.execute(page.limit(paging.page_size).offset(paging.offset))
    total = await connection.scalar(sa.select(sa.func.count()).select_from(users).where(*fits))
    return [Account(*row) for row in rows], total or 0


def _conditions(search: Search) -> list[sa.ColumnElement[bool]]:
    fits: list[sa.ColumnElement[bool]] = []
    if search.role is not None:
        fits.append(users.c.role == search.role)
    if search.status is not None:
        fits.append(users.c.status == search.status)
    if search.q:
        # Never a part of a phone: who sees it masked could find the rest by asking.
        fits.append(sa.or_(users.c.phone == search.q, users.c.name.startswith(search.q, autoescape=True)))
    return fits


async def lock_account(connection: AsyncConnection, user: str) -> Account | None:
    """Nobody signs in, and nobody else changes it, until commit."""
    query = sa.select(*_COLUMNS).where(users.c.id == user).with_for_update()
    row = (await connection.execute(query)).first()
    return None if row is None else Account(*row)


async def change_account(connection: AsyncConnection, user: str, values: Mapping[str, str]) -> Account:
    change = sa.update(users).where(users.c.id == user).values(**values, updated_at=sa.func.clock_timestamp())
    return Account(*(await connection.execute(change.returning(*_COLUMNS))).one())


async def revoke_sessions(connection: AsyncConnection, user: str, why: str) -> list[str]:
    """All that are not revoked; the answer is which. Stamped by the database, whose clock the watchers look back on."""
    now = sa.func.clock_timestamp()
    revoke = sa.update(sessions).where(sessions.c.user_id == user, sessions.c.revoked_at.is_(None))
    revoke = revoke.values(revoked_at=now, revoked_why=why, expires_at=sa.func.least(sessions.c.expires_at, now))
    return list(await connection.scalars(revoke.returning(sessions.c.id)))
