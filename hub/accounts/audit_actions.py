"""Looking into the audit: what was done with one's own data, and for admins with anybody's."""

from collections.abc import Mapping

import msgspec

from hub.accounts import store
from hub.accounts.admin import check_writer
from hub.accounts.model import Person
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.audit_read import Trace, trail
from hub.security.token import Principal


class Traces(msgspec.Struct, frozen=True):
    """A stretch of the audit; `following` is where the next one begins, None at the end."""

    items: list[Trace]
    people: Mapping[str, Person]
    following: str | None


class AuditTrail:
    """The use cases. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_me(self, who: Principal, before: str | None, limit: int) -> Traces:
        """Who looked at one's data, oneself included."""
        return await self._read(who.user, None, before, limit)

    async def search(
        self, who: Principal, person: str | None, actor: str | None, before: str | None, limit: int
    ) -> Traces:
        """For admins: what was done with a person's data, by somebody, or at all."""
        check_writer(who)
        for field, given in (("person", person), ("actor", actor)):
            if given is not None and not is_id(given):
                raise Refusal(ErrorCode.INVALID, fields={field: "members_unknown"})
        return await self._read(person, actor, before, limit)

    async def _read(self, person: str | None, actor: str | None, before: str | None, limit: int) -> Traces:
        if before is not None and not is_id(before):
            raise Refusal(ErrorCode.INVALID, fields={"before": "cursor_invalid"})
        async with self._database.transaction() as connection:
            found = await trail(connection, person=person, actor=actor, before=before, limit=limit + 1)
            items = found[:limit]
            named = {each for trace in items for each in (trace.actor, trace.person)}
            people = await store.people(connection, named)
        return Traces(items, people, items[-1].id if len(found) > limit else None)
