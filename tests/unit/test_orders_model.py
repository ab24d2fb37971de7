"""The order state machine is the contract's table, and nothing else."""

from itertools import product

import pytest

from hub.orders.model import FOLLOWS, MOVES, STAMPS, AppointmentState, Order, State, Trigger, move, took_money
from hub.platform.error import ErrorCode, Refusal
from hub.platform.text import TEXTS

# Contract, section 3, as it is written there.
CONTRACT = """
pending     | pay_success                            | paid
pending     | pay_failed, cancel, payment_timeout    | cancelled
paid        | confirm                                | confirmed
paid        | cancel                                 | cancelled
confirmed   | start_service                          | in_progress
in_progress | complete_service                       | completed
completed   | refund                                 | refunded
"""
ALLOWED = {
    (source.strip(), trigger.strip()): target.strip()
    for source, triggers, target in (line.split("|") for line in CONTRACT.strip().splitlines())
    for trigger in triggers.split(",")
}


def test_the_table_is_the_contracts() -> None:
    """Not one move more, not one less."""
    assert {(str(state), str(trigger)): str(after) for (state, trigger), after in MOVES.items()} == ALLOWED


@pytest.mark.parametrize(("state", "trigger"), list(product(State, Trigger)))
def test_a_move_is_in_the_table_or_refused_by_the_states_name(state: State, trigger: Trigger) -> None:
    """What is not allowed says in which state the order is, to programs and to people."""
    if (state, trigger) in ALLOWED:
        assert move(state, trigger) == ALLOWED[state, trigger]
        return
    with pytest.raises(Refusal) as refused:
        move(state, trigger)

    assert (refused.value.code, refused.value.fields) == (ErrorCode.CONFLICT, {"status": state.value})
    assert refused.value.text == f"order_is_{state.value}"


@pytest.mark.parametrize("state", sorted({*State, *AppointmentState}))
def test_every_state_has_words_for_people(state: str) -> None:
    """In both languages."""
    assert all(TEXTS[f"order_is_{state}"])


def test_every_state_that_is_reached_has_a_stamp_and_money_goes_back_twice() -> None:
    """Each move is stamped in a column of its own; only two of them give money back."""
    reached = set(MOVES.values())
    backs = {(before, after) for before, after in product(State, State) if took_money(before, after)}

    assert set(STAMPS) == reached
    assert len(set(STAMPS.values())) == len(reached)
    assert set(STAMPS.values()) <= set(Order.__struct_fields__)
    assert backs == {(State.PAID, State.CANCELLED), (State.COMPLETED, State.REFUNDED)}
    assert set(FOLLOWS) == reached - {State.REFUNDED}
