"""Telling sockets from a process that has none: hints to the nodes, as `fanout` writes them.

Who misses one, because Redis is away, learns of it by the digest of the next pong.
"""

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.messaging.model import Entry
from hub.messaging.port import MemberChange
from hub.platform import settings
from hub.platform.identifier import new_id
from hub.realtime.codec import encode_json
from hub.realtime.fanout import membership_of, personal
from hub.realtime.hint import Hint, HintKind, pack
from hub.realtime.redis_link import parse_addresses, split_urls

COMMAND_S = 2.0  # for connecting, and for the answer to one pipeline
CHUNK = 250  # people in one pipeline: building it holds the event loop for a few ms

log = structlog.get_logger("hub.hinting")


class Hinting:
    """Open it with `open_hinting`."""

    def __init__(self, clients: Sequence[Redis], prefix: str) -> None:
        self._clients = clients
        self._prefix = f"{prefix}:"
        self._origin = new_id()  # of no node, so that every node listens

    async def joined(self, entry: Entry, changes: Sequence[MemberChange]) -> None:
        """These have come into the conversation of `entry` and see it; call it after the commit. Never raises."""
        for start in range(0, len(changes), CHUNK):
            try:
                await self._publish(entry, changes[start : start + CHUNK])
            except (RedisError, OSError) as error:
                log.warning("hints not sent", error=type(error).__name__)
                return

    async def _publish(self, entry: Entry, changes: Sequence[MemberChange]) -> None:
        shards: list[list[MemberChange]] = [[] for _ in self._clients]
        for change in changes:
            shards[zlib.crc32(personal(change.user).encode()) % len(shards)].append(change)  # as `Broker` spreads them
        said = [encode_json(entry)]
        for client, mine in zip(self._clients, shards, strict=True):
            if not mine:
                continue
            # Few of many are online. Who comes just now resumes from PostgreSQL, where all of this is committed.
            heard = await client.pubsub_numsub(*(self._prefix + personal(change.user) for change in mine))
            async with client.pipeline(transaction=False) as pipeline:
                for change, (channel, listeners) in zip(mine, heard, strict=True):
                    if listeners:
                        # The place first: it lets the person's sockets in to what follows.
                        place = [encode_json(membership_of(change))]
                        pipeline.publish(channel, self._pack(HintKind.MEMBERSHIP, change, change.from_seq, place))
                        pipeline.publish(channel, self._pack(HintKind.ENTRIES, change, entry.seq, said))
                await pipeline.execute()

    def _pack(self, kind: HintKind, change: MemberChange, first_seq: int, payloads: list[bytes]) -> bytes:
        return pack(Hint(self._origin, kind, change.conversation, change.members_version, first_seq, payloads))


@asynccontextmanager
async def open_hinting(chosen: settings.Redis) -> AsyncIterator[Hinting]:
    """Connects when first used."""
    parse_addresses(chosen.url)  # a bad one is refused here, without its password
    clients = [
        Redis.from_url(url, socket_timeout=COMMAND_S, socket_connect_timeout=COMMAND_S, retry=Retry(NoBackoff(), 1))
        for url in split_urls(chosen.url)
    ]
    try:
        yield Hinting(clients, chosen.prefix)
    finally:
        for client in clients:
            await client.aclose()
