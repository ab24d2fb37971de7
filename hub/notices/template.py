"""What is shown outside, as data: a template's soundness when it is defined, and its rendering, which never fails. Pure.

Whatever a template shows can be read on a locked screen: the values are numbers of things, a time and an order's number.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from channels.port import Content, Urgency
from channels.wechat_field import Unfit, fit
from hub.notices.notice_class import ChannelName
from hub.notices.quiet import HOME, zone_of
from hub.platform.text import Language

TITLE_CHARS = 64
BODY_CHARS = 500
SMS_FIELD_CHARS = 35  # help.aliyun.com/document_detail/55284: "变量长度" of 个人/企业认证 users
VALUE_CHARS = 64
COUNT_MOST = 99
ELLIPSIS = "…"

# What notices of a code may bring beside `count`; a code that is not here may bring all of it.
COUNT, TIME, ORDER_NO = "count", "time", "orderNo"
ALL_PARAMS = (COUNT, TIME, ORDER_NO)
PARAMS: dict[str, tuple[str, ...]] = {
    "chat": (COUNT,),
    "order": (COUNT, ORDER_NO),
    "appointment": ALL_PARAMS,
    "health_alert": (COUNT, TIME),
    "plan": (COUNT, TIME),
    "system": (COUNT, TIME),
    "marketing": (COUNT,),
}
SAMPLE: dict[str, str] = {TIME: "2026-01-31T01:00:00Z", ORDER_NO: "ORDER202601310001"}
SAMPLE_COUNT = 3

# What stands where a value should have been: true of every notice, and leads to where the value is.
MISSING: dict[Language, str] = {"zh": "请登录查看", "en": "sign in to see"}
NEEDS_ID: tuple[ChannelName, ...] = ("wechat", "sms")  # their providers know only texts that they approved
CODE = r"^[a-z][a-z_]{1,31}(?![\s\S])"
PLACEHOLDER = re.compile(r"\{([A-Za-z]\w*)\}", re.ASCII)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_JOINED = "\u200d\ufe0e\ufe0f"  # what would join the ellipsis to the character before it


class Template(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is shown on one channel in one language. `{name}` stands for a value; `params` declares which are used.

    `fields`, for WeChat and SMS, are in the order of the provider's template, whose id is `provider_template`. `url` is a
    path of the hub's own, for WeChat a page of the mini-program.
    """

    code: Annotated[str, Meta(pattern=CODE)]
    channel: ChannelName
    language: Language
    params: list[str] = []
    title: str
    body: str
    url: str = ""
    provider_template: str = ""
    fields: dict[str, str] = {}
    needs_answer: bool = False
    urgency: Urgency = Urgency.NORMAL

    @property
    def is_off(self) -> bool:
        """Whether nothing can be sent with it, because nobody said what the provider calls it."""
        return self.channel in NEEDS_ID and not self.provider_template

    @property
    def used(self) -> frozenset[str]:
        """The placeholders in it."""
        return frozenset(name for each in self.texts.values() for name in PLACEHOLDER.findall(each))

    @property
    def texts(self) -> dict[str, str]:
        """Every text that may hold placeholders, by the name of its field."""
        fields = {f"fields.{name}": text for name, text in self.fields.items()}
        return {"title": self.title, "body": self.body, "url": self.url, **fields}


def render(
    template: Template,
    values: Mapping[str, Any],  # Any: JSON scalars
    *,
    count: int,
    ttl_s: int,
    public_url: str,
    timezone: str = HOME,
) -> Content:
    """The content within the limits of the channel. Nothing in `values` makes it fail: see `missing`.

    A `time` with an offset (RFC 3339) is shown on the wall clock of `timezone`. Where WeChat's field cannot hold what there
    is, the content names no template: the provider would refuse the message.
    """
    said = _said(template, values, count, timezone)
    fields = _fields(template, said)
    return Content(
        title=_cut(_line(_filled(template.title, said)), TITLE_CHARS) or MISSING[template.language],
        body=_cut(_CONTROL_BUT_LINES.sub(" ", _filled(template.body, said)).strip(), BODY_CHARS)
        or MISSING[template.language],
        url=_url(template, said, public_url),
        template=template.provider_template if fields is not None else "",
        fields=fields or {},
        urgency=template.urgency,
        ttl_s=ttl_s,
        language=template.language,
        needs_answer=template.needs_answer,
    )


def missing(template: Template, values: Mapping[str, Any]) -> list[str]:
    """The placeholders for which there is no value: a defect of who made the notice, or of the template. Log it."""
    return sorted(name for name in template.used - {COUNT} if not _line(str(values.get(name) or "")))


def _said(template: Template, values: Mapping[str, Any], count: int, timezone: str) -> dict[str, str]:
    """What stands for each placeholder."""
    said = {COUNT: f"{COUNT_MOST}+" if count > COUNT_MOST else str(max(count, 1))}
    for name in template.used - {COUNT}:
        value = values.get(name)
        text = _line(str(value)) if isinstance(value, str | int | float) else ""
        text = _wall(text, template.language, timezone) if name == TIME else text
        said[name] = _cut(text, VALUE_CHARS) or MISSING[template.language]
    return said


def _wall(text: str, language: Language, timezone: str) -> str:
    try:
        at = datetime.fromisoformat(text)
        local = at.astimezone(zone_of(timezone)) if at.tzinfo else None
    except (ValueError, OverflowError):
        return text  # somebody wrote it for people already
    if local is None:
        return text
    clock = f"{local.hour:02d}:{local.minute:02d}"
    if language == "en":
        return f"{local.year:04d}-{local.month:02d}-{local.day:02d} {clock}"
    return f"{local.year}年{local.month}月{local.day}日 {clock}"


def _fields(template: Template, said: Mapping[str, str]) -> dict[str, str] | None:
    if template.channel == "wechat":
        try:
            return {name: fit(name, _filled(text, _numeral(name, said))) for name, text in template.fields.items()}
        except Unfit:
            return None
    filled = {name: _line(_filled(text, said)) for name, text in template.fields.items()}
    # An empty parameter is refused (isv.TEMPLATE_MISSING_PARAMETERS).
    return {name: _cut(text, SMS_FIELD_CHARS) or "-" for name, text in filled.items()}


def _numeral(name: str, said: Mapping[str, str]) -> Mapping[str, str]:
    """A number of WeChat has no plus sign after it."""
    return {**said, COUNT: said[COUNT].rstrip("+")} if name.startswith("number") else said


def _url(template: Template, said: Mapping[str, str], public_url: str) -> str:
    path = _filled(template.url, {name: quote(value, safe="") for name, value in said.items()})
    if not path:
        return ""
    if template.channel == "wechat":
        return path.lstrip("/")  # WeChat's `page` begins with none
    # A browser knows where its service worker comes from; nothing else can follow a path.
    return f"{public_url.rstrip('/')}{path}" if public_url or template.channel == "webpush" else ""


def _filled(text: str, said: Mapping[str, str]) -> str:
    """In one pass, so that braces in a value stay what they are."""
    return PLACEHOLDER.sub(lambda found: said.get(found[1], ""), text)


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip().rstrip(_JOINED) + ELLIPSIS
