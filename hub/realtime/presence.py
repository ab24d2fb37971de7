"""Who is online, over many devices and nodes. For display only: no delivery and no push is decided by it (P9)."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol

import structlog

from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.supervisor import describe
from hub.realtime.presence_store import AWAY, PresenceStore

ANNOUNCED_AT_ONCE = 1000
RETRY_S = 1.0

log = structlog.get_logger("hub.presence")


class Hints(Protocol):
    """What presence needs of the broker."""

    def publish(self, channel: str, payload: bytes) -> None: ...
    def subscribe(self, channel: str) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...


@dataclass(slots=True)
class Watched:
    """A user whom sockets here watch: how many, what they were told, when to look again (ms; 0: now),
    and until when (monotonic) absence is doubted."""

    watchers: int = 0
    told: bool | None = None
    look_ms: int = 0
    doubt_until: float = 0.0


def channel_of(user: str) -> str:
    """Where hints about a user's presence travel; who gets one hands the user to `Presence.hinted`."""
    return f"p:{user}"


class Presence:
    """One node's part. `on_change(user, online, at_ms)` is called when what was last told here is true no longer.

    Only `states` and the loop's steps wait. While a Redis is away everybody stays as last told; then it catches up.
    The clocks of the nodes must agree to within a few seconds, far less than `presence_s`.
    """

    def __init__(
        self,
        chosen: settings.Realtime,
        redis: settings.Redis,
        *,
        node: str,
        clock: Clock,
        hints: Hints,
        on_change: Callable[[str, bool, int], None],
    ) -> None:
        self._life_ms = int(chosen.presence_s * 1000)
        self._refresh_s = chosen.presence_s / 3  # two may fail before somebody looks gone
        self._sweep_s = chosen.presence_s / 9
        self._store = PresenceStore(redis, node=node, life_ms=self._life_ms)
        self._clock = clock
        self._hints = hints
        self._on_change = on_change
        self._local: set[str] = set()
        self._changed: set[str] = set()  # entered or left here, and Redis does not know yet
        self._watched: dict[str, Watched] = {}
        self._wake = asyncio.Event()
        self._refresh_at = 0.0
        self._failed = False

    def entered(self, user: str) -> None:
        """The user's first socket on this node is there."""
        self._local.add(user)
        self._announce_soon(user)

    def left(self, user: str) -> None:
        """The user's last socket on this node is gone."""
        self._local.discard(user)
        self._announce_soon(user)

    def watch(self, users: Iterable[str]) -> None:
        """One more watcher for each. Ask `states` afterwards: later changes are measured against its answer."""
        for user in users:
            watched = self._watched.get(user)
            if watched is None:
                watched = self._watched[user] = Watched()
                self._hints.subscribe(channel_of(user))
            watched.watchers += 1

    def unwatch(self, users: Iterable[str]) -> None:
        """One watcher less for each; one more than there were is ignored."""
        for user in users:
            watched = self._watched.get(user)
            if watched is None:
                continue
            watched.watchers -= 1
            if watched.watchers == 0:
                del self._watched[user]
                self._hints.unsubscribe(channel_of(user))

    def hinted(self, user: str) -> None:
        """A hint came on `channel_of(user)`: look at this user now."""
        if (watched := self._watched.get(user)) is not None:
            watched.look_ms = 0
            watched.doubt_until = 0.0
            self._wake.set()

    def resync(self) -> None:
        """Redis was away and may have forgotten: say again who is here, and look at everybody who is watched.

        Without a hint nobody is believed gone for the time of one refresh: by then every node has said it again.
        """
        self._refresh_at = self._clock.monotonic()
        for watched in self._watched.values():
            watched.look_ms = 0
            watched.doubt_until = self._refresh_at + self._refresh_s
        self._wake.set()

    async def states(self, users: Collection[str]) -> dict[str, bool]:
        """Online or not, for each. The watched are answered as last told; who cannot be read now counts as offline."""
        try:
            expiries = await self._store.expiries([user for user in users if self._known(user) is None])
        except AWAY:
            expiries = {}
        now_ms = self._now_ms()
        answer: dict[str, bool] = {}
        for user in users:
            known = self._known(user)  # asked again: the loop may have told it meanwhile
            answer[user] = expiries.get(user, 0) > now_ms if known is None else known
            if (watched := self._watched.get(user)) is not None and watched.told is None:
                watched.told = answer[user]
        return answer

    async def run(self) -> NoReturn:
        """Announce, refresh, sweep. Ends only by cancellation or a defect; the supervisor may run it again."""
        try:
            while True:
                self._wake.clear()
                await self._round()
                await self._rest()
        finally:
            await self.close()

    async def close(self) -> None:
        """Say who left in the last moment, if Redis listens, and disconnect. `run` ends with it."""
        try:
            await self.announce()  # bounded by the time-outs of the store
        except AWAY as error:
            log.warning("presence not announced", error=describe(error))
        finally:
            await self._store.close()

    async def announce(self) -> None:
        """Tell Redis who entered or left, then the nodes that watch them."""
        while self._changed:
            users = list(self._changed)[:ANNOUNCED_AT_ONCE]
            self._changed.difference_update(users)
            here = [user for user in users if user in self._local]
            gone = [user for user in users if user not in self._local]
            try:
                await self._store.announce(here, gone, self._now_ms())
            except BaseException:
                self._changed.update(users)
                raise
            for user in users:
                self._hints.publish(channel_of(user), b"")

    async def refresh(self) -> None:
        """Say again who is on this node, when it is time."""
        if self._clock.monotonic() >= self._refresh_at:
            await self._store.prolong(list(self._local), self._now_ms())
            self._refresh_at = self._clock.monotonic() + self._refresh_s

    async def sweep(self) -> None:
        """Look at each watched user whose time has come, and tell what changed.

        Online: when their last node would count as gone. Offline: after `presence_s`, for a hint may have been lost.
        """
        now_ms = self._now_ms()
        due = [user for user, watched in self._watched.items() if watched.look_ms <= now_ms]
        for user in due:
            self._watched[user].look_ms = now_ms + self._life_ms  # before reading: a hint meanwhile makes it 0 again
        for user in due:
            if user in self._local:
                self._tell(user, True)
        try:
            expiries = await self._store.expiries([user for user in due if user not in self._local])
        except BaseException:
            for user in due:
                self._look_again(user, 0)
            raise
        for user, expiry_ms in expiries.items():
            online = expiry_ms > self._now_ms()
            if online:
                self._look_again(user, expiry_ms)
            self._tell(user, online or user in self._local)

    def _tell(self, user: str, online: bool) -> None:
        watched = self._watched.get(user)
        if watched is None or online == watched.told:
            return
        if watched.told and self._clock.monotonic() < watched.doubt_until:
            watched.look_ms = 0
            return
        watched.told = online
        self._on_change(user, online, self._now_ms())

    def _look_again(self, user: str, at_ms: int) -> None:
        if (watched := self._watched.get(user)) is not None:
            watched.look_ms = min(watched.look_ms, at_ms)

    def _known(self, user: str) -> bool | None:
        """What can be said without Redis. What others here were told comes first, so that all are told alike."""
        watched = self._watched.get(user)
        if watched is not None and watched.told is not None:
            return watched.told
        return True if user in self._local else None

    def _announce_soon(self, user: str) -> None:
        self._changed.add(user)
        self.hinted(user)  # who watches here learns of an arrival even while Redis is away
        self._wake.set()

    async def _round(self) -> None:
        """One of each. A step that fails does not keep the next from what it can do without Redis."""
        failed = False
        for step in (self.announce, self.refresh, self.sweep):
            try:
                await step()
            except AWAY as error:
                if not (failed or self._failed):
                    log.warning("presence unknown", error=describe(error))
                failed = True
        if self._failed and not failed:
            log.info("presence known again")
            self.resync()
        self._failed = failed

    async def _rest(self) -> None:
        if self._failed:
            await asyncio.sleep(min(RETRY_S, self._sweep_s))
            return
        pause = min(self._sweep_s, self._refresh_at - self._clock.monotonic())
        try:
            async with asyncio.timeout(max(0.0, pause)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
