"""What staff see and admins change of ladders. One use case, one transaction; a change holds from the next step that fires."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.admin import check_reader, check_writer
from hub.alerts import ladder_store as store
from hub.alerts.ladder import LADDERS, HeldLadder, Ladder, check
from hub.alerts.model import Severity
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.security.audit import Audit
from hub.security.token import Principal


class AlertLadders:
    """The use cases. One per process."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def list(self, who: Principal) -> Sequence[HeldLadder]:
        """Those there are, as they hold."""
        check_reader(who)
        async with self._database.transaction() as connection:
            return list((await store.all_held(connection)).values())

    async def replace(self, who: Principal, wanted: Ladder, version: int) -> HeldLadder:
        """All of a ladder, as somebody saw it in `version`; a conflict if somebody was quicker."""
        check_writer(who)
        check(wanted)
        async with self._database.transaction() as connection:
            await store.lock(connection)
            held = (await store.all_held(connection))[wanted.severity]
            if held.version != version:
                raise Refusal(ErrorCode.CONFLICT, "notice_changed", fields={"version": "notice_changed"})
            if wanted == held.value:
                return held
            written = await store.write(connection, wanted, who.user)
            await self._record(who, connection, wanted)
            return written

    async def reset(self, who: Principal, severity: Severity) -> HeldLadder:
        """Back to what the code has; nothing happens if it is that already."""
        check_writer(who)
        async with self._database.transaction() as connection:
            await store.lock(connection)
            if (await store.all_held(connection))[severity].version:
                await store.remove(connection, severity)
                await self._record(who, connection, LADDERS[severity])
        return HeldLadder(LADDERS[severity])

    async def _record(self, who: Principal, connection: AsyncConnection, value: Ladder) -> None:
        steps = " ".join(f"{each.role}:{each.within_s}" for each in value.steps)
        await self._audit.record(connection, who, who.user, "alert_ladder.changed", f"{value.severity} {steps}")
