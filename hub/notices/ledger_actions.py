"""What staff and people do with the ledger: look, follow one notice, export, and bring what came to nothing to life again."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import msgspec
from sqlalchemy.exc import IntegrityError

from hub.accounts.admin import check_reader, check_writer
from hub.notices import ledger_retry, ledger_store
from hub.notices.class_book import ClassBook
from hub.notices.inbox import Standing, standing
from hub.notices.ledger import Line, Lines, Period, Search, Story, Stretch, Tried, check, described, least_id, story_of
from hub.notices.ledger_retry import Revived
from hub.notices.model import State
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.security.audit import Audit
from hub.security.token import Principal

NIL = "00000000-0000-0000-0000-000000000000"  # before every id

Pages = AsyncIterator[Sequence[tuple[Line, Sequence[Tried]]]]


class Mine(msgspec.Struct, frozen=True):
    """A person's own notices, and where their inbox stands."""

    lines: Lines
    titles: dict[str, tuple[str, str]]
    standing: Standing


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which notices are to live again: all in this state, of this class if one is named, that were made within `since_s`."""

    state: State
    class_: str | None = None
    since_s: float | None = None


class Ledger:
    """The use cases. One per process."""

    def __init__(self, database: Database, audit: Audit, classes: ClassBook, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._classes = classes
        self._clock = clock

    # For staff

    async def search(self, who: Principal, search: Search, stretch: Stretch) -> Lines:
        """The newest first. Each stretch leaves a row in the audit (P13)."""
        check_reader(who)
        check(search, stretch, await self._classes.all())
        async with self._database.transaction() as connection:
            found = await ledger_store.lines(connection, search, stretch)
            await self._audit.record(connection, who, search.user or who.user, "notices.read", described(search))
        return found

    async def story(self, who: Principal, notice: str) -> Story:
        """Everything about one; it leaves a row in the audit (P13). Raises `Refusal`."""
        check_reader(who)
        return await self._story(notice, reader=who)

    async def export(self, who: Principal, period: Period, form: str) -> Pages:
        """Everything made in the period, page by page. One row of the audit, before the first."""
        check_reader(who)
        await self._record(who, "notices.exported", f"{form} {period.since.isoformat()} {period.until.isoformat()}")
        return ledger_store.export(self._database, period)

    async def retry(self, who: Principal, notice: str, *, force_unknown: bool) -> Story:
        """Let one live again. A conflict if it is under way or has reached somebody. For admins."""
        check_writer(who)
        story = await self._story(notice)
        ledger_retry.check_revivable(story.line)
        lives_s = await self._lives_s()
        try:
            async with self._database.transaction() as connection:
                revived = await ledger_retry.revive(connection, [notice], lives_s, force_unknown=force_unknown)
                if not revived.notices:
                    raise _busy()
                subject = f"{notice}{_forced(force_unknown)}"
                await self._audit.record(connection, who, story.line.user, "notice.retried", subject)
        except IntegrityError as error:  # the sweep has just made another one for the same conversation
            raise _busy() from error
        return await self._story(notice)

    async def retry_all(self, who: Principal, wanted: Wanted, *, force_unknown: bool) -> Revived:
        """Let all of these live again, some hundred in a transaction. For admins.

        A row of the audit before the first, and one with their number after the last.
        """
        check_writer(who)
        if wanted.state not in ledger_retry.REVIVABLE:
            raise Refusal(ErrorCode.CONFLICT, f"notice_is_{wanted.state.value}")
        check(Search(class_=wanted.class_), Stretch(), await self._classes.all())
        since_s = wanted.since_s
        since = NIL if since_s is None else least_id(self._clock.now() - timedelta(seconds=since_s))
        subject = f"{_described(wanted)}{_forced(force_unknown)}"
        await self._record(who, "notices.retried", subject)  # first, so that one that is cut off is there too
        total, after = Revived(), NIL
        while found := await self._dead(wanted, since, after):
            total += await self._revive(found, force_unknown=force_unknown)
            after = found[-1]
        await self._record(who, "notices.revived", f"{subject}: {total.notices}")
        return total

    async def _record(self, who: Principal, action: str, subject: str) -> None:
        async with self._database.transaction() as connection:
            await self._audit.record(connection, who, who.user, action, subject)

    async def _dead(self, wanted: Wanted, since: str, after: str) -> list[str]:
        async with self._database.transaction() as connection:
            return await ledger_retry.dead(connection, wanted.state, wanted.class_, since, after)

    async def _revive(self, notices: Sequence[str], *, force_unknown: bool) -> Revived:
        lives_s = await self._lives_s()
        try:
            async with self._database.transaction() as connection:
                return await ledger_retry.revive(connection, notices, lives_s, force_unknown=force_unknown)
        except IntegrityError:  # the sweep has just made another one for the same conversation
            if len(notices) == 1:
                return Revived()
            half = len(notices) // 2
            first = await self._revive(notices[:half], force_unknown=force_unknown)
            return first + await self._revive(notices[half:], force_unknown=force_unknown)

    async def _story(self, notice: str, reader: Principal | None = None) -> Story:
        if not is_id(notice):
            raise Refusal(ErrorCode.NOT_FOUND)
        async with self._database.transaction() as connection:
            found = await ledger_store.line(connection, notice)
            if found is None:
                raise Refusal(ErrorCode.NOT_FOUND)
            attempts = await ledger_store.tried(connection, [notice])
            line, cursors = found
            if reader is not None:
                await self._audit.record(connection, reader, line.user, "notice.read", notice)
        classes = await self._classes.all()
        return story_of(line, cursors, classes.get(line.class_) or classes["system"], attempts)

    async def _lives_s(self) -> dict[str, int]:
        return {code: each.expires_s for code, each in (await self._classes.all()).items()}

    # For everybody

    async def mine(self, who: Principal, stretch: Stretch) -> Mine:
        """What was to reach me, the newest first, with the unread count of my inbox."""
        classes = await self._classes.all()
        check(Search(), stretch, classes)
        async with self._database.transaction() as connection:
            lines = await ledger_store.lines(connection, Search(user=who.user), stretch)
            mine = await standing(connection, who.user)
        return Mine(lines, {code: (each.title_zh, each.title_en) for code, each in classes.items()}, mine)

    async def unread(self, who: Principal) -> Standing:
        """How much of my inbox I have not read."""
        async with self._database.transaction() as connection:
            return await standing(connection, who.user)


def _busy() -> Refusal:
    return Refusal(ErrorCode.CONFLICT, "notice_is_busy", fields={"state": "notice_is_busy"})


def _described(wanted: Wanted) -> str:
    parts = (wanted.state.value, wanted.class_, None if wanted.since_s is None else f"{wanted.since_s:g}s")
    return " ".join(part for part in parts if part is not None)


def _forced(force_unknown: bool) -> str:
    return " unknown forced" if force_unknown else ""
