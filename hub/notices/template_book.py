"""The templates as they hold now: those of the code, and what staff made of them."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices import template_store as store
from hub.notices.book import Book
from hub.notices.template import Template
from hub.notices.template_default import Key


class TemplateBook(Book[Mapping[Key, Template]]):
    """By code, channel and language. What there is in Chinese only is there in English too, with the Chinese text."""

    async def read(self, connection: AsyncConnection) -> Mapping[Key, Template]:
        held = await store.all_held(connection)
        found = {key: each.value for key, each in held.items()}
        return {**_in_english(found), **found}


def _in_english(found: Mapping[Key, Template]) -> dict[Key, Template]:
    return {(code, channel, "en"): each for (code, channel, language), each in found.items() if language == "zh"}
