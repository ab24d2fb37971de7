"""Telling sockets from a process that has none: the fan-out of a node, without sockets of its own.

Who misses a hint, because Redis is away, learns of it by the digest of the next pong.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.messaging.actions import Messaging
from hub.messaging.roster import Rosters
from hub.notices.bell import Bell
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.realtime.broker import Broker
from hub.realtime.connection import Connection
from hub.realtime.crew import Crew
from hub.realtime.fanout import Fanout
from hub.realtime.registry import Registry
from hub.realtime.room import Rooms
from hub.realtime.told import Told
from hub.security.sealing import Sealer


class Herald:
    """What writes into conversations and tells of it. Open it with `open_herald`."""

    def __init__(self, settings: Settings, database: Database, sealer: Sealer, clock: Clock, broker: Broker) -> None:
        node, pool = new_id(), database.log
        registry: Registry[Connection] = Registry()
        self.crew = Crew()
        rosters = Rosters(pool, settings.messaging.large_conversation)
        rooms = Rooms(pool, registry, broker, self.crew.start)
        told = Told(clock.monotonic())
        fanout = Fanout(node, registry, rosters, rooms, told, clock, broker.publish, self.crew.start)
        self.messaging = Messaging(database, sealer, clock, fanout, settings.messaging)
        self.bell = Bell(pool, fanout.noticed)


@asynccontextmanager
async def open_herald(settings: Settings, database: Database, sealer: Sealer, clock: Clock) -> AsyncIterator[Herald]:
    """With a link to Redis of its own, made when it answers."""
    broker = Broker(
        settings.realtime,
        settings.redis,
        node=new_id(),
        on_message=lambda channel, payload: None,
        on_lost=lambda: None,
        on_back=lambda: None,
    )
    herald = Herald(settings, database, sealer, clock, broker)
    async with Supervisor() as supervisor:
        supervisor.run("broker", broker.run)
        supervisor.run("begun notices", herald.bell.run)
        try:
            yield herald
        finally:
            await herald.crew.close()
