"""Requests that need more than one loop turn: each in a task that answers whatever happens, few at a time per person (P7, P15)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

from hub.messaging.retry import TRANSIENT
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http_error import is_outage
from hub.realtime.codec import body_refusal, not_a_body
from hub.realtime.connection import Connection
from hub.realtime.crew import Crew

AT_ONCE = 2  # of one person, over all devices: somebody who floods waits behind themselves, not in front of others

log = structlog.get_logger()


class _Turns:
    __slots__ = ("free", "waiting")

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0


class Answering:
    """At most `waiting` requests are taken in all; more are refused at once."""

    def __init__(self, crew: Crew, waiting: int) -> None:
        self._crew = crew
        self._most = waiting
        self._turns: dict[str, _Turns] = {}
        self._taken = 0

    def start(
        self, connection: Connection, ref: int, work: Coroutine[Any, Any, None]
    ) -> bool:  # Any: nobody sends or yields
        """Answer in a task; False when too many wait, and then the refusal is said already."""
        if self._taken >= self._most:
            connection.refuse(ref, Refusal(ErrorCode.OVERLOADED, retry_after_ms=2000))
            work.close()
            return False
        self._taken += 1
        connection.session.unanswered += 1
        self._crew.start(self._run(connection, ref, work))
        return True

    async def _run(self, connection: Connection, ref: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._turn(connection.user):
                await work
        except Exception as error:
            connection.refuse(ref, refusal_for(error))
        finally:
            self._taken -= 1
            connection.session.unanswered -= 1

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        turns = self._turns.setdefault(user, _Turns())
        turns.waiting += 1
        try:
            async with turns.free:
                yield
        finally:
            turns.waiting -= 1
            if not turns.waiting:
                del self._turns[user]


def refusal_for(error: Exception) -> Refusal:
    """What a client is told of this failure; a fault of ours is logged."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, msgspec.ValidationError):
        return body_refusal(error)
    if isinstance(error, msgspec.DecodeError):
        return not_a_body()
    if isinstance(error, TRANSIENT) or is_outage(error):
        return Refusal(ErrorCode.UNAVAILABLE, retry_after_ms=2000)
    log.error("request failed", error=type(error).__name__, exc_info=error)
    return Refusal(ErrorCode.INTERNAL)
