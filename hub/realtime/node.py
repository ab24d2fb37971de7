"""One node: the parts of messaging and of the wire put together, and the loops that keep them going."""

from collections.abc import Callable
from functools import partial

import msgspec

from hub.messaging.actions import Messaging
from hub.messaging.collector import Collector
from hub.messaging.history import History
from hub.messaging.listing import Listing
from hub.messaging.receipt import Receipts
from hub.messaging.roster import Rosters, acquainted
from hub.notices.bell import Bell
from hub.notices.withdrawal import Withdrawals
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.realtime.answering import Answering
from hub.realtime.broker import Broker
from hub.realtime.connection import Connection
from hub.realtime.crew import Crew
from hub.realtime.fanout import Fanout
from hub.realtime.gateway import Gateway
from hub.realtime.heads import Digests
from hub.realtime.healer import Healer
from hub.realtime.performer import Performer
from hub.realtime.presence import Presence
from hub.realtime.reader import Reader
from hub.realtime.registry import Registry
from hub.realtime.room import Rooms
from hub.realtime.told import Told
from hub.security.sealing import Sealer


class Node:
    """Everything of one process. `start` its loops under a supervisor; `close` it last."""

    def __init__(
        self, settings: Settings, clock: Clock, database: Database, sealer: Sealer, wake: Callable[[], None]
    ) -> None:
        """`wake`: there may be events to handle."""
        self.name = new_id()
        pool, large = database.log, settings.messaging.large_conversation
        registry: Registry[Connection] = Registry()
        self.crew = Crew()
        self.broker = Broker(
            settings.realtime,
            settings.redis,
            node=self.name,
            on_message=self._heard,
            on_lost=self._lost,
            on_back=self._back,
        )
        self.gateway = Gateway(settings, clock, registry)
        self.presence = Presence(
            settings.realtime,
            settings.redis,
            node=self.name,
            clock=clock,
            hints=self.broker,
            on_change=self.gateway.presence_changed,
        )
        self._rosters = Rosters(pool, large)
        rooms = Rooms(pool, registry, self.broker, self.crew.start)
        self.fanout = Fanout(
            self.name,
            registry,
            self._rosters,
            rooms,
            Told(clock.monotonic()),
            clock,
            self.broker.publish,
            self.crew.start,
        )
        self.collector = Collector(database.append, sealer, self._rosters, self.fanout, clock, settings.messaging)
        self.withdrawals = Withdrawals(database.append, self.fanout.noticed)
        self.bell = Bell(pool, self.fanout.noticed)
        self.receipts = Receipts(database.append, self.fanout, settings.messaging.batch, self.withdrawals.note)
        self.history = History(pool, sealer, large)
        self.listing = Listing(pool, sealer, self.history)
        self.messaging = Messaging(database, sealer, clock, self.fanout, settings.messaging, wake)
        self.digests = Digests(self.history)
        self.healer = Healer(settings.realtime, clock, self.history, self.gateway, self.fanout)
        answering = Answering(self.crew, settings.realtime.reads_waiting)
        self.reader = Reader(settings, clock, self.gateway, self.history, answering)
        self.performer = Performer(
            settings,
            clock,
            pool,
            self.gateway,
            self.fanout,
            self.messaging,
            self.collector,
            self.receipts,
            self.digests,
            self.reader,
            answering,
        )
        self.gateway.bind(
            self.broker,
            self.presence,
            rooms,
            self.performer.perform,
            partial(acquainted, pool),
            self.crew.start,
        )

    def start(self, supervisor: Supervisor) -> None:
        """Run every loop. Until Redis has answered the first probe it counts as away, and PostgreSQL is read instead."""
        self.healer.lost()
        supervisor.run("append", self.collector.run)
        supervisor.run("receipts", self.receipts.run)
        supervisor.run("withdrawals", self.withdrawals.run)
        supervisor.run("begun notices", self.bell.run)
        supervisor.run("digests", self.digests.run)
        supervisor.run("broker", self.broker.run)
        supervisor.run("presence", self.presence.run)
        supervisor.run("healing", self.healer.run)
        supervisor.run("sockets", self.gateway.sweep)

    async def close(self) -> None:
        await self.crew.close()

    def _heard(self, channel: str, payload: bytes) -> None:
        if channel.startswith("p:"):
            self.presence.hinted(channel[2:])
            return
        try:
            self.fanout.heard(channel, payload)
        except msgspec.DecodeError:
            return  # of another version, or not ours; what it spoke of is in PostgreSQL

    def _lost(self) -> None:
        self.healer.lost()

    def _back(self) -> None:
        self.healer.back()
        self.presence.resync()
