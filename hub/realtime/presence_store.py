"""Presence in Redis: for each online user a sorted set of nodes, each with the time (ms) at which it counts as gone.

A node that was killed says nothing more and so ends by that time. Only this file knows the keys.
"""

import zlib
from collections.abc import Collection, Iterator

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.platform import settings
from hub.realtime.redis_link import parse_addresses, split_urls

COMMAND_S = 1.0  # for connecting, for one answer, and for a free connection
CONNECTIONS = 4  # per Redis: the loop's own, and a few for those who ask
CHUNK = 200  # users in one pipeline: building it holds the event loop for about 3 ms

AWAY = (RedisError, OSError)  # what every method here raises while a Redis is away; time-outs are of this kind


class PresenceStore:
    """What nodes say about their users. Each call ends within about `COMMAND_S` per chunk, or raises one of `AWAY`."""

    def __init__(self, redis: settings.Redis, *, node: str, life_ms: int) -> None:
        parse_addresses(redis.url)  # a bad one is refused here, without its password
        self._clients = [_client(url) for url in split_urls(redis.url)]
        self._prefix = f"{redis.prefix}:presence:"
        self._node = node
        self._life_ms = life_ms

    async def announce(self, here: Collection[str], gone: Collection[str], now_ms: int) -> None:
        """These users have sockets on this node, those have none any more."""
        arrived = set(here)
        for client, chunk in self._chunks([*here, *gone]):
            async with client.pipeline(transaction=False) as pipeline:
                for user in chunk:
                    if user in arrived:
                        pipeline.zremrangebyscore(self._prefix + user, "-inf", now_ms)
                        self._add(pipeline, user, now_ms)
                    else:
                        pipeline.zrem(self._prefix + user, self._node)
                await pipeline.execute()

    async def prolong(self, users: Collection[str], now_ms: int) -> None:
        """These users still have sockets on this node."""
        for client, chunk in self._chunks(users):
            async with client.pipeline(transaction=False) as pipeline:
                for user in chunk:
                    self._add(pipeline, user, now_ms)
                await pipeline.execute()

    async def expiries(self, users: Collection[str]) -> dict[str, int]:
        """For each user when the last of their nodes counts as gone (ms), which may have passed; 0 without any."""
        found: dict[str, int] = {}
        for client, chunk in self._chunks(users):
            async with client.pipeline(transaction=False) as pipeline:
                for user in chunk:
                    pipeline.zrange(self._prefix + user, 0, 0, desc=True, withscores=True)
                for user, nodes in zip(chunk, await pipeline.execute(), strict=True):
                    found[user] = int(nodes[0][1]) if nodes else 0
        return found

    async def close(self) -> None:
        """Disconnect; the next call connects again."""
        for client in self._clients:
            await client.aclose()

    def _add(self, pipeline: Pipeline, user: str, now_ms: int) -> None:
        pipeline.zadd(self._prefix + user, {self._node: now_ms + self._life_ms})
        pipeline.pexpire(self._prefix + user, self._life_ms)

    def _chunks(self, users: Collection[str]) -> Iterator[tuple[Redis, list[str]]]:
        groups: dict[int, list[str]] = {}
        for user in users:
            groups.setdefault(zlib.crc32(user.encode()) % len(self._clients), []).append(user)
        for shard, mine in groups.items():
            for start in range(0, len(mine), CHUNK):
                yield self._clients[shard], mine[start : start + CHUNK]


def _client(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=COMMAND_S,
        socket_timeout=COMMAND_S,
        socket_connect_timeout=COMMAND_S,
        retry=Retry(NoBackoff(), 0),  # the loop above tries again, and knows when not to
    )
    return Redis.from_pool(pool)
