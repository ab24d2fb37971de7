"""What was said stays until it is acked or refused for good (P3)."""

import asyncio

import pytest
from msgspec import Raw

from clients.terminal.account import Refused
from clients.terminal.event import Stopped
from clients.terminal.outgoing import MOST, Item, Outgoing
from hub.realtime.protocol import Ack, Failed, Send


def send(text: bytes = b'{"text":"x"}', conversation: str = "room") -> Send:
    return Send(ref=0, conversation=conversation, client_msg_id="a", type="text", body=Raw(text))


def waiting(outgoing: Outgoing, conversation: str = "room") -> Item:
    return outgoing.add(send(conversation=conversation), asyncio.get_running_loop().create_future())


def said(outgoing: Outgoing, now: float) -> list[Item]:
    """Everything that may be said now, in the order in which it is."""
    items = []
    while (item := outgoing.next(now)) is not None:
        outgoing.said(item, now)
        items.append(item)
    return items


def failed(retry_after_ms: int | None) -> Failed:
    return Failed(ref=1, code="unavailable", message="", fields={}, retry_after_ms=retry_after_ms)


async def test_frame_is_due_again_when_no_answer_comes() -> None:
    """An ack may be lost; the wait for it is not endless."""
    outgoing = Outgoing(again_s=10)
    item = waiting(outgoing)
    assert said(outgoing, 0) == [item]

    assert outgoing.next(9.9) is None
    assert outgoing.next(10) is item


async def test_everything_is_due_with_the_next_connection() -> None:
    """Whether it arrived is unknown."""
    outgoing = Outgoing(again_s=10)
    items = [waiting(outgoing) for _ in range(3)]
    assert said(outgoing, 0) == items
    outgoing.disconnected()

    assert said(outgoing, 1) == items


async def test_nothing_is_said_before_what_is_older_in_its_conversation() -> None:
    """P2: who is told to wait holds back what was written after it there, and nothing elsewhere."""
    outgoing = Outgoing(again_s=10)
    first = waiting(outgoing)
    assert said(outgoing, 0) == [first]
    outgoing.answered(first, failed(2000), 0)
    second, other = waiting(outgoing), waiting(outgoing, "another room")

    assert said(outgoing, 1) == [other]
    assert said(outgoing, 2) == [first, second]


async def test_what_waits_for_its_ack_holds_nothing_back() -> None:
    """Said and not refused is as good as first: many may be on their way."""
    outgoing = Outgoing(again_s=10)
    first, second = waiting(outgoing), waiting(outgoing)
    outgoing.said(first, 0)

    assert said(outgoing, 5) == [second]
    assert said(outgoing, 10) == [first]


async def test_ack_resolves_and_later_answers_change_nothing() -> None:
    """Two tries may both be answered."""
    outgoing = Outgoing(again_s=10)
    item = waiting(outgoing)
    ack = Ack(ref=1, conversation="room", client_msg_id="a", seq=4, at="", dup=False)
    outgoing.answered(item, ack, 0)
    outgoing.answered(item, failed(None), 0)

    assert await item.answer == ack


async def test_refusal_decides_by_its_retry() -> None:
    """With a time it is said again then; without, the caller learns of it."""
    outgoing = Outgoing(again_s=10)
    item = waiting(outgoing)
    outgoing.answered(item, failed(2000), 5)
    assert outgoing.next(6.9) is None
    assert outgoing.next(7) is item

    outgoing.answered(item, failed(None), 7)

    with pytest.raises(Refused, match="unavailable"):
        await item.answer


async def test_too_many_and_too_large_are_refused_at_once() -> None:
    """An outage cannot fill the memory, and a frame that would close the socket is never sent."""
    outgoing = Outgoing(again_s=10)
    with pytest.raises(Refused, match="frame_too_large"):
        outgoing.add(send(b'{"text":"' + b"x" * 66_000 + b'"}'), asyncio.get_running_loop().create_future())
    for _ in range(MOST):
        waiting(outgoing)

    with pytest.raises(Refused, match="overloaded"):
        waiting(outgoing)


async def test_everybody_is_told_when_the_client_stops() -> None:
    """No caller hangs."""
    outgoing = Outgoing(again_s=10)
    item = waiting(outgoing)
    outgoing.fail(Stopped("closed"))

    with pytest.raises(Stopped):
        await item.answer
