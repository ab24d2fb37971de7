"""How many statements the API costs: counted inside of a server, so that a list that asks once per row shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event

from hub.platform.database import Database

_FRAME = (
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    ";",
)  # what every transaction is wrapped in, and the pool's question "are you there"
_CALLS = ("fetch", "fetchrow", "fetchval", "execute", "executemany")


class Counted:
    def __init__(self) -> None:
        self.statements = 0


@contextmanager
def counting(database: Database) -> Iterator[Counted]:
    """Counts what the engine and the bare pools send, without the frame of a transaction."""
    counted = Counted()

    def note(*_: object) -> None:
        counted.statements += 1

    originals = {name: getattr(asyncpg.Connection, name) for name in _CALLS}
    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    for name, original in originals.items():
        setattr(asyncpg.Connection, name, _noting(original, note))
    try:
        yield counted
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        for name, original in originals.items():
            setattr(asyncpg.Connection, name, original)


def _noting(original: Any, note: Any) -> Any:  # Any: asyncpg's overloaded methods
    async def call(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> Any:
        if not query.startswith(_FRAME):
            note()
        return await original(self, query, *args, **options)

    return call
