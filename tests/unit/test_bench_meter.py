"""CPU and memory are read from /proc for whole process trees."""

import os

from bench.meter import LOAD, Cores, Meter, Stat, Usage, parse_busy, parse_stat, share_cores, tree

LINE = "7 (a b) c) S 3 7 7 0 -1 4194560 9 9 0 0 100 50 20 10 20 0 1 0 999 1000000 25 184467 1 1 0"


def test_a_stat_line_is_read_when_the_name_holds_a_parenthesis() -> None:
    """Own and waited-for children's ticks are summed; pages become bytes."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")

    assert parse_stat(LINE) == Stat(parent=3, cpu_s=180 / tick, rss_bytes=25 * page)


def test_a_tree_holds_grandchildren_when_others_run_too() -> None:
    """Nothing of another tree is counted, and a root that has ended is an empty tree."""
    processes = {pid: Stat(parent, 0, 0) for pid, parent in {1: 0, 5: 1, 6: 5, 7: 6, 8: 1}.items()}

    assert tree(5, processes) == [5, 6, 7]
    assert tree(9, processes) == []


def test_a_meter_counts_what_is_used_when_running() -> None:
    """Between start and stop, by role, with the load generator's own share."""
    meter = Meter({"self": os.getpid()})
    meter.start()
    sum(range(2_000_000))
    usage = meter.stop()

    assert set(usage.cpu_s) == {"self", LOAD}
    assert 0 < usage.cpu_s[LOAD] <= usage.wall_s * 1.1 + 0.05  # a tick of the kernel
    assert meter.rss_bytes("self") > 0


def test_busy_seconds_are_those_of_the_asked_cores_when_there_are_more() -> None:
    """User, nice, system and steal; neither idle nor waiting nor interrupts."""
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 20 30 999 999 999 999 40 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5 0\n"

    assert parse_busy(text, {0}) == 100 / os.sysconf("SC_CLK_TCK")
    assert parse_busy(text, set()) == 0


def test_what_others_take_is_told_when_a_role_has_a_core() -> None:
    """All that is used on the core but by the watched role; nothing when no core is watched."""
    watching, plain = Meter({"self": os.getpid()}, "self", {0}), Meter({"self": os.getpid()})
    watching.start()
    plain.start()

    assert watching.stop().foreign_s >= 0
    assert plain.stop().foreign_s == 0


def test_shares_are_of_one_core_when_a_role_uses_two() -> None:
    """A role with several processes may pass 100 %."""
    assert Usage(2.0, {"postgres": 3.0}).shares == {"postgres": 1.5}


def test_the_server_has_a_core_alone_when_there_are_two() -> None:
    """Storage and load share the other; with three or more they part, with one there is no choice."""
    assert share_cores({4}) == Cores({4}, {4}, {4})
    assert share_cores({0, 1}) == Cores({0}, {1}, {1})
    assert share_cores({0, 1, 2, 3}) == Cores({0}, {1, 2}, {3})
