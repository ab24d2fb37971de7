"""The swarm and the bare server understand each other, and every delivery is counted once. One child process."""

import os
from collections.abc import Iterator

import pytest

from bench import message
from bench.layout import Layout, lay_out, seats
from bench.meter import Cores, read_processes
from bench.swarm import Broken, Client, Swarm
from bench.target import Target, bare_target

ALL = os.sched_getaffinity(0)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with bare_target(Cores(ALL, ALL, ALL), history=True) as target:
        yield target
    assert all(pid not in read_processes() for pid in target.processes.values())


class Count:
    """How many frames each client got, and all they said."""

    def __init__(self) -> None:
        self.frames: dict[int, int] = {}
        self.data = b""

    def __call__(self, client: Client, data: bytes, frames: int, end: int) -> None:
        self.frames[client.index] = self.frames.get(client.index, 0) + frames
        self.data += data[:end]


def seated(target: Target, people: int) -> tuple[Layout, Count]:
    return lay_out(people, [range(people)]), Count()


def test_each_member_gets_each_message_once_when_one_sends(target: Target) -> None:
    """Five members, three messages: three acks, twelve entries, and five welcomes before."""
    layout, count = seated(target, 5)
    room = layout.rooms[0].id.encode()
    with Swarm(target.host, target.port) as swarm:
        clients = swarm.dial(seats(layout, target.admit(layout)), count, at_once=2)
        for number in range(3):
            swarm.write(clients[0], message.send(room, float(number)))
        swarm.run(lambda: sum(count.frames.values()) == 20, 10)

    assert count.frames == dict.fromkeys(range(5), 4)
    found = [count.data.count(marker) for marker in (message.WELCOME, message.ACK, message.ENTRY)]
    assert found == [5, 3, 12]


def test_a_member_is_told_what_it_missed_when_it_returns(target: Target) -> None:
    """A cut socket loses nothing: a page follows the welcome."""
    layout, count = seated(target, 2)
    both = seats(layout, target.admit(layout))
    with Swarm(target.host, target.port) as swarm:
        stays, leaves = swarm.dial(both, count)
        swarm.cut([leaves])
        swarm.write(stays, message.send(layout.rooms[0].id.encode(), 1.0))
        swarm.run(lambda: count.data.count(message.ACK) == 1, 10)
        back = Count()
        swarm.dial(both[1:], back)
        swarm.run(lambda: back.data.count(message.PAGE) == 1, 10)

    assert back.data.count(b'"seq":1') == 1
    assert swarm.lost == []


def test_a_swarm_breaks_when_nobody_answers(unused_tcp_port: int) -> None:
    """A refused connection is said, not waited for."""
    layout = lay_out(1, [(0,)])
    with Swarm("127.0.0.1", unused_tcp_port) as swarm, pytest.raises(Broken, match="1 sockets lost"):
        swarm.dial(seats(layout, {layout.people[0].user: "-"}), Count())
