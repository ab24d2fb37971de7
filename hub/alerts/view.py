"""Alerts as the wire shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hub.alerts.model import Alert, Kind, Severity, State, StepFired, Story
from hub.platform.clock import rfc3339
from hub.security.masking import mask_name, phone_for


class Outbound(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""


class Someone(Outbound, frozen=True):
    id: str
    name: str


class AlertView(Outbound, frozen=True, kw_only=True):
    """An alert in a list; the name is masked. `step` is the role that was told last, `nextAt` when the next one is."""

    id: str
    person: Someone
    kind: Kind
    severity: Severity
    drill: bool
    state: State
    step: str
    next_at: str | None
    count: int
    opened_at: str
    last_at: str
    acknowledged_at: str | None
    resolved_at: str | None


class StepView(Outbound, frozen=True, kw_only=True):
    """A step that fired. Nobody was on duty where `told` is empty: then the next one fired at once, without `until`."""

    number: int
    step: str
    told: Sequence[Someone]
    due_at: str
    fired_at: str
    until: str | None


class SourceView(Outbound, frozen=True, kw_only=True):
    source: str
    at: str
    by: Someone | None
    note: str


class StoryView(AlertView, frozen=True, kw_only=True):
    """An alert with the newest 50 of its sources and steps; there were `count` and `stepsFired`.

    For whom it is about without phone, rule, conversation, notes, sources and steps.
    """

    phone: str | None
    rule: str
    rule_version: str
    conversation: str | None
    acknowledged_by: Someone | None
    acknowledge_note: str
    resolved_by: Someone | None
    resolve_note: str
    sources: Sequence[SourceView]
    steps: Sequence[StepView]
    steps_fired: int


def alert_view(alert: Alert) -> AlertView:
    return AlertView(**_shown(alert, mask_name(alert.name)))


def story_view(story: Story) -> StoryView:
    """Who may take it sees the name, and until it is resolved the phone: somebody may have to call at once."""
    alert, names = story.alert, story.names
    return StoryView(
        **_shown(alert, alert.name),
        phone=phone_for(alert.phone, allowed=alert.state != "resolved") if story.inside else None,
        rule=story.rule.name,
        rule_version=story.rule.version,
        conversation=alert.conversation if story.inside else None,
        acknowledged_by=_someone(alert.acknowledged_by, names),
        acknowledge_note=story.acknowledge_note,
        resolved_by=_someone(alert.resolved_by, names),
        resolve_note=story.resolve_note,
        sources=[
            SourceView(source=each.source, at=rfc3339(each.at), by=_someone(each.by, names), note=each.note)
            for each in story.sources
        ],
        steps=[_step(each, names) for each in story.steps],
        steps_fired=alert.number if story.inside else 0,
    )


def _step(step: StepFired, names: Mapping[str, str]) -> StepView:
    return StepView(
        number=step.number,
        step=step.step,
        told=[Someone(user, names.get(user, "")) for user in step.told],
        due_at=rfc3339(step.due_at),
        fired_at=rfc3339(step.fired_at),
        until=_time(step.until),
    )


def _shown(alert: Alert, name: str) -> dict[str, Any]:  # Any: fields of several types
    return {
        "id": alert.id,
        "person": Someone(alert.person, name),
        "kind": alert.kind,
        "severity": alert.severity,
        "drill": alert.drill,
        "state": alert.state,
        "step": alert.step,
        "next_at": _time(alert.next_at),
        "count": alert.count,
        "opened_at": rfc3339(alert.opened_at),
        "last_at": rfc3339(alert.last_at),
        "acknowledged_at": _time(alert.acknowledged_at),
        "resolved_at": _time(alert.resolved_at),
    }


def _someone(user: str | None, names: Mapping[str, str]) -> Someone | None:
    return None if user is None else Someone(user, names.get(user, ""))


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
