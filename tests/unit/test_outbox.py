"""What one socket is owed is bounded in bytes, and nothing that was accepted is lost or reordered (P7)."""

from hypothesis import given
from hypothesis import strategies as st

from hub.realtime.outbox import Outbox, Pressure

SOFT, HARD = 100, 1000
frames = st.binary(min_size=1, max_size=400)


def test_everything_of_a_turn_leaves_as_one_write() -> None:
    """The system call is the cost, so frames are joined."""
    outbox = Outbox(SOFT, HARD)
    outbox.push(b"one")
    outbox.push(b"two")

    assert outbox.take() == b"onetwo"
    assert outbox.size == 0


def test_typing_is_dropped_above_the_soft_bound_and_facts_are_not() -> None:
    """Under pressure the ephemeral goes first."""
    outbox = Outbox(SOFT, HARD)
    outbox.push(bytes(SOFT))

    assert outbox.push(b"typing", ephemeral=True) is Pressure.DROPPED
    assert outbox.push(b"entry") is Pressure.NONE
    assert outbox.take() == bytes(SOFT) + b"entry"


def test_a_socket_is_slow_above_the_hard_bound() -> None:
    """What the transport still holds counts, too."""
    outbox = Outbox(SOFT, HARD)

    assert outbox.push(bytes(600), unsent=SOFT) is Pressure.NONE
    assert outbox.push(bytes(300), unsent=SOFT + 1) is Pressure.CLOSE
    assert outbox.size == 600


def test_a_page_larger_than_the_bound_goes_to_a_socket_that_is_not_behind() -> None:
    """Otherwise a client could never read it, however often it came back."""
    outbox = Outbox(SOFT, HARD)
    outbox.push(b"welcome")

    assert outbox.push(bytes(5 * HARD)) is Pressure.NONE
    assert outbox.push(b"more") is Pressure.CLOSE


@given(st.lists(st.one_of(st.tuples(frames, st.booleans(), st.integers(0, 500)), st.none())))
def test_accepted_bytes_leave_once_in_order_and_the_rest_never(steps: list[tuple[bytes, bool, int] | None]) -> None:
    """Any pushes and takes: the bytes that leave are those that were accepted, and never more than the bound wait."""
    outbox, accepted, left = Outbox(SOFT, HARD), b"", b""
    for step in steps:
        if step is None:
            left += outbox.take()
            continue
        data, ephemeral, unsent = step
        before = outbox.size + unsent
        if outbox.push(data, ephemeral=ephemeral, unsent=unsent) is Pressure.NONE:
            accepted += data
            assert outbox.size + unsent <= HARD or before <= SOFT
        assert outbox.size <= max(HARD, SOFT + 400)
        assert outbox.size == len(accepted) - len(left)
    left += outbox.take()

    assert left == accepted
