"""Who takes part in a scenario and who shares a conversation. Pure; `bench/seed.py` makes it true in the database."""

from collections.abc import Mapping, Sequence

import msgspec

from bench.swarm import Seat
from hub.platform.identifier import new_id


class Person(msgspec.Struct, frozen=True):
    user: str
    session: str


class Room(msgspec.Struct, frozen=True):
    """One conversation; members are places in the list of people."""

    id: str
    members: tuple[int, ...]


class Layout(msgspec.Struct, frozen=True):
    people: list[Person]
    rooms: list[Room]


def lay_out(people: int, rooms: Sequence[Sequence[int]]) -> Layout:
    """Fresh people, and a fresh conversation for each group of them."""
    return Layout(
        [Person(new_id(), new_id()) for _ in range(people)], [Room(new_id(), tuple(members)) for members in rooms]
    )


def seats(layout: Layout, tokens: Mapping[str, str]) -> list[Seat]:
    """One socket per person, with an empty cursor for each of their conversations. `tokens` by user."""
    cursors: list[dict[str, int]] = [{} for _ in layout.people]
    for room in layout.rooms:
        for member in room.members:
            cursors[member][room.id] = 0
    return [Seat(tokens[person.user], held) for person, held in zip(layout.people, cursors, strict=True)]
