"""Whether a template is sound, found out when it is defined and not when it is sent. Pure."""

import re

from channels.wechat_field import check_field
from hub.notices.template import (
    ALL_PARAMS,
    BODY_CHARS,
    NEEDS_ID,
    PARAMS,
    PLACEHOLDER,
    SMS_FIELD_CHARS,
    TITLE_CHARS,
    Template,
)

FIELDS_MOST = 20

# A path that no parser takes for another origin: one slash at the beginning, no backslash, nothing that URLs do not hold.
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?#{}-]*")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
_PROVIDER_TEMPLATE = re.compile(r"[A-Za-z0-9_=\- ]{0,200}", re.ASCII)


def check(template: Template) -> dict[str, str]:
    """Field → reason of the text catalogue; empty where it is sound. Off (`Template.is_off`) is no fault."""
    faults = _provider_faults(template) | _text_faults(template)
    if not set(template.params) <= set(PARAMS.get(template.code, ALL_PARAMS)):
        faults["params"] = "template_param_unknown"
    for name, text in template.texts.items():
        if "{" in (rest := PLACEHOLDER.sub("", text)) or "}" in rest:
            faults[name] = "template_placeholder_broken"
        elif not set(PLACEHOLDER.findall(text)) <= set(template.params):
            faults[name] = "template_placeholder_undeclared"
    return faults


def _text_faults(template: Template) -> dict[str, str]:
    faults = {}
    for name, text, most in (("title", template.title, TITLE_CHARS), ("body", template.body, BODY_CHARS)):
        written = text.replace("\n", "") if name == "body" else text
        if not written.strip() or not written.isprintable():
            faults[name] = "text_blank"
        elif len(text) > most:
            faults[name] = f"template_{name}_long"
    if template.url and not _PATH.fullmatch(template.url):
        faults["url"] = "template_url_relative"
    return faults


def _provider_faults(template: Template) -> dict[str, str]:
    if template.channel not in NEEDS_ID:
        faults = {"providerTemplate": "template_fields_unwanted"} if template.provider_template else {}
        return faults | ({"fields": "template_fields_unwanted"} if template.fields else {})
    faults = {}
    if not _PROVIDER_TEMPLATE.fullmatch(template.provider_template):
        faults["providerTemplate"] = "template_field_form"
    if len(template.fields) > FIELDS_MOST:
        faults["fields"] = "template_field_long"
    if template.channel == "wechat" and not template.fields:
        faults["fields"] = "template_fields_missing"
    fault_of = check_field if template.channel == "wechat" else _sms_fault
    found = {name: fault_of(name, text) for name, text in template.fields.items()}
    return faults | {f"fields.{name}": reason for name, reason in found.items() if reason}


def _sms_fault(name: str, text: str) -> str | None:
    if not _FIELD_NAME.fullmatch(name):
        return "template_sms_field_name"
    if not text.strip():
        return "template_field_empty"
    if not text.isprintable():
        return "template_field_line"
    return "template_sms_field_long" if len(PLACEHOLDER.sub("1", text)) > SMS_FIELD_CHARS else None
