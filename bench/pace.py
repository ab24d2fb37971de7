"""Open-loop load and percentiles. Pure."""

import math
import random
from collections.abc import Callable, Sequence


class Pace:
    """Calls `send(due)` at random moments that do not wait for answers (a Poisson process), as in life.

    A call that comes late still gets the moment it was due: the delay counts.
    """

    def __init__(self, rate: float, start_s: float, send: Callable[[float], None]) -> None:
        self._rate = rate
        self._send = send
        self._random = random.Random(7)  # the same arrivals for every target
        self._next_s = start_s

    def __call__(self, now_s: float) -> float:
        """Send what is due; the answer is when the next one is."""
        while self._next_s <= now_s:
            self._send(self._next_s)
            self._next_s += self._random.expovariate(self._rate)
        return self._next_s


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed (nearest rank); nan when there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
