"""While Redis is away this node reads from PostgreSQL what its users lack, every few seconds, and once more when Redis is back (P6)."""

import asyncio
from datetime import datetime, timedelta

import structlog

from hub.messaging.history import History
from hub.platform.clock import Clock, rfc3339
from hub.platform.settings import Realtime
from hub.realtime.fanout import Fanout
from hub.realtime.gateway import Gateway

SLACK = timedelta(seconds=5)  # between the time a row carries and the moment its commit is visible
RIPE = timedelta(seconds=1)  # a hint that has not come by then does not come
MOST = 200  # entries of one conversation in one pass; a longer gap is found by the clients' digests

# Other nodes may find Redis later than this one: their pauses grow to 5 s, then the probe must pass. What they commit until
# then is hinted by nobody, so this node goes on looking for as long.
SKEW_S = 8.0

log = structlog.get_logger()


class Healer:
    def __init__(self, settings: Realtime, clock: Clock, history: History, gateway: Gateway, fanout: Fanout) -> None:
        self._settings = settings
        self._clock = clock
        self._history = history
        self._gateway = gateway
        self._fanout = fanout
        self._away = False
        self._since: datetime | None = None
        self._look_until = 0.0
        self._wake = asyncio.Event()

    def lost(self) -> None:
        """Redis is away, since some time before the probe was late."""
        self._away = True
        unnoticed = timedelta(seconds=self._settings.probe_late_s + self._settings.probe_s)
        self._since = self._since or self._clock.now() - unnoticed - SLACK
        self._wake.set()

    def back(self) -> None:
        """Redis is back and every channel is subscribed again."""
        self._away = False
        self._look_until = self._clock.monotonic() + SKEW_S
        self._wake.set()

    async def run(self) -> None:
        """Heal for ever; run it under the supervisor."""
        while True:
            if self._since is None:  # after a failed pass there is still something to heal
                await self._wake.wait()
            self._wake.clear()
            while self._since is not None:
                done = not self._away and self._clock.monotonic() >= self._look_until
                await self._pass(self._since)
                if self._away or not done:
                    await asyncio.sleep(self._settings.heal_s)
                else:
                    self._since = None

    async def _pass(self, since: datetime) -> None:
        began = self._clock.now()
        users = self._gateway.users()
        missed = await self._history.missed(users, since, MOST) if users else {}
        # With Redis there, the hint of a young entry may be on its way: telling it here as well would tell it twice.
        ripe = rfc3339(began - (timedelta(0) if self._away else RIPE))
        for (conversation, version), entries in missed.items():
            self._fanout.repair(conversation, version, [entry for entry in entries if entry.at <= ripe])
        if self._since is not None:
            self._since = began - SLACK
