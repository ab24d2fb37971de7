"""What a person's sockets are told of a notice of theirs, wherever it happened. No I/O; `hub/realtime/fanout.py` carries it."""

from collections.abc import Callable, Sequence

import msgspec


class News(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that begins (`open`) or was seen. `unread` and `version`: of the person's inbox, see `inbox`."""

    notice: str
    user: str
    class_: str
    state: str
    conversation: str | None
    seq: int | None
    unread: int
    version: int
    at: str


Tell = Callable[[Sequence[News]], None]
"""Never waits and never raises: who misses something asks, or is told with the next."""


def untold(news: Sequence[News]) -> None:
    """A process without sockets."""
