"""HTTP of what one wants of notices. Takes the dependencies `notice_preferences` and `principal`."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.notices.model import ClassPreference, QuietHours
from hub.notices.notice_class import ChannelName, NoticeClass
from hub.notices.preference import Preference
from hub.notices.preference_actions import NoticePreferences
from hub.notices.quiet import HOME
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of
from hub.platform.text import Language
from hub.security.token import Principal

ClassCode = Annotated[str, Meta(max_length=32)]


class PreferenceWanted(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The whole of it: what is left out becomes the default again. `quiet` null: from 22:00 to 07:00, except for messages."""

    language: Language = "zh"
    timezone: Annotated[str, Meta(max_length=64)] = HOME
    quiet: QuietHours | None = None
    classes: Annotated[dict[ClassCode, ClassPreference], Meta(max_length=50)] = {}


class ClassOffered(msgspec.Struct, frozen=True, rename="camel"):
    """A class that can be chosen about: `channels` are those it uses; a mandatory one cannot be switched off."""

    code: str
    title: str
    mandatory: bool
    channels: Sequence[ChannelName]


class PreferenceView(msgspec.Struct, frozen=True, rename="camel"):
    language: Language
    timezone: str
    quiet: QuietHours | None
    classes: dict[str, ClassPreference]
    offered: Sequence[ClassOffered]


@get("/users/me/notice-preferences", responses=FAILURES)
async def show_preferences(
    request: Connection, principal: NamedDependency[Principal], notice_preferences: NamedDependency[NoticePreferences]
) -> Answer[PreferenceView]:
    """What one wants, and what there is to choose among."""
    return answer(_view(*await notice_preferences.read(principal), context_of(request.scope).language))


@put("/users/me/notice-preferences", responses=FAILURES)
async def replace_preferences(
    data: JSONBody[PreferenceWanted],
    request: Connection,
    principal: NamedDependency[Principal],
    notice_preferences: NamedDependency[NoticePreferences],
) -> Answer[PreferenceView]:
    """All of it at once. Holds for every notice that is not sent yet."""
    wanted = Preference(language=data.language, timezone=data.timezone, quiet=data.quiet, classes=data.classes)
    return answer(_view(*await notice_preferences.replace(principal, wanted), context_of(request.scope).language))


handlers: list[ControllerRouterHandler] = [show_preferences, replace_preferences]


def _view(preference: Preference, classes: Mapping[str, NoticeClass], language: Language) -> PreferenceView:
    return PreferenceView(
        preference.language,
        preference.timezone,
        preference.quiet,
        preference.classes,
        [_offered(each, language) for each in classes.values()],
    )


def _offered(each: NoticeClass, language: Language) -> ClassOffered:
    title = each.title_zh if language == "zh" else each.title_en
    return ClassOffered(each.code, title, each.mandatory, list(dict.fromkeys(step.channel for step in each.ladder)))
