"""The port to whoever interprets a report, and when not to ask somebody who has been failing."""

from collections.abc import Collection
from typing import Protocol

from hub.content.interpretation import Finding
from hub.content.reading import Json


class Unanswered(Exception):
    """No interpretation; the text says why, without anything of the report. `again`: it may be tried once more."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class Interpreter(Protocol):
    async def interpret(self, report_type: str, data: Json, known: Collection[str] = ()) -> Finding:
        """What this report says. `known` are the names of the people concerned, which must not leave the house.

        Raises `Unanswered`.
        """


class Breaker:
    """After `failures` in a row nobody is asked for `pause_s`; then one call tries. Pure: time is an argument."""

    def __init__(self, failures: int, pause_s: float) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._failures = 0
        self._closed_from = 0.0

    def may_call(self, now: float) -> bool:
        """Whether to call; whoever is let through must report how it went."""
        if self._failures < self._most:
            return True
        if now < self._closed_from:
            return False
        self._closed_from = now + self._pause_s  # one tries, the others go on waiting
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        self._failures += 1
        if self._failures >= self._most:
            self._closed_from = now + self._pause_s
