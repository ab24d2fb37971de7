"""Alerts: what was found, how one stands, and who has it. No I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from hub.platform.error import ErrorCode, Refusal

Kind = Literal["reading", "words", "missed", "manual", "drill"]
Severity = Literal["warning", "critical"]
State = Literal["open", "acknowledged", "resolved"]

CLINICIANS = ("doctor", "staff", "admin")
"""Who is told of alerts, and may take one."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody, or a rule, found. `source` refers to it, with no content; each raises one alert, ever.

    `note`: what who raises it by hand says; it is sealed.
    """

    person: str
    kind: Kind
    severity: Severity
    rule: str
    rule_version: str = ""
    source: str
    drill: bool = False
    conversation: str | None = None
    by: str | None = None
    note: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `number`: how many steps of its ladder have fired; `step`: who was told last; `count`: how many sources.

    `key`: what the rule, the sources and the notes are sealed with, that of the person.
    """

    id: str
    person: str
    name: str
    phone: str | None
    kind: Kind
    severity: Severity
    drill: bool
    conversation: str | None
    key: str
    state: State
    number: int
    step: str
    next_at: datetime | None
    count: int
    opened_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None


class Rule(msgspec.Struct, frozen=True):
    """What found it."""

    name: str = ""
    version: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What raised an alert, and what was said with it."""

    source: str
    at: datetime
    by: str | None
    note: str


class StepFired(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a ladder as it was: `told` is empty where nobody was on duty, and then the next one fired at once."""

    number: int
    step: str
    told: list[str]
    due_at: datetime
    fired_at: datetime
    until: datetime | None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """An alert with what came of it. `inside`: who looks may take it, and sees what only those do.

    Of sources and steps the newest: a flood of them must not bury who looks.
    """

    alert: Alert
    inside: bool
    rule: Rule
    acknowledge_note: str
    resolve_note: str
    sources: list[Source]
    steps: list[StepFired]
    names: Mapping[str, str]


Taking = Literal["acknowledged", "resolved"]


def is_taken_by(alert: Alert, who: str, taking: Taking, names: Mapping[str, str]) -> bool:
    """Whether this person has done so already; else it is theirs to do, or refused with the name of who has it."""
    if alert.state == "resolved":
        if alert.resolved_by == who or (taking == "acknowledged" and alert.acknowledged_by == who):
            return True
        raise Refusal(
            ErrorCode.CONFLICT, "alert_is_resolved", fields={"resolvedBy": names.get(alert.resolved_by or "", "")}
        )
    if taking == "resolved" or alert.state == "open":
        return False
    if alert.acknowledged_by == who:
        return True
    holder = names.get(alert.acknowledged_by or "", "")
    raise Refusal(ErrorCode.CONFLICT, "alert_is_taken", fields={"acknowledgedBy": holder})
