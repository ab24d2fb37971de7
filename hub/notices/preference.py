"""What a person wants of notices: language, zone, quiet hours, and what is off. What of it is refused. Pure."""

import re
from collections.abc import Mapping

import msgspec

from hub.notices.model import ClassPreference, QuietHours
from hub.notices.notice_class import CHANNELS, NoticeClass
from hub.notices.quiet import HOME, ZONES
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import Language

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_NOTHING = ClassPreference()


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """As it holds: for who never said anything, the defaults. `quiet` None: the usual hours."""

    language: Language = "zh"
    timezone: str = HOME
    quiet: QuietHours | None = None
    classes: dict[str, ClassPreference] = {}


def checked(wanted: Preference, classes: Mapping[str, NoticeClass]) -> Preference:
    """The preference without what says nothing; refused with the name of everything that is wrong."""
    faults = _zone_faults(wanted.timezone) | _quiet_faults(wanted.quiet)
    for code, chosen in wanted.classes.items():
        faults |= _class_faults(code, chosen, classes.get(code))
    if faults:
        raise Refusal(ErrorCode.INVALID, fields=faults)
    said = {code: _sorted(each) for code, each in wanted.classes.items() if each != _NOTHING}
    return msgspec.structs.replace(wanted, classes=said)


def _zone_faults(timezone: str) -> dict[str, str]:
    return {} if timezone in ZONES else {"timezone": "timezone_unknown"}


def _quiet_faults(quiet: QuietHours | None) -> dict[str, str]:
    if quiet is None:
        return {}
    times = {"quiet.from": quiet.from_, "quiet.to": quiet.to}
    faults = {name: "time_of_day_invalid" for name, value in times.items() if not _CLOCK.fullmatch(value)}
    if quiet.from_ == quiet.to and not faults:
        return {"quiet.to": "quiet_same"}
    return faults


def _class_faults(code: str, chosen: ClassPreference, known: NoticeClass | None) -> dict[str, str]:
    name = f"classes.{code}"
    if known is None:
        return {name: "notice_class_unknown"}
    if not set(chosen.channels_off) <= set(CHANNELS):
        return {f"{name}.channelsOff": "notice_channel_unknown"}
    # To switch off every channel is to switch it off.
    silent = chosen.off or {step.channel for step in known.ladder} <= set(chosen.channels_off)
    return {name: "notice_class_mandatory"} if known.mandatory and silent else {}


def _sorted(chosen: ClassPreference) -> ClassPreference:
    return ClassPreference(chosen.off, [name for name in CHANNELS if name in chosen.channels_off])
