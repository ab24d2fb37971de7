"""Which classes of notices make sense, and what a change of one changes. Pure."""

from collections.abc import Collection, Mapping
from itertools import pairwise

import msgspec

from hub.notices.notice_class import CLASSES, NoticeClass
from hub.platform.error import ErrorCode, Refusal

AUDIT_CHARS = 900


class HeldClass(msgspec.Struct, frozen=True):
    """A class as it holds; `version` 0: as the code has it."""

    value: NoticeClass
    version: int = 0


def known_code(code: str) -> str:
    """The code, or a refusal: classes are made in the code, because something must make their notices."""
    if code not in CLASSES:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"code": "notice_class_unknown"})
    return code


def check(wanted: NoticeClass, templates: Collection[str]) -> None:
    """Refused with the name of everything that is wrong; `templates` are the codes there are."""
    faults = _ladder_faults(wanted) | _consent_faults(wanted) | _kept_faults(wanted)
    if wanted.template not in templates:
        faults["template"] = "notice_template_unknown"
    for name, title in (("titleZh", wanted.title_zh), ("titleEn", wanted.title_en)):
        if not title.strip() or not title.isprintable():
            faults[name] = "text_blank"
    if faults:
        raise Refusal(ErrorCode.INVALID, fields=faults)


def _ladder_faults(wanted: NoticeClass) -> dict[str, str]:
    faults = {}
    waits = [step.after_s for step in wanted.ladder]
    for index, (before, after) in enumerate(pairwise(waits), 1):
        if after < before:
            faults[f"ladder[{index}].afterS"] = "notice_step_order"
    if wanted.expires_s <= max(waits, default=0):
        faults["expiresS"] = "notice_expires_early"
    if wanted.mandatory and not wanted.ladder:
        faults["ladder"] = "notice_ladder_empty"
    return faults


def _consent_faults(wanted: NoticeClass) -> dict[str, str]:
    """What needs the person's agreement may neither be forced on them nor wake them, and stays so."""
    known = CLASSES.get(wanted.code)
    if wanted.consent is None:
        return {"consent": "notice_consent_kept"} if known and known.consent else {}
    faults = {"mandatory": "notice_consent_mandatory"} if wanted.mandatory else {}
    return faults | ({"quiet": "notice_consent_quiet"} if wanted.quiet == "ignore" else {})


def _kept_faults(wanted: NoticeClass) -> dict[str, str]:
    """What the code says must reach people goes on reaching them, at night too."""
    known = CLASSES.get(wanted.code)
    if known is None:
        return {}
    faults = {"mandatory": "notice_mandatory_kept"} if known.mandatory and not wanted.mandatory else {}
    return faults | ({"quiet": "notice_quiet_kept"} if known.quiet == "ignore" != wanted.quiet else {})


def described(before: msgspec.Struct | None, after: msgspec.Struct | None, name: str) -> str:
    """For the audit: which one, and what was and is, as JSON, of each field that is different; None: it was, or is, not there.

    At most `AUDIT_CHARS`: what is long is cut, so that no field is left out.
    """
    old, new = _fields(before), _fields(after)
    changed = {
        field: (old.get(field, "null"), new.get(field, "null"))
        for field in old | new
        if old.get(field) != new.get(field)
    }
    longest = AUDIT_CHARS
    while len(told := f"{name}: {_told(changed, longest)}") > AUDIT_CHARS:
        longest = longest * 3 // 4
    return told


def _fields(value: msgspec.Struct | None) -> dict[str, str]:
    plain = msgspec.to_builtins(value) if value is not None else {}
    return {field: msgspec.json.encode(each).decode() for field, each in plain.items()}


def _told(changed: Mapping[str, tuple[str, str]], longest: int) -> str:
    return ", ".join(f"{field} {_cut(old, longest)} -> {_cut(new, longest)}" for field, (old, new) in changed.items())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
