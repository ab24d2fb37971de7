"""Requests answered in tasks: few at a time per person, bounded in all, and none without an answer (P7, P15)."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hub.platform.error import ErrorCode, Refusal
from hub.realtime.answering import AT_ONCE, Answering
from hub.realtime.crew import Crew
from tests.fake_clock import settle


@dataclass
class Asker:
    user: str
    session: Any = field(default_factory=lambda: SimpleNamespace(unanswered=0))
    refused: list[tuple[int, ErrorCode]] = field(default_factory=list)

    def refuse(self, ref: int, refusal: Refusal) -> None:
        self.refused.append((ref, refusal.code))


async def test_a_flood_of_one_person_does_not_hold_up_another() -> None:
    """P7: the third request of one person waits for their first; somebody else's starts at once, and all end."""
    crew, gate = Crew(), asyncio.Event()
    answering, begun = Answering(crew, 100), []

    async def work(name: str) -> None:
        begun.append(name)
        await gate.wait()

    flood, calm = Asker("a"), Asker("b")
    for number in range(10):
        answering.start(flood, number, work(f"a{number}"))  # type: ignore[arg-type]  # an asker is all it needs
    answering.start(calm, 1, work("b"))  # type: ignore[arg-type]
    await settle()
    at_once = list(begun)
    gate.set()
    await settle()

    assert at_once == [*(f"a{number}" for number in range(AT_ONCE)), "b"]
    assert len(begun) == 11
    assert (len(crew), flood.session.unanswered, answering._turns) == (0, 0, {})


async def test_what_is_too_much_or_fails_is_refused() -> None:
    """P14, P15: at once when too many wait; a fault of ours costs an answer, never silence."""
    crew, gate = Crew(), asyncio.Event()
    answering, asker = Answering(crew, 1), Asker("a")

    async def fail() -> None:
        await gate.wait()
        raise KeyError("ours")

    taken = answering.start(asker, 1, fail())  # type: ignore[arg-type]
    refused = answering.start(asker, 2, fail())  # type: ignore[arg-type]
    gate.set()
    await settle()

    assert (taken, refused) == (True, False)
    assert asker.refused == [(2, ErrorCode.OVERLOADED), (1, ErrorCode.INTERNAL)]
