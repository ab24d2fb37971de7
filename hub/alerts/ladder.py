"""Ladders of alerts as data: who is told, how long they have, who is next. No I/O.

The table below holds until admins change one (`ladder_actions`).
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hub.alerts.model import Severity
from hub.platform.error import ErrorCode, Refusal

Role = Literal["doctor_on_call", "backup", "coordinator", "phone_task"]

LONGEST_S: dict[Severity, int] = {"critical": 3600, "warning": 86_400}
REPEAT_LEAST_S = 60  # the last step goes on until somebody acknowledges


class Rung(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """These are told, and have `within_s` seconds to acknowledge."""

    role: Role
    within_s: Annotated[int, Meta(ge=1, le=86_400)]


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every rung in its turn, the last one again and again."""

    severity: Severity
    steps: Annotated[list[Rung], Meta(min_length=1, max_length=10)]


class HeldLadder(msgspec.Struct, frozen=True):
    """A ladder as it holds; `version` 0: as the code has it."""

    value: Ladder
    version: int = 0


LADDERS: dict[Severity, Ladder] = {
    "critical": Ladder(
        "critical",
        [Rung("doctor_on_call", 120), Rung("backup", 120), Rung("coordinator", 300), Rung("phone_task", 600)],
    ),
    "warning": Ladder(
        "warning",
        [Rung("doctor_on_call", 1800), Rung("backup", 1800), Rung("coordinator", 3600)],
    ),
}


class Firing(msgspec.Struct, frozen=True):
    """A step that fires now; without `within_s` there was nobody to tell, and the next one fires too."""

    number: int
    role: Role
    told: list[str]
    within_s: int | None


def climb(
    ladder: Ladder, number: int, on_duty: Mapping[Role, Collection[str]], everybody: Collection[str]
) -> list[Firing]:
    """What fires now, where `number` steps have before: up to one that somebody hears.

    On the last step `everybody` of the staff is told if nobody is on duty, so that it is never silent; it ends there.
    """
    fired = []
    while True:
        rung = ladder.steps[min(number, len(ladder.steps) - 1)]
        is_last = number >= len(ladder.steps) - 1
        told = sorted(on_duty.get(rung.role, ())) or (sorted(everybody) if is_last else [])
        ends = is_last or bool(told)
        fired.append(Firing(number, rung.role, told, rung.within_s if ends else None))
        if ends:
            return fired
        number += 1


def check(wanted: Ladder) -> None:
    """Refused with the name of everything that is wrong."""
    faults = {}
    last = len(wanted.steps) - 1
    for place, rung in enumerate(wanted.steps):
        if rung.role == "phone_task" and place < last:
            faults[f"steps[{place}].role"] = "alert_phone_last"
        if rung.within_s > LONGEST_S[wanted.severity]:
            faults[f"steps[{place}].withinS"] = "alert_step_long"
    if wanted.severity == "critical" and wanted.steps[last].role != "phone_task":
        faults[f"steps[{last}].role"] = "alert_phone_kept"
    if wanted.steps[last].within_s < REPEAT_LEAST_S:
        faults[f"steps[{last}].withinS"] = "alert_repeats_soon"
    if faults:
        raise Refusal(ErrorCode.INVALID, fields=faults)
