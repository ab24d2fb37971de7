"""P11: a ladder never ends by itself, and on its last step somebody hears it if there is anybody at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.alerts.ladder import LADDERS, Ladder, Role, Rung, check, climb
from hub.alerts.model import Severity
from hub.platform.error import Refusal

CRITICAL = LADDERS["critical"]
ROLES: tuple[Role, ...] = ("doctor_on_call", "backup", "coordinator", "phone_task")
PEOPLE = st.lists(st.sampled_from(("王医生", "李医生", "赵协调")), unique=True)


def test_everybody_on_duty_each_step_in_its_turn() -> None:
    """One step at a time, and the phone task for ever."""
    duty = {role: [role] for role in ROLES}
    fired = [climb(CRITICAL, number, duty, ["全体"]) for number in range(6)]

    assert [[(each.role, each.told, each.within_s) for each in step] for step in fired] == [
        [("doctor_on_call", ["doctor_on_call"], 120)],
        [("backup", ["backup"], 120)],
        [("coordinator", ["coordinator"], 300)],
        *[[("phone_task", ["phone_task"], 600)]] * 3,
    ]


def test_nobody_on_duty_goes_on_at_once_to_everybody() -> None:
    """Each step that nobody heard is there, without a deadline."""
    fired = climb(CRITICAL, 0, {}, ["赵协调", "孙客服"])

    assert [(each.number, each.role, len(each.told), each.within_s) for each in fired] == [
        (0, "doctor_on_call", 0, None),
        (1, "backup", 0, None),
        (2, "coordinator", 0, None),
        (3, "phone_task", 2, 600),
    ]


@given(
    severity=st.sampled_from(("warning", "critical")),
    number=st.integers(0, 1000),
    duty=st.dictionaries(st.sampled_from(ROLES), PEOPLE),
    everybody=PEOPLE,
)
def test_climb_is_never_silent(
    severity: Severity, number: int, duty: dict[Role, list[str]], everybody: list[str]
) -> None:
    """P11: whatever the rosters say, there is a next deadline, numbers have no gap, and whoever there is hears it."""
    ladder = LADDERS[severity]
    fired = climb(ladder, number, duty, everybody)

    assert [each.number for each in fired] == list(range(number, number + len(fired)))
    assert len(fired) <= len(ladder.steps)
    assert [each.within_s is None for each in fired] == [True] * (len(fired) - 1) + [False]
    assert all(not each.told for each in fired[:-1])
    assert fired[-1].told or not everybody


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_ladders_of_the_code_are_sound(severity: Severity) -> None:
    check(LADDERS[severity])


@pytest.mark.parametrize(
    ("severity", "steps", "field"),
    [
        pytest.param("critical", [("doctor_on_call", 120)], "steps[0].role", id="critical-without-phone"),
        pytest.param("warning", [("phone_task", 60), ("backup", 60)], "steps[0].role", id="phone-first"),
        pytest.param("critical", [("backup", 3601), ("phone_task", 60)], "steps[0].withinS", id="too-long"),
        pytest.param("warning", [("backup", 59)], "steps[0].withinS", id="repeats-too-soon"),
    ],
)
def test_unsound_ladder_is_refused_by_its_field(severity: Severity, steps: list[tuple[Role, int]], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        check(Ladder(severity, [Rung(*each) for each in steps]))

    assert list(refused.value.fields) == [field]
