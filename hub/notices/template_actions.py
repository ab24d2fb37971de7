"""What staff see and admins change of templates. One use case, one transaction; a change holds everywhere after seconds."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.port import Content
from hub.accounts.admin import check_reader, check_writer
from hub.notices import class_store
from hub.notices import template_store as store
from hub.notices.class_rule import described
from hub.notices.notice_class import ChannelName
from hub.notices.template import SAMPLE, SAMPLE_COUNT, Template, render
from hub.notices.template_check import check
from hub.notices.template_default import DEFAULTS, Key
from hub.notices.template_store import HeldTemplate
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import Language
from hub.security.audit import Audit
from hub.security.token import Principal

PREVIEW_TTL_S = 3600


class TemplateSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What is None fits everything."""

    code: str | None = None
    channel: ChannelName | None = None
    language: Language | None = None

    def fits(self, key: Key) -> bool:
        wanted = (self.code, self.channel, self.language)
        return all(each is None or each == part for each, part in zip(wanted, key, strict=True))


class NoticeTemplates:
    """The use cases. One per process."""

    def __init__(self, database: Database, audit: Audit, chosen: settings.Notices) -> None:
        self._database = database
        self._audit = audit
        self._settings = chosen

    async def list(self, who: Principal, search: TemplateSearch) -> Sequence[HeldTemplate]:
        """Those that fit, as they hold."""
        check_reader(who)
        async with self._database.transaction() as connection:
            held = await store.all_held(connection)
        return [each for key, each in sorted(held.items()) if search.fits(key)]

    async def replace(self, who: Principal, wanted: Template, version: int) -> HeldTemplate:
        """All of a template, as somebody saw it in `version` (0: it is new, or as the code has it); refused if unsound."""
        check_writer(who)
        if faults := check(wanted):
            raise Refusal(ErrorCode.INVALID, fields=faults)
        key = store.key_of(wanted)
        async with self._database.transaction() as connection:
            await class_store.lock(connection)
            held = (await store.all_held(connection)).get(key)
            if (held.version if held else 0) != version:
                raise Refusal(ErrorCode.CONFLICT, "notice_changed", fields={"version": "notice_changed"})
            if held and wanted == held.value and list(wanted.fields) == list(held.value.fields):
                return held
            written = await store.write(connection, wanted, who.user)
            subject = described(held.value if held else None, wanted, "/".join(key))
            await self._audit.record(connection, who, who.user, "notice_template.changed", subject)
            return written

    async def reset(self, who: Principal, key: Key) -> HeldTemplate | None:
        """Back to what the code has; None where it has none, so that the template is gone."""
        check_writer(who)
        default = DEFAULTS.get(key)
        async with self._database.transaction() as connection:
            await class_store.lock(connection)
            held = await store.all_held(connection)
            if key not in held:
                raise Refusal(ErrorCode.NOT_FOUND)
            if held[key].version:
                if default is None and not any(each[0] == key[0] for each in held if each != key):
                    await self._check_unused(connection, key[0])
                await store.remove(connection, key)
                subject = described(held[key].value, default, "/".join(key))
                await self._audit.record(connection, who, who.user, "notice_template.changed", subject)
        return HeldTemplate(default) if default else None

    async def _check_unused(self, connection: AsyncConnection, code: str) -> None:
        classes = await class_store.all_held(connection)
        if any(each.value.template == code for each in classes.values()):
            raise Refusal(ErrorCode.CONFLICT, "notice_template_used", fields={"code": "notice_template_used"})

    async def preview(
        self, who: Principal, key: Key, values: Mapping[str, str], count: int = SAMPLE_COUNT
    ) -> tuple[HeldTemplate, Content]:
        """As a person would see it, with samples for the values that are not given."""
        check_reader(who)
        async with self._database.transaction() as connection:
            held = (await store.all_held(connection)).get(key)
        if held is None:
            raise Refusal(ErrorCode.NOT_FOUND)
        shown = {**SAMPLE, **values}
        url = self._settings.public_url
        return held, render(held.value, shown, count=count, ttl_s=PREVIEW_TTL_S, public_url=url)
