"""Looking after accounts: finding people, and changing who may do what. One use case, one transaction."""

from hub.accounts import admin as rules
from hub.accounts import admin_store as store
from hub.accounts.admin import Account, Change, Search
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.page import Page, Paging, page_of
from hub.security.audit import Audit
from hub.security.token import Principal, RevokedSessions


class Administration:
    """The use cases. One per process."""

    def __init__(self, database: Database, audit: Audit, revoked: RevokedSessions, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._revoked = revoked
        self._clock = clock

    async def search(self, who: Principal, search: Search, paging: Paging) -> Page[Account]:
        """For staff and admins."""
        rules.check_reader(who)
        async with self._database.transaction() as connection:
            found, total = await store.accounts(connection, search, paging)
        return page_of(found, paging, total)

    async def change(self, who: Principal, user: str, change: Change) -> Account:
        """For admins. Who is suspended, or gets another role, is signed out everywhere; sockets close within a second."""
        rules.check_writer(who)
        if not is_id(user):
            raise Refusal(ErrorCode.NOT_FOUND)
        ended: list[str] = []
        async with self._database.transaction() as connection:
            account = await store.lock_account(connection, user)
            if account is None:
                raise Refusal(ErrorCode.NOT_FOUND)
            changed = rules.differences(account, change, who)
            if changed:
                account = await store.change_account(connection, user, changed)
                if rules.ends_sessions(changed):
                    ended = await store.revoke_sessions(connection, user, f"account changed by {who.user}")
                await self._audit.record(connection, who, user, "user.changed", rules.described(changed))
        for session in ended:
            self._revoked.add(session, self._clock.monotonic())
        return account
