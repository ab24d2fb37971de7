"""HTTP of templates of notices, under /admin. Takes the dependencies `notice_templates` and `principal`."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from channels.port import Urgency
from hub.notices.notice_class import ChannelName
from hub.notices.template import CODE, SAMPLE_COUNT, Template
from hub.notices.template_actions import NoticeTemplates, TemplateSearch
from hub.notices.template_default import DEFAULTS, Key
from hub.notices.template_store import HeldTemplate, key_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.text import Language
from hub.security.token import Principal

PATH = "/admin/notice-templates/{code:str}/{channel:str}/{language:str}"

Text = Annotated[str, Meta(max_length=2000)]
Name = Annotated[str, Meta(max_length=64)]


class Place(msgspec.Struct, frozen=True):
    """The path's three parts."""

    code: Annotated[str, Meta(pattern=CODE)]
    channel: ChannelName
    language: Language


class TemplateWanted(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of a template: what is left out is empty. `version` is that of what is replaced, 0 for a new one."""

    version: Annotated[int, Meta(ge=0)]
    title: Text
    body: Text
    params: Annotated[list[Name], Meta(max_length=20)] = []
    url: Text = ""
    provider_template: Text = ""
    fields: Annotated[dict[Name, Text], Meta(max_length=50)] = {}
    needs_answer: bool = False
    urgency: Urgency = Urgency.NORMAL


class PreviewWanted(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Values to show instead of samples."""

    values: Annotated[dict[Name, Text], Meta(max_length=20)] = {}
    count: Annotated[int, Meta(ge=0, le=1_000_000)] = SAMPLE_COUNT


class TemplateView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A template as it holds; `changed`: it is not what the code has. `off`: the provider's id is missing, so it is not sent."""

    code: str
    channel: ChannelName
    language: Language
    version: int
    changed: bool
    off: bool
    params: Sequence[str]
    title: str
    body: str
    url: str
    provider_template: str
    fields: Mapping[str, str]
    needs_answer: bool
    urgency: Urgency


class PreviewView(msgspec.Struct, frozen=True, rename="camel"):
    """What goes to the provider."""

    title: str
    body: str
    url: str
    fields: Mapping[str, str]
    off: bool


@get("/admin/notice-templates", responses=FAILURES)
async def list_templates(
    principal: NamedDependency[Principal],
    notice_templates: NamedDependency[NoticeTemplates],
    code: Annotated[str | None, QueryParameter(name="code", max_length=32)] = None,
    channel: Annotated[ChannelName | None, QueryParameter(name="channel")] = None,
    language: Annotated[Language | None, QueryParameter(name="language")] = None,
) -> Answer[list[TemplateView]]:
    """Every template as it holds. For staff and admins."""
    search = TemplateSearch(code=code, channel=channel, language=language)
    return answer([_view(each) for each in await notice_templates.list(principal, search)])


@put(PATH, responses=FAILURES)
async def replace_template(
    code: FromPath[str],
    channel: FromPath[str],
    language: FromPath[str],
    data: JSONBody[TemplateWanted],
    principal: NamedDependency[Principal],
    notice_templates: NamedDependency[NoticeTemplates],
) -> Answer[TemplateView]:
    """Change a template, or define a new one. For admins; holds everywhere after some seconds."""
    place = msgspec.convert({"code": code, "channel": channel, "language": language}, Place)
    fields = {name: getattr(data, name) for name in TemplateWanted.__struct_fields__ if name != "version"}
    wanted = Template(code=place.code, channel=place.channel, language=place.language, **fields)
    return answer(_view(await notice_templates.replace(principal, wanted, data.version)))


@delete(PATH, status_code=200, responses=FAILURES)
async def reset_template(
    code: FromPath[str],
    channel: FromPath[str],
    language: FromPath[str],
    principal: NamedDependency[Principal],
    notice_templates: NamedDependency[NoticeTemplates],
) -> Answer[TemplateView | None]:
    """Back to what the code has; null where it has none. For admins."""
    default = await notice_templates.reset(principal, _key(code, channel, language))
    return answer(_view(default) if default else None)


@post(f"{PATH}/preview", status_code=200, responses=FAILURES)
async def preview_template(
    code: FromPath[str],
    channel: FromPath[str],
    language: FromPath[str],
    principal: NamedDependency[Principal],
    notice_templates: NamedDependency[NoticeTemplates],
    data: JSONBody[PreviewWanted | None] = None,
) -> Answer[PreviewView]:
    """As a person would see it. For staff and admins."""
    wanted = data or PreviewWanted()
    key = _key(code, channel, language)
    held, content = await notice_templates.preview(principal, key, wanted.values, wanted.count)
    return answer(PreviewView(content.title, content.body, content.url, content.fields, held.value.is_off))


handlers: list[ControllerRouterHandler] = [list_templates, replace_template, reset_template, preview_template]


def _key(code: str, channel: str, language: str) -> Key:
    """What can be no template is not found."""
    try:
        place = msgspec.convert({"code": code, "channel": channel, "language": language}, Place)
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.NOT_FOUND) from error
    return place.code, place.channel, place.language


def _view(held: HeldTemplate) -> TemplateView:
    fields = {name: getattr(held.value, name) for name in Template.__struct_fields__}
    changed = held.value != DEFAULTS.get(key_of(held.value))
    return TemplateView(version=held.version, changed=changed, off=held.value.is_off, **fields)
