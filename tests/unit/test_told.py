"""A repair tells only what was missed: what was told is remembered for at least a minute."""

from hypothesis import given
from hypothesis import strategies as st

from hub.realtime.told import KEPT_S, Told

steps = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 30), st.integers(0, 4), st.floats(0, KEPT_S, allow_nan=False))
)


@given(steps)
def test_what_was_told_is_remembered_and_nothing_else_is(steps: list[tuple[str, int, int, float]]) -> None:
    """Any ranges in any order: never a repetition within `KEPT_S`, never a loss of what was not told."""
    told, now, known = Told(0.0), 0.0, []
    for conversation, first, more, pause in steps:
        now += pause
        told.add(conversation, first, first + more, now)
        known.append((conversation, first, first + more, now))
    for conversation in "ab":
        for seq in range(1, 40):
            times = [at for c, first, last, at in known if c == conversation and first <= seq <= last]
            if not times:
                assert told.lacks(conversation, seq)
            elif now - max(times) < KEPT_S:
                assert not told.lacks(conversation, seq)


def test_the_next_ones_lengthen_a_range() -> None:
    """A busy conversation costs one range, not one per entry."""
    told = Told(0.0)
    for seq in range(1, 1000):
        told.add("a", seq, seq, 0.0)

    assert told._new == {"a": [[1, 999]]}


def test_what_was_told_long_ago_is_forgotten() -> None:
    """Memory is bounded by what two minutes hold."""
    told = Told(0.0)
    told.add("a", 1, 1, 0.0)
    told.add("b", 1, 1, KEPT_S)
    told.add("c", 1, 1, 2 * KEPT_S)

    assert told.lacks("a", 1)
    assert not told.lacks("b", 1)
