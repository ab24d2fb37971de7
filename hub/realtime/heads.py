"""Answers that are the same question for many sockets at once: the digests in pongs, collected into one statement at a time."""

import asyncio
from collections.abc import Callable

import structlog

from hub.messaging.history import History

MOST = 2000  # users in one statement

log = structlog.get_logger()


class Digests:
    def __init__(self, history: History) -> None:
        self._history = history
        self._asked: dict[str, list[Callable[[str | None], None]]] = {}
        self._wake = asyncio.Event()

    def ask(self, user: str, answer: Callable[[str | None], None]) -> None:
        """`answer` is called once; with None when PostgreSQL did not answer: not known is not a difference."""
        self._asked.setdefault(user, []).append(answer)
        self._wake.set()

    async def run(self) -> None:
        """Answer for ever; run it under the supervisor."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asked:
                users = list(self._asked)[:MOST]
                asked = {user: self._asked.pop(user) for user in users}
                try:
                    digests = await self._history.digests(users)
                except Exception as error:
                    log.warning("digests not read", error=type(error).__name__)
                    digests = {}
                for user, answers in asked.items():
                    for answer in answers:
                        answer(digests.get(user))
