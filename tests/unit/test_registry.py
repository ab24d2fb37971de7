"""Who listens to which channel, compared with a set of pairs."""

from hypothesis import given
from hypothesis import strategies as st

from hub.realtime.registry import Registry

channels = st.sampled_from(["u:1", "u:2", "c:1", "c:2"])
members = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), channels, members),
        st.tuples(st.just("leave"), channels, members),
        st.tuples(st.just("drop"), st.just(""), members),
    )
)


@given(steps)
def test_registry_says_what_a_set_of_pairs_says(steps: list[tuple[str, str, int]]) -> None:
    """Any joins, leaves and drops; each answer says whether the node must subscribe or unsubscribe."""
    registry: Registry[int] = Registry()
    pairs: list[tuple[str, int]] = []
    for what, channel, member in steps:
        there = {c for c, _ in pairs}
        if what == "join":
            assert registry.join(channel, member) == (channel not in there)
            if (channel, member) not in pairs:
                pairs.append((channel, member))
            continue
        gone = [pair for pair in pairs if pair[1] == member and (what == "drop" or pair[0] == channel)]
        pairs = [pair for pair in pairs if pair not in gone]
        emptied = sorted({c for c, _ in gone} - {c for c, _ in pairs})
        if what == "drop":
            assert registry.drop(member) == emptied
        else:
            assert registry.leave(channel, member) == bool(emptied)
        for name in ("u:1", "u:2", "c:1", "c:2"):
            assert registry.members(name) == [m for c, m in pairs if c == name]
            assert (name in registry) == any(c == name for c, _ in pairs)
        for who in range(4):
            assert registry.channels_of(who) == {c for c, m in pairs if m == who}
        assert len(registry) == len({m for _, m in pairs})
        assert set(registry.channels("u:")) == {c for c, _ in pairs if c.startswith("u:")}


def test_a_listener_may_leave_while_the_members_are_told() -> None:
    """The members are a copy: telling one may close another."""
    registry: Registry[int] = Registry()
    for member in (1, 2, 3):
        registry.join("u:1", member)
    told = []
    for member in registry.members("u:1"):
        registry.leave("u:1", member)
        told.append(member)

    assert told == [1, 2, 3]
    assert "u:1" not in registry
