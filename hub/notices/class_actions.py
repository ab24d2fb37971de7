"""What staff see and admins change of classes of notices. One use case, one transaction; a change holds everywhere after seconds."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.admin import check_reader, check_writer
from hub.notices import class_store as store
from hub.notices import template_store
from hub.notices.class_rule import HeldClass, check, described, known_code
from hub.notices.notice_class import CLASSES, NoticeClass
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.security.audit import Audit
from hub.security.token import Principal


class NoticeClasses:
    """The use cases. One per process."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def list(self, who: Principal) -> Sequence[HeldClass]:
        """All there are, as they hold."""
        check_reader(who)
        async with self._database.transaction() as connection:
            return list((await store.all_held(connection)).values())

    async def show(self, who: Principal, code: str) -> HeldClass:
        check_reader(who)
        async with self._database.transaction() as connection:
            return (await store.all_held(connection))[known_code(code)]

    async def replace(self, who: Principal, wanted: NoticeClass, version: int) -> HeldClass:
        """All of a class, as somebody saw it in `version`; a conflict if somebody was quicker."""
        check_writer(who)
        known_code(wanted.code)
        async with self._database.transaction() as connection:
            await store.lock(connection)
            held = (await store.all_held(connection))[wanted.code]
            if held.version != version:
                raise Refusal(ErrorCode.CONFLICT, "notice_changed", fields={"version": "notice_changed"})
            check(wanted, await template_store.codes(connection))
            if wanted == held.value:
                return held
            written = await store.write(connection, wanted, who.user)
            await self._record(who, connection, held.value, wanted)
            return written

    async def reset(self, who: Principal, code: str) -> HeldClass:
        """Back to what the code has; nothing happens if it is that already."""
        check_writer(who)
        default = CLASSES[known_code(code)]
        async with self._database.transaction() as connection:
            await store.lock(connection)
            held = (await store.all_held(connection))[code]
            if held.version:
                await store.remove(connection, code)
                await self._record(who, connection, held.value, default)
        return HeldClass(default)

    async def _record(
        self, who: Principal, connection: AsyncConnection, before: NoticeClass, after: NoticeClass
    ) -> None:
        subject = described(before, after, after.code)
        await self._audit.record(connection, who, who.user, "notice_class.changed", subject)
