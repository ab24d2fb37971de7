"""What a scenario is given and what it hands back."""

from collections.abc import Callable

import msgspec

from bench.layout import Layout
from bench.meter import LOAD, Meter, Usage
from bench.swarm import Seat, Swarm

SERVER = "server"
DRAIN_S = 15.0  # for what is still on its way when sending has stopped


class Stage(msgspec.Struct, frozen=True):
    """A running server with everybody seated before it, and how long one phase may measure."""

    swarm: Swarm
    layout: Layout
    seats: list[Seat]
    meter: Meter
    seconds: float


class Outcome(msgspec.Struct, frozen=True):
    """Figures by key, the usage of each measured phase, and what a reader must know to trust them."""

    figures: dict[str, float]
    usage: dict[str, Usage]
    failures: int = 0

    def per_server_s(self, phase: str, amount: float) -> float:
        """An amount per CPU-second of the server process in that phase."""
        return amount / max(self.usage[phase].cpu_s[SERVER], 0.01)

    @property
    def load_share(self) -> float:
        """The busiest the load generator was, as a share of its core."""
        return max((usage.shares[LOAD] for usage in self.usage.values()), default=0.0)


class Row(msgspec.Struct, frozen=True):
    """A line of the table: which figure, how it is called, and the aim (`at_least` or `at_most`) for the hub.

    `ratio`: the aim is for hub / bare, not for the hub's own figure.
    """

    key: str
    title: str
    at_least: float | None = None
    at_most: float | None = None
    ratio: bool = False


class Scenario(msgspec.Struct, frozen=True):
    name: str
    title: str
    lay_out: Callable[[], Layout]
    measure: Callable[[Stage], Outcome]
    rows: tuple[Row, ...]
    history: bool = False  # whether the bare server must keep entries
